"""By when all operations are over: the last of very many is later than any that was ever seen.

Up to ages at which several were at risk, the share that still runs is what was learned. Beyond,
two ways to go on are as good as each other while nobody has been there:

    fast   as the lognormal distribution that agrees with the last of what is known
    slow   with the same chance in each bin as in the last that are known

The end is told as early as the fast one allows and as late as the slow one does; the likely one is
between them.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from statistics import NormalDist

from pipeline.operations.agenda import Flight
from pipeline.operations.latency import BINS, Latency, position
from pipeline.operations.polling import RETENTION

FAST, EVEN, SLOW = range(3)
"""How latencies are taken to go on beyond what is known."""

_NORMAL = NormalDist()
_SQRT_HALF = math.sqrt(0.5)
_AT_RISK = 5.0
# How steep it goes on is seen over so many bins: a doubling of the age.
_BACK = 8
# Who knows nothing expects the same chance in each bin, as `latency` does.
_PRIOR = 1.0 / 8
_MOST = 8.0
# Of what goes on beyond: so many ends that were expected and met count for it from the start.
_BELIEVED = 10.0
# Of the slow way so much is the lognormal one, the rest a constant chance.
_LEAN = 0.7
_FAR = 7.0
_FEW, _NEARLY_ONE = 0.03, 1.0 - 1e-12
_STEPS = 13
_LONGEST = math.log1p(RETENTION + 86400.0)
# The last operations are asked for when a tenth more of them are over, or a twentieth of their age
# later (`timetable`).
_LATE_CHANCE, _LATE_SHARE, _LEAST_LATE = 0.1, 0.05, 1.0


_Sums = tuple[list[float], list[float], list[float]]


def beyond(latency: Latency) -> _Sums:
    """Cumulative hazards at each edge, by what is known and each way to go on."""
    return _beyond(latency, latency.version)


@lru_cache(maxsize=32)
def _beyond(latency: Latency, _version: int) -> _Sums:
    """Made anew when the latency's own hazards are: it takes half a millisecond."""
    ended, at_risk = latency.evidence()
    last = max((n for n in range(BINS) if at_risk[n] >= _AT_RISK), default=0)
    known, lately = latency.sums[: last + 2], slice(max(last - _BACK + 1, 0), last + 1)
    constant = (sum(ended[lately]) + _PRIOR) / (sum(at_risk[lately]) + 1.0)
    constant = max(constant, _PRIOR)
    places = [_deviation(hazard) for hazard in known]
    rest = BINS - len(known) + 2
    fast = _lognormal(places[-1], _steepest(places), rest)
    slow = _lognormal(places[-1], _last_slope(places), rest)
    fast = [max(hazard, constant) for hazard in fast]
    slow = [max(hazard, constant) ** _LEAN * constant ** (1 - _LEAN) for hazard in slow]
    fast, slow = (_as_met(way, ended[last + 1 :], at_risk[last + 1 :]) for way in (fast, slow))
    even = [math.sqrt(a * b) for a, b in zip(fast, slow, strict=True)]
    on, off = known[-1], known[:-1]
    return (
        [*off, *accumulate(fast, initial=on)],
        [*off, *accumulate(even, initial=on)],
        [*off, *accumulate(slow, initial=on)],
    )


def _as_met(
    hazards: Sequence[float], ended: Sequence[float], at_risk: Sequence[float]
) -> list[float]:
    """The same, less where the few that got so far ended less often than it would have them.

    A gamma distribution of its factor, updated by what was met.
    """
    expected = sum(n * hazard for n, hazard in zip(at_risk, hazards, strict=False))
    share = min((sum(ended) + _BELIEVED) / (expected + _BELIEVED), 1.0)
    return [share * hazard for hazard in hazards]


def _lognormal(here: float, slope: float, edges: int) -> list[float]:
    """The hazards of the bins between so many edges, from the last known at so many deviations."""
    places = (here + slope * n for n in range(edges))
    sums = [-math.log(_above(place)) if place < _FAR else math.inf for place in places]
    return [min(b - a, _MOST) if b < math.inf else _MOST for a, b in pairwise(sums)]


def _above(place: float) -> float:
    """The chance that a normal variable is more than so many standard deviations."""
    return 0.5 * math.erfc(place * _SQRT_HALF)


