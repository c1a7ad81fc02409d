"""What a 429 closes: for how long, and how it opens again."""

import math

from msgspec import Struct

_NEVER = math.inf
_PERIODS = {"PerSecond": 1.0, "PerMinute": 60.0, "PerHour": 3600.0, "PerDay": 86400.0}
# How long a closed gate stays closed when the service does not say, by the quota's period.
_FIRST_WAIT = {1.0: 1.0, 60.0: 15.0, 3600.0: 60.0, 86400.0: 60.0}
_LONGEST_WAIT = 60.0
_SHORTEST_RETRY_AFTER = 1.0
_LONGEST_RETRY_AFTER = 3600.0


class Throttle(Struct, frozen=True):
    """What a 429 said: seconds to wait, the quota's id and its number, each where given."""

    retry_after: float | None = None
    quota: str | None = None
    allowed: int | None = None

    @property
    def seconds(self) -> float | None:
        """The quota's period, if its id ends with one."""
        ends = (s for name, s in _PERIODS.items() if (self.quota or "").endswith(name))
        return next(ends, None)


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
    first = _FIRST_WAIT[throttle.seconds or 1.0]
    return min(first * 2.0 ** min(tries, 6), _LONGEST_WAIT)
