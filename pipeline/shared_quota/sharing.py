"""Who may take how many places of an allowance now, and from when on each is good.

An allowance knows of every sharer how many places it holds: calls under way, and places taken for
calls to come. And it knows when calls ended, for each length of window. A place held counts in
every window, and so does a call for one window after its end. Of what is free then, or comes free
soon, sharers that want calls get one place each in turn; one that wants none gets none.

Sharers may have been started with different rates. Each keeps to its own in its own windows; all
together they stay within what the most generous of them might have sent alone.
"""

import heapq
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat

from msgspec import Struct

from pipeline.pacing.margin import held_for
from pipeline.pacing.rates import LONGEST_WINDOW, Rate

IN_FLIGHT = 1.0
"""What a process sent before it died may still arrive for so many seconds."""
_WANT_LASTS = 1.0
_WANT_IS_OLD = _WANT_LASTS / 2
# A window's ends are kept so exactly; what falls into the same part of it is one entry.
_PARTS = 2000

Ends = Sequence[tuple[float, int]]
"""Moments at which calls ended, in order, each with the number of calls."""


@dataclass(frozen=True, slots=True)
class Sharer:
    """One run's part: places held, places had so far, and places wanted on top until a moment."""

    rates: tuple[Rate, ...]
    held: int = 0
    had: int = 0
    want: int = 0
    until: float = -math.inf

    def wants(self, now: float) -> bool:
        return self.want > 0 and self.until > now


class Grant(Struct, frozen=True):
    """Places from these moments on, the sharer as it stands then, and when the next might come."""

    places: tuple[float, ...]
    sharer: Sharer
    next_at: float


@dataclass(frozen=True, slots=True)
class Anchor:
    """What ties the file's time to a clock that begins anew with every start of the machine.

    The file's time is that clock plus `offset`; it was `at` when the wall clock said `wall`.
    """

    boot: str
    offset: float
    at: float
    wall: float


def anchored(known: Anchor | None, boot: str, since_boot: float, wall: float) -> Anchor:
    """The anchor for this start of the machine: the file's time never runs backwards.

    Within one start nobody asks the wall clock. From one start to the next only it can tell how
    much time passed.
    """
    if known is None:
        return Anchor(boot, wall - since_boot, wall, wall)
    at = since_boot + known.offset
    if boot == known.boot and at > known.at - 1.0:
        return replace(known, at=max(at, known.at), wall=wall)
    at = known.at + max(wall - known.wall, 0.0)
    return Anchor(boot, at - since_boot, at, wall)


def kept_as(moment: float, seconds: float) -> float:
    """The moment of the entry in which a window's end is kept: never an earlier one."""
    part = seconds / _PARTS
    return math.ceil(moment / part) * part


def past(seconds: float, now: float) -> float:
    """Ends up to then take no place in a window any more."""
    return now - held_for(seconds)


def windows(sharers: Iterable[Sharer]) -> dict[float, int]:
    """How many calls each length of window may hold, by its seconds."""
    every = [sharer.rates for sharer in sharers]
    lengths = {rate.seconds for rates in every for rate in rates}
    return {s: max(_most(rates, s) for rates in every if rates) for s in lengths}


def _most(rates: Collection[Rate], seconds: float) -> int:
    """How many calls these rates let through in any stretch of so many seconds."""
    return min(rate.limit * math.ceil(seconds / rate.seconds) for rate in rates)


def openings(
    limits: Mapping[float, int], ends: Mapping[float, Ends], held: int, now: float
) -> Iterator[float]:
    """When one more call may start, and then one more, as far as can be known now."""
    each = (_openings(n, s, ends.get(s, ()), held, now) for s, n in limits.items())
    return (max(moments) for moments in zip(*each, strict=False))


def _openings(limit: int, seconds: float, ends: Ends, held: int, now: float) -> Iterator[float]:
    since, counts_for = past(seconds, now), held_for(seconds)
    cooling = [(at, calls) for at, calls in ends if at > since]
    free = limit - held - sum(calls for _, calls in cooling)
    yield from repeat(now, free)
    for at, calls in cooling:
        free += calls
        yield from repeat(at + counts_for, min(calls, free))


def granted(
    sharers: Mapping[int, Sharer],
    slot: int,
    want: int,
    ends: Mapping[float, Ends],
    now: float,
    ahead: float,
) -> Grant:
    """What the sharer in this slot gets of the places that come free within `ahead` seconds."""
    others = {n: sharer for n, sharer in sharers.items() if n != slot and sharer.wants(now)}
    before = sharers[slot]
    had = before.had if before.wants(now) else _had_at_return(before, others.values())
    turns = [(sharer.had, n, sharer.want) for n, sharer in others.items()]
    held = sum(sharer.held for sharer in sharers.values())
    coming = openings(windows(sharers.values()), ends, held, now)
    mine, next_at = _in_turn(coming, [*turns, (had, slot, want)], slot, now + ahead)
    left, got = want - len(mine), len(mine)
    after = replace(before, held=before.held + got, had=had + got, want=left)
    return Grant(tuple(mine), replace(after, until=_until(before, after, next_at, now)), next_at)


def _had_at_return(sharer: Sharer, others: Collection[Sharer]) -> int:
    """Whoever wanted nothing for a while is not owed what others had meanwhile."""
    return max(sharer.had, min((other.had for other in others), default=sharer.had))


def _in_turn(
    coming: Iterable[float], turns: list[tuple[int, int, int]], slot: int, until: float
) -> tuple[list[float], float]:
    """Give place after place to whoever had least; return one sharer's, and its next one."""
    turns = [turn for turn in turns if turn[2] > 0]
    heapq.heapify(turns)
    mine: list[float] = []
    for moment in coming:
        if all(n != slot for _, n, _ in turns):
            break
        had, n, want = turns[0]
        if n == slot:
            if moment > until:
                return mine, moment
            mine.append(moment)
        if want > 1:
            heapq.heapreplace(turns, (had + 1, n, want - 1))
        else:
            heapq.heappop(turns)
    return mine, math.inf


def _until(before: Sharer, after: Sharer, next_at: float, now: float) -> float:
    """How long a want counts: until a moment after the place that it waits for.

    One that was stated a moment ago need not be stated again.
    """
    waits = next_at if next_at < math.inf else now
    until = max(waits, now) + _WANT_LASTS
    if after.want == before.want and now + _WANT_IS_OLD < before.until <= until:
        return before.until
    return until


def ask_again_at(grant: Grant, ahead: float) -> float:
    """When asking again can bring something, or the want must be stated anew."""
    if grant.sharer.want == 0:
        return math.inf
    return min(grant.next_at - ahead, grant.sharer.until - _WANT_IS_OLD)


def kept_windows(sharers: Iterable[Sharer]) -> set[float]:
    """For which lengths of window ends are kept: the longest is what a new one is made of."""
    return {rate.seconds for sharer in sharers for rate in sharer.rates} | {LONGEST_WINDOW}


def made_of_longer(ends: Ends, seconds: float, now: float) -> list[tuple[float, int]]:
    """What a window that nobody had yet knows of calls, by the coarser ends of a longer one."""
    since = past(seconds, now)
    return [(min(at, now + IN_FLIGHT), calls) for at, calls in ends if at > since]
