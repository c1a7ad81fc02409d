"""How fast rows are submitted, and what holds them up beside the run's own windows."""

from dataclasses import dataclass, field

from pipeline.ending.eta import hindrance
from pipeline.ending.prospect import IN_FLIGHT, SET_ASIDE
from pipeline.engine.course import Course
from pipeline.pacing.curve import Achieved, Curve, Tempo
from pipeline.pacing.pace import Pace
from pipeline.settings import Settings

_LONG_WINDOW = 60.0
# A place that comes free is taken at once: it does not mean that there is room.
_FULL_FOR = 10.0
# A pace that was not seen is as sure as one of so many rows.
_PRESUMED = 30.0


@dataclass(slots=True)
class Speed:
    """Looks now and then, and forgets what is true no more. `submits` is the pace of POSTs."""

    course: Course
    settings: Settings
    submits: Pace
    _tempo: Tempo = field(default_factory=Tempo)
    _full: tuple[float, str] = (float("-inf"), IN_FLIGHT)
    _has_company: bool = False

    def look(self, now: float, left: int, *, is_held: bool) -> None:
        """Take note, `left` rows being to be submitted; `is_held`: none could be at all."""
        purse = self.submits.purse
        has_company = purse is not None and purse.has_company
        if has_company != self._has_company:
            # How fast it went in company tells nothing of how fast it goes alone.
            self._has_company = has_company
            self.forget()
        full_by = self._full_by() or self._soon_full_by(now, left)
        if full_by is not None:
            self._full = (now, full_by)
        by, free = self._hindrance(now), self._free()
        # Where more are in flight than may be, nothing is submitted until these are over.
        is_held = is_held or (free is not None and free < 0)
        is_free = left > 0 and not is_held and self._is_open(now)
        submitted = (self.course.counts.total or 0) - left
        self._tempo.look(now, submitted, by, is_free=is_free, is_steady=by == IN_FLIGHT)

    def forget(self) -> None:
        """How fast it went so far tells nothing any more."""
        self._tempo = Tempo()
        self._full = (float("-inf"), IN_FLIGHT)

    def achieved(self) -> Achieved | None:
        """How fast it went lately where the windows would have let it; None if nobody knows.

        Where that was not seen, so many places in flight let rows through as they come free
        (Little's law).
        """
        seen, takes = self._tempo.achieved(), self.course.agenda.average()
        most = self.course.max_in_flight
        if seen is not None or most is None or not takes:
            return seen
        return Achieved(most / takes, _PRESUMED, IN_FLIGHT)

    def held_by(self, now: float) -> str | None:
        """What makes that no more may be in flight, where it was not seen yet what comes of it.

        They are as many as may be: now, lately or soon. So it is not the quota that binds, and
        nobody knows how fast places come free.
        """
        is_unknown = self._tempo.achieved() is None
        return self._full[1] if is_unknown and now - self._full[0] < _FULL_FOR else None

    def _hindrance(self, now: float) -> str | None:
        closed = [w for w in self.submits.windows if w.place_at(0, now) > now]
        return hindrance(
            throttled=self.submits.gate_opens_at(now) > now,
            full_by=self._full_by(),
            posting_full=self.course.counts.posting >= self.settings.concurrency,
            beside_others=not closed and self.submits.is_beside_others(now),
            shared=not closed and self._has_company,
        )

    def _full_by(self) -> str | None:
        """By what as many operations are in flight as may be, if so."""
        free = self._free()
        if free is not None and free <= 0:
            return IN_FLIGHT
        return SET_ASIDE if self.course.spending.is_full else None

    def _soon_full_by(self, now: float, left: int) -> str | None:
        """The same of the next seconds: places are taken sooner than they come free."""
        free, come_free = self._free(), self.course.agenda.average()
        if free is None or come_free is None or not 0 <= free < left:
            return None
        takes = Curve(self.submits.windows, now, free + 1).at(free) - now
        return IN_FLIGHT if takes < min(come_free, _FULL_FOR) else None

    def _free(self) -> int | None:
        """How many more operations may be in flight, below 0 after a change; None: any number."""
        most, counts = self.course.max_in_flight, self.course.counts
        return None if most is None else most - counts.running - counts.posting

    def _is_open(self, now: float) -> bool:
        """Whether all long windows are."""
        long = (w for w in self.submits.windows if w.seconds >= _LONG_WINDOW)
        return all(window.place_at(0, now) <= now for window in long)
