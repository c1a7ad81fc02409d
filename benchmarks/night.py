"""A night in virtual time: events in order, the service's exact quota, a network, other users.

Moments are seconds, those of the service's clock; a process reads a clock of its own.
"""

import heapq
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import count
from random import Random

from pipeline.api.outcomes import Throttled
from pipeline.api.wire import read_submit
from pipeline.codec import encode
from pipeline.emulator.quota import Quota
from pipeline.emulator.refusals import OverQuota
from pipeline.pacing.gate import Throttle
from pipeline.pacing.rates import Rate

EVENING = 1_790_000_000.0


class Time:
    """Virtual time: what is to be done at its moments."""

    def __init__(self, start: float = EVENING) -> None:
        self.now = start
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()

    def at(self, moment: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (moment, next(self._number), action))

    def run(self, until: float) -> None:
        """Do everything that is due before that moment."""
        heap = self._heap
        while heap and heap[0][0] < until:
            self.now, _, action = heapq.heappop(heap)
            action()
        self.now = until


class Service:
    """The service's side: every call is judged at the moment of its arrival."""

    def __init__(self, rates: tuple[Rate, ...], time: Time) -> None:
        self.quota = Quota("textGenerationAsyncCompletionRequests", rates)
        self._time = time

    @property
    def times(self) -> "array[float]":
        """When each accepted call came, whoever sent it."""
        return self.quota.times

    def judge(self) -> Throttle | None:
        """Accept a call that arrives now, or say what its 429 says."""
        try:
            self.quota.admit(self._time.now)
        except OverQuota as refusal:
            return _as_read(refusal, self._time.now)
        return None


def _as_read(refusal: OverQuota, now: float) -> Throttle:
    body = encode({"error": str(refusal), "code": refusal.code, "message": str(refusal)})
    outcome = read_submit(refusal.status, {}, body, now)
    assert isinstance(outcome, Throttled)  # noqa: S101 - that is what a 429 is read as
    return outcome.throttle


@dataclass(frozen=True, slots=True)
class Network:
    """Each way takes `base` seconds and up to `jitter` more, evenly spread."""

    base: float = 0.03
    jitter: float = 0.0

    def travel(self, chance: Random) -> float:
        return self.base + self.jitter * chance.random() if self.jitter else self.base


class Stranger:
    """Somebody else's calls in the same folder, evenly spread by chance and never tried again.

    `hours` are those in which it is there; `an_hour` is how many calls it makes in one.
    """

    def __init__(
        self, time: Time, service: Service, an_hour: float, hours: tuple[float, float], seed: int
    ) -> None:
        self._time = time
        self._service = service
        self._per_second = an_hour / 3600.0
        self._chance = Random(seed)
        self._leaves = EVENING + hours[1] * 3600.0
        self.accepted = array("d")
        self.refused = 0
        self._next(EVENING + hours[0] * 3600.0)

    def _next(self, after: float) -> None:
        moment = after + self._chance.expovariate(self._per_second)
        if moment < self._leaves:
            self._time.at(moment, self._call)

    def _call(self) -> None:
        if self._service.judge() is None:
            self.accepted.append(self._time.now)
        else:
            self.refused += 1
        self._next(self._time.now)


@cache
def omniscient(rates: tuple[Rate, ...], seconds: float) -> "array[float]":
    """When calls arrive from a client that wastes nothing, in seconds from its first.

    As early as possible, each of them: nobody can have had more accepted by any moment.
    """
    times = array("d", [0.0])
    while times[-1] < seconds:
        at = len(times)
        full = [(rate, at - rate.limit) for rate in rates if at >= rate.limit]
        times.append(max((times[n] + rate.seconds for rate, n in full), default=times[-1]))
    times.pop()
    return times


def busiest(moments: Iterable[float], seconds: float) -> int:
    """The most moments that any stretch of so many seconds holds."""
    ordered = sorted(moments)
    return max(
        (n + 1 - bisect_left(ordered, at - seconds) for n, at in enumerate(ordered)), default=0
    )
