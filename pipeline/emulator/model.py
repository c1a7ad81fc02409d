"""The service itself: operations that are accepted, ripen, can be fetched, and are forgotten.

`Service` never reads a clock and keeps nothing outside memory. What must survive it is the list of
`Accepted` records; made again from these it goes on as if it had never stopped, but for the counts
of polls and refusals, which are this process's own. Answers are not kept: they follow from the
request and are made when asked for. Everything that chance decides follows from the seed and the
operation's number.

What ails an operation shows in the states that it is given out in; the record of it stays true.
"""

import math
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from pipeline.codec import decode
from pipeline.emulator import FOLDER, chance
from pipeline.emulator.ailments import Ailments
from pipeline.emulator.answers import Answer, Usage, answer_to
from pipeline.emulator.issued import Issued
from pipeline.emulator.keys import AuthorizedKey
from pipeline.emulator.quota import Quota
from pipeline.emulator.refusals import NotCancellable, NotFound
from pipeline.emulator.requests import CompletionRequest, read_completion
from pipeline.emulator.schedules import Fault
from pipeline.emulator.states import MISPRINTS, Finished, Misprinted, Running, State
from pipeline.emulator.uris import KNOWN
from pipeline.pacing.rates import Rate

_DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How this service is set up. Times are in seconds.

    Attributes:
        api_keys, iam_tokens, sa_keys, oauth_tokens: the credentials that are known, beside the
            tokens that are issued for them; with none at all, and no metadata, any will do.
        metadata: whether there is a metadata service, which issues tokens for the asking.
        expired: API keys that have expired (401).
        forbidden: known credentials without the role (403): API keys and IAM tokens, and what
            tokens are issued for: ids of authorized keys, OAuth tokens, "metadata".
        latency_median, latency_sigma: how long an operation takes, log-normal; sigma 0 is fixed.
        retention: how long an operation is kept, from its creation.
        token_life: how long a Bearer token is good: from when it was issued (12 hours where this
            is infinite), or from its first use where that isn't known.
        skew: what the service's clock is ahead by; only what it says of time tells.
        faults: what goes wrong, where the service is asked through `faults.Unreliable`.
        drip: from byte to byte, where an answer drips.

    """

    folder: str = FOLDER
    api_keys: frozenset[str] = frozenset()
    iam_tokens: frozenset[str] = frozenset()
    sa_keys: tuple[AuthorizedKey, ...] = ()
    oauth_tokens: frozenset[str] = frozenset()
    metadata: bool = False
    expired: frozenset[str] = frozenset()
    forbidden: frozenset[str] = frozenset()
    submit_rates: tuple[Rate, ...] = (Rate(10, 1), Rate(5000, 3600))
    poll_rates: tuple[Rate, ...] = (Rate(50, 1),)
    tokenizer_rates: tuple[Rate, ...] = (Rate(50, 1),)
    latency_median: float = 2.0
    latency_sigma: float = 0.5
    retention: float = 3 * _DAY
    seed: int = 0
    models: frozenset[str] = KNOWN
    token_life: float = math.inf
    skew: float = 0.0
    faults: tuple[Fault, ...] = ()
    drip: float = 1.0

    @property
    def takes_any(self) -> bool:
        """Whether any credential will do that looks like one."""
        named = self.api_keys | self.iam_tokens | self.oauth_tokens
        return not (named or self.sa_keys or self.metadata)


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


@dataclass(slots=True)
class Ledger:
    """What came in, for those who check a client by it.

    `submits` are all that were accepted, in their order; `accepted` has the first of each id,
    which are all of them unless an id was given twice. `polls` counts answered polls by operation.
    Refusals are counted by HTTP status; quota violations by the quota's id, and among the refusals
    too; faults by kind, and nowhere else. Times are of answered calls.
    """

    submits: list[Accepted] = field(default_factory=list)
    accepted: dict[str, Accepted] = field(default_factory=dict)
    polls: Counter[str] = field(default_factory=Counter)
    completions: int = 0
    refused_submits: Counter[int] = field(default_factory=Counter)
    refused_polls: Counter[int] = field(default_factory=Counter)
    refused_others: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)


class Service:
    """All operations of one folder. `accepted` are those of an earlier life, in their order.

    Attributes:
        issued: the tokens that were given out.

    """

    def __init__(self, config: Config, accepted: Iterable[Accepted] = ()) -> None:
        self.config = config
        self.ledger = Ledger()
        # No public source shows the ids of these quotas; they follow the pattern of those seen.
        self._submits = Quota("textGenerationAsyncCompletionRequests", config.submit_rates)
        self._polls = Quota("textGenerationAsyncOperationRequests", config.poll_rates)
        self._tokenizer = Quota("textGenerationTokenizerRequests", config.tokenizer_rates)
        self._created_by = chance.identifier("aje", chance.draw(config.seed, "account"))
        self._ailments = Ailments()
        self.issued = Issued(config.token_life, config.seed)
        for record in accepted:
            self._submits.restore(record.at)
            self._remember(record)

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
        record = Accepted(
            operation_id=self._new_id(now),
            at=now,
            client_request_id=client_request_id,
            usage=answer_to(request).usage,
            body=body,
        )
        self._remember(record)
        return record

    def at_once(self, record: Accepted) -> State:
        """Say where an operation stands just when it was accepted: that is the submit's answer."""
        if self._ailments.of(record.operation_id) == "done-at-once":
            return self._done(record)
        return Running(record.operation_id, self.said(record.at))

    def poll(self, operation_id: str, now: float) -> State:
        """Say where an operation stands, or raise `OverQuota` or `NotFound`."""
        self._polls.admit(now)
        record = self._kept(operation_id, now)
        if self._ailments.denies(operation_id):
            raise _not_found(operation_id)
        self.ledger.polls[operation_id] += 1
        if now < self.finish_time(record) or self._ailments.hides(operation_id, now):
            return Running(operation_id, self.said(record.at))
        return self._done(record)

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

    def suffer(self, ailments: Ailments) -> None:
        """Let these befall the operations, those that are there and those to come."""
        self._ailments = ailments
        number_of = {id(record): n for n, record in enumerate(self.ledger.submits, 1)}
        for record in self.ledger.accepted.values():
            ailments.befall(record.operation_id, number_of[id(record)], record.at)

    def said(self, moment: float) -> float:
        """A moment by the service's own clock, which may be wrong."""
        return moment + self.config.skew

    def finish_time(self, record: Accepted) -> float:
        """When an operation is done: its latency depends on the seed and its id only."""
        match self._ailments.of(record.operation_id):
            case "done-at-once":
                return record.at
            case "never-done":
                return math.inf
        median, sigma = self.config.latency_median, self.config.latency_sigma
        drawn = chance.draw(self.config.seed, "latency", record.operation_id)
        return record.at + chance.lognormal(median, sigma, drawn)

    def _new_id(self, now: float) -> str:
        number = len(self.ledger.submits)
        drawn = chance.draw(self.config.seed, "operation", number)
        operation_id = chance.identifier("d7q", drawn)
        ailment = self._ailments.befall(operation_id, number + 1, now)
        earlier = list(self.ledger.accepted) if ailment == "duplicate-id" else []
        if ailment is not None and (earlier or ailment != "duplicate-id"):
            self.ledger.faults[ailment] += 1
        return earlier[drawn[-1] % len(earlier)] if earlier else operation_id

    def _remember(self, record: Accepted) -> None:
        self.ledger.submits.append(record)
        self.ledger.accepted.setdefault(record.operation_id, record)

    def _done(self, record: Accepted) -> Finished | Misprinted:
        answer = answer_to(read_completion(decode(record.body)))
        created, finished = self.said(record.at), self.said(self.finish_time(record))
        done = Finished(record.operation_id, created, finished, answer)
        ailment = self._ailments.of(record.operation_id)
        how = next((how for how in MISPRINTS if how == ailment), None)
        return done if how is None else Misprinted(done, how)

    def _kept(self, operation_id: str, now: float) -> Accepted:
        record = self.ledger.accepted.get(operation_id)
        if record is None or now >= record.at + self.config.retention:
            raise _not_found(operation_id)
        return record


def _not_found(operation_id: str) -> NotFound:
    return NotFound(f"Operation {operation_id} not found")
