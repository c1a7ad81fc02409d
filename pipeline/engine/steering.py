"""A run's ear for other shells: what its control file asks for, it does within about a second.

    look ──another file──▶ read ──▶ what is in force then ──▶ done, said, noted in the checkpoint

The note is the answer: it has the number of the control that was heard. A file that says nothing
sensible changes nothing, and never ends a run.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import msgspec

from pipeline import codec
from pipeline.clock import local_day_and_time, local_to_the_second
from pipeline.ending.deadline import Deadline
from pipeline.ending.prospect import Pause
from pipeline.engine.course import Course
from pipeline.engine.outlook import Outlook
from pipeline.engine.paces import noted_rates
from pipeline.life.facts import IN_FORCE, POLLED_UNTIL, Note
from pipeline.money.prices import money
from pipeline.pacing.meter import Meter
from pipeline.pacing.pace import Pace
from pipeline.pacing.quota import SHORT
from pipeline.pacing.rates import Rate
from pipeline.resuming.recovery import Files
from pipeline.settings import Settings
from pipeline.shared_quota.refill import Refill
from pipeline.state import control_file
from pipeline.state.control import Control, InForce, Unreadable, unpausing
from pipeline.state.control_file import Look
from pipeline.store.checkpoint import Checkpoint

_LOOKS_APART = 1.0


@dataclass(frozen=True, slots=True)
class Wheels:
    """What can be changed of a run while it goes on."""

    course: Course
    submits: Pace
    polls: Pace
    refill: Refill
    outlook: Outlook
    meter: Meter


@dataclass(slots=True)
class Steering:
    """One process's ear; without a `path` it listens to nobody."""

    path: Path | None
    wheels: Wheels
    settings: Settings
    files: Files
    say: Callable[[str], None]
    _last_send: int = field(init=False)
    _now: InForce = field(init=False)
    _seen: Look | None = None

    def __post_init__(self) -> None:
        self._last_send = self.files.checkpoint.last_send()
        self._now = _first(self.settings, self.wheels.course.spending.limit)

    async def begin(self) -> None:
        """Take over what still is asked, before the first row is submitted."""
        if self.path is None:
            return
        checkpoint = self.files.checkpoint
        before = _noted(checkpoint)
        if before is not None and (options := _changed(before)):
            self.say(f"The process before this one was changed to {options}; that ended with it.")
        await self._look()
        self._note()

    async def watch(self) -> None:
        """Look once a second; for ever."""
        while self.path is not None:
            await asyncio.sleep(_LOOKS_APART)
            await self._look()

    def leave(self) -> None:
        """Say what does not outlast the process, though rows are left."""
        if options := _changed(self._now):
            self.say(f"It was changed to {options}: that ends with this process.")

    def end(self) -> None:
        """Every row has its line: there is nothing left that could be paused."""
        if self.path is not None:
            control_file.remove(self.path)

    async def _look(self) -> None:
        """See whether the file is another one; on a disk that hangs, nobody else waits."""
        assert self.path is not None  # noqa: S101 - by whoever calls
        loop = asyncio.get_running_loop()
        look = await loop.run_in_executor(None, control_file.look_of, self.path)
        if look == self._seen:
            return
        self._seen = look
        try:
            control = await loop.run_in_executor(None, control_file.read, self.path)
        except Unreadable as error:
            self.say(f"{self.path} asks for nothing that can be understood ({error}): ignored.")
            return
        await self._heed(control)

    async def _heed(self, control: Control) -> None:
        before, self._now = self._now, self._now.after(control)
        await self._change(before)
        self._pause(before)
        self._note()
        self.wheels.course.on_change()
        # Nobody who looks from outside is to read what was before.
        self.wheels.outlook.renew()

    async def _change(self, before: InForce) -> None:
        now, course = self._now, self.wheels.course
        told = now.differences(before, course.spending.prices.currency, local_day_and_time)
        if not told:
            return
        if (now.rates, now.auto) != (before.rates, before.auto):
            self.wheels.meter.disturb()
            await self._change_submits()
        if now.poll_rates != before.poll_rates:
            await self._change_polls()
        if now.budget is not None:
            course.spending.limit = Decimal(now.budget)
        if now.finish_by != before.finish_by:
            course.deadline = None if now.finish_by is None else Deadline(now.finish_by)
        course.max_in_flight = now.max_in_flight
        self.wheels.outlook.speed.forget()
        self.say(f"Changed from outside: {told}.")

    async def _change_submits(self) -> None:
        rates, course, pace = _rates(self._now.rates), self.wheels.course, self.wheels.submits
        since = course.clock.now() - max((rate.seconds for rate in rates), default=0.0) - 60.0
        sends = await course.recorder.sends_since(since)
        now = course.clock.now()
        # Those of this process the pace knows of itself.
        earlier = [end or 0.0 for number, _, end in sends if number <= self._last_send]
        pace.change(rates, now, open_ended=self._now.auto, earlier=sorted(earlier))
        course.recorder.post(noted_rates(rates, is_auto=self._now.auto))
        self.wheels.refill.follow()

    async def _change_polls(self) -> None:
        course, rates = self.wheels.course, _rates(self._now.poll_rates)
        is_long = any(rate.seconds > SHORT for rate in rates)
        if not is_long:
            # As in `paces`; and once more, for what a lane may note in this moment.
            await course.recorder.record(Note(POLLED_UNTIL, None))
        self.wheels.polls.change(rates, course.clock.now())
        if not is_long:
            course.recorder.post(Note(POLLED_UNTIL, None))
        self.wheels.refill.follow()
        course.poll_bell.ring()

    def _pause(self, before: InForce) -> None:
        since, course = self._now.paused_since, self.wheels.course
        if since == before.paused_since:
            return
        if since is None:
            course.pause = None
            self.say("Unpaused: rows are submitted again.")
            return
        self.wheels.meter.disturb()
        course.pause = Pause(since, unpausing(str(self.files.paths.output)))
        self.say(
            f"Paused since {local_day_and_time(since)}: no row is submitted, what was submitted "
            f"is fetched. To go on: {course.pause.go_on}"
        )

    def _note(self) -> None:
        self.wheels.course.recorder.post(Note(IN_FORCE, codec.encode(self._now).decode()))


def _first(settings: Settings, budget: Decimal | None) -> InForce:
    return InForce(
        process=uuid4().hex,
        heard=0,
        paused_since=None,
        rates=tuple(map(str, settings.rates)),
        auto=settings.auto_rate,
        poll_rates=tuple(map(str, settings.poll_rates)),
        budget=money(budget),
        finish_by=settings.finish_by,
        max_in_flight=settings.max_in_flight,
    )


def _noted(checkpoint: Checkpoint) -> InForce | None:
    """What the process before this one went by; what can't be read is as good as nothing."""
    try:
        return msgspec.json.decode(checkpoint.meta(IN_FORCE) or "null", type=InForce | None)
    except msgspec.DecodeError:
        return None


def _rates(texts: tuple[str, ...]) -> tuple[Rate, ...]:
    return tuple(map(Rate.parse, texts))


def _changed(now: InForce) -> str:
    """What a process was told since it began, as options; empty if nothing."""
    return "" if now.changed is None else " ".join(now.changed.options(local_to_the_second))
