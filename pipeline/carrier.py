"""What carries one call over the network: the seam between the program and HTTP.

A carrier makes one call, once, and tells a call that was certainly not sent from one that was sent
and has no answer: the difference is money. It can be real, a mock or a simulation.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import httpx

from pipeline import __version__
from pipeline.errors import BadSettings

CONNECT_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NotSentError(Exception):
    """Nothing of the call reached the service."""


class NoAnswerError(Exception):
    """The call may have reached the service; no answer came."""


class UndecodableError(Exception):
    """An answer came that can't be read."""


class Carrier(Protocol):
    """Carries one call, once, within `timeout` seconds in all: no retry, no redirect."""

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Reply: ...

    async def close(self) -> None: ...


class HttpxCarrier:
    """Carries calls with httpx, over connections that are kept."""

    def __init__(self, connections: int, *, trust_environment: bool = True) -> None:
        """Open no connection yet.

        Raises:
            BadSettings: the environment names a proxy or certificates that can't be used.

        """
        try:
            self._client = self._made(connections, trust_environment=trust_environment)
        except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
            raise BadSettings(
                f"the environment's proxy or certificates can't be used: {_described(error)}",
                "Check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR.",
            ) from error

    def _made(self, connections: int, *, trust_environment: bool) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            limits=httpx.Limits(
                max_connections=connections,
                max_keepalive_connections=connections,
                # Shorter than servers keep idle connections, so that a POST is not sent
                # into one that is just being closed.
                keepalive_expiry=20.0,
            ),
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT, pool=CONNECT_TIMEOUT),
            follow_redirects=False,
            headers={"user-agent": f"yagpt-batch/{__version__}"},
            trust_env=trust_environment,
        )

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Reply:
        try:
            async with asyncio.timeout(timeout):
                response = await self._client.request(
                    method, url, headers=headers, content=body or None
                )
        except (
            httpx.ConnectError,
            httpx.ConnectTimeout,
            httpx.PoolTimeout,
            httpx.ProxyError,
            httpx.UnsupportedProtocol,
            httpx.LocalProtocolError,
            httpx.InvalidURL,
        ) as error:
            raise NotSentError(_described(error)) from error
        except httpx.DecodingError as error:
            raise UndecodableError(_described(error)) from error
        except httpx.HTTPError as error:
            raise NoAnswerError(_described(error)) from error
        except TimeoutError as error:
            raise NoAnswerError(f"no answer within {timeout:g} s") from error
        return Reply(response.status_code, response.headers, response.content)

    async def close(self) -> None:
        await self._client.aclose()


def _described(error: Exception) -> str:
    """The type too: httpx often raises with an empty message."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
