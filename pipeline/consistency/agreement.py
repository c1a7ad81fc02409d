"""What shows that input and checkpoint agree, and the checkpoint with itself. Pure.

Each function reads its streams side by side, each once, and yields a sentence for everything that
is not as it should be. `matching` does the same for the files that the run writes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.consistency.evidence import (
    OUTCOMES,
    Doubted,
    Kept,
    Peekable,
    Recorded,
    Stood,
    of_model,
    shown,
    where_is,
)
from pipeline.errors import BadData
from pipeline.input.rows import BadRow, Recipe, is_blank, parse_row
from pipeline.input.sameness import digest_of
from pipeline.life.facts import Cursor, Span, columns_of, state_of
from pipeline.money.totals import Sums
from pipeline.wording import so_many


@dataclass(slots=True)
class Census:
    """What an input has, counted on the way."""

    lines: int = 0
    rows: int = 0
    not_begun: int = 0


def of_input(
    name: str,
    lines: Iterable[Stood],
    rows: Iterable[Recorded],
    cursor: Cursor,
    recipe: Recipe,
    seal: Callable[[bytes], bytes],
    census: Census,
) -> Iterator[str]:
    """Every non-blank line before the cursor is a row begun, as it stands; nothing else is one."""
    expected, moved = Peekable(rows), 0
    for line in lines:
        census.lines += 1
        if is_blank(line.data):
            continue
        census.rows += 1
        yield from _no_lines(name, expected.before(line.number))
        where = where_is(name, line)
        row = expected.first
        if row is None or row.line != line.number:
            if line.number >= cursor.line:
                census.not_begun += 1
            else:
                yield f"{where}: this row was never begun, though rows after it were."
            continue
        expected.take()
        if not _is_same(line, row.span, seal):
            yield f"{where}: the line is not what it was when this run began it{_advice(row)}."
        else:
            if line.span.offset - row.span.offset != moved:
                yield f"{where}: the line stood at byte {row.span.offset:,} before."
            for wrong in _begun(row, line.data, recipe):
                yield f"{where}: {wrong}."
        moved = line.span.offset - row.span.offset
        if line.number == cursor.line - 1 and not line.whole and not cursor.open:
            yield f"{where}: the newline that ended this line is gone."
    yield from _no_lines(name, expected.rest())


def _advice(row: Recorded) -> str:
    if row.state != "failed" or row.submits:
        return ""
    return "; its row failed: if you have mended it, `yagpt-batch retry` sends it"


def _no_lines(name: str, rows: Iterable[Recorded]) -> Iterator[str]:
    for row in rows:
        yield f"{name}:{row.line}: this run began a row here, and there is none now."


def _is_same(line: Stood, span: Span, seal: Callable[[bytes], bytes]) -> bool:
    if (line.span.size, line.span.seal) == (span.size, span.seal):
        return True
    # What was the end of the file, without a newline, may have got CR and LF since.
    rest = line.data[span.size :]
    return bool(rest) and not rest.strip(b"\r") and seal(line.data[: span.size]) == span.seal


def _begun(row: Recorded, data: bytes, recipe: Recipe) -> Iterator[str]:
    """What the checkpoint has of a row that its line does not say."""
    asked = parse_row(row.line, data, recipe)
    own_id = asked.id if asked.own_id else None
    # A row that repeats another's id can't keep it, and fails for that.
    repeated = row.id is None and row.state in {"unfit", "failed"}
    if row.id != own_id and not repeated:
        yield f"the checkpoint has the row's id as {shown(row.id)}, not {shown(own_id)}"
    if isinstance(asked, BadRow):
        if row.state not in {"unfit", "failed"} or row.submits:
            yield f"the checkpoint has this row as {row.state}, but it is not fit: {asked.message}"
        due: tuple[object, ...] = (None, None, 0, None)
    else:
        model = asked.model if asked.own_model else None
        due = (model, asked.kept, asked.input_bound, asked.output_bound)
        if row.asks is not None and digest_of(asked.body) != row.asks:
            yield "the checkpoint has this row as asking the same as others, and it does not"
    kept = (row.model, row.kept, row.input_bound, row.output_bound)
    names = ("model", "kept fields", "most input tokens", "most output tokens")
    for what, found, wanted in zip(names, kept, due, strict=True):
        if found != wanted:
            yield f"the checkpoint has the row's {what} as {shown(found)}, not {shown(wanted)}"


@dataclass(slots=True)
class Counted:
    """What the rows of a checkpoint come to; '' is the run's."""

    outcomes: dict[str, int] = field(default_factory=dict)
    pending: int = 0
    submits: dict[str, int] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(self.outcomes.values()) + self.pending

    def count(self, row: Recorded) -> None:
        if row.place is None:
            self.pending += 1
        else:
            self.outcomes[row.state] = self.outcomes.get(row.state, 0) + 1
        model = row.model or ""
        self.submits[model] = self.submits.get(model, 0) + row.submits
        has_one = row.operation_id is not None
        self.known[model] = self.known.get(model, 0) + has_one


