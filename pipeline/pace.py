"""How fast we may ask: sliding windows that hold where the service counts; the gate of a 429."""

import math
import re
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.purse import AHEAD, Purse, Statement

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST_WINDOW = 86400.0
_PERIODS = {1.0: "a second", 60.0: "a minute", 3600.0: "an hour", 86400.0: "a day"}
_RATE = re.compile(r"(\d+)/(\d*)([smhd])")


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `limit` calls in any stretch of `seconds`."""

    limit: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """Read ``10/s``, ``5000/h`` or ``100/20s``.

        Raises:
            ValueError: not of that form, or zero.

        """
        match = _RATE.fullmatch(text.strip())
        if match is None or int(match[1]) == 0 or match[2].strip("0") == "" != match[2]:
            raise ValueError(f"{text!r} is not a rate: write 10/s, 5000/h or 100/20s")
        if len(match[1]) > 6:
            raise ValueError(f"{text!r} is not a rate: 999999 is the most; none lifts a limit")
        seconds = float(match[2] or 1) * _UNITS[match[3]]
        if seconds > LONGEST_WINDOW:
            raise ValueError(f"{text!r} is not a rate: a window is a day at most")
        return cls(int(match[1]), seconds)

    @property
    def words(self) -> str:
        """As people say it: ``5,000 an hour``."""
        period = _PERIODS.get(self.seconds, f"in {self.seconds:g} s")
        return f"{self.limit:,} {period}"

    def __str__(self) -> str:
        for unit, seconds in reversed(_UNITS.items()):
            if self.seconds % seconds == 0:
                count = int(self.seconds // seconds)
                return f"{self.limit}/{'' if count == 1 else count}{unit}"
        return f"{self.limit}/{self.seconds:g}s"


# A call may arrive a little sooner after its start than the one before it, and timers round.
MARGIN = 0.002
_NEVER = math.inf
# How long a closed gate stays closed when the service does not say, by the quota's period.
_FIRST_WAIT = {"PerSecond": 1.0, "PerMinute": 15.0, "PerHour": 60.0, "PerDay": 60.0}
_LONGEST_WAIT = 60.0
_SHORTEST_RETRY_AFTER = 1.0
_LONGEST_RETRY_AFTER = 3600.0


class Window:
    """One sliding window, kept so that it holds wherever between start and end a call is counted.

    The service counts a call when it arrives there, some unknown time after its start and before
    its end. So a call takes a place when it starts and gives it back `seconds` after it ended:
    whatever the network does, no window of the service ever sees more than the limit.
    """

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._open = 0
        self._free_at: deque[float] = deque()

    def opens_at(self, now: float) -> float:
        """When the next call may start; infinity while only the end of an open call can tell."""
        while self._free_at and self._free_at[0] <= now:
            self._free_at.popleft()
        excess = self._open + len(self._free_at) - self.rate.limit
        if excess < 0:
            return now
        return self._free_at[excess] if excess < len(self._free_at) else _NEVER

    def room(self, until: float) -> int:
        """How many calls may start up to then, as far as ends of open calls don't matter."""
        taken_then = self._open + len(self._free_at) - bisect_right(self._free_at, until)
        return max(self.rate.limit - taken_then, 0)

    def begin(self) -> None:
        self._open += 1

    def end(self, now: float) -> None:
        self._open -= 1
        self._free_at.append(now + self.rate.seconds + MARGIN)

    def undo(self) -> None:
        """Give the place of a call back that was never sent."""
        self._open -= 1

    def restore(self, ended: Iterable[float]) -> None:
        """Take over calls of an earlier process, by the times of their ends, in order."""
        self._free_at.extend(end + self.rate.seconds + MARGIN for end in ended)


@dataclass(frozen=True, slots=True)
class Throttle:
    """What a 429 said: seconds to wait, the quota's id and its number, each where given."""

    retry_after: float | None = None
    quota: str | None = None
    allowed: int | None = None


