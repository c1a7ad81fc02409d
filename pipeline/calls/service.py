"""The service as four calls: submit, poll, and two that cost nothing: a count and a probe.

call ──Carrier──▶ Reply ──wire──▶ outcome
├─ NotSentError ──────▶ outcomes.NotSent
├─ NoAnswerError ─────▶ outcomes.Unsure
└─ UndecodableError ──▶ outcomes.Unsure for a POST, outcomes.Garbled for a GET
"""

from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

from msgspec.structs import replace

from pipeline.api import outcomes, wire
from pipeline.api.outcomes import CountOutcome, PollOutcome, Problem, SubmitOutcome
from pipeline.auth.credentials import Credential
from pipeline.auth.keeper import Keeper
from pipeline.clock import Clock
from pipeline.codec import encode
from pipeline.network.carrier import Carrier, NoAnswerError, NotSentError, UndecodableError
from pipeline.network.endpoints import Endpoints
from pipeline.pacing.rates import Kind

# Giving up early on a POST makes doubts.
SUBMIT_TIMEOUT = 120.0
POLL_TIMEOUT = 30.0
PROBE_TIMEOUT = 5.0
TOKENIZER_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Account:
    """In whose name calls are made."""

    keeper: Keeper
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
        self.keeper = account.keeper

    async def submit(self, body: bytes, request_id: str) -> SubmitOutcome:
        """POST a request to `completionAsync`."""
        url = f"{self._endpoints.llm}/foundationModels/v1/completionAsync"
        credential = self.keeper.credential
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
        return self._heeded(outcome, credential, "submits")

    async def poll(self, operation_id: str, timeout: float) -> PollOutcome:
        """GET an operation."""
        url = f"{self._endpoints.operations}/operations/{_quoted(operation_id)}"
        credential = self.keeper.credential
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
        return self._heeded(outcome, credential, "polls")

    async def count_tokens(self, body: bytes) -> CountOutcome:
        """POST a request to the free tokenizer, which knows the chat template."""
        url = f"{self._endpoints.llm}/foundationModels/v1/tokenizeCompletion"
        credential = self.keeper.credential
        headers = self._headers(credential)
        if not self._account.data_logging:
            headers["x-data-logging-enabled"] = "false"
        try:
            reply = await self._carrier.send("POST", url, headers, body, TOKENIZER_TIMEOUT)
        except NotSentError as error:
            return outcomes.NotSent(Problem("not_sent", str(error)))
        except NoAnswerError as error:
            return outcomes.Unsure(Problem("no_answer", str(error)))
        except UndecodableError as error:
            return outcomes.Unsure(Problem("undecodable", str(error)), outage=False)
        now = self._clock.now()
        outcome = wire.read_count(reply.status, reply.headers, reply.body, now)
        return self._heeded(outcome, credential, "submits")

    async def probe_submits(self, model_uri: str) -> bool:
        """Whether the host that takes POSTs answers: asked of its free tokenizer."""
        url = f"{self._endpoints.llm}/foundationModels/v1/tokenize"
        headers = self._headers(self.keeper.credential)
        body = encode({"modelUri": model_uri, "text": "?"})
        try:
            reply = await self._carrier.send("POST", url, headers, body, PROBE_TIMEOUT)
        except (NotSentError, NoAnswerError):
            return False
        except UndecodableError:
            return True
        return reply.status < 500 and reply.status not in {408, 499}

    def _heeded(self, outcome: _Outcome, credential: Credential, by: Kind) -> _Outcome:
        """The outcome without the secret, which the service's own words can echo."""
        problem = getattr(outcome, "problem", None)
        if isinstance(problem, Problem):
            clean = _redacted(problem, credential)
            outcome = replace(outcome, problem=clean)
        match outcome:
            case outcomes.Unauthorized(problem):
                self.keeper.refused(credential, by, problem.message)
            case (
                outcomes.Unsure()
                | outcomes.NotSent()
                | outcomes.Garbled()
                | outcomes.Misdirected()
            ):
                pass
            case _:
                # Whoever says no for another reason has looked at the credential first.
                self.keeper.accepted(credential, by)
        return outcome

    def _headers(self, credential: Credential) -> dict[str, str]:
        headers = credential.headers(self._account.folder)
        headers["content-type"] = "application/json"
        return headers


def _quoted(operation_id: str) -> str:
    """As a part of a path; the service's own ids are letters and digits."""
    is_plain = operation_id.isascii() and operation_id.isalnum()
    return operation_id if is_plain else quote(operation_id, safe="")


def _redacted(problem: Problem, credential: Credential) -> Problem:
    request_id = problem.request_id and credential.redact(problem.request_id)
    return Problem(problem.code, credential.redact(problem.message), request_id)
