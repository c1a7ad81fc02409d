"""The least delay that so many questions an operation allow, for one who knows the distribution.

The same recursion as `operations.timetable.best_plan`, over the true distribution and on a grid of
1 % steps, at a price of a question that is moved until the number of questions fits. Two such
plans may be mixed, so between two numbers of questions the optimum lies on the line.
"""

import math
from dataclasses import dataclass
from functools import cache
from random import Random
from statistics import NormalDist

_NORMAL = NormalDist()
_STEP = 1.01
_LEFT = 1e-6


@dataclass(frozen=True, slots=True)
class Mixture:
    """Latencies: of each part its share, median in seconds and sigma; each is lognormal."""

    parts: tuple[tuple[float, float, float], ...]

    def draw(self, chance: Random) -> float:
        _, median, sigma = chance.choices(self.parts, [share for share, _, _ in self.parts])[0]
        return median * math.exp(chance.gauss(0.0, sigma))

    def slower(self, factor: float) -> "Mixture":
        return Mixture(tuple((share, median * factor, s) for share, median, s in self.parts))

    def over_by(self, age: float) -> float:
        """The share of operations that are over at an age."""
        return sum(p * _NORMAL.cdf(math.log(age / median) / s) for p, median, s in self.parts)

    def age_of(self, share: float) -> float:
        """The age at which a share of operations is over, by bisection."""
        low, high = 1e-3, 1e9
        while high / low > 1 + 1e-9:
            middle = math.sqrt(low * high)
            low, high = (middle, high) if self.over_by(middle) < share else (low, middle)
        return high

    def ages_by(self, age: float) -> float:
        """The integral of t f(t) up to an age, in seconds."""
        return sum(
            p * median * math.exp(s * s / 2) * _NORMAL.cdf(math.log(age / median) / s - s)
            for p, median, s in self.parts
        )


@dataclass(frozen=True, slots=True)
class _Grid:
    ages: list[float]
    over: list[float]
    sums: list[float]


@cache
def _grid(mixture: Mixture) -> _Grid:
    age = min(median * math.exp(-4.5 * sigma) for _, median, sigma in mixture.parts)
    ages = [0.0]
    while not ages[-1] or 1.0 - mixture.over_by(ages[-1]) > _LEFT:
        ages.append(age)
        age *= _STEP
    over = [0.0, *(mixture.over_by(age) for age in ages[1:])]
    sums = [0.0, *(mixture.ages_by(age) for age in ages[1:])]
    return _Grid(ages, [*over[:-1], 1.0], sums)


@cache
def _best(mixture: Mixture, price: float) -> tuple[float, float]:
    """Questions and delay of the best plan at a price."""
    grid = _grid(mixture)
    ages, over, sums = grid.ages, grid.over, grid.sums
    last = len(ages) - 1
    cost, polls, delay = ([0.0] * (last + 1) for _ in range(3))
    for i in range(last - 1, -1, -1):
        least = math.inf
        for j in range(i + 1, last + 1):
            waits = ages[j] * (over[j] - over[i]) - (sums[j] - sums[i])
            if waits > least:
                break
            if waits + cost[j] < least:
                least = waits + cost[j]
                polls[i], delay[i] = 1.0 - over[i] + polls[j], waits + delay[j]
        cost[i] = least + price * (1.0 - over[i])
    return polls[0], delay[0]


@cache
def optimum(mixture: Mixture, polls: float) -> float | None:
    """The least mean delay at so many questions an operation; None beyond what is computed."""
    cheap, dear = 1e-3, 1e6
    for _ in range(36):
        price = math.sqrt(cheap * dear)
        if _best(mixture, price)[0] > polls:
            cheap = price
        else:
            dear = price
        if dear / cheap < 1.001:
            break
    (more, less_delay), (fewer, delay) = _best(mixture, cheap), _best(mixture, dear)
    if not fewer <= polls <= more or more == fewer:
        return None
    return delay + (less_delay - delay) * (polls - fewer) / (more - fewer)
