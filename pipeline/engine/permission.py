"""When the next row may be submitted: what may be against it, and how long that is waited for.

The user's own limits come first: a row that would pass the budget or the deadline ends the run,
once all that is paid for is fetched. Then whatever stops rows for a while, and at last the pace.
"""

from dataclasses import dataclass, field

from pipeline.auth.keeper import Keeper
from pipeline.bell import Bell
from pipeline.calls.reach import Reach
from pipeline.engine.course import LONGEST_NAP, NEVER, Course
from pipeline.errors import RunError
from pipeline.input.rows import Row
from pipeline.pacing.pace import Pace


@dataclass(slots=True)
class Permission:
    """What the lane waits for whose turn it is.

    Attributes:
        bell: to be rung at everything that may let a row through.
        proven: a row was accepted, so what refuses one need not be what every row shares.

    """

    course: Course
    pace: Pace
    reach: Reach
    keeper: Keeper
    bell: Bell = field(default_factory=Bell)
    proven: bool = False

    async def wait(self, row: Row) -> None:
        """Return when the row may be submitted; not at all where that is to be never."""
        while True:
            now = self.course.clock.now()
            against = self.course.against(row, now)
            if against is not None:
                self._end_when_idle(against)
            may_be = against is None and self._is_admitted()
            opens_at = self.pace.opens_at(now) if may_be else NEVER
            if opens_at <= now:
                return
            # A deadline passes by itself.
            is_timed = opens_at < NEVER or self.course.deadline is not None
            await self.bell.wait(min(opens_at - now, LONGEST_NAP) if is_timed else None)

    def _is_admitted(self) -> bool:
        counts = self.course.counts
        # The first row goes alone: what refuses it may be what every row shares.
        if counts.posting and not self.proven:
            return False
        in_flight, most = counts.running + counts.posting, self.course.max_in_flight
        if self.course.pause is not None or (most is not None and in_flight >= most):
            return False
        return self.reach.admits(counts.posting) and self.keeper.admits("submits", counts.posting)

    def _end_when_idle(self, reason: RunError) -> None:
        """What is paid for is fetched first, and given to all who wait for it.

        Answers may even leave room for more rows.
        """
        counts, spending = self.course.counts, self.course.spending
        # An answer that came is no operation any more; but its cost is known only once it is kept.
        is_waiting = counts.running or counts.posting or spending.is_waiting
        if not (is_waiting or self.course.is_answering):
            self.course.ending.set(reason)
