"""The calls of the last day, kept so coarsely that there never are many of them.

A window that is made while a run goes on knows of the calls before it from a longer one. Where no
window is as long, this tells: every call is taken to have ended a little later than it did.
"""

import math
from collections import deque
from collections.abc import Iterator

from pipeline.pacing.margin import held_for
from pipeline.pacing.rates import LONGEST_WINDOW

_PART = 10.0


class Past:
    """When calls ended; the calls of ten seconds are one entry."""

    def __init__(self) -> None:
        self._ends: deque[tuple[float, int]] = deque()

    def end(self, at: float) -> None:
        """A call ended, no earlier than those before it."""
        moment = math.ceil(at / _PART) * _PART
        last, calls = self._ends.pop() if self._ends else (moment, 0)
        if last < moment:
            self._ends.append((last, calls))
            calls = 0
        self._ends.append((max(last, moment), calls + 1))
        while self._ends[0][0] <= at - held_for(LONGEST_WINDOW):
            self._ends.popleft()

    def ended(self, seconds: float, now: float) -> Iterator[float]:
        """When the calls ended that take places in a window of so many seconds, in order."""
        since = now - held_for(seconds)
        for at, calls in self._ends:
            if at > since:
                yield from (min(at, now) for _ in range(calls))
