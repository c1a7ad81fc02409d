"""What each carrier makes of a host: not sent, sent without answer, undecodable, or answered.

The host is a raw socket, so that what goes over the wire is seen as it is.
"""

import asyncio
import gzip
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any

import aiohttp
import pytest
import uvloop
from aiohappyeyeballs import start_connection

from benchmarks.certificates import Certificates, made
from pipeline.errors import BadSettings
from pipeline.network.carrier import Carrier, NoAnswerError, NotSentError, Reply, UndecodableError
from pipeline.network.carriers import Http, carrier

HTTPS: tuple[Http, ...] = ("httpx", "httptools")
BODY = '{"text": "чай ☕"}'.encode()
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nX-Request-Id: 7\r\n\r\n{}"
Meet = Callable[[int], bytes | AsyncIterator[bytes]]
pytestmark = pytest.mark.promise("P4")


@pytest.fixture(autouse=True, params=["asyncio", "uvloop"])
def _loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test on either loop that a run may have."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else None

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(coroutine)

    monkeypatch.setattr(asyncio, "run", run)


class Host:
    """Notes every call as it came; `meet` says what is answered, whole or piece by piece.

    It hangs up after an answer that says so, or does not end as a whole one does.
    """

    def __init__(self, meet: Meet) -> None:
        self._meet = meet
        self._lanes: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.calls: list[bytes] = []
        self.url = ""

    @property
    def connections(self) -> int:
        return len(self._writers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lane = asyncio.current_task()
        assert lane is not None
        self._lanes.add(lane)
        self._writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        _, _, rest = head.lower().partition(b"content-length: ")
        self.calls.append(
            head + await reader.readexactly(int(rest.split(b"\r")[0]) if rest else 0)
        )
        said = self._meet(len(self.calls))
        if isinstance(said, bytes):
            writer.write(said)
            await writer.drain()
            return b"connection: close" not in said and said.endswith(
                (b"\r\n\r\n{}", b"why", b"0\r\n\r\n")
            )
        async for piece in said:
            writer.write(piece)
            await writer.drain()
        return False

    async def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        if self._lanes:
            await asyncio.wait(self._lanes)


@asynccontextmanager
async def hosted(meet: Meet, context: ssl.SSLContext | None = None) -> AsyncIterator[Host]:
    host = Host(meet)
    server = await asyncio.start_server(host.serve, "127.0.0.1", 0, ssl=context, backlog=500)
    scheme = "http" if context is None else "https"
    host.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield host
    finally:
        server.close()
        await host.close()


@asynccontextmanager
async def opened(http: Http, *, trust_environment: bool = False) -> AsyncIterator[Carrier]:
    one = carrier(50, http, trust_environment=trust_environment)
    try:
        yield one
    finally:
        await one.close()


async def post(to: Carrier, url: str, timeout: float = 10.0) -> Reply:
    headers = {"authorization": "Api-Key k", "content-type": "application/json"}
    return await to.send(
        "POST", f"{url}/foundationModels/v1/completionAsync", headers, BODY, timeout
    )


async def get(to: Carrier, url: str, timeout: float = 10.0) -> Reply:
    return await to.send(
        "GET", f"{url}/operations/d7q%2F..1", {"authorization": "Bearer t"}, b"", timeout
    )


def answered(http: Http, said: bytes, *, count: int = 1) -> tuple[list[Reply], Host]:
    """The answers to so many POSTs in a row, to each of which the same is said."""

    async def call() -> tuple[list[Reply], Host]:
        async with hosted(lambda _: said) as host, opened(http) as to:
            return [await post(to, host.url) for _ in range(count)], host

    return asyncio.run(call())


@pytest.mark.parametrize("http", HTTPS)
def test_a_call_goes_out_as_it_was_given_and_nothing_is_added_but_what_http_needs(
    http: Http,
) -> None:
    replies, host = answered(http, OK)
    head, _, body = host.calls[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert first == "POST /foundationModels/v1/completionAsync HTTP/1.1"
    assert body == BODY
    agent = headers.pop("user-agent")
    assert agent.startswith("yagpt-batch/")
    assert headers.pop("accept", "*/*") == "*/*"
    assert headers == {
        "host": host.url.removeprefix("http://"),
        "authorization": "Api-Key k",
        "content-type": "application/json",
        "content-length": str(len(BODY)),
    }
    (reply,) = replies
    assert (reply.status, reply.body, reply.headers["x-request-id"]) == (200, b"{}", "7")
    assert isinstance(reply.body, bytes)


@pytest.mark.parametrize("http", HTTPS)
def test_a_get_has_no_body_and_its_path_is_not_touched(http: Http) -> None:
    async def call() -> bytes:
        async with hosted(lambda _: OK) as host, opened(http) as to:
            await get(to, host.url)
            return host.calls[0]

    seen = asyncio.run(call())
    assert seen.startswith(b"GET /operations/d7q%2F..1 HTTP/1.1\r\n")
    assert b"content-type" not in seen.lower()
    assert b"accept-encoding" not in seen.lower()
    assert seen.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("http", HTTPS)
def test_a_connection_is_used_again(http: Http) -> None:
    replies, host = answered(http, OK, count=20)
    assert [reply.status for reply in replies] == [200] * 20
    assert host.connections == 1


@pytest.mark.parametrize("http", HTTPS)
@pytest.mark.parametrize("status", [301, 302, 307, 308, 401, 429, 503])
def test_whatever_is_answered_is_told_and_nothing_is_followed_or_tried_again(
    http: Http, status: int
) -> None:
    headers = "location: /elsewhere\r\nretry-after: 1\r\ncontent-length: 3"
    said = f"HTTP/1.1 {status} Said\r\n{headers}\r\n\r\nwhy"
    (reply,), host = answered(http, said.encode())
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (status, b"why", "1")
    assert len(host.calls) == 1


@pytest.mark.parametrize("http", HTTPS)
def test_cookies_are_not_kept(http: Http) -> None:
    said = b"HTTP/1.1 200 OK\r\nset-cookie: a=b; Path=/\r\ncontent-length: 2\r\n\r\n{}"
    _, host = answered(http, said, count=2)
    assert b"cookie" not in host.calls[1].lower()


@pytest.mark.parametrize("http", HTTPS)
def test_an_answer_in_chunks_is_read_whole(http: Http) -> None:
    said = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
    (reply,), _ = answered(http, said)
    assert reply.body == b"{}"


@pytest.mark.parametrize("http", HTTPS)
@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
    ],
    ids=["what comes before it", "up to the end", "of an old host"],
)
def test_an_answer_is_read_whole_as_http_has_it(http: Http, said: bytes) -> None:
    """A length, chunks, or the end of the connection say how long it is."""
    closing = said.replace(b"\r\n\r\n{}", b"\r\nconnection: close\r\n\r\n{}")
    (first, second), host = answered(http, closing, count=2)
    assert (first.status, first.body) == (second.status, second.body) == (200, b"{}")
    assert (len(host.calls), host.connections) == (2, 2)


