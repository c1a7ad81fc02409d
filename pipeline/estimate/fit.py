"""What many rows come to, from some of them, and how far that may be off.

A quantity that goes with a row's size (tokens with characters, answers with prompts) is fitted by
a line over the rows that are known. The total of all rows follows from their number and their
summed size. Where the known rows are some of those asked about, their own part is certain, and
so is everything once all are known; where they are others, or are to be asked anew, each row's own
chance comes on top.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import NormalDist

_NORMAL = NormalDist()
# Lengths of answers are skewed, and an interval of Student's t then holds less often than it says:
# two fifths of the risk that is stated are what is aimed at.
_CAUTION = 0.4
_ENOUGH_FOR_A_SLOPE = 20
# One row must not make the slope alone.
_MOST_LEVERAGE = 0.5


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number that is not known exactly.

    `variance` is that of its error, itself known with so many degrees of `freedom`. On top comes
    something between `low` and `high` of which no chance is known.
    """

    centre: float = 0.0
    variance: float = 0.0
    freedom: float = math.inf
    low: float = 0.0
    high: float = 0.0

    def __add__(self, other: "Estimate") -> "Estimate":
        """The sum of two whose errors have nothing to do with each other (Satterthwaite)."""
        variance = self.variance + other.variance
        parts = ((one.variance, one.freedom) for one in (self, other))
        curvature = sum(part * part / freedom for part, freedom in parts)
        return Estimate(
            self.centre + other.centre,
            variance,
            variance * variance / curvature if curvature else math.inf,
            self.low + other.low,
            self.high + other.high,
        )

    def times(self, factor: float) -> "Estimate":
        return Estimate(
            self.centre * factor,
            self.variance * factor * factor,
            self.freedom,
            self.low * factor,
            self.high * factor,
        )

    @property
    def likely(self) -> float | None:
        """The number to expect; None where only a range is known."""
        return None if self.is_range else self.centre + self.low

    @property
    def is_range(self) -> bool:
        return self.high > self.low

    @property
    def is_exact(self) -> bool:
        return not self.variance and not self.is_range

    def half_width(self, confidence: float) -> float:
        """By how much it may be off, the range apart."""
        if not self.variance:
            return 0.0
        risk = (1.0 - confidence) * _CAUTION
        return t_quantile(1.0 - risk / 2, self.freedom) * math.sqrt(self.variance)

    def interval(self, confidence: float) -> tuple[float, float]:
        """What holds the true number with that confidence; never below zero."""
        width = self.half_width(confidence)
        return max(self.centre - width + self.low, 0.0), self.centre + width + self.high

    def relative(self, confidence: float) -> float:
        """Half of the interval's width, as a share of its middle."""
        low, high = self.interval(confidence)
        return (high - low) / (high + low) if high else 0.0


def total(parts: Iterable[Estimate]) -> Estimate:
    return sum(parts, Estimate())


@dataclass(frozen=True, slots=True)
class Fit:
    """The line of least squares through known rows, and how far these lie from it.

    `strays` are sums, over the known rows, of the squared distance from the line that goes through
    all others (which is longer than that from their own), times the 0th, 1st and 2nd power of
    x - mean_x. So the error is not told too small where large rows lie farther from the line, and
    few of them make its slope (the estimator HC3 of MacKinnon and White).
    """

    known: int
    mean_x: float
    mean_y: float
    slope: float
    sxx: float
    strays: tuple[float, float, float]
    freedom: float

    @classmethod
    def of(cls, pairs: Iterable[tuple[float, float]]) -> "Fit":
        """Fit (size, quantity) pairs, of which there must be one.

        No line with a slope is drawn through few rows, nor where one row alone would make it.
        """
        known = list(pairs)
        n = len(known)
        mean_x, mean_y = sum(x for x, _ in known) / n, sum(y for _, y in known) / n
        if n == 1:
            # One row tells nothing of the others: any may be twice as much, or nothing.
            return cls(1, mean_x, mean_y, 0.0, math.inf, (mean_y**2, 0.0, 0.0), 1)
        sxx = sum((x - mean_x) ** 2 for x, _ in known)
        farthest = max((x - mean_x) ** 2 for x, _ in known)
        if n < _ENOUGH_FOR_A_SLOPE or not sxx or 1 / n + farthest / sxx > _MOST_LEVERAGE:
            sxx = math.inf
        slope = sum((x - mean_x) * (y - mean_y) for x, y in known) / sxx
        strays = [0.0, 0.0, 0.0]
        for x, y in known:
            off = x - mean_x
            alone = 1.0 - 1 / n - off * off / sxx
            stray = ((y - mean_y - slope * off) / alone) ** 2
            for power in range(3):
                strays[power] += stray * off**power
        return cls(
            *(n, mean_x, mean_y, slope, sxx),
            (strays[0], strays[1], strays[2]),
            n - 1 - (sxx < math.inf),
        )

    @property
    def spread(self) -> float:
        """The variance of a row about the line."""
        return self.strays[0] / self.known

    def at(self, size: float) -> float:
        """What the line says of one row."""
        return max(self.mean_y + self.slope * (size - self.mean_x), 0.0)

    def scattered(self, relative: float) -> "Fit":
        """The same with a spread of so much of the squared mean at least.

        A few rows that lack the largest ones by chance show too small a mean and spread at once.
        """
        least = relative * self.mean_y**2
        if self.spread >= least or not self.spread:
            return self
        more = least / self.spread
        none, once, twice = self.strays
        return replace(self, strays=(none * more, once * more, twice * more))

    def among(self, count: int, sum_x: float) -> Estimate:
        """The total of `count` rows, the known ones among them, whose sizes sum to `sum_x`."""
        return self._total(count, sum_x, 1.0 - self.known / count, 0.0)

    def anew(self, count: int, sum_x: float) -> Estimate:
        """The total of so many other rows, or of the same ones asked again."""
        return self._total(count, sum_x, 1.0, count * self.spread)

    def _total(self, count: int, sum_x: float, unknown: float, own: float) -> Estimate:
        off = sum_x / count - self.mean_x
        each, along = 1 / self.known, off / self.sxx
        of_mean = (
            each**2 * self.strays[0]
            + 2 * each * along * self.strays[1]
            + along**2 * self.strays[2]
        )
        centre = count * (self.mean_y + self.slope * off)
        return Estimate(centre, count**2 * of_mean * unknown + own, self.freedom)


def t_quantile(chance: float, freedom: float) -> float:
    """Student's t at a chance above one half; with little freedom rather more than less.

    Series of Cornish and Fisher; for two degrees of freedom there is a closed form.
    """
    if freedom < 4:
        return (2 * chance - 1) / math.sqrt(2 * chance * (1 - chance))
    z = _NORMAL.inv_cdf(chance)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))
