"""Who decides which operation is asked for when: policies that do not learn."""

import heapq
from collections.abc import Callable
from typing import Protocol

from benchmarks.optimum import Mixture
from pipeline.api.outcomes import PollOutcome
from pipeline.operations.polling import Asking


class Asker(Protocol):
    """Decides which operation is asked for when; as `pipeline.operations.agenda.Agenda`."""

    are_last: bool

    def put(self, asking: Asking, at: float | None) -> None: ...
    def due_at(self, now: float) -> float | None: ...
    def pop(self, now: float) -> Asking: ...
    def hear(self, asking: Asking, outcome: PollOutcome, now: float) -> None: ...


class Blind:
    """Asks at ages that are the same for all operations: `after` gives the next age."""

    are_last = False

    def __init__(self, after: Callable[[float], float]) -> None:
        self._after = after
        self._heap: list[tuple[float, int, Asking]] = []

    def put(self, asking: Asking, at: float | None) -> None:
        due = asking.born_at + self._after(asking.heard_age) if at is None else at
        heapq.heappush(self._heap, (due, asking.line, asking))

    def due_at(self, now: float) -> float | None:
        return max(self._heap[0][0], now) if self._heap else None

    def pop(self, now: float) -> Asking:  # noqa: ARG002 - the one due first, whenever
        return heapq.heappop(self._heap)[2]

    def hear(self, asking: Asking, outcome: PollOutcome, now: float) -> None: ...


def every(seconds: float) -> Blind:
    """Fixed intervals."""
    return Blind(lambda age: age + seconds)


def backing_off() -> Blind:
    """From a second on, each wait half as long again as the one before."""
    ages = [0.0]
    for n in range(60):
        ages.append(ages[-1] + 1.5**n)
    # Those asked late, for want of polls, go on from where they are.
    return Blind(lambda age: next(at for at in ages if at > age + 1e-3))


def at_halves(mixture: Mixture) -> Blind:
    """Whenever the chance that it is over since the last question is 1/2; it knows them all."""
    ages = [mixture.age_of(1.0 - 0.5**n) for n in range(1, 20)]
    return Blind(lambda age: next((at for at in ages if at > age + 1e-3), age * 1.5))


OTHERS: dict[str, Callable[[Mixture], Blind]] = {
    "chance of 1/2": at_halves,
    "every 1 s": lambda _: every(1.0),
    "every 5 s": lambda _: every(5.0),
    "every 10 s": lambda _: every(10.0),
    "back-off x1.5": lambda _: backing_off(),
}
