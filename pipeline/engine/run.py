"""One run in one process: carry every row, drain, let go.

    intake ──row──▶ submit lanes ──operation──▶ agenda ──▶ poll lanes ──answer──▶ recorder
       ▲                 │ intent, id                          │                     │ lines
       └── doubt, lost ──┴─────────────── checkpoint ──────────┴─────────────────────┘

Everything that ends a run ends it the same way: no new calls, the POSTs in flight awaited for a
while, what they brought recorded, the files closed. What differs is the reason.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from pipeline.calls.service import Service
from pipeline.clock import local_with_zone
from pipeline.ending.deadline import Deadline
from pipeline.engine.completion import complete, grown
from pipeline.engine.course import Course
from pipeline.engine.expectation import counted, follow
from pipeline.engine.forgiveness import Forgiveness
from pipeline.engine.hosts import Hosts
from pipeline.engine.intake import Intake
from pipeline.engine.outlook import Outlook
from pipeline.engine.paces import paces
from pipeline.engine.poll_lanes import PollLanes
from pipeline.engine.speed import Speed
from pipeline.engine.steering import Steering, Wheels
from pipeline.engine.submit_lanes import SubmitLanes
from pipeline.engine.takeover import take_over
from pipeline.engine.tools import Tools
from pipeline.engine.twin_lane import TwinLane
from pipeline.errors import Exit, RunError, StorageFailed
from pipeline.files.alteration import unexpected
from pipeline.life.facts import COSTS, COUNTED, LIMIT, Note
from pipeline.money.prices import PriceTable
from pipeline.money.spending import Spending
from pipeline.resuming.recovery import Files
from pipeline.settings import Settings
from pipeline.shared_quota.refill import Refill
from pipeline.state.board import Broken, Complete, Counts, Ending, Outcome, Stopped
from pipeline.state.departure import BUG, DEPARTURE, Departure
from pipeline.store.pen import Pen, Style
from pipeline.store.recorder import Recorder, Watch
from pipeline.view.progress import View
from pipeline.wording import so_many

_log = logging.getLogger("yagpt-batch")
_DRAIN_SECONDS = 10.0


class Run:
    """One run over open files."""

    def __init__(
        self, files: Files, service: Service, settings: Settings, tools: Tools, ending: Ending
    ) -> None:
        self._files = files
        self._settings = settings
        self._tools = tools
        self._course = _course(files, settings, tools, ending)
        submit_pace, poll_pace = paces(
            files, self._course.recorder, settings, tools.remember, tools.clock.now()
        )
        self._hosts = Hosts(self._course, service, settings)
        self._forgiveness = Forgiveness(self._course, self._hosts.submits)
        self._submits = SubmitLanes(
            self._course,
            service,
            submit_pace,
            self._hosts.submits,
            self._forgiveness,
            files.run_id,
            last_number=files.checkpoint.last_send(),
        )
        self._polls = PollLanes(self._course, service, poll_pace, self._hosts.polls)
        self._twins = TwinLane(self._course, files.checkpoint, files.output)
        if settings.dedupe:
            self._twins.attach()
        self._course.on_change = self._submits.bell.ring
        self._hosts.probe_polls = self._polls.probe
        speed = Speed(self._course, settings, submit_pace)
        self._outlook = Outlook(self._course, speed, submit_pace, poll_pace, self._hosts)
        self._refill = Refill(tools.allowance, tools.clock, tools.say)
        self._refill.attach("submits", submit_pace, self._submits.bell.ring)
        self._refill.attach("polls", poll_pace, self._course.poll_bell.ring)
        wheels = Wheels(
            *(self._course, submit_pace, poll_pace, self._refill, self._outlook),
            self._submits.meter,
        )
        self._steering = Steering(tools.control, wheels, settings, files, tools.say)

    def join(self) -> None:
        """Wait for the disk; then the files can be closed."""
        self._course.recorder.join()
        self._refill.leave()

    async def carry(self, total: int | None, unfit: int, extent_note: str | None) -> Outcome:
        """Carry every row to its line, or as far as the reason to end allows.

        There are `total` rows, if that is known, and `unfit` ones among those not begun at least;
        `extent_note`: what is to be noted of that.
        """
        begun = self._tools.clock.now()
        async with asyncio.TaskGroup() as group:
            recording = group.create_task(self._guarded(self._course.recorder.run))
            self._course.expect(total)
            self._course.counts.unfit = unfit
            if extent_note is not None:
                self._course.recorder.post(Note(COUNTED, extent_note))
            for note in (*self._tools.notes(), Note(DEPARTURE, "")):
                self._course.recorder.post(note)
            self._hosts.note_outages()
            await self._guarded(self._take_over)
            await self._guarded(self._steering.begin)
            self._tell_of_deadline()
            lanes = self._start_lanes(group)
            others = self._start_watchers(group)
            await self._course.ending.wait()
            await self._drain(lanes)
            self._course.recorder.post(Note(COSTS, self._course.spending.learned()))
            self._course.recorder.close()
            await recording
            for task in others:
                task.cancel()
        if not self._course.recorder.has_failed:
            self._recount()
        for view in self._tools.views:
            view.show(self._outlook.last_scene())
            view.close()
        if isinstance(self._course.ending.reason, Complete):
            await self._guarded(self._complete)
        else:
            self._steering.leave()
        end = await self._course.ending.wait()
        if isinstance(end, Broken):
            self._note_departure(Departure(self._tools.clock.now(), BUG, Exit.UNEXPECTED))
            raise end.error
        outcome = self._outcome(end, begun)
        if not self._course.recorder.has_failed:
            self._note_departure(outcome.departure(self._tools.clock.now()))
        return outcome

    def _recount(self) -> None:
        """Let the last look have all lines, also of lanes that ended while theirs was written."""
        totals = self._files.checkpoint.totals(self._settings.recipe.model)
        self._course.counts.recount(totals)
        self._course.spending.recount(totals)

    def _note_departure(self, departure: Departure) -> None:
        # All that counts is on disk: that this does not get there is no reason to end otherwise.
        with suppress(StorageFailed):
            self._files.checkpoint.set_meta({DEPARTURE: departure.text})

    def _outcome(self, end: Complete | Stopped | RunError, begun: float) -> Outcome:
        totals = self._files.checkpoint.totals_at_end(self._settings.recipe.model)
        total = self._course.counts.total
        # Not as counted here: a line may be on disk that nobody heard of any more.
        left = None if total is None else max(total - totals.rows(), 0)
        seconds = self._tools.clock.now() - begun
        same = self._files.checkpoint.twins.answered()
        use, limit = self._submits.meter.use(), self._files.checkpoint.meta(LIMIT)
        limited = int(limit) if limit and isinstance(end, Complete) else None
        running = self._course.counts.running
        changed = unexpected(grown(self._files), counted(self._files), total)
        return Outcome(end, totals, use, seconds, left, same, limited, running, changed)

    async def _guarded(self, part: Callable[[], Awaitable[None]]) -> None:
        """What ends a run may arise in any part of it; even a bug ends it in order."""
        try:
            await part()
        except RunError as error:
            self._course.ending.set(error)
        except Exception as error:  # noqa: BLE001 - raised again once everything is recorded
            self._course.ending.set(Broken(error))

    async def _take_over(self) -> None:
        model, counts = self._settings.recipe.model, self._course.counts
        await take_over(self._files.checkpoint, self._course, model, self._tools.clock.now())
        if not self._files.resumed:
            return
        of_all = "" if counts.total is None else f" of {counts.total:,}"
        if counts.finished == counts.total:
            self._tools.say(f"Nothing is left to do: {so_many(counts.finished, 'row')} done.")
        else:
            self._tools.say(
                f"Continuing: {counts.finished:,}{of_all} rows done, operations to fetch: "
                f"{counts.running:,}, doubts so far: {counts.doubts:,}."
            )

    def _tell_of_deadline(self) -> None:
        deadline, fits = self._course.deadline, self._outlook.rows_in_time()
        if deadline is None:
            return
        is_known, now = bool(self._course.agenda.latencies()), self._tools.clock.now()
        told = deadline.foretold(
            *(now, fits),
            latency_known=is_known,
            local=local_with_zone,
            dedupe=self._settings.dedupe,
        )
        if told:
            self._tools.say(told)

    def _start_lanes(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        submits, polls = range(self._settings.concurrency), range(self._settings.poll_lanes)
        twins = range(self._settings.dedupe)
        return [
            *(group.create_task(self._guarded(self._submits.lane)) for _ in submits),
            *(group.create_task(self._guarded(self._polls.lane)) for _ in polls),
            *(group.create_task(self._guarded(self._twins.lane)) for _ in twins),
        ]

    def _start_watchers(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        parts: list[Callable[[], Awaitable[None]]] = [
            self._hosts.keeper.watch,
            self._hosts.submits.watch,
            self._hosts.polls.watch,
            self._forgiveness.watch,
            self._refill.watch,
            *(partial(self._show, view) for view in self._tools.views),
            self._outlook.watch,
            self._steering.watch,
            self._follow,
        ]
        return [group.create_task(self._guarded(part)) for part in parts]

    async def _drain(self, lanes: list[asyncio.Task[None]]) -> None:
        """Await the POSTs in flight for a while; everything else can be done again."""
        sending = self._submits.sending
        for lane in lanes:
            if lane not in sending:
                lane.cancel()
        if sending:
            await asyncio.wait(list(sending), timeout=_DRAIN_SECONDS)
        if sending:
            requests = so_many(len(sending), "request")
            self._tools.say(f"{requests} without an answer in time: in doubt from now on.")
        # The next process would count them; nobody else is told of them any more.
        self._course.counts.doubts += len(sending)
        for lane in list(sending):
            lane.cancel()
        await asyncio.wait(lanes)

    async def _show(self, view: View) -> None:
        while True:
            view.show(self._outlook.scene())
            await asyncio.sleep(view.interval)

    async def _follow(self) -> None:
        await follow(self._files, self._course, self._tools.say)

    async def _complete(self) -> None:
        for told in self._files.keep_in_place():
            self._tools.say(told)
        complete(self._files, self._settings, self._tools.prices)
        self._steering.end()


def _course(files: Files, settings: Settings, tools: Tools, ending: Ending) -> Course:
    recipe, finish_by = settings.recipe, settings.finish_by
    style = Style(recipe.model, settings.raw, settings.emulator)
    watch = Watch(files.keep_in_place, tools.say, ending.set)
    pen = Pen(files.checkpoint, files.source, style)
    recorder = Recorder(files.checkpoint, pen, files.output, files.errors, watch)
    cursor = files.checkpoint.cursor()
    # A compressed input would be read to its end, to find that there is nothing more.
    limit = cursor.rows if counted(files) == cursor.rows else settings.limit
    return Course(
        settings.policy,
        recorder,
        Intake(files.source, recorder.spans, recipe, cursor, limit),
        tools.clock,
        ending,
        Counts(),
        _spending(files, settings, tools.prices),
        cursor,
        deadline=None if finish_by is None else Deadline(finish_by, tools.clock.now()),
        max_in_flight=settings.max_in_flight,
    )


def _spending(files: Files, settings: Settings, prices: PriceTable) -> Spending:
    checkpoint, model = files.checkpoint, settings.recipe.model
    spending = Spending(prices, model, checkpoint.totals(model), settings.budget)
    spending.recall(checkpoint.meta(COSTS))
    return spending
