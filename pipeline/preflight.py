"""The first look at the rows that are new, before anything is spent."""

from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import BadData
from pipeline.facts import Cursor
from pipeline.rows import BadRow, Recipe, Row, is_blank, parse_row
from pipeline.source import Line, Source

ROWS = 10_000
_SHOWN = 20
_UNDECODED = frozenset({"not_utf8", "not_json"})


@dataclass(slots=True)
class Report:
    """What was found: rows looked at, whether these were all, and the bad ones."""

    rows: int = 0
    complete: bool = True
    decoded: bool = False
    bad: int = 0
    shown: list[str] = field(default_factory=list)

    def sentences(self) -> list[str]:
        """One for each of the first bad rows, and one that counts the rest."""
        more = self.bad - len(self.shown)
        return [*self.shown, *([f"… and {more:,} more bad lines"] if more else [])]


async def look(source: Source, recipe: Recipe, start: Cursor, limit: int | None) -> Report:
    """Validate up to 10,000 new rows, and go on only while not one line has decoded.

    Raises:
        BadData: the file is empty, or no line of it decodes.

    """
    report, seen = Report(), set[str]()
    async for line in source.lines(start):
        if is_blank(line.data):
            continue
        if limit is not None and line.next.rows > limit:
            break
        if report.rows >= ROWS and (report.decoded or start.rows):
            report.complete = False
            break
        look_at(line, source.path, recipe, report, seen)
    if start.rows == 0 and not report.decoded:
        raise unusable(source.path, report)
    return report


def look_at(line: Line, path: Path, recipe: Recipe, report: Report, seen: set[str]) -> Row | None:
    """Take note of a row; return it if it is fit. `seen` are ids of the first 10,000."""
    report.rows += 1
    row = parse_row(line.number, line.data, recipe)
    report.decoded |= not isinstance(row, BadRow) or row.code not in _UNDECODED
    message = row.message if isinstance(row, BadRow) else None
    if message is None and row.id in seen:
        message = f'the id "{row.id}" is that of an earlier row'
    if len(seen) < ROWS:
        seen.add(row.id)
    if message is not None:
        report.bad += 1
        if len(report.shown) < _SHOWN:
            report.shown.append(f"{path}:{line.number}: {message}")
    return row if isinstance(row, Row) and message is None else None


def unusable(path: Path, report: Report) -> BadData:
    """Why there is no row to send."""
    if report.rows == 0:
        return BadData(f"{path} has no rows.", "Write one JSON object a line into it.")
    what = "is fit to be sent" if report.decoded else "is JSON in UTF-8"
    return BadData(
        f"{path}: none of its {report.rows:,} lines {what}.",
        f"The first: {report.shown[0]}" if report.shown else "",
    )
