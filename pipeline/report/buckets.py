"""Counts over time in constant memory: buckets, which are merged as time goes on. Pure.

Widths are the rungs of a ladder, each a multiple of the one before, and every bucket begins at a
multiple of its width since 1970. So neither the order in which moments come nor when buckets are
merged makes a difference in the end.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

WIDTHS = (1, 5, 15, 60, 300, 900, 3600, 10_800, 43_200, 86_400, 604_800, 31_449_600)
"""In seconds; the last is 52 weeks."""
_MOST = 4000
_A_MOMENT = 60


@dataclass(slots=True)
class Buckets:
    """How many moments fall into each bucket, by its first second; there are no empty ones."""

    most: int = _MOST
    width: int = WIDTHS[0]
    counts: dict[int, int] = field(default_factory=dict)

    def add(self, second: int, count: int = 1) -> None:
        counts, begin = self.counts, second - second % self.width
        counts[begin] = counts.get(begin, 0) + count
        while len(counts) > self.most and self.width < WIDTHS[-1]:
            self._widen(WIDTHS[WIDTHS.index(self.width) + 1])
            counts = self.counts

    def _widen(self, width: int) -> None:
        counts: dict[int, int] = {}
        for begin, count in self.counts.items():
            wider = begin - begin % width
            counts[wider] = counts.get(wider, 0) + count
        self.width, self.counts = width, counts

    def at_least(self, width: int) -> "Buckets":
        """The same in buckets of a rung that is no narrower."""
        copy = Buckets(self.most, self.width, dict(self.counts))
        if width > self.width:
            copy._widen(width)
        return copy

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def span(self) -> tuple[int, int] | None:
        """From the first second to the one after the last; None while there is nothing."""
        if not self.counts:
            return None
        return min(self.counts), max(self.counts) + self.width

    def quiet(self, longest: float) -> float:
        """Seconds without any, as far as a stretch of them is clearly longer than so many."""
        begins = sorted(self.counts)
        gaps = (after - before - self.width for before, after in pairwise(begins))
        return sum(gap - longest for gap in gaps if gap > longest + _A_MOMENT)

    def in_order(self) -> Iterator[tuple[int, int]]:
        yield from sorted(self.counts.items())


def width_for(seconds: int, most: int, least: int) -> int:
    """The narrowest rung, no narrower than `least`, of which `most` cover so many seconds."""
    return next((w for w in WIDTHS if w >= least and seconds <= w * most), WIDTHS[-1])
