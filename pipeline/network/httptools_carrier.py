"""Carries calls over connections of its own (`connection`): a small part of what httpx costs.

Nothing stands between a call and its socket: no pool to be asked, no thread to be woken, no answer
object to be read in a second step. A connection is made for a call that finds none idle, and kept.
HTTP/1.1 only: a connection that breaks takes one call with it, not all that are under way.
"""

import asyncio
import math
import socket
import ssl
from collections import deque
from collections.abc import Mapping
from functools import partial
from urllib.parse import SplitResult, urlsplit

from aiohappyeyeballs import AddrInfoType, start_connection

from pipeline.network.carrier import (
    CONNECT_TIMEOUT,
    KEPT_IDLE,
    USER_AGENT,
    NotSentError,
    Reply,
    UndecodableError,
    check_line,
    described,
)
from pipeline.network.certificates import Certificates
from pipeline.network.connection import Connection

# Before the next address of a host is tried beside the first (RFC 8305, section 8).
_HEAD_START = 0.25
# A lookup serves all connections that are made within so many seconds.
_FOUND_FOR = 10.0
_AS_IT_IS = {"", "identity"}
_PORTS = {"http": 80, "https": 443}


class HttptoolsCarrier:
    """Carries calls over connections that are kept; it knows no proxy."""

    def __init__(self, *, trust_environment: bool = True) -> None:
        """Open no connection yet.

        Raises:
            BadSettings: the environment's certificates can't be used.

        """
        self._certificates = Certificates(trust_environment=trust_environment)
        self._hosts: dict[str, _Host] = {}

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Reply:
        origin, target = _parts(url)
        host = self._hosts.get(origin) or self._host(origin)
        request = _request(method, target, host.name, headers, body)
        now = asyncio.get_running_loop().time()
        connection = host.idle(now)
        if connection is None:
            connection = await host.connected(min(CONNECT_TIMEOUT, timeout))
        reply = await connection.call(request, now + timeout, timeout)
        if reply.headers.get("content-encoding", "").lower() not in _AS_IT_IS:
            raise UndecodableError("it is compressed, which nobody asked for")
        return reply

    async def close(self) -> None:
        for host in self._hosts.values():
            await host.close()

    def _host(self, origin: str) -> "_Host":
        try:
            parts = urlsplit(origin)
            context = self._certificates.context() if parts.scheme == "https" else None
            host = self._hosts[origin] = _Host(parts, context)
        except ValueError as error:
            raise NotSentError(f"{origin}: {error}") from error
        return host


class _Host:
    """One host, and the connections to it."""

    def __init__(self, parts: SplitResult, context: ssl.SSLContext | None) -> None:
        """Look nothing up yet.

        Raises:
            ValueError: no host of a scheme that is spoken here.

        """
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("that names no host")
        self.name = parts.netloc.rpartition("@")[2]
        self._place = parts.hostname, parts.port or _PORTS[parts.scheme]
        self._context = context
        self._open: set[Connection] = set()
        self._idle: deque[Connection] = deque()
        self._looking_up = asyncio.Lock()
        self._addresses: list[AddrInfoType] = []
        self._found_at = -math.inf

    def idle(self, now: float) -> Connection | None:
        """A connection that is open and waits for a call, the last used first, if there is one.

        What has waited for too long is closed: the host may be about to do so.
        """
        while self._idle and now - self._idle[0].idle_since > KEPT_IDLE:
            self._idle.popleft().abort()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    async def connected(self, timeout: float) -> Connection:
        """A new connection.

        Raises:
            NotSentError: there is none within so many seconds.

        """
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - coroutines run in one
        cancelled = task.cancelling()
        try:
            async with asyncio.timeout(timeout):
                ready = await start_connection(
                    await self._found(), happy_eyeballs_delay=_HEAD_START
                )
                if task.cancelling() > cancelled:
                    # It loses a cancellation that comes while it takes the other addresses back.
                    ready.close()
                    raise asyncio.CancelledError
                _, connection = await loop.create_connection(
                    partial(Connection, self._rest),
                    sock=ready,
                    ssl=self._context,
                    server_hostname=self._place[0] if self._context else None,
                )
        except TimeoutError as error:
            raise NotSentError(f"no connection within {timeout:g} s") from error
        except (OSError, UnicodeError) as error:
            self._found_at = -math.inf
            raise NotSentError(described(error)) from error
        if not connection.is_open:
            # Between the loop's word that it is there and this one.
            raise NotSentError("the connection was closed before anything was sent")
        self._open.add(connection)
        connection.lost.add_done_callback(lambda _: self._open.discard(connection))
        return connection

    async def _found(self) -> list[AddrInfoType]:
        """Its addresses; whoever asks meanwhile waits for the same lookup."""
        loop = asyncio.get_running_loop()
        async with self._looking_up:
            if loop.time() - self._found_at > _FOUND_FOR:
                found = await loop.getaddrinfo(*self._place, type=socket.SOCK_STREAM)
                self._addresses = list(found)
                self._found_at = loop.time()
            return self._addresses

    def _rest(self, connection: Connection) -> None:
        connection.idle_since = asyncio.get_running_loop().time()
        self._idle.append(connection)

    async def close(self) -> None:
        lost = [connection.lost for connection in self._open]
        for connection in self._open:
            connection.abort()
        if lost:
            await asyncio.wait(lost)


def _parts(url: str) -> tuple[str, str]:
    """Scheme and host; what is asked for there."""
    at = url.find("/", url.find("//") + 2)
    return (url, "/") if at < 0 else (url[:at], url[at:])


def _request(
    method: str, target: str, host: str, headers: Mapping[str, str], body: bytes
) -> bytes:
    """The bytes of a request.

    Raises:
        NotSentError: a header or the target does not fit into its line.

    """
    check_line(target, host, *headers, *headers.values())
    if " " in target:
        raise NotSentError("the URL has a space in it")
    lines = [f"{method} {target} HTTP/1.1", f"host: {host}", f"user-agent: {USER_AGENT}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "\r\n"]).encode() + body
