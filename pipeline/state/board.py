"""What the parts of one process share: how it ends and what comes of it, what a person sees.

The counts are for display; totals are folded from the disk.
"""

import asyncio
from dataclasses import dataclass, field

from msgspec import Struct

from pipeline.api.outcomes import Usage
from pipeline.errors import Exit, RunError
from pipeline.files.alteration import Growth
from pipeline.money.totals import Totals
from pipeline.pacing.meter import Use
from pipeline.state.departure import COMPLETE, SIGNAL, Departure


class Complete(Struct, frozen=True):
    """Every row has its line."""


class Stopped(Struct, frozen=True):
    """A signal asked for the end."""

    signal: int


class Broken(Struct, frozen=True):
    """Something happened that should not: a bug."""

    error: Exception


End = Complete | Stopped | RunError | Broken


class Ending:
    """Why the run ends, and a way to wait until it does."""

    def __init__(self) -> None:
        self._set = asyncio.Event()
        self.reason: End | None = None

    def set(self, reason: End) -> None:
        """Take note; the first reason counts, but that something failed outranks all others."""
        if self.reason is None or (
            isinstance(reason, RunError | Broken)
            and not isinstance(self.reason, RunError | Broken)
        ):
            self.reason = reason
            self._set.set()

    async def wait(self) -> End:
        await self._set.wait()
        assert self.reason is not None  # noqa: S101 - set before the event
        return self.reason


@dataclass(slots=True)
class Counts:
    """Rows by where they stand, now. `total` is None while the input has not been counted.

    `unfit` of those without a line are known not to be fit to be sent.
    `open` are those without a line; `twins` of them have another row sent for them, `arrived` of
    them an answer that is being written.
    `submits` are all POSTs that were announced, also of earlier processes, refused and taken back
    ones too; tokens are those of all lines so far.
    """

    total: int | None = None
    ok: int = 0
    failed: int = 0
    held: int = 0
    open: int = 0
    posting: int = 0
    running: int = 0
    arrived: int = 0
    doubts: int = 0
    twins: int = 0
    unfit: int = 0
    submits: int = 0
    input_tokens: int = 0
    completion_tokens: int = 0

    def recount(self, totals: Totals) -> None:
        """Count lines, and what they used, as the checkpoint does."""
        self.ok, self.failed = totals.rows("ok"), totals.rows("failed")
        self.held, used = totals.rows("held"), totals.used
        self.input_tokens, self.completion_tokens = used.input_tokens, used.completion_tokens

    def add(self, usage: Usage | None) -> None:
        """Count what a line used, if that is known."""
        if usage is not None:
            self.input_tokens += usage.input_tokens
            self.completion_tokens += usage.completion_tokens

    @property
    def finished(self) -> int:
        return self.ok + self.failed + self.held

    @property
    def to_pay(self) -> int | None:
        """Rows without a line that get an answer of their own; None while it is not known."""
        if self.total is None:
            return None
        return max(self.total - self.finished - self.twins - self.unfit, 0)

    @property
    def submitted(self) -> int:
        """Rows that need no POST any more: they are waited for, being written or have a line."""
        return self.finished + self.arrived + self.running

    @property
    def unsent(self) -> int:
        """Rows begun that need a POST. One that was just accepted is both posting and running."""
        begun = self.open - self.twins - self.arrived - self.running - self.posting
        return max(begun, 0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, and its totals so far; `same` rows of these have another row's answer.

    The rest is of this process alone: what it used of the quota of submits, and how many seconds
    it took. `left` rows have no line yet, None where it is not known how many there are; of these
    `to_fetch` were accepted, and the next process has but to ask for their answers.
    `limited`: how many --limit let through of more, where the run is complete. `grown`: how its
    input has changed.
    """

    end: Complete | Stopped | RunError
    totals: Totals
    use: Use = field(default_factory=Use)
    seconds: float = 0.0
    left: int | None = None
    same: int = 0
    limited: int | None = None
    to_fetch: int = 0
    grown: Growth | None = None

    @property
    def name(self) -> str:
        """Why it ended, in a word for scripts."""
        match self.end:
            case Complete():
                return COMPLETE
            case Stopped():
                return SIGNAL
            case error:
                return error.exit_code.name.lower()

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

    def departure(self, at: float) -> Departure:
        """What is noted of it for whoever looks from outside."""
        why = self.end.told if isinstance(self.end, RunError) else None
        return Departure(at, self.name, int(self.exit_code), why)
