"""How long operations take: learned from those that are over, and from those that still run.

Ages are divided into bins, each 9 % longer than the one before. Each bin has two weights: of the
operations that ended in it, and of those that were at risk in it, that is of the bins or parts
of bins that they are known to have lived through. Their quotient is the bin's hazard (Kaplan and
Meier's estimate, with exposures that may be parts of a bin). So an operation that still ran when
it was asked for is evidence as good as one that is over, and a slow service is not taken for a
fast one whose slow operations have not arrived yet. Old evidence fades.

The service stamps whole seconds by its own clock: the difference of two stamps is true to within a
second, and when we last heard that the operation ran, and first that it was over, bounds it too.
Where an operation ended between two ages is shared out by what is known already.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise

from pipeline.codec import Json

_SHORTEST = 0.125
_PER_DOUBLING = 8
BINS = _PER_DOUBLING * 22 + 1
EDGES: tuple[float, ...] = (0.0, *(_SHORTEST * math.exp2(n / _PER_DOUBLING) for n in range(BINS)))
"""The ages in seconds between which bins lie; the last is 6 days, when all is over."""

# After so many operations have ended, what was known before weighs 1/e.
_FADES_AFTER = 700.0
# Who knows nothing expects the same chance in each bin: 63 % before an age has doubled.
_PRIOR = 1.0 / _PER_DOUBLING
_PRIOR_WEIGHT = 1.0
# Where evidence is thin, bins around have a say: so many operations' worth, less from bin to bin.
_AROUND_WEIGHT = 80.0
_AROUND = 0.4
_LEAST, _MOST = 1e-6, 8.0
_NOTHING = 1e-12
# Hazards are made of the weights anew once what is new is such a share of all that was heard (an
# estimate from n changes by 1/n with each); that costs a millisecond, so it is bounded.
_NEWS = 1 / 64
_RENEWED_AFTER = 200
# The cumulative hazard at which all but one in a hundred are over.
_ALMOST_ALL = -math.log(0.01)
# Of an operation's weight: so much of a bin lived through is evidence.
_ENOUGH = 0.5
_HEAVY = 1e6
# What another process learned counts for so many operations at most: the service may have changed.
_REMEMBERED = 100.0
_MOST_REMEMBERED = 1e6


def position(age: float) -> float:
    """Where an age in seconds stands among the edges: 2.5 is in the middle of bin 2."""
    if age < _SHORTEST:
        return max(age, 0.0) / _SHORTEST
    place = 1.0 + _PER_DOUBLING * math.log2(age / _SHORTEST)
    return place if place < BINS else float(BINS)


def age_at(place: float) -> float:
    """The age at a position."""
    if place < 1.0:
        return max(place, 0.0) * _SHORTEST
    return _SHORTEST * math.exp2((min(place, float(BINS)) - 1.0) / _PER_DOUBLING)


class Latency:
    """What is known of how long the operations of one model take.

    `sums` holds the cumulative hazard at each edge, `reach` the age by which all but one in a
    hundred were over; while more than that still run, the oldest age known of any. Both are
    renewed now and then; `version` counts how often. `known` counts operations that are over.
    """

    def __init__(self) -> None:
        self._ended = [0.0] * BINS
        self._partly = [0.0] * BINS
        # Whole bins lived through, as differences: an operation is added at both ends alone.
        self._wholly = [0.0] * (BINS + 1)
        self._weight = 1.0
        self._heard = 0
        self._fresh = 0
        self._hazards: list[float] = []
        self.sums: list[float] = []
        self.reach = 0.0
        self.known = 0
        self.version = 0
        self._renew()

    def still_ran(self, since: float, age: float) -> None:
        """An operation known to run at age `since` was found running at `age`."""
        self._expose(position(since), position(age), self._weight)
        self._learned()

    def ended(self, since: float, age: float, told: float | None = None) -> None:
        """An operation known to run at age `since` was found to be over at `age`.

        `told` is how many seconds it took by the service's own stamps, if they say.
        """
        low, high, told = _bounds(since, age, told)
        first, begin, end = position(since), position(low), position(high)
        self._expose(first, begin, self._weight)
        if end - begin <= 1.0:
            self._end_within(begin, end, self._weight)
        else:
            self._share_out(begin, end, told)
        self.known += 1
        self._weight *= 1.0 + 1.0 / _FADES_AFTER
        if self._weight > _HEAVY:
            self._lighten()
        self._learned()

    def hazard(self, since: float, age: float) -> float:
        """The cumulative hazard between two ages: grows with the chance, and takes less time."""
        return self._sum_at(position(age)) - self._sum_at(position(since))

    def chance(self, since: float, age: float) -> float:
        """P(it is over by `age`, if it still ran at `since`)."""
        return -math.expm1(-max(self.hazard(since, age), 0.0))

    def evidence(self) -> tuple[list[float], list[float]]:
        """By bin how many ended in it, and how many were at risk in it, as far as not faded."""
        ended = [weight / self._weight for weight in self._ended]
        return ended, [weight / self._weight for weight in self._at_risk()]

    def age_of(self, since: float, chance: float) -> float:
        """At which age that chance is reached; the last edge if never."""
        target = self._sum_at(position(since)) - math.log1p(-chance)
        if target >= self.sums[BINS]:
            return EDGES[BINS]
        bin_ = bisect_right(self.sums, target) - 1
        return age_at(bin_ + (target - self.sums[bin_]) / self._hazards[bin_])

    def _expose(self, start: float, end: float, weight: float) -> None:
        if end <= start:
            return
        first, last = int(start), int(end)
        if first == last:
            self._partly[first] += weight * (end - start)
            return
        self._partly[first] += weight * (first + 1 - start)
        self._wholly[first + 1] += weight
        self._wholly[last] -= weight
        if last < BINS:
            self._partly[last] += weight * (end - last)

    def _end_within(self, begin: float, end: float, weight: float) -> None:
        """It ended somewhere in a stretch no longer than a bin: in its middle, say."""
        middle = (begin + end) / 2
        self._expose(begin, middle, weight)
        self._ended[min(int(middle), BINS - 1)] += weight

    def _share_out(self, begin: float, end: float, told: float | None) -> None:
        """It ended in one of several bins: a part of it in each, by its probability.

        That is what is expected already, times how well each age agrees with the stamps.
        """
        cuts = [begin, *range(math.floor(begin) + 1, math.ceil(end)), end]
        masses = [
            max(self._alive(a) - self._alive(b), _NOTHING) * _fit(age_at((a + b) / 2), told)
            for a, b in pairwise(cuts)
        ]
        left, unit = self._weight, self._weight / sum(masses)
        for a, b, mass in zip(cuts, cuts[1:], masses, strict=False):
            left = max(left - mass * unit, 0.0)
            self._end_within(a, b, mass * unit)
            self._expose(a, b, left)

    def _alive(self, place: float) -> float:
        return math.exp(-self._sum_at(place))

    def _sum_at(self, place: float) -> float:
        bin_ = int(place)
        if bin_ >= BINS:
            return self.sums[BINS]
        return self.sums[bin_] + (place - bin_) * self._hazards[bin_]

    def _lighten(self) -> None:
        """New evidence weighs ever more, which is how the old fades; start from 1 again."""
        for weights in (self._ended, self._partly, self._wholly):
            weights[:] = [weight / self._weight for weight in weights]
        self._weight = 1.0

    def _learned(self) -> None:
        self._heard += 1
        self._fresh += 1
        if self._fresh >= min(self._heard * _NEWS, _RENEWED_AFTER):
            self._renew()

    def _at_risk(self) -> list[float]:
        whole = accumulate(self._wholly[:BINS])
        # What was added at one end and taken away at the other need not cancel to the last bit.
        return [max(part + bins, 0.0) for part, bins in zip(self._partly, whole, strict=True)]

    def _renew(self) -> None:
        """Make hazards of the weights: sqrt(n) of noise in a bin, less where bins around agree."""
        self._fresh = 0
        self.version += 1
        at_risk = self._at_risk()
        self._hazards = _hazards(self._ended, at_risk, self._weight)
        self.sums = [0.0, *accumulate(self._hazards)]
        almost = EDGES[bisect_right(self.sums, _ALMOST_ALL, hi=BINS)]
        self.reach = min(almost, self._heard_of(at_risk))

    def _heard_of(self, at_risk: Sequence[float]) -> float:
        """The oldest age of which there is evidence that has not faded."""
        enough = _ENOUGH * self._weight
        return EDGES[next((n for n in range(BINS, 0, -1) if at_risk[n - 1] >= enough), 0)]

    # What survives a restart.

    def state(self) -> dict[str, Json]:
        """What was learned, as JSON, with three digits."""
        scale = 1.0 / self._weight
        return {
            "known": self.known,
            "ended": [float(f"{weight * scale:.3g}") for weight in self._ended],
            "at_risk": [float(f"{weight * scale:.3g}") for weight in self._at_risk()],
        }

    @classmethod
    def of(cls, state: Json) -> "Latency":
        """What another process learned, at the weight of a few; nothing of what makes no sense."""
        latency = cls()
        fields = state if isinstance(state, dict) else {}
        known = fields.get("known")
        ended, at_risk = _weights(fields.get("ended")), _weights(fields.get("at_risk"))
        if ended is None or at_risk is None or not isinstance(known, int) or known <= 0:
            return latency
        scale = min(1.0, _REMEMBERED / max(*at_risk, *ended, 1.0))
        latency._ended = [weight * scale for weight in ended]
        latency._partly = [weight * scale for weight in at_risk]
        latency._heard = latency.known = min(known, int(_REMEMBERED))
        latency._renew()
        return latency


def _bounds(since: float, age: float, told: float | None) -> tuple[float, float, float | None]:
    """Between which ages it ended: by the stamps, within what we saw; if these disagree, by that.

    A skewed clock moves both stamps alike; they disagree where the POST's answer took long. What
    the stamps told is returned if it is believed.
    """
    age = max(age, since)
    if told is not None and told >= 0:
        low, high = max(since, told - 1.0), min(age, told + 1.0)
        if low < high:
            return low, high, told
    return since, age, None


def _fit(age: float, told: float | None) -> float:
    """How well an age agrees with stamps of whole seconds: a triangle, since both were cut off."""
    return 1.0 if told is None else max(1.0 - abs(age - told), 0.02)


def _hazards(ended: Sequence[float], at_risk: Sequence[float], weight: float) -> list[float]:
    prior, prior_weight = _PRIOR * _PRIOR_WEIGHT * weight, _PRIOR_WEIGHT * weight
    around_weight, nothing = _AROUND_WEIGHT * weight, _NOTHING * weight
    hazards = []
    around = zip(_around(ended), _around(at_risk), strict=True)
    for deaths, lives, (near, near_lives) in zip(ended, at_risk, around, strict=True):
        # As calls, min and max would take longer than all the rest.
        share = around_weight if around_weight < near_lives else near_lives  # noqa: FURB136
        borrowed = share * near / (near_lives + nothing)
        hazard = (deaths + borrowed + prior) / (lives + share + prior_weight)
        hazards.append(hazard if _LEAST < hazard < _MOST else min(max(hazard, _LEAST), _MOST))
    return hazards


def _around(weights: Sequence[float]) -> list[float]:
    """For each bin the weights of it and of those on both sides, each less than the one before."""
    ahead, behind = _faded(weights), _faded(weights[::-1])[::-1]
    return [a + b - own for a, b, own in zip(ahead, behind, weights, strict=True)]


def _faded(weights: Sequence[float]) -> list[float]:
    sum_, sums = 0.0, []
    for weight in weights:
        sum_ = sum_ * _AROUND + weight
        sums.append(sum_)
    return sums


def _weights(value: Json) -> list[float] | None:
    """Weights as `state` writes them; None where it did not."""
    if not isinstance(value, list) or len(value) != BINS:
        return None
    numbers = [
        float(weight)
        for weight in value
        if isinstance(weight, int | float) and 0.0 <= weight <= _MOST_REMEMBERED
    ]
    return numbers if len(numbers) == BINS else None
