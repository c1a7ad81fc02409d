"""The service itself: operations that are accepted, ripen, can be fetched, and are forgotten.

`Service` never reads a clock and keeps nothing outside memory. What must survive it is the list of
`Accepted` records; made again from these it goes on as if it had never stopped, but for the counts
of polls and refusals, which are this process's own. Answers are not kept: they follow from the
request and are made when asked for. Everything that chance decides follows from the seed and the
operation's number.
"""

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from pipeline.codec import decode
from pipeline.emulator import chance
from pipeline.emulator.answers import Answer, Usage, answer_to
from pipeline.emulator.quota import Quota
from pipeline.emulator.refusals import NotCancellable, NotFound
from pipeline.emulator.requests import CompletionRequest, read_completion
from pipeline.emulator.uris import KNOWN
from pipeline.pace import Rate

_DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How this service is set up. Times are in seconds.

    Attributes:
        api_keys, iam_tokens: the credentials that are known; with none at all any will do.
        forbidden: known credentials without the role (403).
        latency_median, latency_sigma: how long an operation takes, log-normal; sigma 0 is fixed.
        retention: how long an operation is kept, from its creation.

    """

    folder: str = "b1gemulator0000000000"
    api_keys: frozenset[str] = frozenset()
    iam_tokens: frozenset[str] = frozenset()
    forbidden: frozenset[str] = frozenset()
    submit_rates: tuple[Rate, ...] = (Rate(10, 1), Rate(5000, 3600))
    poll_rates: tuple[Rate, ...] = (Rate(50, 1),)
    tokenizer_rates: tuple[Rate, ...] = (Rate(50, 1),)
    latency_median: float = 2.0
    latency_sigma: float = 0.5
    retention: float = 3 * _DAY
    seed: int = 0
    models: frozenset[str] = KNOWN


@dataclass(frozen=True, slots=True)
class Accepted:
    """One accepted submit: all that the service has to remember."""

    operation_id: str
    at: float
    client_request_id: str
    usage: Usage
    body: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the request body as it came, in hexadecimal digits."""
        return sha256(self.body).hexdigest()


@dataclass(frozen=True, slots=True)
class Running:
    """An operation that is not done."""

    operation_id: str
    created: float


@dataclass(frozen=True, slots=True)
class Finished:
    """An operation that is done, with its answer."""

    operation_id: str
    created: float
    finished: float
    answer: Answer


@dataclass(slots=True)
class Ledger:
    """What came in, for those who check a client by it.

    `polls` counts answered polls by operation. Refusals are counted by HTTP status; quota
    violations by the quota's id, and among the refusals too. Times are of answered calls.
    """

    accepted: dict[str, Accepted] = field(default_factory=dict)
    polls: Counter[str] = field(default_factory=Counter)
    completions: int = 0
    refused_submits: Counter[int] = field(default_factory=Counter)
    refused_polls: Counter[int] = field(default_factory=Counter)
    refused_others: Counter[int] = field(default_factory=Counter)


class Service:
    """All operations of one folder. `accepted` are those of an earlier life, in their order."""

    def __init__(self, config: Config, accepted: Iterable[Accepted] = ()) -> None:
        self.config = config
        self.ledger = Ledger()
        # No public source shows the ids of these quotas; they follow the pattern of those seen.
        self._submits = Quota("textGenerationAsyncCompletionRequests", config.submit_rates)
        self._polls = Quota("textGenerationAsyncOperationRequests", config.poll_rates)
        self._tokenizer = Quota("textGenerationTokenizerRequests", config.tokenizer_rates)
        self._created_by = chance.identifier("aje", chance.draw(config.seed, "account"))
        for record in accepted:
            self._submits.restore(record.at)
            self.ledger.accepted[record.operation_id] = record

    @property
    def created_by(self) -> str:
        """The account that all operations belong to."""
        return self._created_by

    @property
    def submit_times(self) -> "array[float]":
        """When each accepted submit came, in unix seconds."""
        return self._submits.times

    @property
    def poll_times(self) -> "array[float]":
        """When each poll within the quota came, in unix seconds."""
        return self._polls.times

    @property
    def tokenizer_times(self) -> "array[float]":
        """When each tokenizer call within the quota came, in unix seconds."""
        return self._tokenizer.times

    @property
    def violations(self) -> Counter[str]:
        """How often each quota refused a call."""
        return self._submits.violations + self._polls.violations + self._tokenizer.violations

    def submit(
        self, request: CompletionRequest, body: bytes, client_request_id: str, now: float
    ) -> Accepted:
        """Accept a checked request, or raise `OverQuota`."""
        self._submits.admit(now)
        drawn = chance.draw(self.config.seed, "operation", len(self.ledger.accepted))
        record = Accepted(
            operation_id=chance.identifier("d7q", drawn),
            at=now,
            client_request_id=client_request_id,
            usage=answer_to(request).usage,
            body=body,
        )
        self.ledger.accepted[record.operation_id] = record
        return record

    def poll(self, operation_id: str, now: float) -> Running | Finished:
        """Say where an operation stands, or raise `OverQuota` or `NotFound`."""
        self._polls.admit(now)
        record = self._kept(operation_id, now)
        self.ledger.polls[operation_id] += 1
        finished = self.finish_time(record)
        if now < finished:
            return Running(operation_id, record.at)
        answer = answer_to(read_completion(decode(record.body)))
        return Finished(operation_id, record.at, finished, answer)

    def cancel(self, operation_id: str, now: float) -> None:
        """Raise `NotFound` or `NotCancellable`; it costs a poll."""
        self._polls.admit(now)
        self._kept(operation_id, now)
        raise NotCancellable(f"Operation {operation_id} is not cancellable")

    def complete(self, request: CompletionRequest) -> Answer:
        """Answer at once; the synchronous mode's quota, on concurrency, is not modelled."""
        self.ledger.completions += 1
        return answer_to(request)

    def spend_tokenizer_call(self, now: float) -> None:
        """Count a call to the tokenizer, or raise `OverQuota`."""
        self._tokenizer.admit(now)

    def finish_time(self, record: Accepted) -> float:
        """When an operation is done: its latency depends on the seed and its id only."""
        median, sigma = self.config.latency_median, self.config.latency_sigma
        drawn = chance.draw(self.config.seed, "latency", record.operation_id)
        return record.at + chance.lognormal(median, sigma, drawn)

    def _kept(self, operation_id: str, now: float) -> Accepted:
        record = self.ledger.accepted.get(operation_id)
        if record is None or now >= record.at + self.config.retention:
            raise NotFound(f"Operation {operation_id} not found")
        return record
