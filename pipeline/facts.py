"""What is recorded: facts on their way to the checkpoint, and a row's state as its columns."""

from dataclasses import dataclass
from typing import assert_never

from pipeline.errors import BadData
from pipeline.item import Doubtful, Gone, Intended, Running, State, Waiting
from pipeline.wire import Usage


@dataclass(frozen=True, slots=True)
class Span:
    """Where a line stands in a file, and an 8-byte digest of it."""

    offset: int
    size: int
    seal: bytes


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where reading goes on: the first byte that no line read has taken, and that line's number.

    `rows` have been read before it. `open`: the line before it ended with the file, not with LF.
    """

    offset: int = 0
    line: int = 1
    rows: int = 0
    open: bool = False


@dataclass(frozen=True, slots=True)
class Begin:
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


@dataclass(frozen=True, slots=True)
class Move:
    """A row stands somewhere else now."""

    line: int
    state: State


@dataclass(frozen=True, slots=True)
class Sent:
    """A POST is about to leave, counted in every window."""

    number: int
    at: float


@dataclass(frozen=True, slots=True)
class Ended:
    """That POST ended."""

    number: int
    at: float


@dataclass(frozen=True, slots=True)
class Replaced:
    """What was paid for this row's last operation bought nothing: it is submitted again."""

    line: int


@dataclass(frozen=True, slots=True)
class Finish:
    """A row's line stands in the output (`ok`) or in the errors file (`failed`, `held`)."""

    line: int
    outcome: str
    finish: str | None
    usage: Usage | None
    place: Span


Fact = Begin | Move | Sent | Ended | Replaced | Finish


@dataclass(frozen=True, slots=True)
class Pending:
    """A row begun and not finished, as the checkpoint knows it; `state` None: it was not fit."""

    line: int
    span: Span
    state: State | None


@dataclass(frozen=True, slots=True)
class Signature:
    """Size and time of a file when the run last knew it to be right."""

    size: int
    mtime_ns: int


def columns_of(state: State | None) -> tuple[str, float | None, int, int, str | None]:
    """A state as the columns (state, at, submits, spent, operation_id); None is a row unfit."""
    match state:
        case None:
            return ("unfit", None, 0, 0, None)
        case Waiting(submits, spent):
            return ("waiting", None, submits, spent, None)
        case Intended(at, submits, spent):
            return ("intended", at, submits, spent, None)
        case Doubtful(at, submits, spent):
            return ("doubt", at, submits, spent, None)
        case Running(operation_id, at, submits, spent):
            return ("running", at, submits, spent, operation_id)
        case Gone(operation_id, at, submits, spent):
            return ("gone", at, submits, spent, operation_id)
        case _:
            assert_never(state)


def state_of(
    name: str, at: float, submits: int, spent: int, operation_id: str | None
) -> State | None:
    """The state that `columns_of` wrote.

    Raises:
        BadData: no state is written like this.

    """
    match name:
        case "waiting":
            return Waiting(submits, spent)
        case "intended":
            return Intended(at, submits, spent)
        case "doubt":
            return Doubtful(at, submits, spent)
        case "running" if operation_id is not None:
            return Running(operation_id, at, submits, spent)
        case "gone" if operation_id is not None:
            return Gone(operation_id, at, submits, spent)
        case "unfit":
            return None
        case _:
            raise BadData(f"the checkpoint holds a row in state {name!r}.", "Use --fresh.")
