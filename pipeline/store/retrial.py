"""Which failed rows a retry takes up, and whether the input still is what they stood in. Pure.

A row that the service never accepted may have been mended: its line is read anew. All other lines
must be what they were when their rows were begun, wherever they stand now.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import msgspec
from msgspec import Struct

from pipeline.api.outcomes import Usage
from pipeline.consistency.evidence import Stood
from pipeline.consistency.matching import Written, read_line
from pipeline.errors import BadData
from pipeline.input.rows import BadRow, Recipe, is_blank, parse_row
from pipeline.life.entry import Entry
from pipeline.life.facts import Begin, Cursor, Span
from pipeline.life.item import Waiting
from pipeline.wording import so_many

STAGES = ("input", "submit", "operation", "answer", "lost", "doubt")


@dataclass(frozen=True, slots=True)
class Failed:
    """A row that has an error line, by what that line says."""

    line: int
    stage: str
    code: str
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of the failed rows are meant; of stages and codes, none named means all."""

    stages: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()

    def chosen(self, lines: Iterable[bytes]) -> dict[int, Failed]:
        """Those that are meant, by row."""
        found = (read_failed(line) for line in lines)
        return {one.line: one for one in found if one is not None and self._takes(one)}

    def of(self, failed: Mapping[int, Failed]) -> dict[int, Failed]:
        """Those of failed rows that are meant."""
        return {line: one for line, one in failed.items() if self._takes(one)}

    @property
    def names_any(self) -> bool:
        """Whether some are named, and not just all that failed."""
        return bool(self.stages or self.codes)

    def _takes(self, failed: Failed) -> bool:
        return (not self.stages or failed.stage in self.stages) and (
            not self.codes or failed.code in self.codes
        )


def read_failed(data: bytes) -> Failed | None:
    """A line of the errors file; None where it is none."""
    written = read_line(data)
    if not isinstance(written, Written) or written.error is None:
        return None
    usage = None if written.usage is None else Usage(*msgspec.structs.astuple(written.usage))
    return Failed(written.line, written.error.stage, written.error.code, usage)


class Alike(Struct, frozen=True):
    """So many rows failed at this stage, with this code."""

    stage: str
    code: str
    rows: int

    def __str__(self) -> str:
        return f"{self.stage} {self.code}: {so_many(self.rows, 'row')}"


def alike(failed: Iterable[Failed]) -> list[Alike]:
    """How many there are of each stage and code, in the order of a row's life."""
    counted = Counter((one.stage, one.code) for one in failed)
    order = {stage: place for place, stage in enumerate(STAGES)}
    keys = sorted(counted, key=lambda key: (order.get(key[0], len(order)), key))
    return [Alike(*key, counted[key]) for key in keys]


def told(failed: Iterable[Failed]) -> list[str]:
    return [str(one) for one in alike(failed)]


def still_unfit(
    lines: Iterable[tuple[int, bytes]],
    were: Mapping[int, Span],
    recipe: Recipe,
    seal: Callable[[bytes], bytes],
) -> frozenset[int]:
    """Which rows that could not be sent still can't be, by the lines of the input as they are now.

    `were` is where each of them stood: a line that is what it was fails as it did.
    """
    if not were:
        return frozenset()
    upto = takewhile(lambda line: line[0] <= max(were), lines)
    return frozenset(
        number
        for number, data in upto
        if number in were
        and (
            seal(data) == were[number].seal or isinstance(parse_row(number, data, recipe), BadRow)
        )
    )


# What the checkpoint is to change.


@dataclass(frozen=True, slots=True)
class Shift:
    """The rows of these lines stand so many bytes later in the input than they did."""

    first: int
    last: int
    by: int


@dataclass(frozen=True, slots=True)
class Reopening:
    """All that one retry changes, at `at`.

    Attributes:
        usages: of each row that is put back what its error line told, None where it told nothing.
        reread: those of them that were never accepted, as their lines read now.
        shifts: rows that stand elsewhere in the input now.
        cursor: where reading goes on, if that is elsewhere now.
        places: row and offset of each error line that stays.

    """

    at: float
    usages: Mapping[int, Usage | None]
    reread: Sequence[Begin] = ()
    shifts: Sequence[Shift] = ()
    cursor: Cursor | None = None
    places: Iterable[tuple[int, int]] = ()


@dataclass(slots=True)
class Revision:
    """An input beside the rows that were begun from it.

    The lines of `unsent` rows are read anew by the recipe; the others may only have moved.
    """

    name: str
    recipe: Recipe
    unsent: Container[int]
    seal: Callable[[bytes], bytes]
    reread: list[Begin] = field(default_factory=list)
    shifts: list[Shift] = field(default_factory=list)
    cursor: Cursor | None = None

    def read(self, lines: Iterable[Stood]) -> None:
        """Read lines of unsent rows anew, of an input that is what it was.

        Raises:
            BadData: it is not.

        """
        for line in lines:
            if self.seal(line.data) != line.span.seal:
                raise _other(self.name, line.number)
            self._read_anew(line)

    def compare(
        self, lines: Iterable[Stood], begun: Iterable[tuple[int, Span]], rows: int
    ) -> None:
        """Go through all lines of an input that may have changed, up to the last row begun.

        `rows` is how many were begun.

        Raises:
            BadData: a line is not what it was, and may not be another.

        """
        expected = iter(begun)
        row = next(expected, None)
        for line in lines:
            if row is None:
                return
            if line.number != row[0]:
                if not is_blank(line.data):
                    raise _other(self.name, line.number)
                continue
            self._meet(line, row[1])
            whole, end = line.whole, line.span.offset + line.span.size
            self.cursor = Cursor(end + whole, line.number + 1, rows, not whole)
            row = next(expected, None)
        if row is not None:
            raise _other(self.name, row[0])

    def _meet(self, line: Stood, span: Span) -> None:
        if line.number in self.unsent and not is_blank(line.data):
            self._read_anew(line)
        elif self.seal(line.data[: span.size]) == span.seal and _is_end(line.data[span.size :]):
            self._move(line.number, line.span.offset - span.offset)
        else:
            raise _other(self.name, line.number)

    def _read_anew(self, line: Stood) -> None:
        row = parse_row(line.number, line.data, self.recipe)
        begin = Entry(row, line.span, Waiting(), Cursor()).begin(Waiting())
        assert begin is not None  # noqa: S101 - it has a cursor
        self.reread.append(begin)

    def _move(self, line: int, by: int) -> None:
        last = self.shifts[-1] if self.shifts else None
        if last is not None and last.by == by:
            self.shifts[-1] = Shift(last.first, line, by)
        else:
            self.shifts.append(Shift(line, line, by))


def _is_end(rest: bytes) -> bool:
    """Whether this may stand between a row that was the end of its file, and the newline."""
    return not rest.strip(b"\r")


def _other(name: str, line: int) -> BadData:
    return BadData(
        f"{name}:{line}: the line is not what it was when this run began it.",
        "Only rows that are retried, and that the service never accepted, may have been mended: "
        "each in its own line. Put the others back as they were, or retry them too: --stage input "
        "for lines that could not be read as rows, --stage submit for refused ones.",
    )
