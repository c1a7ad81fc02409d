"""The few rows of which there is most of something, however many rows there are. Pure."""

from dataclasses import dataclass, field
from heapq import heappop, heappush

from pipeline import codec
from pipeline.day import Day

_MOST = 10
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Cited:
    """A row, and the beginning of what it ended with."""

    line: int
    id: str
    text: str
    model: str
    day: Day | None
    input_tokens: int | None
    completion_tokens: int | None
    seconds: int | None


@dataclass(slots=True)
class Shortlist:
    """Rows with the largest values; of those that are alike, the earliest lines of the input."""

    most: int = _MOST
    _heap: list[tuple[float, int, str, Cited]] = field(default_factory=list)

    def admits(self, value: float) -> bool:
        """Whether it may be one of them; for most rows it is not."""
        return len(self._heap) < self.most or value >= self._heap[0][0]

    def admits_line(self, value: float, line: int) -> bool:
        """Whether it is one of them so far."""
        return len(self._heap) < self.most or (value, -line) > self._heap[0][:2]

    def add(self, value: float, row: Cited) -> None:
        if not self.admits_line(value, row.line):
            return
        heappush(self._heap, (value, -row.line, repr(row), row))
        if len(self._heap) > self.most:
            heappop(self._heap)

    def rows(self) -> list[Cited]:
        """The largest first."""
        return [row for *_, row in sorted(self._heap, key=lambda e: e[:3], reverse=True)]


def beginning(text: object) -> str:
    """The first words of what came as an answer or a message, on one line."""
    said = text if isinstance(text, str) else codec.encode(text).decode("utf-8", "replace")
    # More than is shown, in case much of it is white space.
    words = " ".join(said[: 4 * _LONGEST].split())
    is_all = len(words) <= _LONGEST and len(said) <= 4 * _LONGEST
    return words if is_all else words[: _LONGEST - 1] + "…"