@pytest.mark.parametrize(
    ("http", "cut"),
    [
        # aiohttp takes what came while a connection was idle for the next answer.
        *[("httptools", cut) for cut in (0, 20, len(OK))],
        *[("httpx", cut) for cut in (20, len(OK))],
    ],
)
def test_what_comes_unasked_is_no_answer_to_the_next_call(http: Http, cut: int) -> None:
    """A host that is out of step: one call, two answers."""
    unasked = OK.replace(b"200", b"500")

    async def twice() -> AsyncIterator[bytes]:
        yield OK + unasked[:cut]
        await asyncio.sleep(0.05)
        yield unasked[cut:]
        await asyncio.sleep(0.05)

    async def call() -> list[Reply]:
        first = twice()
        async with (
            hosted(lambda number: first if number == 1 else OK) as host,
            opened(http) as to,
        ):
            replies = [await get(to, host.url)]
            if not cut:
                await asyncio.sleep(0.1)
            # Some lose that call: better than to have another's answer.
            with suppress(NoAnswerError) if http == "httpx" else nullcontext():
                replies.append(await get(to, host.url))
            return replies

    assert {reply.status for reply in asyncio.run(call())} == {200}


@pytest.mark.parametrize("http", HTTPS)
def test_an_answer_that_comes_too_late_is_no_answer_to_the_next_call(http: Http) -> None:
    async def late() -> AsyncIterator[bytes]:
        await asyncio.sleep(0.2)
        yield OK.replace(b"200", b"500")
        await asyncio.sleep(0.2)

    async def call() -> tuple[Reply, Host]:
        first = late()
        async with (
            hosted(lambda number: first if number == 1 else OK) as host,
            opened(http) as to,
        ):
            with pytest.raises(NoAnswerError, match=r"no answer within 0\.1 s"):
                await get(to, host.url, 0.1)
            return await get(to, host.url), host

    reply, host = asyncio.run(call())
    assert (reply.status, host.connections) == (200, 2)


