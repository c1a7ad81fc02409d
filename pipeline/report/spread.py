"""How values of whole seconds are spread, in constant memory and to within 0.2 %. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field

# A value keeps so many binary digits: up to 1,023 it is exact.
_DIGITS = 10
_NICE = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)
_DOUBLING = (
    *(1, 2, 4, 8, 15, 30, 60, 120, 240, 480, 900, 1800, 3600, 7200, 14_400, 28_800),
    *(57_600, 115_200, 259_200),
)
# Where the longest are so many times the median, equal bins would put all others into one.
_HEAVY = 15


@dataclass(frozen=True, slots=True)
class Bin:
    """How many values are at least `first` and below `end`; without an `end`: all others."""

    first: int
    end: int | None
    count: int


@dataclass(slots=True)
class Spread:
    """Counts of values, none of them negative."""

    counts: dict[int, int] = field(default_factory=dict)

    def add(self, value: int) -> None:
        dropped = max(value.bit_length() - _DIGITS, 0)
        kept = value >> dropped << dropped
        self.counts[kept] = self.counts.get(kept, 0) + 1

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def below(self, percent: int) -> int | None:
        """The least value that so many percent of all do not exceed; None where there is none."""
        needed, so_far = self.total * percent, 0
        for value in sorted(self.counts):
            so_far += self.counts[value]
            if so_far * 100 >= needed:
                return value
        return None

    def bins(self, most: int) -> list[Bin]:
        """All values in bins that are equal, or double where the spread is wide."""
        if not self.counts:
            return []
        edges = list(self._edges(most))
        ends: list[int | None] = [*edges[1:], None]
        found = [
            Bin(first, end, self._between(first, end))
            for first, end in zip(edges, ends, strict=True)
        ]
        while found and not found[-1].count:
            found.pop()
        return found

    def _edges(self, most: int) -> Iterator[int]:
        middle, high = self.below(50) or 0, self.below(99) or 0
        least = min(self.counts)
        if high > _HEAVY * max(middle, 1):
            begin = max((edge for edge in _DOUBLING if edge <= least), default=0)
            yield begin
            yield from (edge for edge in _DOUBLING if begin < edge <= max(self.counts))
            return
        widest = -(-(high + 1 - least) // most)
        width = next((nice for nice in _NICE if nice >= widest), widest)
        begin = least - least % width
        yield from range(begin, high + width + 1, width)

    def _between(self, first: int, end: int | None) -> int:
        return sum(
            count
            for value, count in self.counts.items()
            if first <= value and (end is None or value < end)
        )
