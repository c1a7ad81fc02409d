"""How much of its quota a process used, told once it is over: a count, and two comparisons.

What a window held at most is compared with its limit; calls of earlier processes that it still
held are among them. And the time from the first call to the last is compared with what the
windows, as they stood before the first, would have made it at least. That is told only where they
are what they were, all the time and without a pause: nobody knows what a quota allowed that
changed on the way. Of windows those are told of that are in force at the end.
"""

from msgspec import Struct

from pipeline.codec import Json
from pipeline.pacing.curve import Curve
from pipeline.pacing.pace import Pace
from pipeline.pacing.quota import SHORT
from pipeline.pacing.rates import Rate
from pipeline.pacing.window import Window
from pipeline.wording import so_many

# In less than that the first call, which goes alone, is most of what can be seen.
_ENOUGH_SECONDS = 10.0


class Fullest(Struct, frozen=True):
    """What one window held at most, and its limit then."""

    rate: Rate
    used: int


class Use(Struct, frozen=True):
    """What came of it: calls, the fullest windows, and the share of what was possible, if known.

    `share` is 0 to 1.
    """

    calls: int = 0
    windows: tuple[Fullest, ...] = ()
    share: float | None = None

    def to_json(self) -> Json:
        return {
            "count": self.calls,
            "share": None if self.share is None else round(self.share, 4),
            "windows": [
                {"rate": str(full.rate), "limit": full.rate.limit, "used": full.used}
                for full in self.windows
            ],
        }

    @property
    def words(self) -> str:
        """For people, of submits; windows of seconds are full again and again, and left out."""
        told = [so_many(self.calls, "submit")]
        long = (full for full in self.windows if full.rate.seconds > SHORT)
        told += [f"at the fullest {full.used:,} of {full.rate.words}" for full in long]
        if self.share is not None:
            told.append(f"{100 * self.share:.1f} % of what the rates allow")
        return ", ".join(told)


class Meter:
    """Sees the calls of one pace leave."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._calls = 0
        self._first: float | None = None
        self._last = 0.0
        self._before: list[Window] = []
        self._fullest: dict[float, Fullest] = {}
        self._is_even = True

    def left(self, now: float) -> None:
        """A call leaves."""
        if self._first is None:
            self._first = now
            self._before = [_as_it_stands(window, now) for window in self._pace.windows]
        self._calls += 1
        self._last = now

    def answered(self, now: float) -> None:
        """One has come to its end: by then what was not sent has given its places back."""
        self._look(now)

    def _look(self, now: float) -> None:
        for window in self._pace.windows:
            taken, known = window.taken(now), self._fullest.get(window.seconds)
            if known is None or taken > known.used:
                self._fullest[window.seconds] = Fullest(window.rate, taken)

    def disturb(self) -> None:
        """Somebody pauses the run, or changes its rates: there is nothing to compare it with."""
        self._is_even = False

    def undone(self) -> None:
        """A call did not reach the service."""
        self._calls -= 1

    def use(self) -> Use:
        """What came of it by now, when nothing is under way but what is never answered."""
        self._look(self._last)
        # One that was in force for a while saw that while alone.
        stay = {window.seconds for window in self._pace.windows}
        full = tuple(full for seconds, full in self._fullest.items() if seconds in stay)
        return Use(self._calls, full if self._calls else (), self._share())

    def _share(self) -> float | None:
        before = [window.rate for window in self._before]
        is_even = self._is_even and before == list(self._pace.rates)
        if self._first is None or self._calls < 1 or not is_even:
            return None
        curve = Curve(self._before, self._first, self._calls)
        least = curve.at(self._calls - 1) - self._first
        if least < _ENOUGH_SECONDS:
            return None
        return least / max(self._last - self._first, least)


def _as_it_stands(window: Window, now: float) -> Window:
    copy = Window(window.rate)
    copy.restore(window.ended(now))
    return copy
