"""The SQLite store of what must not be forgotten: every row begun, and where each one stands.

One transaction holds whatever was ready when the one before it was synced. Sums of usage are kept
in the transaction of the rows that they sum, so that totals never have to read all rows. How the
database is opened, found sound and closed, `database` knows.

All calls block; they are made on one thread at a time.
"""

import sqlite3
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import assert_never

from pipeline import codec
from pipeline.life.facts import (
    Ask,
    Begin,
    Cursor,
    Doubt,
    Ended,
    Fact,
    Finish,
    Instead,
    Move,
    Note,
    Pending,
    Replaced,
    Sent,
    Signature,
    Span,
    columns_of,
    state_of,
)
from pipeline.life.item import State
from pipeline.life.records import Known
from pipeline.money.totals import Totals
from pipeline.store import reopening, sends, tally
from pipeline.store.database import Database
from pipeline.store.retrial import Reopening
from pipeline.store.row_ids import RowIds
from pipeline.store.sends import Send
from pipeline.store.twins import Twins


class Checkpoint:
    """What is asked of the open database, and recorded in it; raises what `Database` raises."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self._db = self._database.connection
        self._failures = self._database.failures
        self.is_at_path = self._database.is_at_path
        try:
            with self._failures("read"):
                self._ids = RowIds(self._db)
            self.twins = Twins(self._database)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._database.close()

    # What a run is, and the files that belong to it.

    def meta(self, key: str) -> str | None:
        with self._failures("read"):
            found = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if found is None else str(found[0])

    def set_meta(self, values: dict[str, str]) -> None:
        with self._failures("write"), self._database.transaction():
            self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    def signature(self, name: str) -> Signature | None:
        with self._failures("read"):
            found = self._db.execute(
                "SELECT size, mtime_ns FROM files WHERE name = ?", (name,)
            ).fetchone()
        return None if found is None else Signature(*found)

    def cursor(self) -> Cursor:
        place = self.meta("cursor")
        with self._failures("read"):
            return Cursor.parse(place)

    # Rows.

    def record(self, facts: Iterable[Fact], files: dict[str, Signature]) -> set[int]:
        """Write all facts in one transaction; return the lines that want what another row has.

        A row begun with the id of another is stored as one that is not fit; one that would run as
        another row's operation stays what it was.
        """
        with self._failures("write"), self._database.transaction():
            repeated = self._record(facts)
            self._sign(files)
        return repeated

    def reopen(self, retry: Reopening, files: Mapping[str, Signature]) -> int:
        """Write in one transaction what a retry makes of rows; return how many still are unfit."""
        with self._failures("write"), self._database.transaction():
            unfit = reopening.write(self._db, retry, self._ids)
            self.twins.release(retry.usages)
            self._sign(files)
        return unfit

    def _sign(self, files: Mapping[str, Signature]) -> None:
        for name, known in files.items():
            self._db.execute(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?)",
                (name, known.size, known.mtime_ns),
            )

    def _record(self, facts: Iterable[Fact]) -> set[int]:
        """Facts of the kinds that there are many of are written together, kind by kind."""
        repeated = set[int]()
        cursor: Cursor | None = None
        sent, ended, finished = list[Sent](), list[Ended](), list[Finish]()
        for fact in facts:
            match fact:
                case Begin(line):
                    cursor = fact.cursor
                    if not self._begin(fact):
                        repeated.add(line)
                case Move(line):
                    if not self._move(fact):
                        repeated.add(line)
                case Sent():
                    sent.append(fact)
                case Ended():
                    ended.append(fact)
                case Finish():
                    finished.append(fact)
                case Replaced(line) | Ask(line) if line in repeated:
                    pass
                case _:
                    self._write(fact)
        if cursor is not None:
            self._note_cursor(cursor)
        sends.record(self._db, sent, ended)
        self._finish(finished)
        return repeated

    def _write(self, fact: Ask | Instead | Doubt | Replaced | Note) -> None:
        match fact:
            case Ask(line, digest):
                self.twins.ask(line, digest)
            case Instead(line, group):
                self.twins.choose(line, group)
            case Doubt(line, at):
                tally.add_doubt(self._db, line, at)
            case Replaced(line):
                tally.add_replaced(self._db, line)
            case Note(name, None):
                self._db.execute("DELETE FROM meta WHERE key = ?", (name,))
            case Note(name, value):
                self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))
            case _:
                assert_never(fact)

    def _note_cursor(self, cursor: Cursor) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES ('cursor', ?)", (cursor.text,))

    def _begin(self, row: Begin) -> bool:
        is_free = self._ids.is_free(row.line, row.own_id)
        own_id = row.own_id if is_free else None
        fit = row.state if is_free else None
        self._db.execute(
            "INSERT INTO rows (line, offset, size, seal, id, model, kept, input_bound,"
            " output_bound, state, at, submits, spent, operation_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(row.line, row.span.offset, row.span.size, row.span.seal, own_id, row.model),
                *(row.kept, row.input_bound, row.output_bound, *columns_of(fit)),
            ),
        )
        return is_free

    def _move(self, move: Move) -> bool:
        try:
            self._db.execute(
                "UPDATE rows SET state = ?, at = ?, submits = ?, spent = ?, operation_id = ?"
                " WHERE line = ?",
                (*columns_of(move.state), move.line),
            )
        except sqlite3.IntegrityError:
            return False
        return True

    def _finish(self, ends: Sequence[Finish]) -> None:
        tally.add_finished(self._db, ends)
        self._db.executemany(
            "UPDATE rows SET state = ?, place = ?, place_size = ?, place_seal = ? WHERE line = ?",
            (
                (end.outcome, end.place.offset, end.place.size, end.place.seal, end.line)
                for end in ends
            ),
        )
        self.twins.finish(ends)

    def pending(self) -> Iterator[Pending]:
        """Every row begun and not finished, in order of the input.

        They come as they are read, so nothing may be recorded meanwhile.
        """
        with self._failures("read"):
            found = self._db.execute(
                "SELECT line, offset, size, seal, model, input_bound, output_bound,"
                " state, at, submits, spent, operation_id"
                " FROM rows INDEXED BY pending WHERE place IS NULL ORDER BY line"
            )
            for line, offset, size, seal, model, most_in, most_out, *state in found:
                span = Span.recorded(offset, size, seal)
                yield Pending(line, span, state_of(*state), model, most_in, most_out)

    def states(self, lines: Iterable[int]) -> dict[int, State | None]:
        """The states of pending rows; None: not fit."""
        query = "SELECT state, at, submits, spent, operation_id FROM rows WHERE line = ?"
        with self._failures("read"):
            return {n: state_of(*self._db.execute(query, (n,)).fetchone()) for n in lines}

    def spans(self, lines: Iterable[int]) -> dict[int, Span]:
        """Where rows begun stand in the input."""
        with self._failures("read"):
            found = {
                line: self._db.execute(
                    "SELECT offset, size, seal FROM rows WHERE line = ?", (line,)
                ).fetchone()
                for line in lines
            }
            return {line: Span.recorded(*columns) for line, columns in found.items() if columns}

    def begun(self, after_line: int = 0) -> Generator[tuple[int, Span], None, None]:
        """Every row begun, in order of the input, as (line, span)."""
        with self._failures("read"):
            for line, *columns in self._db.execute(
                "SELECT line, offset, size, seal FROM rows WHERE line > ? ORDER BY line",
                (after_line,),
            ):
                yield line, Span.recorded(*columns)

    def last_begun(self) -> tuple[int, Span] | None:
        with self._failures("read"):
            found = self._db.execute(
                "SELECT line, offset, size, seal FROM rows ORDER BY line DESC LIMIT 1"
            ).fetchone()
            return None if found is None else (found[0], Span.recorded(*found[1:]))

    def known(self, line: int, model: str) -> Known | None:
        """What a row's line needs; `model` is the run's, for rows that name none."""
        return self.known_of([line], model).get(line)

    def known_of(self, lines: Iterable[int], model: str) -> dict[int, Known]:
        """As `known`, of many rows; of those alone that were begun."""
        query = "SELECT id, model, kept, operation_id, submits FROM rows WHERE line = ?"
        with self._failures("read"):
            found = {line: self._db.execute(query, (line,)).fetchone() for line in lines}
            return {line: _known(line, model, *row) for line, row in found.items() if row}

    def bounds(self, lines: Iterable[int]) -> dict[tuple[str | None, int, int | None], int]:
        """Own model and most tokens in and out of those of these rows that ever were sent.

        Each with the number of rows.
        """
        query = (
            "SELECT model, input_bound, output_bound FROM rows WHERE line = ?"
            " AND (submits > 0 OR operation_id IS NOT NULL)"
        )
        with self._failures("read"):
            return Counter(row for line in lines for row in self._db.execute(query, (line,)))

    def place(self, line: int) -> Span | None:
        """Where a finished row's line stands in its file; None for a row that has none."""
        with self._failures("read"):
            found = self._db.execute(
                "SELECT place, place_size, place_seal FROM rows"
                " WHERE line = ? AND place IS NOT NULL",
                (line,),
            ).fetchone()
            return None if found is None else Span.recorded(*found)

    # Pace and money.

    def sends_since(self, moment: float) -> list[Send]:
        """POSTs that had not ended by `moment`, as (number, at, ended), oldest first."""
        with self._failures("read"):
            return sends.since(self._db, moment)

    def last_send(self) -> int:
        with self._failures("read"):
            return sends.last(self._db)

    def may_have_paid(self) -> bool:
        """Whether any row was accepted, or can have been."""
        with self._failures("read"):
            return sends.may_have_been_accepted(self._db)

    def totals(self, model: str) -> Totals:
        """The fold over everything finished; `model` is the run's, for rows that name none."""
        with self._failures("read"):
            return tally.read(self._db, model)

    def totals_at_end(self, model: str) -> Totals:
        """The same, once nothing is under way any more: rows intended are in doubt."""
        with self._failures("read"):
            return tally.read_at_end(self._db, model)


def _known(
    line: int,
    model: str,
    own_id: str | None,
    own_model: str | None,
    kept: bytes | None,
    operation_id: str | None,
    submits: int,
) -> Known:
    if kept is not None:
        codec.decode(kept)
    return Known(line, own_id or f"line-{line}", own_model or model, kept, operation_id, submits)
