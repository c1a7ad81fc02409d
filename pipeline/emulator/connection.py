"""A connection to the emulator, and everything that can be made to go wrong on it.

ASGI knows replies only. What is no reply, a reset or silence or a length that lies, is done to the
connection itself, which `Connection` hands to each of its calls. Whoever does that waits until the
connection is gone, or the server would send an error of its own.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, assert_never

from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.emulator.api import Reply
from pipeline.emulator.deliveries import Cut, Delivery, Drip, Misstated, Reset, Sent, Silence

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_STATE = "connection"
_LINGER_NOT = struct.pack("ii", 1, 0)


class Connection(H11Protocol):
    """Hands itself to the calls that come on it, in what ASGI calls their state."""

    is_astray = False
    """Whether it is busy with what may never end, so that a shutdown must not wait for it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, _STATE: self}

    def shutdown(self) -> None:
        if self.is_astray:
            self.transport.abort()
        else:
            super().shutdown()

    def reset(self) -> None:
        """End it with a TCP reset: closing without lingering sends one."""
        opened = self.transport.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.transport.abort()

    def end_with(self, data: bytes) -> None:
        """Write these bytes as they are, and close."""
        self.transport.write(data)
        self.transport.close()


async def deliver(
    delivery: Delivery, scope: Message, receive: Receive, send: Send, pause: float
) -> None:
    """Carry out what was decided for a call; `pause` is between the bytes that drip."""
    connection: Connection = scope["state"][_STATE]
    match delivery:
        case Sent(reply=reply):
            await send(_head(reply))
            await send({"type": "http.response.body", "body": reply.body})
        case Reset():
            connection.reset()
            await _gone(receive)
        case Silence():
            connection.is_astray = True
            await _gone(receive)
        case Drip(reply=reply):
            connection.is_astray = True
            await _drip(reply, receive, send, pause)
            connection.is_astray = False
        case Cut(reply=reply, size=size):
            connection.end_with(_raw_head(reply, len(reply.body)) + reply.body[:size])
            await _gone(receive)
        case Misstated(reply=reply, length=length):
            connection.end_with(_raw_head(reply, length) + reply.body)
            await _gone(receive)
        case _:
            assert_never(delivery)


async def _drip(reply: Reply, receive: Receive, send: Send, pause: float) -> None:
    await send(_head(reply))
    for byte in reply.body:
        if await _goes_within(pause, receive):
            return
        await send({"type": "http.response.body", "body": bytes([byte]), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _goes_within(seconds: float, receive: Receive) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await _gone(receive)
    except TimeoutError:
        return False
    return True


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _head(reply: Reply) -> Message:
    return {
        "type": "http.response.start",
        "status": reply.status,
        "headers": [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in _with_length(reply, len(reply.body)).items()
        ],
    }


def _raw_head(reply: Reply, length: int) -> bytes:
    lines = [f"{name}: {value}\r\n" for name, value in _with_length(reply, length).items()]
    phrase = HTTPStatus(reply.status).phrase
    return f"HTTP/1.1 {reply.status} {phrase}\r\n{''.join(lines)}\r\n".encode("latin-1")


def _with_length(reply: Reply, length: int) -> dict[str, str]:
    return reply.headers | {"content-length": str(length)}
