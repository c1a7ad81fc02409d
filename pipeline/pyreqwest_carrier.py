"""Carries calls with pyreqwest, Rust's reqwest for Python: a fifth of what httpx costs.

HTTP/1.1 only: a connection that breaks takes one call with it, not all that are under way.
"""

import asyncio
import os
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import (
    BuilderError,
    DetailedPyreqwestError,
    PyreqwestError,
    RequestTimeoutError,
)

from pipeline.carrier import (
    CONNECT_TIMEOUT,
    KEPT_IDLE,
    USER_AGENT,
    NoAnswerError,
    NotSentError,
    Reply,
    UndecodableError,
    bad_environment,
    described,
)

# So hyper, which does the work, calls what fails while a connection is being made. (The type of
# the exception does not tell: `ConnectError` is also raised for a call that was sent.)
_CONNECTING = "client error (Connect)"
_seconds = lru_cache(maxsize=16)(lambda seconds: timedelta(seconds=seconds))


class PyreqwestCarrier:
    """Carries calls over connections that are kept."""

    def __init__(self, *, trust_environment: bool = True) -> None:
        """Open no connection yet.

        Raises:
            BadSettings: the environment's proxy or certificates can't be used.

        """
        builder = (
            ClientBuilder()
            .user_agent(USER_AGENT)
            .follow_redirects(False)
            .referer(False)
            .connect_timeout(timedelta(seconds=CONNECT_TIMEOUT))
            .pool_idle_timeout(timedelta(seconds=KEPT_IDLE))
        )
        # Nothing compressed is asked for, so that whatever can't be read was broken on the way.
        builder = builder.gzip(False).brotli(False).zstd(False).deflate(False)
        # It goes on without certificates that are not there, and then trusts nobody.
        named = os.environ.get("SSL_CERT_FILE") if trust_environment else None
        try:
            if named:
                Path(named).read_bytes()
            self._client = (builder if trust_environment else builder.no_proxy()).build()
        except (PyreqwestError, ValueError, OSError) as error:
            raise bad_environment(error) from error

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Reply:
        try:
            request = self._client.request(method, url).headers(headers)
            request = request.timeout(_seconds(timeout))
            ready = (request.body_bytes(body) if body else request).build()
        except (PyreqwestError, ValueError) as error:
            raise NotSentError(described(error)) from error
        try:
            response = await ready.send()
            data = (await response.bytes()).to_bytes()
        except BuilderError as error:
            raise NotSentError(_told(error)) from error
        except DetailedPyreqwestError as error:
            if _CONNECTING in _causes(error):
                raise NotSentError(_told(error)) from error
            if isinstance(error, RequestTimeoutError):
                raise NoAnswerError(f"no answer within {timeout:g} s") from error
            raise NoAnswerError(_told(error)) from error
        except PyreqwestError as error:
            raise NoAnswerError(described(error)) from error
        finally:
            _mind_cancelling()
        if response.headers.get("content-encoding", "identity") != "identity":
            raise UndecodableError("it is compressed, which nobody asked for")
        return Reply(response.status, response.headers, data)

    async def close(self) -> None:
        await self._client.close()


def _mind_cancelling() -> None:
    """Cancel what is to be cancelled: a cancellation that comes with the answer is lost below."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _causes(error: DetailedPyreqwestError) -> list[str]:
    return [str(cause["message"]) for cause in error.details.get("causes") or ()]


def _told(error: DetailedPyreqwestError) -> str:
    """The last cause says most; the ones before it name the URL and layers of the library."""
    return (_causes(error) or [described(error)])[-1]
