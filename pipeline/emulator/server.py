"""The service on a real socket, in a thread of its own: for one block, or until a signal.

Between deciding on a reply and delivering it stands one place, `_Face`: records are kept there,
before anything leaves. What goes wrong on the wire goes wrong in `connection`. One event loop
answers all calls, so the service needs no lock.
"""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from pipeline.clock import Clock
from pipeline.emulator.api import Api
from pipeline.emulator.connection import Connection, Message, Receive, Send, deliver
from pipeline.emulator.deliveries import Delivery
from pipeline.emulator.faults import Unreliable
from pipeline.emulator.model import Accepted, Config, Service
from pipeline.emulator.store import Store
from pipeline.errors import BadSettings

_Keep = Callable[[Accepted], None]

_STOP_TIMEOUT = 5.0
_BACKLOG = 2048
# A server that hangs up on an idle connection just as the client uses it makes a doubt.
_KEEP_ALIVE = 3600


@contextmanager
def embedded(config: Config, store: Path | None) -> Iterator[str]:
    """Serve on a free port of 127.0.0.1 for as long as the block lasts; give the base URL.

    `store` is the file that keeps accepted operations from one process to the next.

    Raises:
        StorageFailed, BadData: the store can't be opened or read.

    """
    with _opened(config, store) as face, _serving(face, "127.0.0.1", 0) as serving:
        yield serving.url


def serve(
    host: str, port: int, config: Config, store: Path | None, announce: Callable[[str], None]
) -> None:
    """Serve until SIGINT or SIGTERM, then return; call it from the main thread.

    `announce` is given the base URL once connections are accepted; port 0 means a free one.

    Raises:
        BadSettings: the address can't be used.
        StorageFailed, BadData: the store can't be opened or read.

    """
    with (
        _opened(config, store) as face,
        _serving(face, host, port) as serving,
        _stopped_by_signals(serving.server),
    ):
        announce(serving.url)
        serving.thread.join()


class _Face:
    """The ASGI application: reads a call, keeps what must be kept, delivers what was decided."""

    def __init__(self, service: Service, now: Callable[[], float], keep: _Keep) -> None:
        config = service.config
        self._unreliable = Unreliable(Api(service), config.faults, config.seed, now())
        self._drip = config.drip
        self._now = now
        self._keep = keep

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        if body is None:
            return
        delivery = self._decide(scope, body)
        if delivery.accepted is not None:
            self._keep(delivery.accepted)
        await deliver(delivery, scope, receive, send, self._drip)

    def _decide(self, scope: Message, body: bytes) -> Delivery:
        query: bytes = scope["query_string"]
        path: str = scope["path"] + (f"?{query.decode('latin-1')}" if query else "")
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        return self._unreliable.respond(scope["method"], path, headers, body, self._now())


@dataclass(frozen=True, slots=True)
class _Serving:
    url: str
    server: uvicorn.Server
    thread: threading.Thread


@contextmanager
def _opened(config: Config, store: Path | None) -> Iterator[_Face]:
    with nullcontext() if store is None else Store(store) as kept:
        service = Service(config, () if kept is None else kept.load())
        keep = _forget if kept is None else kept.append
        yield _Face(service, Clock().now, keep)


@contextmanager
def _serving(face: _Face, host: str, port: int) -> Iterator[_Serving]:
    # Listening before the thread starts: whoever has the URL can connect and waits in the backlog.
    with closing(_listening(host, port)) as listener:
        server = uvicorn.Server(_settings(face))
        thread = threading.Thread(
            target=server.run, args=([listener],), name="emulator", daemon=True
        )
        thread.start()
        try:
            yield _Serving(_url(listener), server, thread)
        finally:
            server.should_exit = True
            thread.join(_STOP_TIMEOUT)


def _settings(face: _Face) -> uvicorn.Config:
    return uvicorn.Config(
        face,
        loop="asyncio",
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        # Standard error belongs to the command; a client that hangs up is no news to its user.
        log_level="critical",
        access_log=False,
        server_header=False,
        # The service's own clock is what its replies are dated by.
        date_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=1,
    )


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise BadSettings(
            f"The emulator can't listen on {host} port {port}: {error.strerror or error}",
            "Choose another host or port; port 0 takes a free one.",
        ) from error


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    def stop(*_: object) -> None:
        server.should_exit = True

    former = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, disposition in former.items():
            signal.signal(number, disposition)


async def _body(receive: Receive) -> bytes | None:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _forget(_: Accepted) -> None:
    """Keep nothing: without a store operations live as long as the process."""
