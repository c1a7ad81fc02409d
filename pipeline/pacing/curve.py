"""When each of the rows to come can be submitted, and how fast rows really were."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from pipeline.pacing.margin import held_for
from pipeline.pacing.window import Window

_POINTS = 48
_FORGOTTEN_AFTER = 1800.0
_RECENT = 120.0
# Of fewer rows no pace is told, but after a while: so few may be chance.
_ENOUGH_SEEN, _ENOUGH_ROWS, _LONG_SEEN = 10.0, 10, 60.0


class Curve:
    """When each of the next rows can be submitted; the first of them is row 0.

    A row starts no sooner than each window's limit of rows before it, plus its period. This is
    followed over two turns of the window that is slowest in the long run, at some fifty points of
    each, counted from the last row, so that this one is exact; from there on turns are alike.
    """

    def __init__(
        self,
        windows: Sequence[Window],
        now: float,
        rows: int,
        *,
        begin: float = 0.0,
        apart: float = 0.0,
    ) -> None:
        """Nothing starts before `begin`; rows are at least `apart` seconds from each other."""
        self._windows = [(w, w.rate.limit, held_for(w.seconds)) for w in windows]
        self._now, self._begin, self._apart = now, max(begin, now), apart
        each = [(period / limit, limit) for _, limit, period in self._windows]
        slowest, self._limit = max(each, default=(0.0, rows))
        self._turn = self._limit * max(slowest, apart)
        last = rows - 1 - max((rows - 1) // self._limit - 1, 0) * self._limit
        inside = min(self._limit, last + 1)
        offsets = range(0, inside, math.ceil(inside / _POINTS))
        found = {last - turn * self._limit - offset for turn in range(3) for offset in offsets}
        self._rows = sorted({0, *(row for row in found if row >= 0)})
        self._starts = [self._first()]
        for before, row in zip(self._rows, self._rows[1:], strict=False):
            self._starts.append(self._start(row, row - before))

    def at(self, row: int) -> float:
        """When a row can start."""
        turns = max(math.ceil((row - self._rows[-1]) / self._limit), 0)
        return self._between(row - turns * self._limit) + turns * self._turn

    def _first(self) -> float:
        return max([self._begin, *(w.place_at(0, self._now) for w, _, _ in self._windows)])

    def _start(self, row: int, since: int) -> float:
        """Of a row that is `since` rows after the one whose start is known last."""
        before = self._starts[-1]
        start = before + since * self._apart
        for window, limit, period in self._windows:
            if row < limit:
                start = max(start, window.place_at(row, self._now))
            elif since < limit:
                start = max(start, self._between(row - limit) + period)
            if since >= limit:
                start = max(start, before + since * period / limit)
        return start

    def _between(self, row: int) -> float:
        place = bisect_left(self._rows, row)
        if self._rows[place] == row:
            return self._starts[place]
        low, high = self._rows[place - 1], self._rows[place]
        begin, end = self._starts[place - 1], self._starts[place]
        return begin + (end - begin) * (row - low) / (high - low)


class Achieved(Struct, frozen=True):
    """Rows a second that were submitted while `hindrance` held them up, seen with so many rows."""

    per_second: float
    rows: float
    hindrance: str | None


@dataclass(slots=True)
class _Seen:
    rows: float = 0.0
    seconds: float = 0.0
    lately: float = 0.0
    by: dict[str | None, float] = field(default_factory=dict)

    def add(self, seconds: float, rows: int, hindrance: str | None) -> None:
        self.rows += rows
        self.seconds += seconds
        self.lately += min(seconds, _RECENT)
        self.by[hindrance] = self.by.get(hindrance, 0.0) + seconds

    def fade(self, seconds: float) -> None:
        share = math.exp(-seconds / _FORGOTTEN_AFTER)
        self.rows, self.seconds = self.rows * share, self.seconds * share
        self.lately *= math.exp(-seconds / _RECENT)
        self.by = {hindrance: time * share for hindrance, time in self.by.items()}


class Tempo:
    """How fast rows are submitted where the run's own long windows would let them.

    Looked at now and then; older looks count less, after half an hour 1/e. A steady hindrance is
    kept apart from those that come and go: a run begins fast, until as many operations are in
    flight as may be, and from then on another rate holds.
    """

    def __init__(self) -> None:
        self._seen: dict[bool, _Seen] = {}
        self._last: tuple[float, int, bool] | None = None

    def look(
        self, now: float, submitted: int, hindrance: str | None, *, is_free: bool, is_steady: bool
    ) -> None:
        """`submitted` rows need no POST any more; `is_free`: no long window holds any up."""
        last, self._last = self._last, (now, submitted, is_free)
        if last is None or not (is_free and last[2]) or now <= last[0]:
            return
        for seen in self._seen.values():
            seen.fade(now - last[0])
        # Rows that are to be submitted again, their operations being lost, set nothing back.
        rows = max(submitted - last[1], 0)
        self._seen.setdefault(is_steady, _Seen()).add(now - last[0], rows, hindrance)

    def achieved(self) -> Achieved | None:
        """As it was lately; None while that was not seen for long enough."""
        seen = max(self._seen.values(), key=lambda seen: seen.lately, default=None)
        if seen is None or seen.seconds < _ENOUGH_SEEN:
            return None
        if seen.rows < _ENOUGH_ROWS and seen.seconds < _LONG_SEEN:
            return None
        named = {by: time for by, time in seen.by.items() if by is not None}
        hindrance = max(named, key=lambda by: named[by], default=None)
        return Achieved((seen.rows + 0.5) / seen.seconds, seen.rows, hindrance)
