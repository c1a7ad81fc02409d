"""What is recorded: facts on their way to the checkpoint, and a row's state as its columns."""

from typing import assert_never

from msgspec import Struct

from pipeline.api.outcomes import Answer, Usage
from pipeline.day import Day, day_of
from pipeline.errors import AFRESH, BadData
from pipeline.life.item import Doubtful, Gone, Intended, Running, State, Twin, Waiting
from pipeline.life.records import Failure, Same
from pipeline.pacing.rates import Kind

APPLICATION = 0x79614762
"""Marks a checkpoint as ours, "yaGb": no other program's database is taken for one."""
VERSION = 2
"""Of the checkpoint's tables and what stands in them."""
TWINS_VERSION = 3
"""The same, with the tables that say which rows ask the same: of runs that look for such alone."""
UNDATED_VERSION = 1
"""One that had no days in its sums; it is brought up to date when a run goes on."""
REWRITTEN = "errors rewritten"
"""The note of a retry that the errors file is to be replaced by the one written anew."""
RETRIES = "retries"
"""The note of how many retries there were: each moves lines of the errors file."""
UNDATED = "undated"
"""Under this name a checkpoint notes that it was of that version."""
_LONGEST_LINE = 2**31


class Span(Struct, frozen=True, gc=False):
    """Where a line stands in a file, and an 8-byte digest of it."""

    offset: int
    size: int
    seal: bytes

    @classmethod
    def recorded(cls, offset: object, size: object, seal: object) -> "Span":
        """A span as the checkpoint has it; those of rows done, no start has looked at.

        Raises:
            ValueError: no run writes it.

        """
        if not (isinstance(offset, int) and isinstance(size, int) and isinstance(seal, bytes)):
            raise ValueError("the place of a line is none")  # noqa: TRY004 - of data, not of a call
        if offset < 0 or not 0 <= size <= _LONGEST_LINE:
            raise ValueError("the place of a line is outside of every file")
        return cls(offset, size, seal)


class Cursor(Struct, frozen=True):
    """Where reading goes on: the first byte that no line read has taken, and that line's number.

    `rows` have been read before it. `open`: the line before it ended with the file, not with LF.
    """

    offset: int = 0
    line: int = 1
    rows: int = 0
    open: bool = False

    @property
    def text(self) -> str:
        """As the checkpoint notes it."""
        return f"{self.offset} {self.line} {self.rows} {int(self.open)}"

    @classmethod
    def parse(cls, place: str | None) -> "Cursor":
        """The cursor that a checkpoint notes; at first it notes none.

        Raises:
            ValueError: no run writes it.

        """
        if place is None:
            return cls()
        offset, line, rows, is_open = map(int, place.split())
        return cls(offset, line, rows, bool(is_open))


class Begin(Struct, frozen=True):
    """A row is begun. `state` None: it is no fit row, its error line follows at once."""

    line: int
    span: Span
    cursor: Cursor
    own_id: str | None
    model: str | None
    kept: bytes | None
    input_bound: int
    output_bound: int | None
    state: State | None


class Move(Struct, frozen=True):
    """A row stands somewhere else now."""

    line: int
    state: State


class Ask(Struct, frozen=True):
    """A row that waits asks what `digest` stands for: it is sent for all that do, or is a twin."""

    line: int
    digest: bytes


class Instead(Struct, frozen=True):
    """A twin is sent in the place of the row that its group waited for."""

    line: int
    group: int


class Sent(Struct, frozen=True):
    """A POST is about to leave, counted in every window."""

    number: int
    at: float


class Ended(Struct, frozen=True):
    """That POST ended."""

    number: int
    at: float


class Doubt(Struct, frozen=True):
    """The acceptance of this row's last POST can't be known, and can have cost money."""

    line: int
    at: float


class Replaced(Struct, frozen=True):
    """What was paid for this row's last operation bought nothing: it is submitted again."""

    line: int


class End(Struct, frozen=True):
    """A row is over. `shown_id` where its id could not be kept, being another row's too."""

    line: int
    end: Answer | Failure | Same
    usage: Usage | None = None
    shown_id: str | None = None

    @property
    def day(self) -> Day | None:
        """By which it is priced; None where the service told no time."""
        if isinstance(self.end, Answer):
            return day_of(self.end.finished_at, self.end.created_at)
        return None


class Finish(Struct, frozen=True):
    """A row's line stands in the output (`ok`) or in the errors file (`failed`, `held`).

    `day` is the one by which it is priced, None where its line does not tell; `same_as` the row
    that was sent for it, if another was.
    """

    line: int
    outcome: str
    finish: str | None
    usage: Usage | None
    place: Span
    day: Day | None = None
    same_as: int | None = None


