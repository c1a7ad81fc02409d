"""The course of rows through one process: where each goes next, and when all have arrived.

Rows that another process left behind take the same way as rows that move now.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import assert_never

from pipeline.bell import Bell
from pipeline.clock import Clock, local_day_and_time
from pipeline.ending.deadline import Deadline
from pipeline.ending.prospect import Pause
from pipeline.engine.intake import Intake
from pipeline.errors import RunError
from pipeline.events import ANSWERED, FAILED, WRITTEN
from pipeline.input.form import Form
from pipeline.input.rows import Row
from pipeline.life.facts import (
    COSTS,
    FORMS,
    ROWS,
    Begin,
    Cursor,
    Doubt,
    End,
    Fact,
    Move,
    Note,
    Replaced,
)
from pipeline.life.item import (
    Doubted,
    Forgiven,
    GiveUp,
    Gone,
    Intended,
    Policy,
    Poll,
    Settle,
    State,
    Stay,
    Submit,
    after,
    next_step,
)
from pipeline.life.records import Failure
from pipeline.money.spending import Spending
from pipeline.operations.agenda import Agenda
from pipeline.operations.polling import Asking
from pipeline.state.board import Complete, Counts, Ending
from pipeline.store.recorder import Recorder

_log = logging.getLogger("yagpt-batch")
NEVER = math.inf
LONGEST_NAP = 30.0
"""A lane looks at the clock so often: the loop's timers stand still while a laptop sleeps."""
# So few rows without a line, and none to come, are the last of a run.
_LAST = 32


def superseded(line: int, state: State) -> list[Fact]:
    """What else to record when a POST of this row may have been accepted.

    If the row was lost before, the money spent on it then has bought nothing.
    """
    lost_before = isinstance(state, Intended) and isinstance(state.before, Gone)
    return [Replaced(line)] if lost_before else []


def nothing() -> None:
    """What happens at a change that nobody waits for."""


