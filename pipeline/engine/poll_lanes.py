"""The lanes in which operations are asked for: one schedule over all of them, few GETs in flight.

in turn:  the operation due first → permission      (one lane at a time)
alone:    GET → verdict → asked again later, or the row's line written
"""

import asyncio
import logging
from typing import assert_never

from pipeline.api import outcomes
from pipeline.api.outcomes import PollOutcome
from pipeline.calls.reach import Reach
from pipeline.calls.service import POLL_TIMEOUT, PROBE_TIMEOUT, Service
from pipeline.calls.submitting import forbidden, misdirected
from pipeline.engine.course import LONGEST_NAP, NEVER, Course
from pipeline.events import DENIED, LOST, THROTTLED, told
from pipeline.life.facts import LATENCY, POLLED_UNTIL, End, Move, Note
from pipeline.life.item import Lost, after
from pipeline.operations.polling import AskAgain, Asking, Conclude, GiveUpLost, after_poll
from pipeline.pacing.pace import Pace

_log = logging.getLogger("yagpt-batch")
# So many polls in a row, of several operations and without a good one between, are no accident.
_FORBIDDEN_LIMIT = 3
_LEASE = 60.0
# What was learned is noted each time so many more operations are over.
_NOTED_AFTER = 256
_PROBE_TRIES = 10
_PROBE_TRIES_APART = 0.1


