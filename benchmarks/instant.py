"""A server that does next to nothing, so that what is measured beside it is the client.

    python -m benchmarks.instant [--port 0] [--delay 0.05] [--certificate FILE --key FILE]

It speaks just enough HTTP/1.1 for the two calls of a row: any POST begins an operation, any GET
finds it over. For other clients a POST to `…/chat/completions` is answered with a chat completion.
It prints its port and serves until its standard input ends; then it prints what `/counts` tells,
too: how many there were of each, and when the first call came since that was asked for last, by
the machine's monotonic clock (null: none). `--delay`: seconds that each answer is held back.
"""

import select
import socket
import ssl
import sys
import time
from collections import deque
from pathlib import Path

import click

_BEGUN = (
    b'{"id":"d7q%017d","description":"Async GPT Completion",'
    b'"createdAt":"%s","createdBy":"ajebench","modifiedAt":"%s","done":false,"metadata":null}'
)
_OVER = (
    b'{"done":true,"response":{"@type":"type.googleapis.com/yandex.cloud.ai.'
    b'foundation_models.v1.CompletionResponse","alternatives":[{"message":{"role":"assistant",'
    b'"text":"%s"},'
    b'"status":"ALTERNATIVE_STATUS_FINAL"}],"usage":{"inputTextTokens":"31",'
    b'"completionTokens":"64","totalTokens":"95","completionTokensDetails":{"reasoningTokens":"0"}},'
    b'"modelVersion":"18.01.2024"},"id":"%s","description":"Async GPT Completion",'
    b'"createdAt":"%s","createdBy":"ajebench","modifiedAt":"%s"}'
)
_COMPLETED = (
    b'{"id":"chatcmpl-%d","object":"chat.completion","created":%d,"model":"yandexgpt-lite",'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":"%s","refusal":null},'
    b'"logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":31,"completion_tokens":64,"total_tokens":95}}'
)
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nserver: instant\r\ndate: %s\r\n"
    b"x-request-id: 6a1c0f5e-2f0d-4c64-9f0e-2a9d5c7f0b11\r\ncontent-length: %d\r\n\r\n"
)
# Where an OpenAI client's path ends, and how far into a request to look for it.
_CHAT, _LINE = b"/chat/completions ", 100
_ANSWER = "Вода кипит при ста градусах на уровне моря, а в горах раньше, и чем выше, тем раньше."


class _Stamps:
    """The time as the service writes it, made anew once a second."""

    def __init__(self) -> None:
        self.second = 0
        self.now = self.date = b""

    def look(self) -> None:
        second = int(time.time())  # noqa: TID251 - a server's own clock
        if second != self.second:
            self.second = second
            moment = time.gmtime(second)
            self.now = time.strftime("%Y-%m-%dT%H:%M:%SZ", moment).encode()
            self.date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", moment).encode()


class Instant:
    """One thread, one loop, no parser."""

    def __init__(self, delay: float, context: ssl.SSLContext | None, port: int = 0) -> None:
        self._delay = delay
        self._context = context
        self._stamps = _Stamps()
        self._posts = self._gets = 0
        self._first: float | None = None
        self._text = _ANSWER.encode()
        self._open: dict[int, socket.socket] = {}
        self._rest: dict[int, bytes] = {}
        self._held: deque[tuple[float, socket.socket, bytes]] = deque()
        self._poll = select.epoll()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self._poll.register(self._listener.fileno(), select.EPOLLIN)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def counts(self) -> bytes:
        """What was asked for so far, as JSON."""
        first, self._first = self._first, None
        told = b"null" if first is None else b"%.6f" % first
        return b'{"posts":%d,"gets":%d,"first":%s}' % (self._posts, self._gets, told)

    def serve(self) -> None:
        """Answer until standard input ends."""
        stop, listener = sys.stdin.fileno(), self._listener.fileno()
        self._poll.register(stop, select.EPOLLIN | select.EPOLLHUP)
        while True:
            wait = -1.0
            if self._held:
                wait = max(self._held[0][0] - time.monotonic(), 0.0)  # noqa: TID251 - as above
            for fd, _ in self._poll.poll(wait):
                if fd == stop:
                    return
                if fd == listener:
                    self._accept()
                elif fd in self._open:
                    self._read(fd)
            self._let_go()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is not None:
            # A handshake holds the others up: there is one for each connection, and they are kept.
            try:
                connection = self._context.wrap_socket(connection, server_side=True)
            except OSError:
                return
        connection.setblocking(False)
        fd = connection.fileno()
        self._open[fd], self._rest[fd] = connection, b""
        self._poll.register(fd, select.EPOLLIN)

    def _read(self, fd: int) -> None:
        try:
            data = self._open[fd].recv(65536)
            while self._context is not None and (more := self._buffered(fd)):
                data += more
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            data = b""
        if not data:
            self._poll.unregister(fd)
            self._open.pop(fd).close()
            return
        data = self._rest[fd] + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            end += 4
            if data.startswith(b"POST"):
                head = data[:end].lower()
                at = head.index(b"content-length:") + 15
                end += int(head[at : head.index(b"\r", at)])
                if len(data) < end:
                    break
            self._answer(fd, data[:end])
            data = data[end:]
        self._rest[fd] = data

    def _buffered(self, fd: int) -> bytes:
        connection = self._open[fd]
        assert isinstance(connection, ssl.SSLSocket)  # noqa: S101 - by the context
        return connection.recv(65536) if connection.pending() else b""

    def _answer(self, fd: int, request: bytes) -> None:
        self._stamps.look()
        now = self._stamps.now
        is_call = not request.startswith(b"GET /counts")
        if is_call and self._first is None:
            self._first = time.monotonic()  # noqa: TID251 - as above
        if request.startswith(b"POST"):
            self._posts += 1
            if request.find(_CHAT, 0, _LINE) < 0:
                body = _BEGUN % (self._posts, now, now)
            else:
                body = _COMPLETED % (self._posts, self._stamps.second, self._text)
        elif not is_call:
            body = self.counts()
        else:
            self._gets += 1
            path = request[4 : request.index(b" ", 4)]
            body = _OVER % (self._text, path[path.rindex(b"/") + 1 :], now, now)
        reply = _HEAD % (self._stamps.date, len(body)) + body
        if self._delay and is_call:
            at = time.monotonic() + self._delay  # noqa: TID251 - as above
            self._held.append((at, self._open[fd], reply))
        else:
            self._open[fd].send(reply)

    def _let_go(self) -> None:
        now = time.monotonic()  # noqa: TID251 - as above
        while self._held and self._held[0][0] <= now:
            _, connection, reply = self._held.popleft()
            # By then its number may be another connection's.
            if self._open.get(connection.fileno()) is connection:
                connection.send(reply)


@click.command(help=__doc__)
@click.option("--port", default=0, show_default=True)
@click.option("--delay", default=0.0, show_default=True)
@click.option("--certificate", type=click.Path(path_type=Path))
@click.option("--key", type=click.Path(path_type=Path))
def main(port: int, delay: float, certificate: Path | None, key: Path | None) -> None:
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
    server = Instant(delay, context, port)
    print(server.port, flush=True)
    server.serve()
    print(server.counts().decode())


if __name__ == "__main__":
    main()
