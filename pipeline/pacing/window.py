"""One sliding window of calls, which holds where the service counts."""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from pipeline.pacing.margin import held_for
from pipeline.pacing.quota import Quota
from pipeline.pacing.rates import Rate

_NEVER = math.inf


class Window:
    """One sliding window, kept so that it holds wherever between start and end a call is counted.

    The service counts a call when it arrives there, some unknown time after its start and before
    its end. So a call takes a place when it starts and gives it back `seconds` after it ended:
    whatever the network does, no window of the service ever sees more than the limit.
    """

    def __init__(self, rate: Rate, quota: Quota | None = None) -> None:
        self._rate = rate
        self.quota = quota or Quota(rate.limit, rate.limit, rate.seconds, rate.limit)
        self._open = 0
        self._free_at: deque[float] = deque()

    @property
    def rate(self) -> Rate:
        """What the window holds now."""
        return replace(self._rate, limit=self.quota.limit)

    @property
    def known(self) -> Rate:
        """The same without the calls by which more is being tried."""
        return replace(self._rate, limit=min(self.quota.limit, self.quota.known))

    @property
    def seconds(self) -> float:
        return self._rate.seconds

    def taken(self, now: float) -> int:
        """How many places calls take."""
        while self._free_at and self._free_at[0] <= now:
            self._free_at.popleft()
        return self._open + len(self._free_at)

    def opens_at(self, now: float) -> float:
        """When the next call may start; infinity while only the end of an open call can tell."""
        if self.taken(now) >= self.quota.limit and self.quota.more_at() <= now:
            self.quota.try_more(now)
        excess = self.taken(now) - self.quota.limit
        if excess < 0:
            return now
        free_at = self._free_at[excess] if excess < len(self._free_at) else _NEVER
        return min(free_at, self.quota.more_at())

    def room(self, until: float) -> int:
        """How many calls may start up to then, as far as ends of open calls don't matter."""
        taken_then = self._open + len(self._free_at) - bisect_right(self._free_at, until)
        return max(self.quota.limit - taken_then, 0)

    def used(self, now: float) -> float:
        """The share of the limit that is taken by calls under way and by those that ended.

        More may be taken than a limit that is lower than it was: that is all of it.
        """
        return min(self.taken(now) / self.quota.limit, 1.0)

    def place_at(self, ahead: int, now: float) -> float:
        """When the call that `ahead` others go before may start, `ahead` being below the limit.

        The places of calls under way come free a period from now, say.
        """
        place = self.taken(now) + ahead - self.quota.limit
        if place < 0:
            return now
        if place < len(self._free_at):
            return self._free_at[place]
        return now + held_for(self.seconds)

    def begin(self) -> None:
        self._open += 1

    def end(self, now: float) -> None:
        self._open -= 1
        self._free_at.append(now + held_for(self.seconds))

    def undo(self) -> None:
        """Give the place of a call back that was never sent."""
        self._open -= 1

    def passed(self, begun: float, now: float) -> bool:
        """A call passed; true if that taught anything of the quota."""
        return self.quota.passed(self.taken(now), begun)

    def ended(self, now: float) -> Iterable[float]:
        """When the calls ended that take places now."""
        self.taken(now)
        return (free_at - held_for(self.seconds) for free_at in self._free_at)

    def restore(self, ended: Iterable[float]) -> None:
        """Take over calls of an earlier process, by the times of their ends, in order."""
        self._free_at.extend(end + held_for(self.seconds) for end in ended)
