"""What carries httpx's bytes: aiohttp, whose cost does not grow with the calls in flight.

httpx's own pool looks at every connection for every call. (`httpx-aiohttp` joins the two as well;
but it reports each lost connection as one that was never made, and a POST that was sent would be
sent again.)
"""

import ssl
from collections.abc import Callable
from typing import Any

import aiohttp
import httpx
from yarl import URL

from pipeline.network.carrier import CONNECT_TIMEOUT, KEPT_IDLE

_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT)
# httpx.Request says what is to be said.
_SILENT = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class StraightTransport(httpx.AsyncBaseTransport):
    """Goes straight to the host. `certificates` is asked for them if there is an https URL."""

    def __init__(self, connections: int, certificates: Callable[[], ssl.SSLContext]) -> None:
        self._connections = connections
        self._certificates = certificates
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Make one call and read its answer whole.

        Raises:
            httpx.ConnectError: nothing of it was sent.
            httpx.ReadError: something of it may have been sent, and no whole answer came.

        """
        url = URL(str(request.url), encoded=True)
        session = self._sessions.get(url.scheme) or self._session(url.scheme)
        try:
            async with session.request(
                request.method,
                url,
                headers=request.headers.multi_items(),
                data=request.content or None,
                allow_redirects=False,
            ) as answer:
                data = await answer.read()
        except (
            aiohttp.ClientConnectorError,
            aiohttp.ConnectionTimeoutError,
            aiohttp.InvalidURL,
            aiohttp.NonHttpUrlClientError,
        ) as error:
            raise httpx.ConnectError(str(error)) from error
        except aiohttp.ClientError as error:
            raise httpx.ReadError(str(error) or type(error).__name__) from error
        return httpx.Response(
            answer.status, headers=answer.raw_headers, content=data, request=request
        )

    async def aclose(self) -> None:
        for session in self._sessions.values():
            await session.close()

    def _session(self, scheme: str) -> aiohttp.ClientSession:
        given: dict[str, Any] = {"ssl": self._certificates()} if scheme == "https" else {}
        connector = aiohttp.TCPConnector(
            limit=self._connections, keepalive_timeout=KEPT_IDLE, **given
        )
        session = self._sessions[scheme] = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_SILENT,
            auto_decompress=False,
            timeout=_TIMEOUT,
        )
        # Its own tests' switch, and the only one there is: a GET on a connection that the host
        # has just closed would be made twice, and counted once.
        session._retry_connection = False  # noqa: SLF001
        return session
