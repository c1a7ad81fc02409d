"""When to ask for an operation again, and when to stop asking.

`Agenda` keeps all operations in heaps, so that waiting costs an entry and nothing else.
`after_poll` decides what an answer means for one operation, given what was
heard of it before. Both are pure: time arrives as an argument.
"""

import heapq
from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime

from pipeline import outcomes
from pipeline.item import Running
from pipeline.outcomes import Answer, PollOutcome, Problem
from pipeline.records import Failure

RETENTION = 3 * 86400.0
_GRACE = 86400.0
_DENIALS_APART = 60.0
_DENIED_FOR = 600.0
_GARBLED_LIMIT = 5
_REFUSED_LIMIT = 3
_SHORTEST = 1.0
_LONGEST = 60.0
_SHARE_OF_AGE = 0.5
_SHARE_OF_TYPICAL = 0.1
_LONGEST_TYPICAL = 6 * 3600.0
_LEARNED_FROM = 8
_REMEMBERED = 256
_CLOCKS_APART = 60.0


@dataclass(frozen=True, slots=True)
class Asking:
    """An operation being asked for, and what came of it so far.

    Its age counts from `accepted_at` by our own clock, so that a skewed clock of the service does
    not expire it.
    """

    line: int
    state: Running
    denied_at: float | None = None
    unsure_at: float | None = None
    garbled: int = 0
    refused: int = 0

    @property
    def operation_id(self) -> str:
        return self.state.operation_id

    @property
    def accepted_at(self) -> float:
        return self.state.at


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Not before `at`."""

    asking: Asking
    at: float


@dataclass(frozen=True, slots=True)
class Conclude:
    """The operation is over: with an answer, or with a failure that is the row's."""

    end: Answer | Failure
    usage: outcomes.Usage | None


@dataclass(frozen=True, slots=True)
class GiveUpLost:
    """The service has forgotten the operation."""


Verdict = AskAgain | Conclude | GiveUpLost


def after_poll(
    asking: Asking, outcome: PollOutcome, now: float, typical: float | None = None
) -> Verdict:
    """What an answer means for its operation; `typical` as in `next_at`."""
    again = next_at(asking, now, typical)
    # Only answers of the same kind in a row add up.
    calm = replace(asking, garbled=0, refused=0)
    match outcome:
        case Answer():
            return Conclude(outcome, outcome.usage)
        case outcomes.Failed(problem, stage, usage):
            return Conclude(_failure(stage, problem), usage)
        case outcomes.NotFound(problem) | outcomes.Forbidden(problem):
            return _denied(calm, problem, now)
        case outcomes.Garbled(problem):
            seen = replace(calm, garbled=asking.garbled + 1)
            return _unless(seen, problem, again, final=seen.garbled >= _GARBLED_LIMIT)
        case outcomes.Refused(problem):
            seen = replace(calm, refused=asking.refused + 1)
            return _unless(seen, problem, again, final=seen.refused >= _REFUSED_LIMIT)
        case outcomes.StillRunning(age):
            heard = replace(calm, denied_at=None, unsure_at=None)
            return _running(heard, now - asking.accepted_at, age, again)
        case outcomes.Unsure(problem) | outcomes.Conflict(problem):
            return _unsure(calm, problem, now, again)
        case _:
            return AskAgain(calm, again)


def next_at(asking: Asking, now: float, typical: float | None = None) -> float:
    """When to ask next: first at the typical age, then after half the operation's age each time.

    `typical` is the median age at which operations of late were done, in seconds, once known.
    """
    age = max(now - asking.accepted_at, 0.0)
    # Whatever was learned, an operation is asked for long before it expires.
    expected = min(typical or 0.0, _LONGEST_TYPICAL)
    if age < expected:
        born = min(asking.accepted_at, now)
        return max(born + expected, now + _SHORTEST)
    longest = max(_LONGEST, expected * _SHARE_OF_TYPICAL)
    return now + min(max(age * _SHARE_OF_AGE, _SHORTEST), longest)


