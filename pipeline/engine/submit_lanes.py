"""The lanes in which rows are submitted: as many POSTs in flight as there are lanes.

    in turn:  next row → permission → intent queued for the disk      (one lane at a time)
    alone:    intent durable → POST → verdict → recorded → where the row goes next

Turns keep the input's order on disk: rows begun are always a beginning of the input. A lane is
free for its next row only when the operation id of this one is durable, so that a crash leaves no
more rows in doubt than there are lanes.
"""

import asyncio
import logging
import uuid
from dataclasses import dataclass, replace
from functools import partial
from typing import assert_never

from pipeline import events
from pipeline.api.outcomes import OperationId, Problem
from pipeline.calls.reach import Reach
from pipeline.calls.service import Service
from pipeline.calls.submitting import Doubt, Fail, Later, Retry, Run, Stop, Verdict, after_submit
from pipeline.engine.course import Course, superseded
from pipeline.engine.forgiveness import Forgiveness, Judgement
from pipeline.engine.permission import Permission
from pipeline.errors import StorageFailed
from pipeline.input.rows import Row
from pipeline.life.entry import Entry
from pipeline.life.facts import End, Ended, Move, Sent
from pipeline.life.item import (
    Accepted,
    Announced,
    Intended,
    State,
    Withdrawn,
    after,
)
from pipeline.life.records import Failure
from pipeline.life.request_ids import RequestIds
from pipeline.pacing.gate import Throttle
from pipeline.pacing.meter import Meter
from pipeline.pacing.pace import Pace

_log = logging.getLogger("yagpt-batch")
# A row that conflicts with something of its own: half an hour in all, then it is given up.
_TRIES_APART = 10
_FIRST_WAIT_APART = 2.5
_LONGEST_WAIT_APART = 300.0


@dataclass(frozen=True, slots=True)
class _Posting:
    """A POST of one row, announced and not yet recorded as ended."""

    entry: Entry
    row: Row
    state: Intended
    number: int
    begun: float
    recorded: asyncio.Future[bool]