def _last_slope(places: Sequence[float]) -> float:
    return (places[-1] - places[max(len(places) - 1 - _BACK, 0)]) / _BACK


def _steepest(places: Sequence[float]) -> float:
    return max(
        ((b - a) / _BACK for a, b in zip(places, places[_BACK:], strict=False)), default=0.0
    )


def _deviation(hazard: float) -> float:
    """At how many standard deviations a normal variable has that cumulative hazard."""
    return _NORMAL.inv_cdf(min(max(-math.expm1(-hazard), _FEW), _NEARLY_ONE))


_Lived = tuple[float, float, list[float], float]
"""How many operations; their age now; cumulative hazards; that at which they were heard of."""


class Tail:
    """How likely it is that all answers are in by some moment.

    `flights` is a sample of the operations in flight. `coming` tells by share how long those to
    come will take; `starts` when they start, each with the number that it stands for.
    """

    def __init__(
        self,
        now: float,
        flights: Sequence[Flight],
        coming: Sequence[tuple[float, Latency]],
        starts: Sequence[tuple[float, int]],
    ) -> None:
        self._now, self._flights = now, flights
        self._coming, self._starts = coming if starts else (), starts
        self._begin = starts[0][0] if starts else now
        latencies = [*(f.latency for f in flights), *(latency for _, latency in self._coming)]
        self._sums = {id(one): beyond(one) for one in {id(one): one for one in latencies}.values()}

    @property
    def known(self) -> int:
        """How many operations are over of the model that is known best."""
        of_flights = max((flight.latency.known for flight in self._flights), default=0)
        return max([of_flights, *(latency.known for _, latency in self._coming)])

    def end(self, chance: float, way: int) -> float:
        """By when all is in, with that chance; the last one is fetched a little late."""
        wanted, low, high = math.log(chance), 0.0, _LONGEST
        under_way = self._under_way(way)
        for _ in range(_STEPS):
            middle = (low + high) / 2
            moment = self._begin + math.expm1(middle)
            is_over = self._log_chance(moment, wanted, way, under_way) >= wanted
            low, high = (low, middle) if is_over else (middle, high)
        moment = self._begin + math.expm1((low + high) / 2)
        return moment + chance * self._delay(moment, way)

    def _under_way(self, way: int) -> list[_Lived]:
        """What of the flights is the same at every moment."""
        return [
            (one.count, one.age, sums := self._sums[id(one.latency)][way], _at(sums, one.since))
            for one in self._flights
        ]

    def _log_chance(
        self, moment: float, enough: float, way: int, under_way: Sequence[_Lived]
    ) -> float:
        """The logarithm of the chance; some number below `enough` if it is."""
        total = 0.0
        for start, count in self._starts:
            total += count * math.log1p(-self._runs(moment - start, way))
            if total < enough:
                return total
        later = moment - self._now
        for weight, age, sums, lived in under_way:
            total += weight * math.log1p(-_still_runs(sums, lived, age + later))
            if total < enough:
                return total
        return total

    def _runs(self, age: float, way: int) -> float:
        """The share of operations to come that run at an age."""
        if age >= RETENTION:
            return 0.0
        running = 0.0
        for share, latency in self._coming:
            running += share * math.exp(-_at(self._sums[id(latency)][way], age))
        return min(running, _NEARLY_ONE)

    def _delay(self, moment: float, way: int) -> float:
        """How late at most the one is fetched that is over last."""
        if self._starts:
            latency, age = self._coming[0][1], moment - self._begin
        else:
            later = moment - self._now
            runs = [_still_runs(*one[2:], one[1] + later) for one in self._under_way(way)]
            last = self._flights[runs.index(max(runs))]
            latency, age = last.latency, last.age + later
        late = latency.age_of(age, _LATE_CHANCE) - age
        return max(min(late, _LATE_SHARE * age), _LEAST_LATE)


def _still_runs(sums: Sequence[float], lived: float, age: float) -> float:
    """The chance that one runs at an age that ran when it was last heard of."""
    if age >= RETENTION:
        return 0.0
    return min(math.exp(lived - _at(sums, age)), _NEARLY_ONE)


def _at(sums: Sequence[float], age: float) -> float:
    """The cumulative hazard at an age."""
    place = position(age)
    bin_ = int(place) if place < BINS else BINS - 1
    here = sums[bin_]
    return here + (place - bin_) * (sums[bin_ + 1] - here)