class Gate:
    """Closes at a 429, once an episode; reopens for one call, and for all when that one passes."""

    def __init__(self) -> None:
        self._closed_at = -_NEVER
        self._until = -_NEVER
        self._tries = 0
        self._probing = False

    @property
    def in_episode(self) -> bool:
        return self._tries > 0

    def opens_at(self, now: float) -> float:
        if self._probing:
            return _NEVER
        return max(now, self._until) if self.in_episode else now

    def begin(self) -> None:
        self._probing = self.in_episode

    def throttled(self, throttle: Throttle, begun: float, now: float) -> bool:
        """Close; true where this answer begins an episode rather than belonging to one."""
        if begun < self._closed_at:
            return False
        first = not self.in_episode
        self._probing = False
        self._closed_at = now
        self._until = now + _wait(throttle, self._tries)
        self._tries += 1
        return first

    def passed(self, begun: float) -> None:
        """A call was let through by the service; one begun before the closing proves nothing."""
        if begun >= self._closed_at:
            self._tries = 0
            self._probing = False

    def undecided(self, begun: float) -> None:
        """A call ended without telling whether the quota has room."""
        if begun >= self._closed_at:
            self._probing = False


def _wait(throttle: Throttle, tries: int) -> float:
    if throttle.retry_after is not None:
        return min(max(throttle.retry_after, _SHORTEST_RETRY_AFTER), _LONGEST_RETRY_AFTER)
    first = 1.0
    for period, seconds in _FIRST_WAIT.items():
        if throttle.quota is not None and throttle.quota.endswith(period):
            first = seconds
    return min(first * 2.0 ** min(tries, 6), _LONGEST_WAIT)


class Pace:
    """All sliding windows of one kind of call, and its gate.

    Attributes:
        purse: where the windows are shared with other runs, the places that this one holds.

    """

    def __init__(self, rates: Iterable[Rate]) -> None:
        self._windows = [Window(rate) for rate in rates]
        self.gate = Gate()
        self.purse: Purse | None = None

    def opens_at(self, now: float) -> float:
        """When the next call may start; infinity while that depends on something else's end."""
        alone = self._opens_alone_at(now)
        return alone if self.purse is None else self.purse.opens_at(now, alone)

    def _opens_alone_at(self, now: float) -> float:
        return max(self.gate.opens_at(now), *(w.opens_at(now) for w in self._windows), now)

    def begin(self) -> None:
        for window in self._windows:
            window.begin()
        self.gate.begin()
        if self.purse is not None:
            self.purse.begin()

    def end(self, now: float) -> None:
        for window in self._windows:
            window.end(now)
        if self.purse is not None:
            self.purse.end(now)

    def undo(self, begun: float) -> None:
        """The call was never sent: it takes no place in any window."""
        for window in self._windows:
            window.undo()
        self.gate.undecided(begun)
        if self.purse is not None:
            self.purse.undo(begun)

    def statement(self, purse: Purse, now: float) -> Statement:
        """What the purse tells of its calls and asks for, but no more than may start here."""
        room = min((w.room(now + AHEAD) for w in self._windows), default=0)
        return purse.statement(now, room)

    def restore(self, ended: list[float]) -> None:
        """Take over calls of an earlier process, by the times of their ends, in order."""
        for window in self._windows:
            window.restore(ended)

    def fill(self, now: float) -> None:
        """Assume that an earlier process used everything up just now."""
        for window in self._windows:
            window.restore([now] * window.rate.limit)

    @property
    def horizon(self) -> float:
        """How many seconds back a call can still matter."""
        return max((w.rate.seconds for w in self._windows), default=0.0) + MARGIN

    def binding(self, calls: int) -> tuple[float, Rate] | None:
        """How many seconds so many calls take from a fresh start, and the rate that says so."""
        needs = [((calls - 1) // w.rate.limit * w.rate.seconds, w.rate) for w in self._windows]
        return max(needs, key=lambda need: need[0], default=None)
