"""One connection that speaks HTTP/1.1: a request goes out, its answer comes back, in turn.

What came is framed by httptools (llhttp, Node's parser), as strictly as it does without being told
otherwise. What ends before it is whole is no answer.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from pipeline.network.carrier import NoAnswerError, Reply, described

_LENGTHS = frozenset({"content-length", "transfer-encoding"})
_CUT = "the connection was closed before the answer was whole"


class Connection(asyncio.Protocol):
    """Carries one call at a time; `rest` hears of it whenever another one may follow."""

    __slots__ = (
        *("_answer", "_body", "_headers", "_is_open_ended", "_parser", "_rest", "_transport"),
        *("idle_since", "lost"),
    )
    _transport: asyncio.Transport

    def __init__(self, rest: Callable[["Connection"], None]) -> None:
        self._rest = rest
        self._parser: HttpResponseParser | None = None
        self._answer: asyncio.Future[Reply] | None = None
        self._begin()
        self.idle_since = 0.0
        self.lost = asyncio.get_running_loop().create_future()

    @property
    def is_open(self) -> bool:
        return not self._transport.is_closing()

    def abort(self) -> None:
        """Close it at once; a call that is under way has no answer then."""
        self._transport.abort()

    async def call(self, request: bytes, ends_at: float, timeout: float) -> Reply:
        """Send it, and wait for the answer until `ends_at` by the loop's clock.

        Raises:
            NoAnswerError: none came, or not the whole of it; `timeout` seconds are told.

        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Reply] = loop.create_future()
        self._answer = answer
        late = loop.call_at(ends_at, self._fail, f"no answer within {timeout:g} s")
        self._transport.write(request)
        try:
            return await answer
        finally:
            late.cancel()
            if self._answer is answer:
                # Nobody waits any more: what still comes must not be taken for another's answer.
                self._answer = None
                self.abort()

    # What asyncio tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._parser = HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._parser is None:
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._fail(described(error))

    def eof_received(self) -> None:
        # A connection that is lost without this was cut, if only by us.
        if self._answer is not None and self._is_open_ended and self._is_ended():
            self._complete()
        # Over TLS it passes for open a while longer, and what is written then is dropped.
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(_CUT if exc is None else described(exc))
        # It knows the parser, and the parser knows it.
        self._parser = None
        if not self.lost.done():
            self.lost.set_result(None)

    # What httptools tells.

    def on_message_begin(self) -> None:
        if self._answer is None:
            # Nobody asked: it must not be there when somebody does.
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        key, said = name.decode("latin-1").lower(), value.decode("latin-1")
        before = self._headers.get(key)
        self._headers[key] = said if before is None else f"{before}, {said}"

    def on_headers_complete(self) -> None:
        # Its end is that of the connection then, if the status allows for a body at all.
        self._is_open_ended = self._headers.keys().isdisjoint(_LENGTHS)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._answer is None or self._parser is None:
            return
        if self._parser.get_status_code() < 200:
            # That an answer is still to come.
            self._begin()
            return
        self._complete()
        if self._parser.should_keep_alive():
            self._rest(self)
        else:
            # Closed in peace it would wait until the host has taken the rest of the request, and
            # over TLS has said goodbye: for ever, or 30 s.
            self.abort()

    def _is_ended(self) -> bool:
        """Whether the host said that there is no more: anybody can cut what is under TLS."""
        tls = self._transport.get_extra_info("ssl_object")
        try:
            return tls is None or not tls.read(1)
        except OSError:
            return False

    def _begin(self) -> None:
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._is_open_ended = False

    def _complete(self) -> None:
        assert self._parser is not None  # noqa: S101 - it has told all of the answer
        reply = Reply(self._parser.get_status_code(), self._headers, b"".join(self._body))
        self._begin()
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(reply)

    def _fail(self, why: str) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(NoAnswerError(why))
        self.abort()
