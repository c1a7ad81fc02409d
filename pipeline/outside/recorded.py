"""The rows of a checkpoint at one instant, as it has them, for everybody who is not the run."""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from pipeline.consistency.evidence import Doubted, Kept, Recorded
from pipeline.errors import BadData
from pipeline.store import twins

RESTORE = "Restore it from a copy; only then can the run go on."
_COLUMNS = (
    "rows.line, offset, size, seal, id, rows.model, kept, rows.input_bound, rows.output_bound,"
    " state, rows.at, rows.submits, spent, operation_id, place, place_size, place_seal"
)
_OWN = ("id", "model", "kept", "input_bound", "output_bound")


class RecordedRows:
    """Every row begun, each one read when it is come to."""

    def __init__(self, db: sqlite3.Connection, path: Path, *, keeps_twins: bool) -> None:
        self._db = db
        self._path = path
        self._keeps_twins = keeps_twins
        self._columns = _COLUMNS + (twins.COLUMNS if keeps_twins else twins.NO_COLUMNS)

    def begun(self) -> Iterator[Recorded]:
        """Every row begun, in order of the input."""
        return self._recorded("ORDER BY line")

    def finished(self, outcomes: Iterable[str]) -> Iterator[Recorded]:
        """The rows with these outcomes, in the order of their lines in the file."""
        names = list(outcomes)
        marks = ", ".join("?" * len(names))
        where = f"WHERE place IS NOT NULL AND state IN ({marks}) ORDER BY place, line"
        return self._recorded(where, *names)

    def of(self, line: int) -> Recorded | None:
        return next(self._recorded("WHERE line = ?", line), None)

    def last(self) -> Recorded | None:
        return next(self._recorded("ORDER BY line DESC LIMIT 1"), None)

    def with_doubts(self, *, pending: bool = False) -> Iterator[Kept]:
        """Every row begun, or every one pending, with the number of its doubts."""
        query = (
            f"SELECT {self._columns}, coalesce(known.doubts, 0), coalesce(earlier.submits, 0)"  # noqa: S608 - of constants
            " FROM rows"
            f"{' INDEXED BY pending' if pending else ''}"
            " LEFT JOIN (SELECT line AS of_line, count(*) AS doubts FROM doubts GROUP BY line)"
            " AS known ON of_line = rows.line"
            " LEFT JOIN (SELECT line AS again, max(submits) AS submits FROM retried GROUP BY line)"
            " AS earlier ON again = rows.line"
            f"{' WHERE place IS NULL' if pending else ''} ORDER BY rows.line"
        )
        for *found, doubts, before in self._db.execute(query):
            yield Kept(self._row(tuple(found)), doubts, before)

    def odd_twins(self) -> Iterator[int]:
        """Rows that wait for another, or have its answer, where that can't be so."""
        if self._keeps_twins:
            yield from twins.odd(self._db)

    def doubts(self) -> Iterator[Doubted]:
        """Every doubt, beside what its row says."""
        for line, model, fits in self._db.execute(
            "SELECT doubts.line, doubts.model, rows.line IS NOT NULL"
            " AND rows.model IS doubts.model AND rows.input_bound IS doubts.input_bound"
            " AND rows.output_bound IS doubts.output_bound"
            " FROM doubts LEFT JOIN rows ON rows.line = doubts.line"
        ):
            yield Doubted(line, model, bool(fits))

    def _recorded(self, where: str, *parameters: object) -> Iterator[Recorded]:
        query = f"SELECT {self._columns} FROM rows {where}"  # noqa: S608 - of constants
        for found in self._db.execute(query, parameters):
            yield self._row(found)

    def _row(self, found: tuple[Any, ...]) -> Recorded:
        line, *others = found
        shape = {
            "line": line,
            "span": _span(others[0:3]),
            **dict(zip(_OWN, others[3:8], strict=True)),
            "columns": others[8:13],
            "place": None if others[13:16] == [None, None, None] else _span(others[13:16]),
            **dict(zip(("same_as", "asks"), others[16:], strict=True)),
        }
        try:
            return msgspec.convert(shape, Recorded)
        except msgspec.ValidationError as error:
            why = f"the checkpoint {self._path} holds a row {line} that can't be read: {error}."
            raise BadData(why, RESTORE) from None


def _span(columns: list[Any]) -> dict[str, Any]:
    return dict(zip(("offset", "size", "seal"), columns, strict=True))
