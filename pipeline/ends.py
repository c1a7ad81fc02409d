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
from itertools import accumulate, pairwise
from statistics import NormalDist

from pipeline.agenda import Flight
from pipeline.latency import BINS, Latency, position
from pipeline.polling import RETENTION

FAST, EVEN, SLOW = range(3)
"""How latencies are taken to go on beyond what is known."""

_NORMAL = NormalDist()
_AT_RISK = 5.0
# How steep it goes on is seen over so many bins: a doubling of the age.
_BACK = 8
# Who knows nothing expects the same chance in each bin, as `latency` does.
_PRIOR = 1.0 / 8
_MOST = 8.0
# Of the slow way so much is the lognormal one, the rest a constant chance.
_LEAN = 0.7
_FAR = 7.0
_FEW, _NEARLY_ONE = 0.03, 1.0 - 1e-12
_STEPS = 13
_LONGEST = math.log1p(RETENTION + 86400.0)
# The last operations are asked for when a tenth more of them are over, or a twentieth of their age
# later (`timetable`).
_LATE_CHANCE, _LATE_SHARE, _LEAST_LATE = 0.1, 0.05, 1.0


def beyond(latency: Latency) -> tuple[list[float], list[float], list[float]]:
    """Cumulative hazards at each edge, by what is known and each way to go on."""
    ended, at_risk = latency.evidence()
    last = max((n for n in range(BINS) if at_risk[n] >= _AT_RISK), default=0)
    known, lately = latency.sums[: last + 2], slice(max(last - _BACK + 1, 0), last + 1)
    constant = (sum(ended[lately]) + _PRIOR) / (sum(at_risk[lately]) + 1.0)
    constant = max(constant, _PRIOR)
    fast, slow = _lognormal(known, _steepest(known)), _lognormal(known, _last_slope(known))
    fast = [max(hazard, constant) for hazard in fast]
    slow = [max(hazard, constant) ** _LEAN * constant ** (1 - _LEAN) for hazard in slow]
    even = [math.sqrt(a * b) for a, b in zip(fast, slow, strict=True)]
    on, off = known[-1], known[:-1]
    return (
        [*off, *accumulate(fast, initial=on)],
        [*off, *accumulate(even, initial=on)],
        [*off, *accumulate(slow, initial=on)],
    )


def _lognormal(known: Sequence[float], slope: float) -> list[float]:
    """The hazards of all bins after the last edge known, at so many deviations a bin."""
    here = _deviation(known[-1])
    places = (here + slope * n for n in range(BINS - len(known) + 2))
    sums = [-math.log(_NORMAL.cdf(-place)) if place < _FAR else math.inf for place in places]
    return [min(b - a, _MOST) if b < math.inf else _MOST for a, b in pairwise(sums)]


def _last_slope(known: Sequence[float]) -> float:
    return (_deviation(known[-1]) - _deviation(known[max(len(known) - 1 - _BACK, 0)])) / _BACK


def _steepest(known: Sequence[float]) -> float:
    places = [_deviation(hazard) for hazard in known]
    return max(
        ((b - a) / _BACK for a, b in zip(places, places[_BACK:], strict=False)), default=0.0
    )


def _deviation(hazard: float) -> float:
    """At how many standard deviations a normal variable has that cumulative hazard."""
    return _NORMAL.inv_cdf(min(max(-math.expm1(-hazard), _FEW), _NEARLY_ONE))


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
        for _ in range(_STEPS):
            middle = (low + high) / 2
            is_over = self._log_chance(self._begin + math.expm1(middle), wanted, way) >= wanted
            low, high = (low, middle) if is_over else (middle, high)
        moment = self._begin + math.expm1((low + high) / 2)
        return moment + chance * self._delay(moment, way)

    def _log_chance(self, moment: float, enough: float, way: int) -> float:
        """The logarithm of the chance; some number below `enough` if it is."""
        total = 0.0
        for start, count in self._starts:
            total += count * math.log1p(-self._runs(moment - start, way))
            if total < enough:
                return total
        for flight in self._flights:
            total += flight.count * math.log1p(-self._still_runs(flight, moment, way))
            if total < enough:
                return total
        return total

    def _runs(self, age: float, way: int) -> float:
        """The share of operations to come that run at an age."""
        if age >= RETENTION:
            return 0.0
        sums = ((share, self._hazard(latency, age, way)) for share, latency in self._coming)
        return min(sum(share * math.exp(-hazard) for share, hazard in sums), _NEARLY_ONE)

    def _still_runs(self, flight: Flight, moment: float, way: int) -> float:
        """The chance that one runs at a moment that ran when it was last heard of."""
        age = flight.age + moment - self._now
        if age >= RETENTION:
            return 0.0
        lived = self._hazard(flight.latency, flight.since, way)
        hazard = self._hazard(flight.latency, age, way) - lived
        return min(math.exp(-hazard), _NEARLY_ONE)

    def _hazard(self, latency: Latency, age: float, way: int) -> float:
        sums, place = self._sums[id(latency)][way], position(age)
        bin_ = min(int(place), BINS - 1)
        return sums[bin_] + (place - bin_) * (sums[bin_ + 1] - sums[bin_])

    def _delay(self, moment: float, way: int) -> float:
        """How late at most the one is fetched that is over last."""
        if self._starts:
            latency, age = self._coming[0][1], moment - self._begin
        else:
            last = max(self._flights, key=lambda one: self._still_runs(one, moment, way))
            latency, age = last.latency, last.age + moment - self._now
        later = latency.age_of(age, _LATE_CHANCE) - age
        return max(min(later, _LATE_SHARE * age), _LEAST_LATE)
