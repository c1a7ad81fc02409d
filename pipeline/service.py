"""The service as four calls: submit, poll, and two that cost nothing: a count and a probe.

Bytes are carried by whatever fits `Carrier`, so that the network can be real, a mock or a
simulation. A carrier makes one call, once, and tells a call that was certainly not sent from one
that was sent and has no answer: the difference is money.

    call ──Carrier──▶ Reply ──wire──▶ outcome
             ├─ NotSentError ──────▶ outcomes.NotSent
             ├─ NoAnswerError ─────▶ outcomes.Unsure
             └─ UndecodableError ──▶ outcomes.Unsure for a POST, outcomes.Garbled for a GET
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar
from urllib.parse import quote

import httpx

from pipeline import __version__, outcomes, wire
from pipeline.clock import Clock
from pipeline.codec import encode
from pipeline.credentials import Credential, CredentialSource
from pipeline.outcomes import CountOutcome, PollOutcome, Problem, SubmitOutcome

CONNECT_TIMEOUT = 10.0
# Giving up early on a POST makes doubts.
SUBMIT_TIMEOUT = 120.0
POLL_TIMEOUT = 30.0
PROBE_TIMEOUT = 5.0
COUNT_TIMEOUT = 30.0


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
        self._client = httpx.AsyncClient(
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


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Base URLs, without a final slash."""

    llm: str = "https://llm.api.cloud.yandex.net"
    operations: str = "https://operation.api.cloud.yandex.net"


@dataclass(frozen=True, slots=True)
class Account:
    """In whose name calls are made."""

    credentials: CredentialSource
    folder: str | None
    data_logging: bool = True


_Outcome = TypeVar("_Outcome", SubmitOutcome, PollOutcome, CountOutcome)


class Service:
    """Makes calls and reads what comes back; decides nothing about rows."""

    def __init__(
        self, carrier: Carrier, endpoints: Endpoints, account: Account, clock: Clock
    ) -> None:
        self._carrier = carrier
        self._endpoints = endpoints
        self._account = account
        self._clock = clock
        self._credential: Credential | None = None
        self._renewing = asyncio.Lock()

    async def submit(self, body: bytes, request_id: str) -> SubmitOutcome:
        """POST a request to `completionAsync`."""
        url = f"{self._endpoints.llm}/foundationModels/v1/completionAsync"
        credential = await self._authorized()
        headers = self._headers(credential) | {"x-client-request-id": request_id}
        if not self._account.data_logging:
            headers["x-data-logging-enabled"] = "false"
        try:
            reply = await self._carrier.send("POST", url, headers, body, SUBMIT_TIMEOUT)
        except NotSentError as error:
            return outcomes.NotSent(Problem("not_sent", str(error)))
        except NoAnswerError as error:
            return outcomes.Unsure(Problem("no_answer", str(error), request_id))
        except UndecodableError as error:
            return outcomes.Unsure(Problem("undecodable", str(error), request_id), outage=False)
        now = self._clock.now()
        outcome = wire.read_submit(reply.status, reply.headers, reply.body, now)
        return await self._heeded(outcome, credential)

    async def poll(self, operation_id: str, timeout: float) -> PollOutcome:
        """GET an operation."""
        url = f"{self._endpoints.operations}/operations/{quote(operation_id, safe='')}"
        credential = await self._authorized()
        headers = credential.headers(None)
        try:
            reply = await self._carrier.send("GET", url, headers, b"", timeout)
        except NotSentError as error:
            return outcomes.NotSent(Problem("not_sent", str(error)))
        except NoAnswerError as error:
            return outcomes.Unsure(Problem("no_answer", str(error)))
        except UndecodableError as error:
            return outcomes.Garbled(Problem("undecodable", str(error)))
        now = self._clock.now()
        outcome = wire.read_poll(operation_id, reply.status, reply.headers, reply.body, now)
        return await self._heeded(outcome, credential)

    async def count_tokens(self, body: bytes) -> CountOutcome:
        """POST a request to the free tokenizer, which knows the chat template."""
        url = f"{self._endpoints.llm}/foundationModels/v1/tokenizeCompletion"
        credential = await self._authorized()
        headers = self._headers(credential)
        if not self._account.data_logging:
            headers["x-data-logging-enabled"] = "false"
        try:
            reply = await self._carrier.send("POST", url, headers, body, COUNT_TIMEOUT)
        except NotSentError as error:
            return outcomes.NotSent(Problem("not_sent", str(error)))
        except NoAnswerError as error:
            return outcomes.Unsure(Problem("no_answer", str(error)))
        except UndecodableError as error:
            return outcomes.Unsure(Problem("undecodable", str(error)), outage=False)
        now = self._clock.now()
        outcome = wire.read_count(reply.status, reply.headers, reply.body, now)
        return await self._heeded(outcome, credential)

    async def probe_submits(self, model_uri: str) -> bool:
        """Whether the host that takes POSTs answers: asked of its free tokenizer."""
        url = f"{self._endpoints.llm}/foundationModels/v1/tokenize"
        headers = self._headers(await self._authorized())
        body = encode({"modelUri": model_uri, "text": "?"})
        try:
            reply = await self._carrier.send("POST", url, headers, body, PROBE_TIMEOUT)
        except (NotSentError, NoAnswerError):
            return False
        except UndecodableError:
            return True
        return reply.status < 500 and reply.status not in {408, 499}

    async def _heeded(self, outcome: _Outcome, credential: Credential) -> _Outcome:
        """The outcome without the secret, which the service's own words can echo.

        A credential that was not accepted is renewed: once, however many calls it was refused for.
        """
        problem = getattr(outcome, "problem", None)
        if isinstance(problem, Problem):
            clean = _redacted(problem, credential)
            outcome = replace(outcome, problem=clean)  # type: ignore[arg-type] # those that have one
        if not isinstance(outcome, outcomes.Unauthorized):
            return outcome
        async with self._renewing:
            if self._credential is credential:
                self._credential = await self._account.credentials.renewed(credential)
            return replace(outcome, renewed=self._credential is not None)

    async def _authorized(self) -> Credential:
        async with self._renewing:
            if self._credential is None:
                self._credential = await self._account.credentials.current()
            return self._credential

    def _headers(self, credential: Credential) -> dict[str, str]:
        headers = credential.headers(self._account.folder)
        headers["content-type"] = "application/json"
        return headers


def _redacted(problem: Problem, credential: Credential) -> Problem:
    request_id = problem.request_id and credential.redact(problem.request_id)
    return Problem(problem.code, credential.redact(problem.message), request_id)