def _running(asking: Asking, age: float, told_age: float | None, again: float) -> Verdict:
    """Our clock may be wrong or have been set since; what the service's own tells goes first."""
    if (age if told_age is None else told_age) < RETENTION and age < 2 * RETENTION:
        return AskAgain(asking, again)
    message = "the operation was still running 3 days after it was created"
    return Conclude(Failure("operation", "never_done", message), None)


def _unsure(asking: Asking, problem: Problem, now: float, again: float) -> Verdict:
    """Give up on what has expired long since, or could not be asked for a whole day after."""
    first = now if asking.unsure_at is None else asking.unsure_at
    age = now - asking.accepted_at
    unheard_of = age >= RETENTION + _GRACE and now - first >= _GRACE
    if unheard_of or age >= 2 * RETENTION:
        return Conclude(_failure("operation", problem), None)
    return AskAgain(replace(asking, unsure_at=first), again)


def _unless(asking: Asking, problem: Problem, again: float, *, final: bool) -> Verdict:
    if final:
        return Conclude(_failure("operation", problem), None)
    return AskAgain(asking, again)


def _denied(asking: Asking, problem: Problem, now: float) -> Verdict:
    """Lost: past retention and denied twice, a minute apart. Else asked for 10 minutes more."""
    first = now if asking.denied_at is None else asking.denied_at
    past_retention = now - asking.accepted_at >= RETENTION
    if past_retention and now - first >= _DENIALS_APART:
        return GiveUpLost()
    if not past_retention and now - first >= _DENIED_FOR:
        message = f"the service denied the operation for 10 minutes: {problem.message}"
        return Conclude(Failure("lost", "denied", message, problem.request_id), None)
    return AskAgain(replace(asking, denied_at=first), now + _DENIALS_APART)


def _failure(stage: str, problem: Problem) -> Failure:
    return Failure(stage, problem.code, problem.message, problem.request_id)


class Latencies:
    """How long operations took of late, by the service's own account."""

    def __init__(self) -> None:
        self._latest: deque[float] = deque()
        self._sorted: list[float] = []

    def observe(self, answer: Answer, age: float) -> None:
        """Learn from an answer that says when its operation was created and done.

        `age` is how long we have known the operation: nothing can have taken longer.
        """
        if answer.created_at is None or answer.finished_at is None:
            return
        created = datetime.fromisoformat(answer.created_at)
        finished = datetime.fromisoformat(answer.finished_at)
        seconds = max((finished - created).total_seconds(), 0.0)
        if seconds > age + _CLOCKS_APART:
            return
        self._latest.append(seconds)
        insort(self._sorted, seconds)
        if len(self._latest) > _REMEMBERED:
            del self._sorted[bisect_left(self._sorted, self._latest.popleft())]

    def typical(self) -> float | None:
        """The median in seconds, or None while too few are known."""
        known = len(self._sorted)
        return self._sorted[known // 2] if known >= _LEARNED_FROM else None


class Agenda:
    """All operations that wait to be asked for. Of those that are due, the oldest goes first."""

    def __init__(self) -> None:
        self._asking: dict[int, Asking] = {}
        self._later: list[tuple[float, int]] = []
        self._due: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._asking)

    def put(self, asking: Asking, at: float) -> None:
        self._asking[asking.line] = asking
        heapq.heappush(self._later, (at, asking.line))

    def due_at(self, now: float) -> float | None:
        """When something is due: now, later, or never."""
        while self._later and self._later[0][0] <= now:
            _, line = heapq.heappop(self._later)
            heapq.heappush(self._due, (self._asking[line].accepted_at, line))
        if self._due:
            return now
        return self._later[0][0] if self._later else None

    def take(self) -> Asking | None:
        """The operation that is due first, even if it is not due yet; None if none waits."""
        heap = self._due or self._later
        if not heap:
            return None
        _, line = heapq.heappop(heap)
        return self._asking.pop(line)

    def pop(self, now: float) -> Asking:
        """The oldest operation that is due.

        Raises:
            LookupError: none is.

        """
        self.due_at(now)
        _, line = heapq.heappop(self._due)
        return self._asking.pop(line)
