"""Carries calls with httpx: its requests, its answers, its errors, over transports chosen here.

`httpx.AsyncClient` is passed by: cookies, redirects, authentication and event hooks, none of which
is wanted, are more than half of what a call costs there. The transport's own errors tell whether
a call can have been sent.
"""

import asyncio
from collections.abc import Mapping
from urllib.request import getproxies, proxy_bypass

import httpx

from pipeline.network.carrier import (
    CONNECT_TIMEOUT,
    KEPT_IDLE,
    USER_AGENT,
    NoAnswerError,
    NotSentError,
    Reply,
    UndecodableError,
    bad_environment,
    check_line,
    described,
)
from pipeline.network.certificates import Certificates
from pipeline.network.transport import StraightTransport

_TIMEOUT = httpx.Timeout(None, connect=CONNECT_TIMEOUT, pool=CONNECT_TIMEOUT)
_EXTENSIONS = {"timeout": _TIMEOUT.as_dict()}
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
)


class HttpxCarrier:
    """Carries calls over connections that are kept, through the environment's proxies if any."""

    def __init__(self, connections: int, *, trust_environment: bool = True) -> None:
        """Open no connection yet.

        Raises:
            BadSettings: the environment names a proxy or certificates that can't be used.

        """
        self._connections = connections
        self._certificates = Certificates(trust_environment=trust_environment)
        self._straight = StraightTransport(connections, self._certificates.context)
        try:
            self._proxies = self._proxied() if trust_environment else {}
        except (ImportError, NotSentError, ValueError, httpx.InvalidURL) as error:
            raise bad_environment(error) from error

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Reply:
        check_line(*headers, *headers.values())
        try:
            request = httpx.Request(
                method, url, headers=headers, content=body or None, extensions=_EXTENSIONS
            )
            request.headers["user-agent"] = USER_AGENT
            transport = self._transport(request.url)
            async with asyncio.timeout(timeout):
                response = await transport.handle_async_request(request)
                try:
                    data = await response.aread()
                finally:
                    await response.aclose()
        except _NOT_SENT as error:
            raise NotSentError(described(error)) from error
        except httpx.DecodingError as error:
            raise UndecodableError(described(error)) from error
        except httpx.HTTPError as error:
            raise NoAnswerError(described(error)) from error
        except TimeoutError as error:
            raise NoAnswerError(f"no answer within {timeout:g} s") from error
        return Reply(response.status_code, response.headers, data)

    async def close(self) -> None:
        for transport in (*self._proxies.values(), self._straight):
            await transport.aclose()

    def _transport(self, url: httpx.URL) -> httpx.AsyncBaseTransport:
        if self._proxies and not proxy_bypass(url.netloc.decode()):
            proxied = self._proxies.get(url.scheme) or self._proxies.get("all")
            if proxied is not None:
                return proxied
        return self._straight

    def _proxied(self) -> dict[str, httpx.AsyncBaseTransport]:
        named = {scheme: url for scheme, url in getproxies().items() if url and scheme != "no"}
        return {scheme: self._through(url) for scheme, url in named.items()}

    def _through(self, proxy: str) -> httpx.AsyncBaseTransport:
        return httpx.AsyncHTTPTransport(
            verify=self._certificates.context(),
            proxy=proxy if "://" in proxy else f"http://{proxy}",
            limits=httpx.Limits(
                max_connections=self._connections,
                max_keepalive_connections=self._connections,
                keepalive_expiry=KEPT_IDLE,
            ),
        )
