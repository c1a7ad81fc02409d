"""One run in one process: open, recover, carry every row, drain, close.

    intake ──row──▶ submit lanes ──operation──▶ agenda ──▶ poll lanes ──answer──▶ recorder
       ▲                 │ intent, id                          │                     │ lines
       └── doubt, lost ──┴─────────────── checkpoint ──────────┴─────────────────────┘

Everything that ends a run ends it the same way: no new calls, the POSTs in flight awaited for a
while, what they brought recorded, the files closed. What differs is the reason.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from pipeline.board import Broken, Complete, Counts, Ending, Stopped
from pipeline.clock import Clock
from pipeline.codec import encode
from pipeline.course import Course
from pipeline.deadline import Deadline
from pipeline.errors import Exit, RunError
from pipeline.facts import COSTS, OUTAGES, ROWS, Cursor, Note, Signature
from pipeline.forgiveness import Forgiveness
from pipeline.intake import Intake
from pipeline.outlook import Outlook
from pipeline.pacing import Remember, paces
from pipeline.poll_lanes import PollLanes
from pipeline.preflight import Report, look
from pipeline.prices import PriceTable
from pipeline.progress import View
from pipeline.reach import Host, Reach
from pipeline.recorder import Recorder, Style
from pipeline.recovery import Files, Paths, opened
from pipeline.refill import Opener, Refill
from pipeline.rows import model_uri
from pipeline.service import Service
from pipeline.settings import Settings
from pipeline.source import Source
from pipeline.spending import Spending
from pipeline.submit_lanes import SubmitLanes
from pipeline.takeover import take_over
from pipeline.totals import Totals

_log = logging.getLogger("yagpt-batch")
_POLL_LANES = 32
_DRAIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, and its totals so far."""

    end: Complete | Stopped | RunError
    totals: Totals

    @property
    def exit_code(self) -> int:
        match self.end:
            case RunError() as error:
                return error.exit_code
            case Complete() if self.totals.rows("held"):
                return Exit.SOME_HELD
            case Complete() if self.totals.rows("failed"):
                return Exit.SOME_FAILED
            case Complete():
                return Exit.OK
            case Stopped(number):
                return 128 + number


@dataclass(frozen=True, slots=True)
class Tools:
    """What a run is given from outside, so that a simulation can give something else.

    `connect` is entered once the run's files are locked: the embedded emulator's is one of them.
    `allowance` opens what the run shares with others; without it, it shares nothing. What the run
    finds out about the quotas of submits, `remember` hears.
    """

    connect: Callable[[], AbstractContextManager[Service]]
    clock: Clock
    prices: PriceTable
    view: View
    say: Callable[[str], None]
    allowance: Opener | None = None
    remember: Remember | None = None


async def carry(
    paths: Paths,
    source: Source,
    settings: Settings,
    tools: Tools,
    ending: Ending,
    *,
    fresh: bool = False,
    retry: Callable[[Files, float], None] | None = None,
) -> Outcome:
    """Look at the rows, open or resume the run, and carry it to its end.

    `retry` puts rows back that failed, before the run goes on; the input is for it to check.

    Raises:
        RunError: it could not begin.

    """
    recipe, limit = settings.recipe, settings.limit
    begins = fresh or not paths.checkpoint.exists()
    # A file that is no input must not leave files of a run behind.
    report = await look(source, recipe, Cursor(), limit) if begins else Report()
    now = tools.clock.now()
    identity, mended = settings.identity(), retry is not None
    with opened(paths, source, identity, now=now, fresh=fresh, mended=mended) as files:
        if retry is not None:
            retry(files, now)
        cursor = files.checkpoint.cursor()
        if not begins:
            report = await look(source, recipe, cursor, limit)
        for sentence in report.sentences():
            tools.say(sentence)
        total = cursor.rows + report.rows if report.complete else None
        with tools.connect() as service:
            run = Run(files, service, settings, tools, ending)
            try:
                return await run.carry(total)
            finally:
                run.join()


