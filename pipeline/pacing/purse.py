"""What a run holds of an allowance that several runs share: places to start calls in.

A place is taken from the allowance before it is used, and is good from a moment on that may lie a
little ahead; so nobody waits for the file while calls go on. The purse hears of every call, and
makes the statement that the allowance is told of now and then: what ended, what is not needed, and
how many places more would be used soon.
"""

import math
from bisect import bisect_right, insort
from collections.abc import Callable, Iterable

from msgspec import Struct

AHEAD = 0.5
"""Places are taken so many seconds before they come free."""
PERIOD = 0.2
"""A statement is made so many seconds after the last one, while there is anything to tell."""
_FIRST_LOT = 2


class Statement(Struct, frozen=True):
    """Calls that ended, places given back, and places wanted on top of those that are held."""

    ended: tuple[float, ...] = ()
    spare: int = 0
    want: int = 0


class Purse:
    """The places of one kind of call; `on_empty` hears at once when one is missed.

    `has_company`: other runs share the allowance now; without one it holds up nobody for long.
    `apart` calls are under way at first that hold no place. Which ones those are nobody remembers:
    the first ends are taken for theirs, so that a place is given back late rather than early.
    """

    def __init__(self, on_empty: Callable[[], None], apart: int = 0) -> None:
        self.has_company = False
        self._on_empty = on_empty
        self._apart = apart
        self._places: list[float] = []
        self._ended: list[float] = []
        self._open = 0
        self._used = 0
        self._missed = False
        self._appetite = 0

    @property
    def open(self) -> int:
        """Calls under way."""
        return self._open

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is held, wanted or to be told."""
        return not (self._places or self._ended or self._open or self._missed or self._appetite)

    def opens_at(self, now: float, alone: float) -> float:
        """When the next call may start, if this run's own windows say `alone`."""
        if alone > now + AHEAD:
            return alone
        first = self._places[0] if self._places else math.inf
        if first > max(alone, now):
            missed_before, self._missed = self._missed, True
            if not self._places and not missed_before:
                self._on_empty()
        return max(alone, first)

    def begin(self) -> None:
        self._places.pop(0)
        self._open += 1
        self._used += 1
        self._missed = False

    def end(self, now: float) -> None:
        if self._is_apart():
            return
        self._open -= 1
        self._ended.append(now)

    def _is_apart(self) -> bool:
        was_apart = self._apart > 0
        self._apart -= was_apart
        return was_apart

    def undo(self, begun: float) -> None:
        """That call was never sent: its place can be used again."""
        if self._is_apart():
            return
        self._open -= 1
        insort(self._places, begun)

    def receive(self, places: Iterable[float]) -> None:
        for place in places:
            insort(self._places, place)
            self._missed = False

    def statement(self, now: float, room: int) -> Statement:
        """What to tell the allowance, where at most `room` calls could start soon."""
        self._appetite = min(self._next_appetite(), room)
        self._used = 0
        if self._places:
            self._missed = False
        idle = bisect_right(self._places, now - PERIOD)
        spare = min(idle, max(len(self._places) - self._appetite, 0))
        del self._places[:spare]
        ended, self._ended = tuple(self._ended), []
        return Statement(ended, spare, max(self._appetite - len(self._places), 0))

    def _next_appetite(self) -> int:
        """As many as since the last statement; more and more while that is not enough."""
        return max(self._appetite, 2 * self._used + _FIRST_LOT) if self._missed else self._used
