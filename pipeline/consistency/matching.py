"""What shows that the output and the errors file agree with the checkpoint. Pure.

Lines and rows are matched by what a line holds: its row's number, and the digest that the
checkpoint has of it. So a line that was taken out is one finding, and not one for each line that
moved up. Each stream is read once; nothing is remembered but what the sums need.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from pipeline import codec
from pipeline.consistency.evidence import (
    Peekable,
    Recorded,
    Stood,
    Ways,
    of_model,
    shown,
    where_is,
)
from pipeline.day import Day, day_of
from pipeline.life.records import UsageRead
from pipeline.money.totals import Sums
from pipeline.wording import so_many

_NUMBER = re.compile(rb'\{"line":(\d{1,18}),')
TOTALS = b'{"totals":'
# Outcome, model, finish and day, as the checkpoint keeps sums: '' is the run's own model, no
# finish, or no day.
Key = tuple[str, str, str, str]


def number_of(data: bytes) -> int | None:
    """The row that a line of ours is of."""
    found = _NUMBER.match(data)
    return int(found[1]) if found else None


class Matching:
    """Matches the lines of a file with the rows that have their lines in it.

    `find` gives any row by its number. `sums` is what the lines come to; it is right only where
    nothing is found.
    """

    def __init__(
        self,
        name: str,
        outcomes: Iterable[str],
        find: Callable[[int], Recorded | None],
        ways: Ways,
    ) -> None:
        self._name = name
        self._outcomes = frozenset(outcomes)
        self.find = find
        self._ways = ways
        self._due = 0
        self.sums: dict[Key, Sums] = {}

    def findings(
        self, lines: Iterable[Stood], rows: Iterable[Recorded], size: int
    ) -> Iterator[str]:
        """Lines and rows come in the same order, and fill the file up to byte `size`."""
        expected = Peekable(rows)
        for line in lines:
            row, number = expected.first, number_of(line.data)
            if row is not None and _stands(line, row):
                yield from self._found(line, expected.take())
                continue
            found = None if number is None else self.find(number)
            if row is not None and found is not None and self._comes_later(line, found, row):
                yield from self._missing(expected.until(found.line))
                yield from self._found(line, expected.take())
            elif row is not None and number == row.line:
                yield f"{where_is(self._name, line)}: the line is not what this run wrote."
                yield from self._placed(expected.take())
            elif not (line.data.startswith(TOTALS) and not line.whole):
                # The beginning of the totals stands here where lines before them are gone.
                yield self._strange(line, found)
        yield from self._missing(expected.rest())
        if self._due != size:
            yield f"{self._name}: its lines end at byte {self._due:,}, not {size:,}."

    def _comes_later(self, line: Stood, found: Recorded, row: Recorded) -> bool:
        is_here = found.place is not None and found.state in self._outcomes
        return is_here and _stands(line, found) and _begin(found) > _begin(row)

    def _found(self, line: Stood, row: Recorded) -> Iterator[str]:
        yield from self._placed(row)
        written = read_line(line.data)
        if isinstance(written, Written):
            for wrong in differences(written, row, self._ways, row.state):
                yield f"{where_is(self._name, line)}: {wrong}."
            self._add(written, row)
        else:
            yield f"{where_is(self._name, line)}: {written}."

    def _placed(self, row: Recorded) -> Iterator[str]:
        if _begin(row) != self._due:
            yield (
                f"{self._name}: the checkpoint has the line of row {row.line} at byte "
                f"{_begin(row):,}, where byte {self._due:,} is due."
            )
        self._due = _begin(row) + (0 if row.place is None else row.place.size) + 1

    def _missing(self, rows: Iterable[Recorded]) -> Iterator[str]:
        for row in rows:
            yield from self._placed(row)
            yield (
                f"{self._name}: row {row.line} is {row.state}, and its line, at byte "
                f"{_begin(row):,}, is not there."
            )

    def _strange(self, line: Stood, row: Recorded | None) -> str:
        where = where_is(self._name, line)
        if row is None or row.place is None:
            return f"{where}: the line was not written by this run."
        if not _stands(line, row):
            return f"{where}: the line is not the one that row {row.line} ended with."
        return f"{where}: the line of row {row.line} does not belong here."

    def _add(self, line: "Written", row: Recorded) -> None:
        is_ok = row.state == "ok"
        finish, day = (line.finish or "", line.day or "") if is_ok else ("", "")
        key = (row.state, row.model or "", finish, day)
        unknown = row.operation_id is not None and line.usage is None
        tokens = (0, 0, 0, 0) if line.usage is None else msgspec.structs.astuple(line.usage)
        self.sums[key] = self.sums.get(key, Sums()) + Sums(1, int(unknown), *tokens)


def of_last(name: str, line: Stood, row: Recorded | None, ways: Ways) -> Iterator[str]:
    """The last line is the one that its row ended with, and stands where it should.

    An empty one stands for none that ends there: which it would be, only those before it tell.
    """
    if not line.data:
        yield (
            f"{name}: no line ends at byte {line.span.offset + 1:,}, where the last of this run "
            "did; the full audit names the lines that were changed."
        )
        return
    written = read_line(line.data)
    if row is None or not _stands(line, row) or _begin(row) != line.span.offset:
        yield f"{where_is(name, line)}: the line is not what this run wrote."
    elif isinstance(written, Written):
        for wrong in differences(written, row, ways, row.state):
            yield f"{where_is(name, line)}: {wrong}."
    else:
        yield f"{where_is(name, line)}: {written}."


class _Error(msgspec.Struct):
    stage: str
    code: str = ""


class _Other(msgspec.Struct):
    line: int


class Written(msgspec.Struct):
    """What of a line can be compared."""

    line: int
    id: str
    status: str
    model: str | None = None
    finish: str | None = None
    operation_id: str | None = None
    submits: int | None = None
    usage: UsageRead | None = None
    error: _Error | None = None
    emulator: bool = False
    created_at: str | None = None
    finished_at: str | None = None
    same_as: _Other | None = None

    @property
    def day(self) -> Day | None:
        """The day by which an answer is priced."""
        return day_of(self.finished_at, self.created_at)


def read_line(data: bytes) -> Written | str:
    """A line of ours, or why it is none."""
    try:
        return msgspec.convert(codec.decode(data), Written)
    except (codec.NotJson, msgspec.ValidationError) as error:
        return f"the line can't be read as one of this run: {error}"


def differences(written: Written, row: Recorded, ways: Ways, outcome: str) -> Iterator[str]:
    """What a line says that its row, or the outcome that the row has, does not."""
    for what, said, due in _claims(written, row, ways, outcome):
        if said != due:
            yield f'"{what}" is {shown(said)}, and should be {shown(due)}'


def _claims(
    written: Written, row: Recorded, ways: Ways, outcome: str
) -> Iterator[tuple[str, object, object]]:
    """What a line says, with what it is and what it should be."""
    is_answer, stage = outcome == "ok", written.error.stage if written.error else None
    # A row that repeats another's id is shown with it, and the checkpoint can't have it twice.
    is_repeated = row.id is None and stage == "input"
    yield "line", written.line, row.line
    yield "id", written.id, written.id if is_repeated else row.shown_id
    yield "status", written.status, "ok" if is_answer else "failed"
    yield "operation_id", written.operation_id, row.operation_id
    yield "emulator", written.emulator, ways.emulator
    if is_answer:
        yield "model", written.model, row.model or ways.recipe.model
        yield "submits", written.submits, row.submits
        yield "same_as", None if written.same_as is None else written.same_as.line, row.same_as
        if row.same_as is not None:
            yield "usage", written.usage, None
    else:
        yield "error.stage", stage, _due_stage(stage, outcome)


def _due_stage(stage: str | None, outcome: str) -> str | None:
    if outcome == "held":
        return "doubt"
    return "another" if stage in {None, "doubt"} else stage


def of_sums(
    name: str, kept: Mapping[Key, Sums], lines: Mapping[Key, Sums], *, dated: bool
) -> Iterator[str]:
    """The checkpoint's sums are those of the lines; day by day where it is `dated`."""
    if not dated:
        kept, lines = _without_days(kept), _without_days(lines)
    for key in sorted({*kept, *lines}):
        mine, theirs = kept.get(key, Sums()), lines.get(key, Sums())
        if mine != theirs:
            what = f"{name}: its sums of {_named(key)}"
            yield f"{what} are {_told(mine)}; the lines come to {_told(theirs)}."


def _without_days(sums: Mapping[Key, Sums]) -> dict[Key, Sums]:
    found: dict[Key, Sums] = {}
    for (*others, _), part in sums.items():
        outcome, model, finish = others
        key = (outcome, model, finish, "")
        found[key] = found.get(key, Sums()) + part
    return found


def _stands(line: Stood, row: Recorded) -> bool:
    """Whether a line is the one that the row ended with, wherever it stands."""
    place = row.place
    if place is None or not line.whole:
        return False
    return (line.span.size, line.span.seal) == (place.size, place.seal)


def _begin(row: Recorded) -> int:
    return -1 if row.place is None else row.place.offset


def _named(key: Key) -> str:
    outcome, model, finish, day = key
    ended = f" that ended with {finish}" if finish else ""
    return f"{outcome} rows{of_model(model)}{ended}{f' on {day}' if day else ''}"


def _told(sums: Sums) -> str:
    return (
        f"{so_many(sums.rows, 'row')} ({sums.unknown:,} of unknown usage), "
        f"{sums.input_tokens:,} tokens in, {sums.completion_tokens:,} out, "
        f"{sums.reasoning_tokens:,} of reasoning, {sums.total_tokens:,} in all"
    )
