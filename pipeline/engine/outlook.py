"""What a run is seen to come to: gathers where it stands, and tells who looks from outside."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from pipeline.bell import Bell
from pipeline.clock import local_day_and_time
from pipeline.codec import encode
from pipeline.ending.eta import SAMPLES, Cut, Situation, estimate
from pipeline.ending.prospect import (
    BUDGET,
    FINISH_BY,
    PAUSED,
    SERVICE,
    Eta,
    is_soon,
    words,
)
from pipeline.engine.course import Course
from pipeline.engine.hosts import Hosts
from pipeline.engine.speed import Speed
from pipeline.life.facts import ETA, Note
from pipeline.money.spent import Spent
from pipeline.operations.polling import Asking
from pipeline.pacing.pace import Pace
from pipeline.view.scene import Scene

_FIRST_TOLD_AFTER = 1.0
# Where nothing is about to change, it is looked at less often.
_LOOKS_APART, _TOLD_APART = (5.0, 20.0), 60.0
_NEAR = 180.0
# So long after a change what is seen of the end changes, too.
_UNSETTLED_FOR = 60.0
# Where some POSTs are under way, and none has come back for so long, nobody knows when one will.
_SILENT = 10.0


@dataclass(slots=True)
class Outlook:
    """Sees when the run ends. `submits` and `polls` are its paces."""

    course: Course
    speed: Speed
    submits: Pace
    polls: Pace
    hosts: Hosts
    _heard: tuple[int, float] = (-1, 0.0)
    _last: Eta | None = None
    _changed_at: float = float("-inf")
    _told: tuple[float, str, tuple[object, bool] | None] = (float("-inf"), "", None)
    _bell: Bell = field(default_factory=Bell)

    def eta(self) -> Eta | None:
        """When the run ends, as seen now; None while it is not known how many rows there are."""
        left = self._to_submit()
        now, pause = self.course.clock.now(), self.course.pause
        if left is not None:
            is_held = pause is not None or self._is_away(left)
            self.speed.look(now, left, is_held=is_held)
        if pause is not None:
            return Eta(now, self.course.counts.running, PAUSED, pause=pause)
        if left is None:
            return None
        if self._is_silent(now):
            return Eta(now, self.course.counts.running, SERVICE)
        situation = self._situation(now, *self._within_limits(left))
        held_by = self.speed.held_by(now) if situation.at_pace else None
        if held_by is not None:
            return Eta(now, self.course.counts.running, held_by)
        are_asked_for = situation.running and not (situation.at_pace or situation.flights)
        if self._last is None or not are_asked_for:
            # While the last ones are just being asked for, no more is known of them.
            self._last = estimate(situation)
        return self._last

    def _situation(self, now: float, left: int, cut: Cut | None) -> Situation:
        """What the end follows from, where so many rows are to be submitted."""
        agenda, counts, denied = self.course.agenda, self.course.counts, self._denied()
        gate = self.submits.gate_opens_at(now)
        return Situation(
            now,
            left,
            counts.running + counts.posting - len(denied),
            self.submits.windows,
            agenda.flights(now, SAMPLES),
            agenda.latencies(),
            [window.rate for window in self.polls.windows],
            # While a call finds out, its answer is near.
            opens_at=gate if gate < float("inf") else now,
            away=self._is_away(left),
            throttled=gate > now,
            achieved=self.speed.achieved(),
            denied=len(denied),
            denied_until=_until(denied),
            cut=cut,
        )

    def _within_limits(self, left: int) -> tuple[int, Cut | None]:
        """How many of the rows left the user's own limits let through, and which of them binds."""
        in_time, paid_for = self.rows_in_time(), self.course.spending.rows()
        cut = None
        if paid_for is not None and paid_for < left and self.spent().is_certain:
            left, cut = paid_for, self._by_budget(paid_for)
        if in_time is not None and in_time[0] < left:
            left, cut = in_time[0], Cut(FINISH_BY)
        return left, cut

    def _by_budget(self, rows: int) -> Cut:
        """What becomes of the rows that a budget lets through: the last ones come ever slower."""
        takes = self.course.agenda.average() or 0.0
        # What the windows let through in that time is in flight in the long run, but for bursts.
        each = (rate.limit / rate.seconds for rate in self.submits.rates)
        counts, let_through = self.course.counts, min(each, default=0.0) * takes
        at_once = let_through or counts.running + counts.posting
        most, spending = self.course.max_in_flight or at_once, self.course.spending
        return Cut(BUDGET, *spending.squeeze(min(at_once, most), takes), spending.doubtful(rows))

    def rows_in_time(self) -> tuple[int, int] | None:
        """How many rows can be submitted in time, of how many; None without a deadline."""
        left, deadline = self._to_submit(), self.course.deadline
        if left is None or deadline is None:
            return None
        now, known = self.course.clock.now(), self.course.agenda.latencies()
        return deadline.rows(now, known, self.submits.windows, left), left

    def scene(self) -> Scene:
        """All that is to be seen now; while a run stops, no end but that is in sight."""
        course = self.course
        if course.ending.reason is not None:
            return self.last_scene()
        return Scene(course.counts, course.clock.now(), self._oldest(), self.eta(), self.spent())

    def last_scene(self) -> Scene:
        """The same when no call is made any more: no end is in sight, it is there."""
        course = self.course
        spent = self.spent().unprojected()
        return Scene(course.counts, course.clock.now(), self._oldest(), None, spent)

    def _oldest(self) -> float | None:
        """When the oldest operation that is waited for was accepted."""
        asked = (asking.born_at for asking in self.course.asked.values())
        waits = self.course.agenda.oldest()
        return min([*asked, *([] if waits is None else [waits])], default=None)

    def _denied(self) -> list[Asking]:
        """The operations that the service denied when they were last asked for."""
        asked = (asking for asking in self.course.asked.values() if asking.denied_at is not None)
        return [*asked, *self.course.agenda.denied()]

    def spent(self) -> Spent:
        """What the run has spent and will have, as seen now."""
        seen, in_time = self.course.spending.seen(self.course.counts.to_pay), self.rows_in_time()
        return seen.cut() if in_time is not None and in_time[0] < in_time[1] else seen

    def _to_submit(self) -> int | None:
        """Rows that need a POST yet: those not begun, and those to be submitted again."""
        counts = self.course.counts
        if counts.total is None:
            return None
        begun = counts.finished + counts.open
        fresh = 0 if self.course.intake.exhausted else counts.total - begun
        return max(max(fresh, 0) + counts.unsent - counts.unfit, 0)

    def _is_silent(self, now: float) -> bool:
        """Whether POSTs are under way, none of which has come back for long."""
        counts = self.course.counts
        back = counts.submits - counts.posting
        if back != self._heard[0] or not counts.posting:
            # Those under way may have left long after a look that saw none.
            self._heard = (back if counts.posting else -1, now)
        return now - self._heard[1] >= _SILENT

    def _is_away(self, left: int) -> bool:
        if self.hosts.keeper.absence() is not None:
            return True
        waits = self.course.counts.running > 0
        return (left > 0 and not self.hosts.submits.is_up) or (
            waits and not self.hosts.polls.is_up
        )

    def renew(self) -> None:
        """What the end depends on has changed: whoever looks from outside is told at once."""
        self._changed_at = self.course.clock.now()
        self._bell.ring()

    async def watch(self) -> None:
        """Note in the checkpoint what is seen, where that is new; for ever."""
        self.course.recorder.post(Note(ETA, None))
        await self._bell.wait(_FIRST_TOLD_AFTER)
        while True:
            eta, now = self.eta(), self.course.clock.now()
            said = "" if eta is None else words(eta, local_day_and_time)
            if self._is_news(eta, said, now):
                is_known = eta is not None and eta.pause is None and said
                value = encode(asdict(eta)).decode() if eta is not None and is_known else None
                self.course.recorder.post(Note(ETA, value))
                self._told = now, said, _binds(eta)
            is_calm = self._is_settled(eta, now) and not _is_near(eta)
            await self._bell.wait(_LOOKS_APART[is_calm])

    def _is_news(self, eta: Eta | None, said: str, now: float) -> bool:
        """Whether those outside are to be told: of a far end, once a minute at most."""
        told_at, before, _ = self._told
        # What is told of a moment by how near it is, must not grow old.
        if said == before and not (eta is not None and is_soon(eta)):
            return False
        is_old = now - told_at >= _TOLD_APART
        return is_old or not self._is_settled(eta, now) or _is_near(eta)

    def _is_settled(self, eta: Eta | None, now: float) -> bool:
        """Whether the same binds as was told, and nothing was changed lately."""
        return now - self._changed_at >= _UNSETTLED_FOR and _binds(eta) == self._told[2]


def _binds(eta: Eta | None) -> tuple[object, bool] | None:
    """What binds, and whether the end is known."""
    return None if eta is None else (eta.bound_by, eta.likely is not None)


def _is_near(eta: Eta | None) -> bool:
    """Whether what is told may be wrong within seconds: an unknown end may be known any moment."""
    if eta is None or eta.likely is None or eta.earliest is None:
        return True
    return eta.earliest - eta.at < _NEAR


def _until(denied: Sequence[Asking]) -> float | None:
    """When the last of these have their lines at the latest; None where one has no such moment."""
    moments = [asking.denied_until for asking in denied]
    known = [moment for moment in moments if moment is not None]
    return max(known) if known and len(known) == len(moments) else None