class PollLanes:
    """Asks for every operation on the agenda until it is over."""

    def __init__(self, course: Course, service: Service, pace: Pace, reach: Reach) -> None:
        self._course = course
        self._service = service
        self._pace = pace
        self._reach = reach
        self._turn = asyncio.Lock()
        self._under_way = 0
        self._answered_once = False
        self._leased_until = -NEVER
        self._failing: set[int] = set()
        self._forbidden: list[int] = []

    async def lane(self) -> None:
        """Ask for one operation after another, for ever."""
        while True:
            async with self._turn:
                asking = await self._due()
                self._pace.begin()
                self._under_way += 1
            try:
                await self._ask(asking)
            finally:
                self._under_way -= 1
                self._course.poll_bell.ring()

    async def probe(self) -> bool | None:
        """Ask for one operation while the host seems away; None if there is none to ask for.

        It is a poll like any other, but short: it counts in the windows, and what it brings is
        not lost.
        """
        if not await self._may_probe():
            return False
        asking = self._course.agenda.take(self._course.clock.now())
        if asking is None:
            return None
        self._pace.begin()
        outcome = await self._fetch(asking, PROBE_TIMEOUT)
        await self._heed(asking, outcome)
        return not isinstance(outcome, outcomes.NotSent | outcomes.Unsure)

    async def _may_probe(self) -> bool:
        """Wait a moment for a place: of a shared allowance a run holds none that it needs not."""
        for _ in range(_PROBE_TRIES):
            now = self._course.clock.now()
            if not self._is_leased(now):
                await self._lease(now)
            elif self._pace.opens_at(now) <= now:
                return True
            await asyncio.sleep(_PROBE_TRIES_APART)
        return False

    async def _due(self) -> Asking:
        while True:
            now = self._course.clock.now()
            ready_at = self._ready_at(now)
            if ready_at <= now:
                if self._is_leased(now):
                    return self._course.agenda.pop(now)
                await self._lease(now)
                continue
            nap = None if ready_at == NEVER else min(ready_at - now, LONGEST_NAP)
            await self._course.poll_bell.wait(nap)

    def _is_leased(self, now: float) -> bool:
        return not self._pace.has_long_windows or now < self._leased_until

    async def _lease(self, now: float) -> None:
        """Let the next process know until when this one will have polled, before it does.

        It can't know how often; but a window of an hour need not be full for a whole one then.
        """
        until = now + _LEASE
        await self._course.recorder.record(Note(POLLED_UNTIL, str(until + POLL_TIMEOUT)))
        self._leased_until = until

    def _ready_at(self, now: float) -> float:
        self._course.agenda.are_last = self._course.are_last
        due_at = self._course.agenda.due_at(now)
        if due_at is None or not self._admitted():
            return NEVER
        # Asked for earlier, a place of a shared allowance would lie idle.
        return due_at if due_at > now else self._pace.opens_at(now)

    def _admitted(self) -> bool:
        keeper, under_way = self._service.keeper, self._under_way
        return self._reach.admits(under_way) and keeper.admits("polls", under_way)

    async def _ask(self, asking: Asking) -> None:
        outcome = await self._fetch(asking, POLL_TIMEOUT)
        self._heed_reach(asking, outcome)
        await self._heed(asking, outcome)

    async def _fetch(self, asking: Asking, timeout: float) -> PollOutcome:
        """Make the call that the pace has been told of."""
        begun = self._course.clock.now()
        asked = self._course.asked
        asked[asking.line] = asking
        try:
            outcome = await self._service.poll(asking.operation_id, timeout)
        finally:
            del asked[asking.line]
        self._settle_pace(outcome, begun)
        self._heed_refusal(asking, outcome)
        return outcome

    def _heed_reach(self, asking: Asking, outcome: PollOutcome) -> None:
        """Several operations failing in a row are an outage; one failing each time is its own."""
        if not isinstance(outcome, outcomes.NotSent | outcomes.Unsure):
            self._failing.clear()
            self._reach.answered()
            return
        is_all_there_is = len(self._failing) >= self._course.counts.running
        if asking.line not in self._failing or is_all_there_is:
            self._reach.failed()
        self._failing.add(asking.line)

    def _settle_pace(self, outcome: PollOutcome, begun: float) -> None:
        now = self._course.clock.now()
        if isinstance(outcome, outcomes.NotSent):
            self._pace.undo(begun)
            return
        self._pace.end(now)
        match outcome:
            case outcomes.Throttled(throttle, problem):
                lesson = self._pace.throttled(throttle, begun, now)
                if lesson is not None:
                    _log.warning(THROTTLED, *told(lesson, "polls", problem))
            case outcomes.Unsure() | outcomes.Unauthorized() | outcomes.Conflict():
                self._pace.undecided(begun)
            case _:
                self._pace.passed(begun, now)

    def _heed_refusal(self, asking: Asking, outcome: PollOutcome) -> None:
        """End the run where every operation is refused for the same reason."""
        match outcome:
            case outcomes.Misdirected(problem):
                self._course.ending.set(misdirected(problem))
            case outcomes.NotFound(problem) if asking.denied_at is None:
                self._answered_once = True
                self._forbidden.clear()
                _log.warning(DENIED, asking.line, asking.operation_id, problem.message)
            case outcomes.Forbidden(problem):
                self._forbidden.append(asking.line)
                among_others = self._answered_once and len(set(self._forbidden)) < _FORBIDDEN_LIMIT
                if len(self._forbidden) >= _FORBIDDEN_LIMIT and not among_others:
                    self._course.ending.set(forbidden(problem))
            case (
                outcomes.StillRunning()
                | outcomes.Answer()
                | outcomes.Failed()
                | outcomes.NotFound()
            ):
                self._answered_once = True
                self._forbidden.clear()
            case _:
                pass

    async def _heed(self, asking: Asking, outcome: PollOutcome) -> None:
        course, line, now = self._course, asking.line, self._course.clock.now()
        self._learn(asking, outcome, now)
        match after_poll(asking, outcome, now):
            case AskAgain(seen, at):
                course.agenda.put(seen, at)
            case Conclude(end, usage):
                course.counts.running -= 1
                course.counts.arrived += 1
                await course.finish(End(line, end, usage), asking)
            case GiveUpLost():
                course.counts.running -= 1
                _log.warning(LOST, line, asking.operation_id, now - asking.accepted_at)
                await self._lose(asking)
            case verdict:
                assert_never(verdict)

    def _learn(self, asking: Asking, outcome: PollOutcome, now: float) -> None:
        """Take note of how long operations take, so that the next process need not find out."""
        agenda = self._course.agenda
        known = agenda.known
        agenda.hear(asking, outcome, now)
        if agenda.known // _NOTED_AFTER > known // _NOTED_AFTER:
            self._course.recorder.post(Note(LATENCY, agenda.learned()))

    async def _lose(self, asking: Asking) -> None:
        gone = after(asking.state, Lost())
        await self._course.recorder.record(Move(asking.line, gone))
        self._course.spending.keep(asking.line)
        await self._course.advance(asking.line, gone)
        # One operation less is under way: --max-in-flight may let a POST through.
        self._course.on_change()
