"""When a call's place in a window can be given back, where all that is known is our own clock.

The service counts a call at some moment between its start and its end. If none gets there within
`out` seconds of its start, and none ends within `back` seconds of being counted, then a place may
be given back `out + back` seconds before one window has passed since the end: the next call takes
`out` at least to get there, and the one before was counted `back` before its end at the latest.
Neither can be seen alone, but no call takes less than both: the shortest show their sum.
"""

from bisect import insort

# A call may arrive a little sooner after its start than the one before it, and timers round.
_ROUNDING = 0.002
# Our clock may run faster than the service's. A quartz is wrong by a ten-thousandth at the most.
_DRIFT = 2e-4
_SHORTEST = 12
_FIRST_CALLS, _MOST_CALLS = 1000, 64_000
# What is left for a way that becomes shorter: its first calls are on it before anybody knows.
_TRUSTED = 0.8


def held_for(seconds: float) -> float:
    """How many seconds of our clock a call counts in a window of so many of the service's."""
    return seconds * (1.0 + _DRIFT) + _ROUNDING


class Floor:
    """How many seconds every call takes at least, from so many recent ones; none at first.

    The shortest calls seen are still longer than the shortest that can be, the more so the more
    they differ among themselves: as much as they differ is taken off. Where a call was refused all
    the same, everything is learned anew, from twice as many.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._told = 0.0
        self._needed = _FIRST_CALLS
        self._calls = 0
        self._shortest: list[float] = []
        self._before: list[float] = []

    def end_of(self, now: float, took: float | None) -> float:
        """The moment to take for the end of a call, for one that ended now, in order.

        `took` are its seconds from start to end if it was accepted, and None if it was not: how
        long that takes tells nothing, nor need such a call have been counted before it ended.
        """
        if took is not None:
            self._learn(took)
            now -= self.seconds
        self._told = max(self._told, now)
        return self._told

    def forget(self) -> None:
        """A call was refused, perhaps for a place that was given back too early."""
        if self.seconds:
            self._needed = min(2 * self._needed, _MOST_CALLS)
        self.seconds = 0.0
        self._calls = 0
        self._shortest, self._before = [], []

    def _learn(self, took: float) -> None:
        shortest = self._shortest
        is_among_them = len(shortest) < _SHORTEST or took < shortest[-1]
        if is_among_them:
            insort(shortest, took)
            del shortest[_SHORTEST:]
        self._calls += 1
        is_full = self._calls >= self._needed
        if is_full:
            # What is older than the last two lots no longer counts.
            self._before, self._shortest, self._calls = shortest, [], 0
        if is_full or is_among_them:
            self._estimate()

    def _estimate(self) -> None:
        if self._before:
            known = sorted(self._before + self._shortest)[:_SHORTEST]
            self.seconds = max(_TRUSTED * (2.0 * known[0] - known[-1]), 0.0)
