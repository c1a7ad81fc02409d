"""The first look at the rows that are new, before anything is spent."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.checks import glance
from pipeline.checks.complaints import Complaints, told
from pipeline.checks.glance import Glance
from pipeline.errors import BadData
from pipeline.estimate.outset import Outset
from pipeline.files.source import Line, Source
from pipeline.input.rows import BadRow, Recipe, Row, fields_of, is_blank, parse_row
from pipeline.input.sameness import Requests
from pipeline.input.shapes import PROMPTS
from pipeline.input.template import Template
from pipeline.life.entry import repeated
from pipeline.life.facts import Cursor
from pipeline.money.prices import PriceTable
from pipeline.settings import Settings
from pipeline.wording import so_many

ROWS = glance.MOST
_UNDECODED = frozenset({"not_utf8", "not_json"})
_SHAPELESS = _UNDECODED | {"not_object", "no_prompt", "missing_field"}


class Seen(Protocol):
    """Remembers ids of rows."""

    def is_new(self, row_id: str) -> bool: ...


class FirstIds:
    """Remembers the first 10,000."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def is_new(self, row_id: str) -> bool:
        is_new = row_id not in self._ids
        if len(self._ids) < ROWS:
            self._ids.add(row_id)
        return is_new


def _is_shapeless(row: Row | BadRow, data: bytes) -> bool:
    """Whether a line has nothing that a prompt is taken from; what is empty is something."""
    if isinstance(row, Row) or row.code not in _SHAPELESS:
        return False
    return row.code != "no_prompt" or fields_of(data).keys().isdisjoint(PROMPTS)


@dataclass(slots=True)
class Report:
    """What was found: rows looked at, whether these were all, and the bad ones.

    `shaped`: one of them at least has what a prompt is taken from, though it may be wrong.
    Of a run that begins, `outset` has those to be sent, and `read` is where looking ended;
    `requests` has what those ask, where rows that ask the same are looked for.
    """

    rows: int = 0
    complete: bool = True
    decoded: bool = False
    shaped: bool = False
    glance: Glance = field(default_factory=Glance)
    complaints: Complaints = field(default_factory=Complaints)
    outset: Outset = field(default_factory=Outset)
    read: Cursor = field(default_factory=Cursor)
    requests: Requests = field(default_factory=Requests)

    @property
    def bad(self) -> int:
        return self.complaints.bad

    def take(self, row: Row | BadRow, data: bytes) -> None:
        """Count a row, whose line is `data`; note what is wrong with it."""
        self.rows += 1
        self.decoded |= not isinstance(row, BadRow) or row.code not in _UNDECODED
        self.shaped = self.shaped or not _is_shapeless(row, data)
        self.glance.take(row, data)
        if isinstance(row, BadRow):
            self.complaints.take(row)

    def meet(self, row: Row, *, dedupe: bool) -> None:
        """Count a fit row of a run that begins."""
        if not dedupe or self.requests.meet(row.body):
            self.outset.meet(row)

    def sentences(self, path: Path, template: Template | None) -> Iterator[str]:
        """What to tell of the bad rows: first whether none is as rows are."""
        all_alike = self.glance.sentence(str(path), template)
        if all_alike is not None:
            yield all_alike
        yield from self.complaints.sentences(str(path))

    def no_twins(self, *, dedupe: bool) -> Iterator[str]:
        """What to tell where --dedupe has nothing to look for."""
        fit = self.rows - self.bad
        if dedupe and fit and self.requests.is_without:
            yield (
                f"--dedupe leaves out none of the {so_many(fit, 'row')} looked at: only the same "
                "request at temperature 0 is sent once (--temperature 0)."
            )


def rows_ahead(report: Report, source: Source, limit: int | None) -> int | None:
    """How many rows a run that begins will send; None where nothing tells.

    If not all rows were looked at, the others are taken to be as long, and as often fit.
    """
    if report.complete:
        return report.outset.rows
    if source.is_compressed:
        return None
    rows = report.rows * source.signature().size / report.read.offset
    return round(min(rows, limit or rows) * report.outset.rows / report.rows)


def foretold(report: Report, source: Source, settings: Settings, prices: PriceTable) -> str:
    """What a run that begins will roughly come to; the report has a row that is fit."""
    ahead = rows_ahead(report, source, settings.limit)
    told = report.outset.sentence(ahead, prices, settings.rates, settings.poll_rates)
    same = report.requests.same
    if not same:
        return told
    ask = "asks" if same == 1 else "ask"
    return f"{told} Of {report.rows:,} rows looked at, {same:,} {ask} the same as another."


async def look(
    source: Source, recipe: Recipe, start: Cursor, limit: int | None, *, dedupe: bool = False
) -> Report:
    """Validate up to 10,000 new rows, and go on only while not one line has decoded.

    Raises:
        BadData: the file is empty, or none of its rows has anything that is taken as a prompt.

    """
    report, seen = Report(), FirstIds()
    async for line in source.lines(start):
        if is_blank(line.data):
            continue
        if limit is not None and line.next.rows > limit:
            break
        if report.rows >= ROWS and (report.decoded or start.rows):
            report.complete = False
            break
        row = look_at(line, recipe, report, seen)
        if row is not None and start.rows == 0:
            report.meet(row, dedupe=dedupe)
        report.read = line.next
    if start.rows == 0 and not report.decoded:
        raise unusable(source.path, report)
    if start.rows == 0 and not report.shaped:
        raise of_another_shape(source.path, report, recipe.template)
    return report


def look_at(line: Line, recipe: Recipe, report: Report, seen: Seen) -> Row | None:
    """Take note of a row; return it if it is fit."""
    row = judged(line, recipe, seen)
    report.take(row, line.data)
    return row if isinstance(row, Row) else None


def judged(line: Line, recipe: Recipe, seen: Seen) -> Row | BadRow:
    """Read a row as a run will: one that repeats an id is not fit."""
    row = parse_row(line.number, line.data, recipe)
    if seen.is_new(row.id):
        return row
    # It can't keep the id, and goes by its line's from then on.
    seen.is_new(f"line-{row.line}")
    return row if isinstance(row, BadRow) else repeated(row)


def unusable(path: Path, report: Report) -> BadData:
    """Why there is no row to send."""
    if report.rows == 0:
        return BadData(f"{path} has no rows.", "Write one JSON object a line into it.")
    first = report.complaints.first
    what = "is fit to be sent" if report.decoded else "is JSON in UTF-8"
    return BadData(
        f"{path}: none of its lines {what}.",
        "" if first is None else f"The first: {told(first, str(path))}",
    )


def none_fit(path: Path, report: Report, template: Template | None) -> BadData:
    """The same where what is wrong with each line is told beside it."""
    all_alike = report.glance.sentence(str(path), template)
    return BadData(str(unusable(path, report)) if all_alike is None else all_alike)


def of_another_shape(path: Path, report: Report, template: Template | None) -> BadData:
    """Why none of the rows can be sent, where none has what a prompt is taken from."""
    first = report.complaints.first
    assert first is not None  # noqa: S101 - all rows are bad
    all_alike = report.glance.sentence(str(path), template)
    if all_alike is None:
        return BadData(told(first, str(path)))
    return BadData(all_alike, "" if template is None else f"The first: {told(first, str(path))}")
