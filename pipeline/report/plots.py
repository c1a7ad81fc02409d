"""Where bars, lines and words of a plot stand, in percent of its width and height. Pure.

Everything is a share of the plot, so that one page serves a phone and a wide screen while words
keep their size. Heights are counted from the top, as pages do.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

_PARTS = 4
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800)
_LONG_STEPS = (3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800)
_DAY = 86_400
_MOST_TICKS = 5
_GAP = 0.12


@dataclass(frozen=True, slots=True)
class Mark:
    """A word beside an axis."""

    at: float
    word: str


@dataclass(frozen=True, slots=True)
class Bar:
    """From its top down to the axis; `told` is what it stands for."""

    x: float
    y: float
    width: float
    height: float
    told: str


@dataclass(frozen=True, slots=True)
class Trace:
    """A line through points; `kind` says how it looks."""

    kind: str
    name: str
    points: Sequence[tuple[float, float]]

    @property
    def text(self) -> str:
        return " ".join(f"{x:.2f},{y:.2f}" for x, y in self.points)


@dataclass(frozen=True, slots=True)
class Plot:
    """One picture: `name` is told to who can't see it."""

    name: str
    bars: Sequence[Bar]
    traces: Sequence[Trace]
    along: Sequence[Mark]
    up: Sequence[Mark]
    legend: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from `low` to `high` as shares of a width."""

    low: float
    high: float

    def at(self, value: float) -> float:
        return 100 * (value - self.low) / (self.high - self.low)

    def share(self, value: float) -> float:
        return 100 * value / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Zone:
    """The time of day in which moments are told: seconds ahead of UTC."""

    ahead: int

    @property
    def name(self) -> str:
        hours, minutes = divmod(abs(self.ahead) // 60, 60)
        sign = "-" if self.ahead < 0 else "+"
        return f"UTC{sign}{hours:02}:{minutes:02}" if self.ahead else "UTC"

    def moment(self, second: float) -> str:
        """``2026-11-20 23:10:01``."""
        return datetime.fromtimestamp(int(second) + self.ahead, UTC).strftime("%Y-%m-%d %H:%M:%S")

    def marks(self, axis: Axis) -> Iterator[Mark]:
        """Moments at round times, few enough for a phone."""
        span = axis.high - axis.low
        steps = (*_STEPS, *_LONG_STEPS)
        step = next((s for s in steps if span / s <= _MOST_TICKS), _round(span / _MOST_TICKS))
        first = math.ceil((axis.low + self.ahead) / step) * step - self.ahead
        count = int((axis.high - first) // step) + 1
        for moment in (first + step * n for n in range(count)):
            yield Mark(axis.at(moment), self._word(moment, step))

    def _word(self, moment: float, step: float) -> str:
        local = int(moment) + self.ahead
        if step >= _DAY:
            return datetime.fromtimestamp(local, UTC).strftime("%m-%d")
        minutes, seconds = divmod(local % _DAY, 60)
        told = f"{minutes // 60:02}:{minutes % 60:02}"
        return f"{told}:{seconds:02}" if step % 60 else told


def heights(most: float) -> tuple[Axis, list[Mark]]:
    """An axis for counts from 0 to a round number, and its marks."""
    step = max(_round(most / _PARTS), 1)
    parts = max(math.ceil(most / step), 1)
    axis = Axis(0, step * parts)
    return axis, [Mark(100 - axis.at(step * n), f"{step * n:,.0f}") for n in range(parts + 1)]


def _round(value: float) -> float:
    """The next number up of the form 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1
    power = math.pow(10, math.floor(math.log10(value)))
    return next(power * nice for nice in (1, 2, 5, 10) if power * nice >= value)


def bar(along: Axis, up: Axis, first: float, end: float, value: float, told: str) -> Bar:
    """A bar between two values, with a little room beside it."""
    width = along.share(end - first)
    height = up.share(value)
    room = width * _GAP
    return Bar(along.at(first) + room / 2, 100 - height, width - room, height, told)


def line(
    along: Axis, up: Axis, points: Sequence[tuple[float, float]], kind: str, name: str
) -> Trace:
    return Trace(kind, name, [(along.at(x), 100 - up.at(y)) for x, y in points])