# Under what names notes stand in the checkpoint.
ROWS, ETA, LATENCY, POLLED_UNTIL = "rows", "eta", "latency", "polled until"
COSTS, COUNTED, RATES = "costs", "counted", "rates"
LIMIT = "limit"
"""How many rows --limit let through of an input with more; of a complete run alone."""
IN_FORCE = "in force"
"""What the process goes by that has the run, or had it last: see control.InForce."""
ENDPOINT = "endpoint"
"""The base URL that the run was told of last, for commands that go on with it."""
FORMS = "forms"
"""Noted once a row is announced that says itself of what form its answer must be."""
OUTAGES = {
    "submits": "outage of submits",
    "polls": "outage of polls",
    "credential": "outage of the credential",
}
QUOTAS: dict[Kind, str] = {"submits": "quota of submits", "polls": "quota of polls"}


class Note(Struct, frozen=True):
    """What whoever looks from outside, or the next process, is to know; None takes it back."""

    name: str
    value: str | None


Fact = Begin | Move | Ask | Instead | Sent | Ended | Doubt | Replaced | Finish | Note


class Pending(Struct, frozen=True, gc=False):
    """A row begun and not finished, as the checkpoint knows it; `state` None: it was not fit.

    `model` is the row's own, if it names one; the bounds are the most tokens that it can take.
    """

    line: int
    span: Span
    state: State | None
    model: str | None = None
    input_bound: int = 0
    output_bound: int | None = None


class Signature(Struct, frozen=True):
    """Size and time of a file when the run last knew it to be right."""

    size: int
    mtime_ns: int


# A row that is intended is what it was before as well, in case its POST is refused for now.
_INTENDED = {"waiting": "intended", "doubt": "intended again", "gone": "intended anew"}
_BEFORE = {intended: before for before, intended in _INTENDED.items()}
INTENDED = tuple(_BEFORE)
"""Under what names rows stand of which a POST may be under way: in doubt, once no process is."""
INTENDED_ANEW = _INTENDED["gone"]
"""The one of them that has lost an operation, which is superseded as the doubt is noted."""

Columns = tuple[str, float | None, int, int, str | None]


def columns_of(state: State | None) -> Columns:
    """A state as the columns (state, at, submits, spent, operation_id); None is a row unfit."""
    match state:
        case None:
            return ("unfit", None, 0, 0, None)
        case Waiting(submits):
            return ("waiting", None, submits, 0, None)
        case Twin(submits):
            return ("twin", None, submits, 0, None)
        case Doubtful(submits, spent):
            return ("doubt", None, submits, spent, None)
        case Gone(operation_id, submits, spent):
            return ("gone", None, submits, spent, operation_id)
        case Intended(at, before):
            name, _, submits, spent, lost_id = columns_of(before)
            return (_INTENDED[name], at, submits, spent, lost_id)
        case Running(operation_id, at, submits, spent):
            return ("running", at, submits, spent, operation_id)
        case _:
            assert_never(state)


def state_of(
    name: str, at: float | None, submits: int, spent: int, operation_id: str | None
) -> State | None:
    """The state that `columns_of` wrote.

    Raises:
        BadData: no state is written like this.

    """
    state = _named(name, at, submits, spent, operation_id)
    if columns_of(state) != (name, at, submits, spent, operation_id):
        # A row with an operation, say, that is called waiting: it would be paid for again.
        raise _unknown(name)
    return state


def _named(
    name: str, at: float | None, submits: int, spent: int, operation_id: str | None
) -> State | None:
    match name:
        case "unfit":
            return None
        case "waiting":
            return Waiting(submits)
        case "twin":
            return Twin(submits)
        case "doubt":
            return Doubtful(submits, spent)
        case "gone" if operation_id is not None:
            return Gone(operation_id, submits, spent)
        case "running" if operation_id is not None and at is not None:
            return Running(operation_id, at, submits, spent)
        case "intended" | "intended again" | "intended anew" if at is not None:
            before = _named(_BEFORE[name], at, submits, spent, operation_id)
            assert isinstance(before, Waiting | Doubtful | Gone)  # noqa: S101 - by _BEFORE
            return Intended(at, before)
        case _:
            raise _unknown(name)


def _unknown(name: str) -> BadData:
    what = f"the checkpoint is damaged: it holds a row in state {name!r} that no run wrote."
    return BadData(what, f"Restore it from a copy, or {AFRESH}.")
