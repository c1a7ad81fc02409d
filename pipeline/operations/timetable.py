"""At which ages to ask for operations, from what is known of how long they take.

A question costs a place in the quota, a wait costs time: at a price of so many seconds a
question, the best age to ask next is found for every age last heard of, backwards from the oldest
(`best_plan`). The price is moved until an operation takes `_POLLS` questions. A threshold on the
chance alone would do as well for latencies around one value, but not around two, nor for a long
tail: it does not see that a question just before many are over is a question lost.

While next to nothing is known, and for the last operations of a run, the chance decides.
"""

import math
import operator
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

from msgspec import Struct

from pipeline.operations.latency import BINS, EDGES, Latency
from pipeline.operations.polling import RETENTION

_POLLS, _MOST_POLLS = 1.95, 1.98
_ENOUGH_KNOWN = 16
_CHANCE_AT_FIRST = 0.4
_CHANCE_BEYOND = 0.5
_CHANCE_AT_LAST = 0.1
_SOONEST = 0.25
_SOONEST_AT_LAST = 1.0
# Those who are asked at an age that nobody is known to have reached tell it to all others.
_GROWTH, _BEYOND = 4.0, 1.5
_SHARE_AT_LAST = 0.05
_NEARLY_EXPIRED = 60.0
_DEEP = 14.0
_NOTHING = 5e-4
_TRIES = 12
_FIRST_PRICE, _CHEAPER = 6.0, 0.97
_MIDDLES = tuple((a + b) / 2 for a, b in pairwise(EDGES))


def latest(age: float) -> float:
    """By which age an operation must be asked for that was last heard of at `age`.

    A quarter of what is left until it expires; after it has, of what has passed since.
    """
    return age + max(_NEARLY_EXPIRED, abs(RETENTION - age) / 4)


LATEST = tuple(latest(age) for age in EDGES)


class Plan(Struct, frozen=True):
    """For each edge the next one to ask at, up to `end`; how many questions that takes."""

    following: Sequence[int]
    end: int
    polls: float


def best_plan(sums: Sequence[float], price: float) -> Plan:
    """The plan that costs least, from the cumulative hazard at each edge (Bellman's recursion).

    What is left to pay from edge i on, in seconds and as seen from age 0, is

        W(i) = price S(i) + min over j > i of [ e(j) (S(i) - S(j)) - (M(j) - M(i)) + W(j) ]

    with S the share that still runs and M the sum of the ages at which the others ended: those
    that end between i and j wait until e(j).
    """
    alive = [math.exp(-hazard) for hazard in sums]
    ages = _ages_at_end(alive)
    end = _end(sums)
    cost, polls = [0.0] * (end + 1), [0.0] * (end + 1)
    following = list(range(1, end + 2))
    cost[end], polls[end] = 2 * price * alive[end], 2 * alive[end]
    for i in range(end - 1, -1, -1):
        if i + 1 < end and sums[i + 1] - sums[i] <= _NOTHING:
            following[i], cost[i], polls[i] = following[i + 1], cost[i + 1], polls[i + 1]
            continue
        least, best = math.inf, i + 1
        here, ages_here = alive[i], ages[i]
        # Who is heard of later is asked next later, or at the same age: the costs are Monge.
        for j in range(i + 1, min(following[i + 1], end) + 1):
            waits = EDGES[j] * (here - alive[j]) - ages[j] + ages_here
            if waits > least:
                break
            if waits + cost[j] < least:
                least, best = waits + cost[j], j
        following[i], cost[i], polls[i] = best, price * here + least, here + polls[best]
    return Plan(following, end, polls[0])


def _ages_at_end(alive: Sequence[float]) -> list[float]:
    """For each edge the sum of the ages at which operations ended before it."""
    ended = (before - after for before, after in pairwise(alive))
    return [0.0, *accumulate(map(operator.mul, _MIDDLES, ended))]


def _end(sums: Sequence[float]) -> int:
    """The last edge that a plan need know: hardly any operation ends after it."""
    deep = next((n for n in range(2, BINS) if sums[n] > _DEEP), BINS)
    return max((n for n in range(1, deep + 1) if sums[n] - sums[n - 1] > _NOTHING), default=1)


class Found(dict[int, float]):
    """What `find` tells of a bin, from when it is asked for on: most bins have no queue."""

    def __init__(self, find: Callable[[int], float]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, bin_: int) -> float:
        self[bin_] = found = self._find(bin_)
        return found


class Timetable:
    """At which age to ask for operations of one model, by the bin in which each was last heard of.

    Bin 0 is for those never heard of.
    """

    def __init__(self, latency: Latency) -> None:
        self._latency = latency
        self._price: float | None = None
        self._version = 0
        self._ages: Found | None = None
        self._gaps: Found | None = None

    def ages(self) -> Found:
        """The age to ask at, by the bin in which an operation was last heard of."""
        self._forget_if_old()
        if self._ages is None:
            self._ages = self._renewed()
        return self._ages

    def gaps(self) -> Found:
        """The same where nobody else needs the quota: how long after it was heard of, by bin."""
        self._forget_if_old()
        if self._gaps is None:
            self._gaps = Found(self._gap)
        return self._gaps

    def _forget_if_old(self) -> None:
        if self._version != self._latency.version:
            self._version = self._latency.version
            self._ages = self._gaps = None

    def _renewed(self) -> Found:
        if self._latency.known < _ENOUGH_KNOWN:
            return Found(lambda bin_: self._by_chance(bin_, _CHANCE_AT_FIRST))
        plan = self._plan()
        return Found(
            lambda bin_: (
                self._kept_within(bin_, EDGES[plan.following[bin_]])
                if bin_ < plan.end
                else self._by_chance(bin_, _CHANCE_BEYOND)
            )
        )

    def _plan(self) -> Plan:
        """The plan at the price at which an operation takes so many questions.

        As far as it takes a few more or less, the price is moved for the next plan.
        """
        sums = self._latency.sums
        price = self._price or self._latency.age_of(0.0, 0.5) / _FIRST_PRICE
        plan = best_plan(sums, price)
        for _ in range(_TRIES):
            if plan.polls <= _MOST_POLLS:
                break
            price *= (plan.polls / _POLLS) ** 2
            plan = best_plan(sums, price)
        self._price = price * max((plan.polls / _POLLS) ** 2, _CHEAPER)
        return plan

    def _by_chance(self, heard_in: int, chance: float) -> float:
        return self._kept_within(heard_in, self._latency.age_of(EDGES[heard_in], chance))

    def _kept_within(self, heard_in: int, age: float) -> float:
        """Never at once again; fourfold its age at most, or half as old again as is known of."""
        heard_at = EDGES[heard_in]
        soonest = (EDGES[heard_in + 1] if heard_in else 0.0) + _SOONEST
        longest = max(_GROWTH * max(heard_at, _SOONEST), _BEYOND * self._latency.reach)
        return min(max(age, soonest), max(longest, soonest), LATEST[heard_in])

    def _gap(self, heard_in: int) -> float:
        """Until it is a little likelier to be over, and by no more than a twentieth of its age."""
        heard_at = EDGES[heard_in]
        soon = self._latency.age_of(heard_at, _CHANCE_AT_LAST) - heard_at
        longest = _SHARE_AT_LAST * heard_at if heard_in else self._latency.reach
        return max(min(soon, longest), _SOONEST_AT_LAST)
