"""What the answers of a run cost each, as learned so far, and what more of them will. Pure."""

import math
from dataclasses import dataclass

# Of fewer no mean is told.
_ENOUGH = 50
# Of a normal distribution: 95 % are within.
_SPREAD = 1.96


@dataclass(slots=True)
class Answers:
    """How many there were, the sum of what they cost, and the sum of squares.

    `worst`: the most that one of the rows set aside for can cost; 0 while there was no limit.
    """

    count: int = 0
    sum: float = 0.0
    squares: float = 0.0
    worst: float = 0.0

    def add(self, cost: float) -> None:
        self.count += 1
        self.sum += cost
        self.squares += cost * cost

    @property
    def mean(self) -> float | None:
        """None while little is known."""
        return self.sum / self.count if self.count >= _ENOUGH else None

    def of(self, more: int) -> tuple[float, float] | None:
        """What so many more will cost, and how far off that may be; None while little is known."""
        mean = self.mean
        if mean is None:
            return None
        variance = max(self.squares / self.count - mean * mean, 0.0)
        off = math.sqrt(variance * (more + more * more / self.count))
        return mean * more, _SPREAD * off