@pytest.mark.parametrize("http", HTTPS)
def test_a_call_that_was_cancelled_leaves_no_answer_to_the_next(http: Http) -> None:
    async def late() -> AsyncIterator[bytes]:
        await asyncio.sleep(0.1)
        yield OK.replace(b"200", b"500")
        await asyncio.sleep(0.1)

    async def call() -> Reply:
        first = late()
        async with (
            hosted(lambda number: first if number == 2 else OK) as host,
            opened(http) as to,
        ):
            await get(to, host.url)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await get(to, host.url)
            return await get(to, host.url)

    assert asyncio.run(call()).status == 200


@pytest.mark.parametrize("http", HTTPS)
@pytest.mark.parametrize("value", ["Bearer a\r\nx-forged: 1", "Bearer a\nb", "Bearer \0"])
def test_a_header_that_would_end_its_line_is_not_sent(http: Http, value: str) -> None:
    async def call() -> Host:
        async with hosted(lambda _: OK) as host, opened(http) as to:
            with pytest.raises(NotSentError):
                await to.send("GET", f"{host.url}/a", {"authorization": value}, b"", 5.0)
            return host

    assert asyncio.run(call()).calls == []


def test_a_connection_that_was_idle_for_long_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The host may be about to close it, and a POST into that would be a doubt."""
    monkeypatch.setattr("pipeline.network.httptools_carrier.KEPT_IDLE", 0.05)

    async def call() -> Host:
        async with hosted(lambda _: OK) as host, opened("httptools") as to:
            await get(to, host.url)
            await get(to, host.url)
            assert host.connections == 1
            await asyncio.sleep(0.1)
            await get(to, host.url)
            return host

    assert asyncio.run(call()).connections == 2


@pytest.mark.parametrize("http", HTTPS)
def test_the_address_of_a_host_that_does_not_answer_is_passed_over(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name with several addresses, as one that has IPv6 where the network has none."""

    async def call() -> Reply:
        async with hosted(lambda _: OK) as host, opened(http) as to:
            port = int(host.url.rpartition(":")[2])
            found = [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (at, port))
                for at in ("127.0.0.2", "127.0.0.1")
            ]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
            return await get(to, f"http://llm.invalid:{port}")

    # The other loop looks names up where no test can stand in.
    with asyncio.Runner() as runner:
        assert runner.run(call()).status == 200


@pytest.mark.parametrize("http", HTTPS)
def test_nobody_there_is_not_sent(http: Http) -> None:
    async def call() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        async with opened(http) as to:
            await post(to, f"http://127.0.0.1:{port}")

    with pytest.raises(NotSentError):
        asyncio.run(call())


