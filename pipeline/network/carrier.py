"""What carries one call over the network: the seam between the program and HTTP.

A carrier makes one call, once, and tells a call that was certainly not sent from one that was sent
and has no answer: the difference is money. It can be real, a mock or a simulation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pipeline import __version__
from pipeline.errors import BadSettings

CONNECT_TIMEOUT = 10.0
# Shorter than servers keep idle connections, so that a POST is not sent into one that is just
# being closed.
KEPT_IDLE = 20.0
USER_AGENT = f"yagpt-batch/{__version__}"


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
    """Carries one call, once, within `timeout` seconds in all: no retry, no redirect.

    A call that is cancelled ends so even where its answer comes at the same moment: that is how
    lanes end.
    """

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Reply: ...

    async def close(self) -> None: ...


def check_line(*parts: str) -> None:
    """Refuse what would end the line of a request that it is to stand in.

    Raises:
        NotSentError: there is a control character in it, or one that is not ASCII.

    """
    text = "".join(parts)
    if not (text.isascii() and text.isprintable()):
        raise NotSentError("the URL or a header has characters that HTTP does not allow there")


def described(error: Exception) -> str:
    """What a library says, with its type: some raise with an empty message."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def bad_environment(error: Exception) -> BadSettings:
    """The refusal of an environment that says how calls are to be made, and can't be heeded."""
    return BadSettings(
        f"the environment's proxy or certificates can't be used: {described(error)}",
        "Check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR.",
    )
