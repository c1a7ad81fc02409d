"""How many calls a window holds: as configured, until the service says or shows otherwise.

A call that kept to its window and is refused all the same has met one of three things: a quota
smaller than configured, which the message names; somebody else who uses the quota too, where its
number is the known one; or the end of what was tried beyond the known. What is found out so is the
limit from then on, and more is tried again with one call at a time, ever less often.
"""

import math
from dataclasses import dataclass
from enum import Enum, auto

SHORT = 60.0
"""In windows up to so many seconds we make room for others; in longer ones we wait for it."""
UNLIMITED = 999_999
_TRIES_APART = 60.0
_HOUR, _DAY = 3600.0, 86400.0
_LEFT_TO_US = 3, 4
_PARTS_OF_THE_WAY_BACK = 20
# Calls beyond a number that were under way when it was first heard of.
_UNDER_WAY = 16
# Our windows hold a call a little longer than the service's: so many more prove that more may be.
_SURE_BY, _SURE_BY_PART = 8, 20


class Finding(Enum):
    """What a refusal told of a quota."""

    NOTHING_NEW = auto()
    SMALLER = auto()
    LARGER = auto()
    SHARED = auto()
    TRIED = auto()


class Quota:
    """What one window's quota is known to be.

    A number smaller than what was believed is kept to, and doubted: once a few calls more have
    passed, it was wrong, or is no longer true.

    Attributes:
        configured: what the user said; None for a quota that only the service spoke of.
        known: the number that the service named last, or that was found by trying.
        limit: how many calls the window holds now.
        ceiling: more than that is never tried.

    """

    def __init__(self, configured: int | None, known: int, seconds: float, ceiling: int) -> None:
        self.configured = configured
        self.known = known
        self.limit = known
        self._seconds = seconds
        self.ceiling = ceiling
        self._instead_of: int | None = None
        self._was_full = False
        self._changed_at = -math.inf
        self._try_at = -math.inf
        self._all_seen_at = -math.inf
        self._patience = _HOUR
        self._step = 1

    @property
    def found_out(self) -> int | None:
        """What is known, if nobody configured that."""
        return None if self.known in (self.configured, UNLIMITED) else self.known

    def is_for(self, other: "Quota") -> bool:
        """Whether both were configured alike, whatever was found out since."""
        return (self.configured, self.ceiling) == (other.configured, other.ceiling)

    def told(self, allowed: int, now: float) -> None:
        """Keep to a number smaller than what was believed."""
        self._instead_of = self._instead_of or self.known
        self._patience = _TRIES_APART
        self._keep_to(allowed, now)

    def know_all_at(self, moment: float) -> None:
        """Until then nobody knows how many calls are ours: refusals show nothing."""
        self._all_seen_at = moment

    def take_over(self, known: int, now: float) -> None:
        """Begin with what an earlier process found out."""
        if known < self.known:
            self.told(known, now)
        else:
            self._keep_to(min(known, self.ceiling), now)

    def refused(self, allowed: int | None, own: int, begun: float, now: float) -> Finding:
        """A call begun then was refused, where `own` calls in the window were ours, it included.

        `allowed` is the number in the message. Of calls refused at about the same time the first
        one tells it all.
        """
        if begun < self._changed_at or now < self._all_seen_at:
            return Finding.NOTHING_NEW
        self._changed_at = now
        if allowed is not None and self._is_credible(allowed, own):
            self.told(allowed, now)
            return Finding.SMALLER
        if allowed is not None and allowed > self.known:
            return self._larger(allowed, own, now)
        if own > self.known:
            longest = _DAY if self._instead_of is None else _HOUR
            self._patience = min(2 * self._patience, longest)
            self._keep_to(self.known, now)
            return Finding.TRIED
        self._make_room(own, now)
        return Finding.SHARED

    def leave_room(self, now: float, seconds: float) -> None:
        """Leave a part to somebody else, known from another window, for so long at least."""
        ours, of = _LEFT_TO_US
        self.limit = max(min(self.limit, self.known * ours // of), 1)
        self._try_at = now + seconds

    def passed(self, own: int, begun: float) -> bool:
        """A call passed, where `own` calls in the window were ours; true if that taught anything.

        A full window that nobody minds is the one reason to try more.
        """
        if begun < self._changed_at or own < self.limit:
            return False
        self._was_full = True
        if own < self.known + max(self.known // _SURE_BY_PART, _SURE_BY) or own > self.limit:
            return False
        self.known = self.limit = max(self._instead_of or 0, own)
        self._instead_of, self._patience = None, _HOUR
        return True

    def more_at(self) -> float:
        """When a full window may hold more than now; infinity while there is no reason to try."""
        is_below = self.limit < self.known or self._instead_of is not None
        has_reason = is_below or self._was_full
        return self._try_at if has_reason and self.limit < self.ceiling else math.inf

    def try_more(self, now: float) -> None:
        """Let a few calls more through, to see whether anybody minds."""
        if self.limit < self.known:
            step = max(self.known // _PARTS_OF_THE_WAY_BACK, 1)
            self.limit = min(self.limit + step, self.known)
        else:
            self.limit = min(self.limit + self._step, self.ceiling)
            self._step *= 2
        self._was_full = False
        self._try_at = now + _TRIES_APART

    def _is_credible(self, allowed: int, own: int) -> bool:
        """Whether it is smaller, and not so small that our own calls belie it."""
        return 0 < allowed < self.known and own <= allowed + _UNDER_WAY

    def _keep_to(self, known: int, now: float) -> None:
        self.known = self.limit = known
        self._changed_at = now
        self._was_full = False
        self._try_at = now + self._patience
        self._step = 1

    def _larger(self, allowed: int, own: int, now: float) -> Finding:
        """The quota is larger than known; but what is ours did not fill it."""
        if self.known < self.ceiling:
            self._instead_of, self._patience = None, _HOUR
            self._keep_to(min(allowed, self.ceiling), now)
        else:
            self._make_room(own, now)
        return Finding.LARGER

    def _make_room(self, own: int, now: float) -> None:
        """Half of it stays ours: who takes more than that is to meet refusals too."""
        if self._seconds <= SHORT:
            ours, of = _LEFT_TO_US
            self.limit = max(min(self.limit, own - 1) * ours // of, self.known // 2, 1)
            self._try_at = now + _TRIES_APART


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a refusal taught, with the limits before and after it as people say them.

    `quota` is the service's id of it, `allowed` the number in the message; `before` is None where
    no limit was known. Without a finding nothing is known but that calls are to slow down.
    """

    finding: Finding | None
    quota: str | None
    before: str | None = None
    after: str = ""
    allowed: str | None = None

    def words(self, calls: str, message: str) -> str:
        """One sentence for people, of `calls` that the service refused with that message."""
        told = self._told()
        if told is None:
            return f"{calls} slowed down: {message}"
        return f"Quota for {calls}: {told} ({self.quota})."

    def _told(self) -> str | None:
        match self.finding:
            case Finding.SMALLER:
                instead = f", not {self.before}" if self.before else ""
                return f"the service allows {self.after}{instead}; this run keeps to that"
            case Finding.LARGER if self.before != self.after:
                return f"the service allows {self.after}, not {self.before}; this run uses it"
            case Finding.LARGER:
                return (
                    f"the service allows {self.allowed}, and somebody else uses a part of it; "
                    f"this run was told {self.after} (--rate auto uses what there is)"
                )
            case Finding.SHARED:
                return (
                    f"somebody else uses the {self.after} too; "
                    "this run takes what they leave, and all of it once they are gone"
                )
            case Finding.TRIED:
                return f"more than {self.after} is not to be had; tried again later"
            case _:
                return None