@pytest.mark.parametrize("http", HTTPS)
def test_a_host_that_takes_no_connection_is_not_sent(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue of connections that is full: the next one is neither taken nor refused."""
    monkeypatch.setattr("pipeline.network.transport._TIMEOUT", aiohttp.ClientTimeout(connect=0.2))
    monkeypatch.setattr("pipeline.network.httptools_carrier.CONNECT_TIMEOUT", 0.2)

    async def call() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
            at = server.getsockname()
            waiting = [socket.socket() for _ in range(4)]
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(at)
            async with opened(http) as to:
                with pytest.raises(NotSentError):
                    await post(to, f"http://127.0.0.1:{at[1]}")
            for one in waiting:
                one.close()

    asyncio.run(call())


@pytest.mark.parametrize("http", HTTPS)
@pytest.mark.parametrize(
    "url", ["http://nobody.invalid", "http://", "ftp://127.0.0.1", "http://[::1"]
)
def test_what_names_no_host_is_not_sent(http: Http, url: str) -> None:
    async def call() -> None:
        async with opened(http) as to:
            await post(to, url)

    with pytest.raises(NotSentError):
        asyncio.run(call())


@pytest.mark.parametrize("http", HTTPS)
@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-le",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{}",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"SSH-2.0-OpenSSH_9.6 connection: close\r\n",
        b"HTTP/1.1 twohundred OK\r\nconnection: close\r\n\r\n",
    ],
    ids=["hung up", "head", "length", "chunk", "last chunk", "no http", "no status"],
)
def test_what_was_sent_and_not_answered_whole_may_have_been_accepted_and_is_sent_once(
    http: Http, said: bytes
) -> None:
    async def call() -> Host:
        async with hosted(lambda _: said) as host, opened(http) as to:
            with pytest.raises(NoAnswerError):
                await post(to, host.url)
            return host

    assert len(asyncio.run(call()).calls) == 1


@pytest.mark.parametrize("http", HTTPS)
@pytest.mark.parametrize("call_it", [post, get])
def test_a_kept_connection_that_ends_at_the_next_call_loses_that_call_and_no_other_is_made(
    http: Http, call_it: Callable[[Carrier, str], Awaitable[Reply]]
) -> None:
    async def call() -> Host:
        async with hosted(lambda number: OK if number != 2 else b"") as host, opened(http) as to:
            await call_it(to, host.url)
            with pytest.raises(NoAnswerError):
                await call_it(to, host.url)
            assert len(host.calls) == 2
            await call_it(to, host.url)
            return host

    host = asyncio.run(call())
    assert len(host.calls) == 3
    assert host.connections == 2


async def silence() -> AsyncIterator[bytes]:
    while True:
        yield b""
        await asyncio.sleep(0.02)


async def drip() -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n"
    while True:
        yield b" "
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("http", HTTPS)
@pytest.mark.parametrize("said", [silence, drip])
def test_a_call_is_bounded_in_all(http: Http, said: Callable[[], AsyncIterator[bytes]]) -> None:
    async def call() -> None:
        async with hosted(lambda _: said()) as host, opened(http) as to:
            with pytest.raises(NoAnswerError, match=r"no answer within 0\.3 s"):
                await post(to, host.url, 0.3)

    asyncio.run(call())


@pytest.mark.parametrize("http", HTTPS)
def test_a_call_that_is_cancelled_just_as_its_answer_comes_is_cancelled(http: Http) -> None:
    """Else a lane that is to end would go on, and the run wait for it for ever."""
    asked, answers = threading.Event(), threading.Event()

    def answer(server: socket.socket) -> None:
        with server.accept()[0] as connection:
            connection.recv(65_536)
            asked.set()
            answers.wait(10)
            connection.sendall(OK)
            answers.clear()

    async def call(url: str) -> None:
        async with opened(http) as to:
            async with asyncio.TaskGroup() as group:
                under_way = group.create_task(get(to, url))
                await asyncio.to_thread(asked.wait)
                asked.clear()
                answers.set()
                # The loop is busy elsewhere while the answer comes, and cancels before it hears.
                time.sleep(0.02)  # noqa: ASYNC251
                under_way.cancel()
            assert under_way.cancelled()

    # What came first is left to chance in some libraries.
    for _ in range(20):
        with socket.create_server(("127.0.0.1", 0)) as server:
            host = threading.Thread(target=answer, args=(server,))
            host.start()
            asyncio.run(call(f"http://127.0.0.1:{server.getsockname()[1]}"))
            host.join()


@pytest.mark.parametrize("http", HTTPS)
def test_what_came_and_can_t_be_read_is_undecodable(http: Http) -> None:
    broken = gzip.compress(b"{}")[:-9] + b"broken..."
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(broken)}\r\n\r\n"
    with pytest.raises(UndecodableError):
        answered(http, head.encode() + broken)


@pytest.mark.parametrize("http", HTTPS)
def test_many_calls_at_once_each_have_their_own_answer(http: Http) -> None:
    async def call() -> list[tuple[str, str]]:
        async with hosted(lambda _: OK) as host, opened(http) as to:

            async def one(number: int) -> tuple[str, str]:
                reply = await to.send("GET", f"{host.url}/{number}", {}, b"", 20.0)
                return reply.headers["x-request-id"], reply.body.decode()

            async with asyncio.TaskGroup() as group:
                found = [group.create_task(one(number)) for number in range(300)]
            assert len(host.calls) == 300
            return [task.result() for task in found]

    assert asyncio.run(call()) == [("7", "{}")] * 300


def test_an_offer_of_another_protocol_is_no_answer_and_breaks_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nand more"
    with pytest.raises(NoAnswerError):
        answered("httptools", said)
    assert not caplog.records


def test_what_came_before_the_carrier_was_closed_is_not_taken_for_the_whole() -> None:
    async def begun() -> AsyncIterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n\r\n[1, 2"
        await asyncio.sleep(5)

    async def call() -> None:
        async with (
            hosted(lambda _: begun()) as host,
            opened("httptools") as to,
            asyncio.TaskGroup() as group,
        ):

            async def one() -> None:
                with pytest.raises(NoAnswerError):
                    await post(to, host.url)

            group.create_task(one())
            await asyncio.sleep(0.1)
            await to.close()

    asyncio.run(call())


def test_a_call_that_is_cancelled_as_the_race_of_addresses_ends_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The race waits for the connections it gives up, and is deaf meanwhile."""

    async def deaf(*given: Any, **named: Any) -> socket.socket:
        ready = await start_connection(*given, **named)
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(5)
        return ready

    monkeypatch.setattr("pipeline.network.httptools_carrier.start_connection", deaf)

    async def call() -> Host:
        async with hosted(lambda _: OK) as host, opened("httptools") as to:
            async with asyncio.TaskGroup() as group:
                under_way = group.create_task(post(to, host.url))
                await asyncio.sleep(0.1)
                under_way.cancel()
            assert under_way.cancelled()
            with pytest.raises(NotSentError, match=r"no connection within 0\.1 s"):
                await post(to, host.url, 0.1)
            return host

    assert asyncio.run(call()).calls == []


def test_a_connection_that_is_closed_before_anything_is_written_is_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def late(*given: Any, **named: Any) -> socket.socket:
        ready = await start_connection(*given, **named)
        await asyncio.sleep(0.1)
        return ready

    monkeypatch.setattr("pipeline.network.httptools_carrier.start_connection", late)

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def call() -> None:
        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        async with server, opened("httptools") as to:
            with pytest.raises(NotSentError):
                await post(to, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    # asyncio's own loop lets the request out before it looks.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(call())


# TLS.


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return made(tmp_path_factory.mktemp("tls"))


def secured(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.host)
    return context


@pytest.mark.parametrize("http", HTTPS)
def test_a_host_whose_certificate_the_environment_trusts_is_talked_to(
    http: Http, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))

    async def call() -> Host:
        async with (
            hosted(lambda _: OK, secured(certificates)) as host,
            opened(http, trust_environment=True) as to,
        ):
            for _ in range(3):
                assert (await post(to, host.url)).status == 200
            return host

    host = asyncio.run(call())
    assert (len(host.calls), host.connections) == (3, 1)


@pytest.mark.parametrize("http", HTTPS)
def test_a_host_that_can_t_show_who_it_is_gets_nothing(
    http: Http, certificates: Certificates
) -> None:
    async def call() -> Host:
        async with hosted(lambda _: OK, secured(certificates)) as host, opened(http) as to:
            with pytest.raises(NotSentError):
                await post(to, host.url)
            return host

    assert asyncio.run(call()).calls == []


def over_tls(
    certificates: Certificates, said: bytes, then: Callable[[socket.socket], None]
) -> Reply:
    """The answer of a host that is met below TLS after it."""

    def answer(server: socket.socket) -> None:
        with server.accept()[0] as connection, suppress(OSError):
            under = connection.dup()
            with under, secured(certificates).wrap_socket(connection, server_side=True) as tls:
                tls.recv(65_536)
                tls.sendall(said)
                then(under)

    async def call(url: str) -> Reply:
        async with opened("httptools", trust_environment=True) as to:
            reply = await post(to, url)
            # Closing the carrier closes whatever is left.
            await asyncio.to_thread(host.join)
            return reply

    with socket.create_server(("127.0.0.1", 0)) as server:
        host = threading.Thread(target=answer, args=(server,))
        host.start()
        try:
            return asyncio.run(call(f"https://127.0.0.1:{server.getsockname()[1]}"))
        finally:
            host.join()


def test_an_answer_whose_end_is_not_vouched_for_by_tls_is_not_whole(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody on the way can end a connection; only the host can say that it is over."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    with pytest.raises(NoAnswerError):
        over_tls(
            certificates,
            b"HTTP/1.1 200 OK\r\n\r\n{}",
            lambda under: under.shutdown(socket.SHUT_WR),
        )


def test_a_connection_that_is_not_to_be_kept_is_closed_whatever_the_host_does(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    closed: list[bool] = []

    def wait(under: socket.socket) -> None:
        under.settimeout(2)
        with suppress(ConnectionError):
            while under.recv(65_536):
                pass
        closed.append(True)

    said = OK.replace(b"content-length", b"connection: close\r\ncontent-length")
    assert over_tls(certificates, said, wait).status == 200
    assert closed


def test_certificates_that_can_t_be_read_at_the_first_call_leave_it_unsent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when there are too many open files."""
    monkeypatch.setattr("certifi.where", lambda: "/nowhere/at.pem")

    async def call() -> None:
        async with opened("httptools") as to:
            await post(to, "https://127.0.0.1:9")

    with pytest.raises(NotSentError):
        asyncio.run(call())


# Proxies.


@pytest.mark.parametrize("http", ["auto", "httpx"])
def test_the_environment_s_proxy_is_used_and_told_from_the_host(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def call() -> tuple[Reply, Host]:
        async with hosted(lambda _: OK) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            async with opened(http, trust_environment=True) as to:
                return await post(to, "http://llm.invalid"), proxy

    reply, proxy = asyncio.run(call())
    assert reply.status == 200
    assert proxy.calls[0].startswith(b"POST http://llm.invalid/foundationModels")


@pytest.mark.parametrize("http", ["auto", "httpx"])
def test_hosts_that_need_no_proxy_are_talked_to_straight(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    async def call() -> Reply:
        async with hosted(lambda _: OK) as host, opened(http, trust_environment=True) as to:
            return await post(to, host.url)

    assert asyncio.run(call()).status == 200


@pytest.mark.parametrize("http", ["auto", "httpx"])
def test_a_proxy_that_is_not_there_is_not_sent(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    async def call() -> None:
        async with opened(http, trust_environment=True) as to:
            await post(to, "http://llm.invalid")

    with pytest.raises(NotSentError):
        asyncio.run(call())


def test_what_knows_no_proxy_is_refused_where_the_environment_names_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(BadSettings, match="names a proxy, which only httpx goes through"):
        carrier(1, "httptools")
    carrier(1, "httptools", trust_environment=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("https_proxy", "nonsense://x"),
        ("SSL_CERT_FILE", "/nowhere/at.pem"),
        ("SSL_CERT_DIR", "/nowhere/at/all:/nor/here"),
    ],
)
def test_an_environment_that_can_t_be_used_is_told_at_the_start(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSettings, match="proxy or certificates"):
        carrier(1)


def test_a_carrier_that_is_not_installed_is_told_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.network.carriers.find_spec", lambda _: None)
    with pytest.raises(BadSettings, match="not installed"):
        carrier(1, "httptools")


def test_without_the_fast_one_httpx_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.network.carriers.find_spec", lambda _: None)

    async def call() -> bytes:
        async with hosted(lambda _: OK) as host, opened("auto") as to:
            await post(to, host.url)
            return host.calls[0].lower()

    # The other one says that it takes any answer.
    assert b"accept:" not in asyncio.run(call())