class SubmitLanes:
    """Submits what the intake hands out."""

    def __init__(
        self,
        course: Course,
        service: Service,
        pace: Pace,
        reach: Reach,
        forgiveness: Forgiveness,
        run_id: uuid.UUID,
        *,
        last_number: int = 0,
    ) -> None:
        self._course = course
        self._service = service
        self._pace = pace
        self._permission = Permission(course, pace, reach, service.keeper)
        self._request_ids = RequestIds(run_id)
        self._number = course.counts.submits = last_number
        self._turn = asyncio.Lock()
        self._tries_apart: dict[int, int] = {}
        self._forgiveness = forgiveness
        self.sending: set[asyncio.Task[None]] = set()
        self.bell = self._permission.bell
        self.meter = Meter(pace)

    async def lane(self) -> None:
        """Carry one row after another up to its operation, until the run ends."""
        while True:
            async with self._turn:
                # Whoever had the turn before may have ended the run with a row in hand: rows
                # begun must stay a beginning of the input.
                if self._course.ending.reason is not None:
                    return
                ready = await self._readied(await self._next())
            if isinstance(ready, End):
                await self._course.finish(ready)
            else:
                await self._carry(ready)

    async def _readied(self, entry: Entry) -> _Posting | End:
        """An announced POST, or the end of a row that there can be none for."""
        if not isinstance(entry.row, Row) or entry.state is None:
            self._begin(entry, None)
            return entry.unfit_end()
        failure = self._course.unpriced(entry.row)
        if failure is not None:
            self._begin(entry, entry.state)
            return End(entry.row.line, failure)
        await self._permission.wait(entry.row)
        return self._announce(entry, entry.row, entry.state)

    async def _next(self) -> Entry:
        intake = self._course.intake
        while (entry := await intake.next()) is None:
            self._course.end_if_complete()
            await intake.bell.wait()
        return entry

    def _begin(self, entry: Entry, state: State | None) -> None:
        begin = entry.begin(state)
        if begin is not None:
            self._course.recorder.post(*self._course.begin(begin))

    def _announce(self, entry: Entry, row: Row, before: State) -> _Posting:
        now = self._course.clock.now()
        state = after(before, Announced(now))
        assert isinstance(state, Intended)  # noqa: S101 - that is what Announced leads to
        self._number += 1
        self._course.counts.submits = self._number
        self._course.reserve(row, now)
        self._pace.begin()
        begin = entry.begin(state)
        intent = [Move(row.line, state)] if begin is None else self._course.begin(begin)
        facts = [Sent(self._number, now), *intent, *self._course.marked(row)]
        recorded = self._course.recorder.announce(*facts, line=row.line)
        self._course.counts.posting += 1
        return _Posting(entry, row, state, self._number, now, recorded)

    async def _carry(self, posting: _Posting) -> None:
        lane = asyncio.current_task()
        assert lane is not None  # noqa: S101 - lanes are tasks
        self.sending.add(lane)
        try:
            await self._post(posting)
        finally:
            self.sending.discard(lane)
            self._course.counts.posting -= 1
            self.bell.ring()

    async def _post(self, posting: _Posting) -> None:
        row = posting.row
        if not await posting.recorded:
            self._unsent(posting)
            self._course.spending.release(row.line)
            await self._course.finish(posting.entry.unfit_end())
            return
        if self._course.ending.reason is not None:
            self._unsent(posting)
            await self._withdraw(posting)
            return
        request_id = self._request_ids.of(row.line, posting.state.submits)
        _log.info(events.SENT, row.line, request_id)
        sent_at = self._course.clock.now()
        self.meter.left(sent_at)
        outcome = await self._service.submit(row.body, request_id)
        verdict = after_submit(outcome, own_model=row.own_model, proven=self._permission.proven)
        self._settle_pace(posting, verdict, sent_at)
        await self._heed(posting, verdict)

    def _unsent(self, posting: _Posting) -> None:
        """Take the POST out of the windows: it did not reach the service."""
        self._pace.undo(posting.begun)
        self._course.recorder.post(Ended(posting.number, 0.0))

    def _settle_pace(self, posting: _Posting, verdict: Verdict, sent_at: float) -> None:
        if isinstance(verdict, Retry) and not verdict.sent:
            self.meter.undone()
            self._unsent(posting)
            return
        now = self._course.clock.now()
        accepted = isinstance(verdict, Run)
        # What the disk took before it was sent tells nothing of the way.
        self._pace.end(now, now - sent_at if accepted else None)
        self.meter.answered(now)
        self._course.recorder.post(Ended(posting.number, now))
        match verdict:
            case Retry(problem, throttle=Throttle() as throttle):
                # The quota may be its model's alone: its number is not for other rows.
                heed = self._pace.slowed_down if posting.row.own_model else self._pace.throttled
                lesson = heed(throttle, posting.begun, now)
                if lesson is not None:
                    _log.warning(events.THROTTLED, *events.told(lesson, "submits", problem))
            case Run():
                self._pace.passed(posting.begun, now)
            case _:
                self._pace.undecided(posting.begun)

    async def _heed(self, posting: _Posting, verdict: Verdict) -> None:
        line = posting.row.line
        match verdict:
            case Run(operation_id):
                await self._forgiveness.answered()
                await self._run(posting, operation_id)
            case Fail(failure):
                await self._forgiveness.answered()
                await self._withdraw(posting)
                await self._course.finish(End(line, failure))
            case Retry(problem, sent):
                _log.info(events.AGAIN, line, problem.message, problem.code)
                await (self._forgiveness.answered() if sent else self._forgiveness.failed())
                waiting = await self._withdraw(posting)
                if posting.row.own_model:
                    # The quota may be its model's alone: others are not to wait for it.
                    self._course.intake.again(line, waiting, first=False)
                else:
                    entry = replace(posting.entry, state=waiting, cursor=None)
                    self._course.intake.put_back(entry)
            case Later(problem):
                await self._forgiveness.answered()
                await self._wait_apart(posting, problem)
            case Doubt(problem, is_outage):
                _log.warning(events.DOUBT, line, problem.message, problem.code, problem.request_id)
                await self._doubt(posting, is_outage=is_outage)
            case Stop(error):
                self._course.ending.set(error)
                await self._withdraw(posting)
            case _:
                assert_never(verdict)

    async def _wait_apart(self, posting: _Posting, problem: Problem) -> None:
        """Let a row try again after everything else, ever later, and not for ever."""
        line = posting.row.line
        waiting = await self._withdraw(posting)
        tries = self._tries_apart[line] = self._tries_apart.get(line, 0) + 1
        if tries > _TRIES_APART:
            failure = Failure("submit", problem.code, problem.message, problem.request_id)
            await self._course.finish(End(line, failure))
            return
        delay = min(_FIRST_WAIT_APART * 2.0**tries, _LONGEST_WAIT_APART)
        _log.info(events.WAITS, line, delay, problem.message, problem.code)
        again = partial(self._course.intake.again, line, waiting, first=False)
        asyncio.get_running_loop().call_later(delay, again)

    async def _run(self, posting: _Posting, operation_id: OperationId) -> None:
        line = posting.row.line
        self._permission.proven = True
        now = self._course.clock.now()
        state = after(posting.state, Accepted(operation_id, now))
        facts = [Move(line, state), *superseded(line, posting.state)]
        try:
            is_its_own = await self._course.recorder.record(*facts, line=line)
        except StorageFailed:
            _log.critical(events.NOT_STORED, line, operation_id)
            raise
        if is_its_own:
            _log.info(events.ACCEPTED, line, operation_id, now - posting.begun)
            model = posting.row.model if posting.row.own_model else None
            await self._course.advance(line, state, model=model, form=posting.row.form)
        else:
            _log.warning(events.DUPLICATE, line, operation_id)
            await self._doubt(posting, is_outage=False)

    async def _withdraw(self, posting: _Posting) -> State:
        state = after(posting.state, Withdrawn())
        await self._course.recorder.record(Move(posting.row.line, state))
        self._course.spending.release(posting.row.line)
        return state

    async def _doubt(self, posting: _Posting, *, is_outage: bool) -> None:
        line = posting.row.line
        judgement = await self._forgiveness.failed() if is_outage else Judgement.COUNTS
        forgiven = judgement is Judgement.FORGIVEN
        state = await self._course.doubt(line, posting.state, forgiven=forgiven)
        if judgement is Judgement.OPEN:
            await self._forgiveness.weigh(line, state)
        else:
            await self._course.advance(line, state)