def of_rows(name: str, rows: Iterable[Kept], counted: Counted) -> Iterator[str]:
    """Every row is in a state that there is, and no submit or doubt of it is missing."""
    for kept in rows:
        counted.count(kept.row)
        for wrong in (*_state(kept), *_submits(kept)):
            yield f"{name}: row {kept.row.line} {wrong}."


def _state(kept: Kept) -> Iterator[str]:
    row = kept.row
    if row.place is not None:
        if row.state not in OUTCOMES:
            yield f"is finished as {row.state!r}, which is no outcome"
        if row.state == "ok" and row.operation_id is None and row.same_as is None:
            yield "has an answer, but no operation"
        if row.state == "held" and (row.operation_id is not None or not kept.doubts):
            yield "is held in doubt, but there is no doubt of it"
        return
    try:
        state = state_of(*row.columns)
    except BadData:
        yield f"is neither finished nor in a state that there is: {row.state!r}"
        return
    if columns_of(state) != row.columns:
        yield f"is {row.state!r}, and its other columns do not go with that"


def _submits(kept: Kept) -> Iterator[str]:
    """Each submit that was or may have been accepted has an operation, or is a doubt.

    A row has its last operation only: those replaced are counted over all rows of a model.
    """
    row = kept.row
    if row.submits < kept.doubts + (row.operation_id is not None):
        yield (
            f"has {so_many(row.submits, 'submit')} on record, fewer than "
            f"its {so_many(kept.doubts, 'doubt')}"
            f"{' and its operation' if row.operation_id is not None else ''}"
        )
    # Only an attempt that ended in doubt can have been forgiven; a retry begins afresh.
    least, most = row.submits - kept.before - kept.doubts, row.submits - kept.before
    if not least <= row.spent <= most:
        submits = so_many(most, "submit")
        yield f"has spent {so_many(row.spent, 'attempt')} in {submits}, {kept.doubts} in doubt"


def of_twins(name: str, odd: Iterable[int]) -> Iterator[str]:
    """Every row that has another's answer, or waits for it, has one that is sent for both."""
    for line in odd:
        yield f"{name}: row {line} and the row that is sent for it do not go together."


def of_doubts(
    name: str,
    doubts: Iterable[Doubted],
    replaced: Mapping[str, Sums],
    retried: Mapping[str, Sums],
    counted: Counted,
) -> Iterator[str]:
    """No doubt is uncounted: of each model's submits every one is accounted for, exactly.

    submits = rows with an operation + doubts + operations replaced; `retried` are those of the
    last that rows had when they were put back.
    """
    by_model: dict[str, int] = {}
    for doubt in doubts:
        yield from _misfit(name, doubt)
        model = doubt.model or ""
        by_model[model] = by_model.get(model, 0) + 1
    for model in sorted({*replaced, *retried}):
        sums, told = replaced.get(model, Sums()), retried.get(model, Sums())
        # What a forgotten operation used, nobody knows.
        forgotten = sums.rows - told.rows
        if forgotten < 0 or sums != told + Sums(forgotten, forgotten):
            yield f"{name}: its sums of replaced operations{of_model(model)} can't be so."
    for model in sorted({*counted.submits, *by_model, *replaced}):
        submits, known = counted.submits.get(model, 0), counted.known.get(model, 0)
        in_doubt, superseded = by_model.get(model, 0), replaced.get(model, Sums()).rows
        if submits != known + in_doubt + superseded:
            yield (
                f"{name}: {submits:,} submits{of_model(model)} are on record, but {known:,} rows "
                f"with an operation, {in_doubt:,} doubts and {superseded:,} replaced operations."
            )


def of_doubted(name: str, doubts: Iterable[Doubted]) -> Iterator[str]:
    """Every doubt is of a row that says the same."""
    for doubt in doubts:
        yield from _misfit(name, doubt)


def _misfit(name: str, doubt: Doubted) -> Iterator[str]:
    if not doubt.fits:
        yield f"{name}: a doubt of row {doubt.line} is not what that row says."


def of_cursor(name: str, cursor: Cursor, last: Recorded | None, rows: int) -> Iterator[str]:
    """Reading goes on right behind the last row begun, and all rows before it are begun."""
    if rows != cursor.rows:
        yield f"{name}: {rows:,} rows are begun, but reading goes on behind {cursor.rows:,}."
    if last is None:
        due = Cursor()
    else:
        end = last.span.offset + last.span.size + (not cursor.open)
        due = Cursor(end, last.line + 1, cursor.rows, cursor.open)
    if (cursor.offset, cursor.line) != (due.offset, due.line):
        yield (
            f"{name}: reading goes on at line {cursor.line:,} (byte {cursor.offset:,}), but the "
            f"rows begun end before line {due.line:,} (byte {due.offset:,})."
        )


def of_expected(
    name: str, expected: int | None, cursor: Cursor, census: Census | None
) -> Iterator[str]:
    """The rows that the run expects are those begun and perhaps more, all in the input."""
    if expected is None:
        return
    if expected < cursor.rows:
        yield f"{name}: the run expects {expected:,} rows, and has begun {cursor.rows:,}."
    if census is not None and expected > census.lines:
        yield f"{name}: the run expects {expected:,} rows; the input has {census.lines:,} lines."