class Run:
    """One run over open files."""

    def __init__(
        self, files: Files, service: Service, settings: Settings, tools: Tools, ending: Ending
    ) -> None:
        self._files = files
        self._service = service
        self._settings = settings
        self._tools = tools
        self._ending = ending
        self._counts = Counts()
        style = Style(settings.recipe.model, settings.raw, settings.emulator)
        self._recorder = Recorder(
            files.checkpoint, files.source, files.output, files.errors, style
        )
        cursor = files.checkpoint.cursor()
        self._intake = Intake(
            files.source, self._recorder.spans, settings.recipe, cursor, settings.limit
        )
        self._course = Course(
            settings.policy,
            self._recorder,
            self._intake,
            tools.clock,
            ending,
            self._counts,
            self._spending(),
            None if settings.finish_by is None else Deadline(settings.finish_by),
        )
        self._submit_pace, self._poll_pace = paces(
            files, self._recorder, settings, tools.remember, tools.clock.now()
        )
        self._submit_reach, self._poll_reach = self._reaches()
        self._forgiveness = Forgiveness(self._course, self._submit_reach)
        self._submits = SubmitLanes(
            self._course,
            service,
            self._submit_pace,
            self._submit_reach,
            self._forgiveness,
            files.run_id,
            last_number=files.checkpoint.last_send(),
            max_in_flight=settings.max_in_flight,
        )
        self._polls = PollLanes(self._course, service, self._poll_pace, self._poll_reach)
        self._course.on_change = self._submits.bell.ring
        service.keeper.on_change = self._credential_changed
        self._outlook = Outlook(
            *(self._course, settings, self._submit_pace, self._poll_pace),
            *(self._submit_reach, self._poll_reach, service.keeper),
        )
        self._refill = Refill(tools.allowance, tools.clock, tools.say)
        self._refill.attach("submits", self._submit_pace, self._submits.bell.ring)
        self._refill.attach("polls", self._poll_pace, self._course.poll_bell.ring)

    def _spending(self) -> Spending:
        checkpoint, model = self._files.checkpoint, self._settings.recipe.model
        totals = checkpoint.totals(model)
        spending = Spending(self._tools.prices, model, totals, self._settings.budget)
        spending.recall(checkpoint.meta(COSTS))
        return spending

    def _reaches(self) -> tuple[Reach, Reach]:
        clock, patience = self._tools.clock, self._settings.patience
        submits = Reach(
            Host("the text generation service", self._probe_submits),
            *(clock, patience, self._submits_changed),
        )
        polls = Reach(
            Host("the operation service", self._probe_polls, probe_proves=True),
            *(clock, patience, self._polls_changed),
        )
        return submits, polls

    def _note_outages(self) -> None:
        """Let those who look from outside see what the run waits for, and for how long it will."""
        outages = {
            "submits": self._submit_reach.outage(),
            "polls": self._poll_reach.outage(),
            "credential": self._service.keeper.absence(),
        }
        for what, outage in outages.items():
            told = None if outage is None else encode(outage).decode()
            self._recorder.post(Note(OUTAGES[what], told))

    def _submits_changed(self) -> None:
        self._note_outages()
        self._submits.bell.ring()

    def _polls_changed(self) -> None:
        self._note_outages()
        self._course.poll_bell.ring()
        if self._poll_reach.admits(0):
            self._submit_reach.hurry()

    def _credential_changed(self) -> None:
        self._note_outages()
        self._submits.bell.ring()
        self._course.poll_bell.ring()

    async def _probe_submits(self) -> bool | None:
        if not self._poll_reach.admits(0) and len(self._course.agenda):
            # One probe at a time: the GET that asks for the other host tells of both.
            return False
        recipe = self._settings.recipe
        return await self._service.probe_submits(model_uri(recipe.model, recipe.folder))

    async def _probe_polls(self) -> bool | None:
        return await self._polls.probe()

    def join(self) -> None:
        """Wait for the disk; then the files can be closed."""
        self._recorder.join()
        self._refill.leave()

    async def carry(self, total: int | None) -> Outcome:
        """Carry every row to its line, or as far as the reason to end allows."""
        async with asyncio.TaskGroup() as group:
            recording = group.create_task(self._guarded(self._recorder.run))
            self._expect(total)
            self._note_outages()
            await self._guarded(self._take_over)
            self._warn_of_deadline()
            lanes = self._start_lanes(group)
            others = self._start_watchers(group)
            await self._ending.wait()
            await self._drain(lanes)
            self._recorder.close()
            await recording
            for task in others:
                task.cancel()
        self._tools.view.show(self._counts, spent=self._outlook.spent())
        self._tools.view.close()
        if isinstance(self._ending.reason, Complete):
            await self._guarded(self._conclude)
        end = await self._ending.wait()
        if isinstance(end, Broken):
            raise end.error
        return Outcome(end, self._files.checkpoint.totals(self._settings.recipe.model))

    async def _guarded(self, part: Callable[[], Awaitable[None]]) -> None:
        """What ends a run may arise in any part of it; even a bug ends it in order."""
        try:
            await part()
        except RunError as error:
            self._ending.set(error)
        except Exception as error:  # noqa: BLE001 - raised again once everything is recorded
            self._ending.set(Broken(error))

    async def _take_over(self) -> None:
        model, counts = self._settings.recipe.model, self._counts
        await take_over(self._files.checkpoint, self._course, model, self._tools.clock.now())
        if self._files.resumed:
            of_all = "" if counts.total is None else f" of {counts.total:,}"
            self._tools.say(
                f"Continuing: {counts.finished:,}{of_all} rows done, operations to fetch: "
                f"{counts.running:,}, doubts so far: {counts.doubts:,}."
            )

    def _warn_of_deadline(self) -> None:
        fits = self._outlook.rows_in_time()
        if fits is not None and fits[0] < fits[1]:
            self._tools.say(
                f"Of {fits[1]:,} rows to submit, about {fits[0]:,} can be back by --finish-by at "
                "these rates; the others wait."
            )

    def _start_lanes(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        submits = range(self._settings.concurrency)
        return [
            *(group.create_task(self._guarded(self._submits.lane)) for _ in submits),
            *(group.create_task(self._guarded(self._polls.lane)) for _ in range(_POLL_LANES)),
        ]

    def _start_watchers(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        parts = [
            self._service.keeper.watch,
            self._submit_reach.watch,
            self._poll_reach.watch,
            self._forgiveness.watch,
            self._refill.watch,
            self._show,
            self._outlook.watch,
            self._count,
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
            self._tools.say(f"{len(sending)} requests had no answer in time: they are in doubt.")
        for lane in list(sending):
            lane.cancel()
        await asyncio.wait(lanes)

    async def _show(self) -> None:
        view = self._tools.view
        while True:
            view.show(self._counts, self._outlook.eta(), self._outlook.spent())
            await asyncio.sleep(view.interval)

    def _expect(self, total: int | None) -> None:
        self._counts.total = total
        self._recorder.post(Note(ROWS, None if total is None else str(total)))

    async def _count(self) -> None:
        """Learn how many rows there are, where that was not seen at the start."""
        if self._counts.total is None:
            loop = asyncio.get_running_loop()
            rows = await loop.run_in_executor(None, self._files.source.count_rows)
            limit = self._settings.limit
            self._expect(rows if limit is None else min(rows, limit))

    async def _conclude(self) -> None:
        self._files.check_in_place()
        checkpoint = self._files.checkpoint
        checkpoint.set_meta({ROWS: str(checkpoint.cursor().rows)})
        if self._settings.totals:
            self._write_totals()

    def _write_totals(self) -> None:
        output, checkpoint = self._files.output, self._files.checkpoint
        totals = checkpoint.totals(self._settings.recipe.model)
        line = encode({"totals": totals.to_json(self._tools.prices)})
        if output.last() == line:
            return
        known = checkpoint.signature("output")
        output.append_last(line)
        size = 0 if known is None else known.size
        checkpoint.record([], {"output": Signature(size, output.signature().mtime_ns)})