@dataclass(slots=True)
class Course:
    """What the lanes share.

    Attributes:
        cursor: where the input goes on behind the last row begun.
        growth: rung when the input had more rows than were known.
        max_in_flight: how many operations may be at once.
        pause: no row is submitted meanwhile.
        asked: the operations for which a GET is under way, which the agenda is without; by line.
        on_change: hears of everything that may let a POST through.
        on_end: hears of each row that was sent and is over, where anybody wants to know.
        is_answering: rows may be about to get the answer of another.
        has_own_forms: the checkpoint knows that some rows have.

    """

    policy: Policy
    recorder: Recorder
    intake: Intake
    clock: Clock
    ending: Ending
    counts: Counts
    spending: Spending
    cursor: Cursor = field(default_factory=Cursor)
    growth: Bell = field(default_factory=Bell)
    deadline: Deadline | None = None
    max_in_flight: int | None = None
    pause: Pause | None = None
    agenda: Agenda = field(default_factory=Agenda)
    asked: dict[int, Asking] = field(default_factory=dict)
    poll_bell: Bell = field(default_factory=Bell)
    on_change: Callable[[], None] = nothing
    on_end: Callable[[int], None] | None = None
    is_answering: bool = False
    has_own_forms: bool = False

    def against(self, row: Row, now: float) -> RunError | None:
        """Why a row may not be submitted now, by the user's own limits; None if it may."""
        if self.deadline is not None:
            late = self.deadline.against(now, self.agenda.latencies(), local_day_and_time)
            if late is not None:
                return late
        return self.spending.against(self._worst(row, now), self.counts.to_pay)

    def unpriced(self, row: Row) -> Failure | None:
        """Why a row can't be submitted at all: there is a budget, and no price for its model."""
        if self.spending.limit is None or self.spending.has_price(row.model):
            return None
        message = f"no price is known for {row.model}, so that --budget can't be kept"
        return Failure("submit", "no_price", message)

    def expect(self, total: int | None) -> None:
        """So many rows there are: let those know who watch, and those who look from outside."""
        self.counts.total = total
        self.recorder.post(_expected(total))

    def begin(self, begin: Begin) -> list[Fact]:
        """Count a row begun; return what is to be recorded of that, in one transaction.

        One more than was known is expected from then on: no kill leaves more begun than expected.
        """
        self.cursor, known = begin.cursor, self.counts.total
        self.counts.open += 1
        if known is None or begin.cursor.rows <= known:
            return [begin]
        self.counts.total = begin.cursor.rows
        self.growth.ring()
        return [begin, _expected(begin.cursor.rows)]

    def reserve(self, row: Row, now: float) -> None:
        """A row's POST is about to be made."""
        self.spending.reserve(row.line, self._worst(row, now))

    def marked(self, row: Row) -> list[Fact]:
        """What the next process must know of a row that is announced: to read its line again.

        Only where some rows bring forms of their own is that of running ones looked for.
        """
        if self.has_own_forms or not row.own_form:
            return []
        self.has_own_forms = True
        return [Note(FORMS, "own")]

    def _worst(self, row: Row, now: float) -> Decimal:
        return self.spending.worst(row.model, row.input_bound, row.output_bound, now)

    @property
    def are_last(self) -> bool:
        """Whether only the last operations of the run are left: nobody else needs the polls."""
        return self.intake.exhausted and self.counts.open - self.counts.twins <= _LAST

    async def advance(
        self,
        line: int,
        state: State,
        *,
        model: str | None = None,
        poll_at: float | None = None,
        form: Form | None = None,
    ) -> None:
        """As `place`, but also where that is to be recorded first."""
        if not self.place(line, state, model, poll_at, form):
            await self._settle(line, state)

    def place(
        self,
        line: int,
        state: State,
        model: str | None,
        poll_at: float | None,
        form: Form | None,
    ) -> bool:
        """Put a row that no call is under way for where its next step is taken.

        An operation is first asked for at `poll_at`, or when experience says that it is done:
        experience with `model`, if the row names its own. Its answer must have the `form`. False:
        first something is to be recorded, and nothing was done.
        """
        match next_step(state, self.policy):
            case Submit(again):
                self.intake.again(line, state, first=not again)
            case Poll(running):
                self.agenda.put(Asking(line, running, model, form=form), poll_at)
                self.counts.running += 1
                self.poll_bell.ring()
            case Stay():
                self.counts.twins += 1
            case Settle() | GiveUp():
                return False
            case step:
                assert_never(step)
        return True

    async def _settle(self, line: int, state: State) -> None:
        match next_step(state, self.policy):
            case Settle():
                await self.advance(line, await self.doubt(line, state))
            case GiveUp(failure):
                await self.finish(End(line, failure))
            case _:
                pass

    async def doubt(self, line: int, state: State, *, forgiven: bool = False) -> State:
        """Record that the acceptance of a row's POST can't be known; return its state then."""
        doubtful = after(state, Doubted())
        if forgiven:
            doubtful = after(doubtful, Forgiven())
        facts: list[Fact] = [
            Move(line, doubtful),
            Doubt(line, self.clock.now()),
            *superseded(line, state),
        ]
        await self.recorder.record(*facts)
        self.spending.keep(line)
        self.counts.doubts += 1
        return doubtful

    async def finish(self, end: End, asking: Asking | None = None) -> None:
        """Write a row's line; its course is over. `asking` is the operation that is over by it."""
        await self.recorder.write(end)
        model = None if asking is None else asking.model
        self.spending.settle(end.line, model, end.usage, end.day)
        learned = self.spending.news()
        if learned is not None:
            self.recorder.post(Note(COSTS, learned))
        match end.end:
            case Failure(stage="doubt"):
                self.counts.held += 1
            case Failure(stage):
                self.counts.failed += 1
                self.counts.unfit -= stage == "input" and self.counts.unfit > 0
            case _:
                self.counts.ok += 1
        self.counts.add(end.usage)
        self.counts.open -= 1
        self.counts.arrived -= asking is not None
        if self.on_end is not None:
            self.on_end(end.line)
        if _log.isEnabledFor(logging.INFO):
            self._tell(end, asking)
        self.on_change()
        self.end_if_complete()

    def _tell(self, end: End, asking: Asking | None) -> None:
        of: tuple[str | None, float | None] = (None, None)
        if asking is not None:
            of = (asking.operation_id, self.clock.now() - asking.accepted_at)
        match end.end:
            case Failure(stage, code, message):
                _log.info(FAILED, end.line, stage, code, message, *of)
            case _:
                _log.info(WRITTEN, end.line, *of)

    async def finish_twins(self, ends: Sequence[End]) -> None:
        """Write the lines of rows that have another's answer."""
        await self.recorder.write(*ends)
        self.counts.ok += len(ends)
        self.counts.twins -= len(ends)
        self.counts.open -= len(ends)
        for end in ends:
            _log.info(ANSWERED, end.line)
        self.end_if_complete()

    def end_if_complete(self) -> None:
        """End the run once every row has its line and no other can come."""
        if self.intake.exhausted and self.counts.total != self.cursor.rows:
            self.expect(self.cursor.rows)
        if self.intake.exhausted and self.counts.open == 0:
            self.ending.set(Complete())
        elif self.are_last:
            self.poll_bell.ring()


def _expected(total: int | None) -> Note:
    return Note(ROWS, None if total is None else str(total))
