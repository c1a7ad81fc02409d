"""The SQLite store of what must not be forgotten: every row begun, and where each one stands.

One transaction holds whatever was ready when the one before it was synced. The database is WAL
with synchronous=FULL, so a committed fact survives a power cut. Sums of usage are kept in the
transaction of the rows that they sum, so that totals never have to read all rows.

All calls block; they are made on one thread at a time.
"""

import os
import re
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from importlib.resources import files as package_files
from pathlib import Path
from typing import assert_never
from uuid import UUID

from pipeline import codec, reopening, tally
from pipeline.errors import BadData, StorageFailed
from pipeline.facts import (
    APPLICATION,
    UNDATED_VERSION,
    VERSION,
    Begin,
    Cursor,
    Doubt,
    Ended,
    Fact,
    Finish,
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
from pipeline.outcomes import Usage
from pipeline.rates import LONGEST_WINDOW
from pipeline.records import Known
from pipeline.retrial import Reopening
from pipeline.totals import Sums, Totals

_INCOMPLETE = (
    "Without both files rows would be paid for again. "
    "Put back what is missing, or start afresh with --fresh (old files are moved aside)."
)
_FORGET_EVERY = 1000
_LONGEST_LINE = 2**31
# Bytes of a checkpoint that are read in a few hundredths of a second: some 30,000 rows.
_SMALL = 8 << 20
_LINE_ID = re.compile(r"line-([1-9]\d{0,17})")


class Checkpoint:
    """The open database: StorageFailed where the disk fails, BadData where it is not ours."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known_line_ids = False
        self._log = path.with_name(path.name + "-wal")
        had_log = self._log.exists()
        if had_log and self._log.stat().st_size and not (path.exists() and path.stat().st_size):
            raise BadData(f"{path} is gone, but its log {self._log.name} is not.", _INCOMPLETE)
        with self._failures("open"):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
                self._mark_open(had_log=had_log)
            except BaseException:
                self._db.close()
                raise

    def _mark_open(self, *, had_log: bool) -> None:
        """Say in the main file that from here on it is not whole without its log."""
        if self.meta("open") == "1" and not had_log:
            raise BadData(f"{self._log}, a part of {self._path.name}, is missing.", _INCOMPLETE)
        try:
            self.set_meta({"open": "1"})
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (sqlite3.Error, StorageFailed):
            self._close_beside_log()
            raise

    def _prepare(self) -> None:
        if self._db.execute("PRAGMA journal_mode=WAL").fetchone() != ("wal",):
            raise sqlite3.OperationalError("it can't keep a log here")
        self._db.execute("PRAGMA synchronous=FULL")
        application = self._db.execute("PRAGMA application_id").fetchone()[0]
        if application == 0 and not self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
            schema = _text("checkpoint.sql") + _text("tally.sql")
            self._db.executescript(
                f"BEGIN; {schema} PRAGMA application_id={APPLICATION};"
                f"PRAGMA user_version={VERSION}; COMMIT;"
            )
        elif application != APPLICATION:
            raise BadData(f"{self._path} is no checkpoint of yagpt-batch.", "Move it elsewhere.")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version not in {VERSION, UNDATED_VERSION}:
            raise BadData(
                f"{self._path} was written by another version of yagpt-batch.",
                "Finish the run with that version, or start afresh with --fresh.",
            )
        self._check_pages()
        if version == UNDATED_VERSION:
            self._migrate()
        self._check()
        found = "SELECT 1 FROM rows WHERE id >= 'line-' AND id < 'line.' LIMIT 1"
        self._known_line_ids = self._db.execute(found).fetchone() is not None

    def _migrate(self) -> None:
        """Give the sums of an earlier version the column that they lack, in one transaction."""
        rename = "ALTER TABLE tally RENAME TO tally_of_1;"
        self._db.executescript(
            f"BEGIN; {rename} {_text('tally.sql')} {_text('migration.sql')}"
            f"PRAGMA user_version={VERSION}; COMMIT;"
        )

    def _check_pages(self) -> None:
        """Refuse what is damaged before anything is made of it.

        All of a small file is looked at; of a large one what goes on, and `audit` sees the rest.
        """
        if self._path.stat().st_size <= _SMALL:
            (found,) = self._db.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise self._damaged(found)

    def _check(self) -> None:
        odd = self._db.execute(_text("soundness.sql")).fetchone()
        if odd is not None:
            raise self._damaged(f"it holds what no run writes: {odd[0]}")
        self._check_run()

    def _count_rows(self) -> int:
        """Rows pending and rows finished, at no cost for the latter: their sums know how many."""
        pending = "SELECT count(*) FROM rows INDEXED BY pending WHERE place IS NULL"
        finished = "SELECT coalesce(sum(rows), 0) FROM tally WHERE outcome <> 'replaced'"
        counts = (self._db.execute(query).fetchone()[0] for query in (pending, finished))
        return sum(map(int, counts))

    def _check_run(self) -> None:
        (last,) = self._db.execute("SELECT max(line) FROM rows").fetchone()
        rows = self._count_rows()
        run, told = self.meta("run"), self.meta("settings")
        with self._failures("read"):
            cursor, is_settings = self.cursor(), True
            if run is not None or told is not None:
                UUID(run or "")
                is_settings = isinstance(codec.decode((told or "").encode()), dict)
        if cursor.rows != rows or cursor.line <= (last or 0) or cursor.offset < 0:
            raise self._damaged(
                f"it holds {rows:,} rows, and says that {cursor.rows:,} were begun"
            )
        if not is_settings:
            raise self._damaged("it does not say with which settings the run was begun")

    @contextmanager
    def _failures(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            # A table that is not there, or text that is none; what the disk does has its own code.
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) == sqlite3.SQLITE_ERROR:
                raise self._damaged(error) from error
            raise StorageFailed(
                f"can't {doing} the checkpoint {self._path}: {error}.",
                "Make space or mend the permission, then run the same command again.",
            ) from error
        except (sqlite3.DatabaseError, ValueError) as error:
            raise self._damaged(error) from error
        except OSError as error:
            raise StorageFailed(f"can't {doing} the checkpoint: {error}.") from error

    def _damaged(self, how: object) -> BadData:
        words = " ".join(str(how).split())
        advice = (
            "Restore it from a copy, or start afresh with --fresh (old files are moved aside)."
        )
        return BadData(f"the checkpoint {self._path} is damaged: {words}.", advice)

    def close(self) -> None:
        try:
            self.set_meta({"open": "0"})
        except StorageFailed:
            with self._failures("close"):
                self._close_beside_log()
        else:
            with self._failures("close"):
                self._db.close()

    def _close_beside_log(self) -> None:
        """Close, but leave the log, which the mark says must be there.

        SQLite removes it with the last connection, unless that one may only read.
        """
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        with suppress(sqlite3.Error), closing(sqlite3.connect(uri, uri=True)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT 1 FROM meta").fetchone()
            self._db.close()

    # What a run is, and the files that belong to it.

    def meta(self, key: str) -> str | None:
        with self._failures("read"):
            found = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if found is None else str(found[0])

    def set_meta(self, values: dict[str, str]) -> None:
        with self._failures("write"):
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())
            self._db.execute("COMMIT")

    def signature(self, name: str) -> Signature | None:
        with self._failures("read"):
            found = self._db.execute(
                "SELECT size, mtime_ns FROM files WHERE name = ?", (name,)
            ).fetchone()
        return None if found is None else Signature(*found)

    def cursor(self) -> Cursor:
        with self._failures("read"):
            found = self._db.execute("SELECT value FROM meta WHERE key = 'cursor'").fetchone()
        if found is None:
            return Cursor()
        offset, line, rows, is_open = map(int, str(found[0]).split())
        return Cursor(offset, line, rows, bool(is_open))

    # Rows.

    def record(self, facts: Iterable[Fact], files: dict[str, Signature]) -> set[int]:
        """Write all facts in one transaction; return the lines that want what another row has.

        A row begun with the id of another is stored as one that is not fit; one that would run as
        another row's operation stays what it was.
        """
        repeated: set[int] = set()
        with self._transaction():
            for fact in facts:
                if isinstance(fact, Begin | Move):
                    if not (self._begin(fact) if isinstance(fact, Begin) else self._move(fact)):
                        repeated.add(fact.line)
                elif not (isinstance(fact, Replaced) and fact.line in repeated):
                    self._write(fact)
            self._sign(files)
        return repeated

    def reopen(self, retry: Reopening, files: Mapping[str, Signature]) -> int:
        """Write in one transaction what a retry makes of rows; return how many still are unfit."""
        own_ids = (row.own_id or "" for row in retry.reread)
        self._known_line_ids |= any(own_id.startswith("line-") for own_id in own_ids)
        with self._transaction():
            unfit = reopening.write(self._db, retry, self._is_repeated)
            self._sign(files)
        return unfit

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._failures("write"):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _sign(self, files: Mapping[str, Signature]) -> None:
        for name, known in files.items():
            self._db.execute(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?)",
                (name, known.size, known.mtime_ns),
            )

    def _write(self, fact: Sent | Ended | Doubt | Replaced | Finish | Note) -> None:
        match fact:
            case Sent(number, at):
                self._db.execute("INSERT INTO sends VALUES (?, ?, NULL)", (number, at))
                if number % _FORGET_EVERY == 0:
                    self._forget_sends(at - 2 * LONGEST_WINDOW)
            case Ended(number, at):
                self._db.execute("UPDATE sends SET ended = ? WHERE number = ?", (at, number))
            case Doubt(line, at):
                tally.add_doubt(self._db, line, at)
            case Replaced(line):
                tally.add(self._db, line, "replaced", Sums(rows=1, unknown=1))
                tally.add_unknown(self._db, line, former=True)
            case Finish():
                self._finish(fact)
            case Note(name, None):
                self._db.execute("DELETE FROM meta WHERE key = ?", (name,))
            case Note(name, value):
                self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))
            case _:
                assert_never(fact)

    def _begin(self, row: Begin) -> bool:
        repeated = self._is_repeated(row.line, row.own_id)
        own_id = None if repeated else row.own_id
        fit = None if repeated else row.state
        self._db.execute(
            "INSERT INTO rows (line, offset, size, seal, id, model, kept, input_bound,"
            " output_bound, state, at, submits, spent, operation_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(row.line, row.span.offset, row.span.size, row.span.seal, own_id, row.model),
                *(row.kept, row.input_bound, row.output_bound, *columns_of(fit)),
            ),
        )
        if own_id is not None and own_id.startswith("line-"):
            self._known_line_ids = True
        self._db.execute("INSERT OR REPLACE INTO meta VALUES ('cursor', ?)", (row.cursor.text,))
        return not repeated

    def _is_repeated(self, line: int, own_id: str | None) -> bool:
        if own_id is None and not self._known_line_ids:
            return False
        row_id = f"line-{line}" if own_id is None else own_id
        if self._db.execute("SELECT 1 FROM rows WHERE id = ?", (row_id,)).fetchone():
            return True
        named = _LINE_ID.fullmatch(row_id)
        if own_id is None or named is None or int(named[1]) == line:
            return False
        unnamed = "SELECT 1 FROM rows WHERE line = ? AND id IS NULL"
        return self._db.execute(unnamed, (int(named[1]),)).fetchone() is not None

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

    def _finish(self, end: Finish) -> None:
        row = self._db.execute("SELECT operation_id FROM rows WHERE line = ?", (end.line,))
        is_unknown = row.fetchone()[0] is not None and end.usage is None
        if is_unknown:
            tally.add_unknown(self._db, end.line)
        self._db.execute(
            "UPDATE rows SET state = ?, place = ?, place_size = ?, place_seal = ? WHERE line = ?",
            (end.outcome, end.place.offset, end.place.size, end.place.seal, end.line),
        )
        usage = end.usage or Usage(0, 0, 0, 0)
        sums = Sums(
            1,
            int(is_unknown),
            usage.input_tokens,
            usage.completion_tokens,
            usage.reasoning_tokens,
            usage.total_tokens,
        )
        tally.add(self._db, end.line, end.outcome, sums, finish=end.finish, day=end.day)

    def pending(self) -> Iterator[Pending]:
        """Every row begun and not finished, in order of the input."""
        with self._failures("read"):
            for (
                line,
                offset,
                size,
                seal,
                *bounds,
                state,
                at,
                submits,
                spent,
                known,
            ) in self._db.execute(
                "SELECT line, offset, size, seal, model, input_bound, output_bound,"
                " state, at, submits, spent, operation_id"
                " FROM rows INDEXED BY pending WHERE place IS NULL ORDER BY line"
            ):
                where = state_of(state, at, submits, spent, known)
                yield Pending(line, _span(offset, size, seal), where, *bounds)

    def spans(self, lines: Iterable[int]) -> dict[int, Span]:
        """Where rows begun stand in the input."""
        with self._failures("read"):
            found = {
                line: self._db.execute(
                    "SELECT offset, size, seal FROM rows WHERE line = ?", (line,)
                ).fetchone()
                for line in lines
            }
            return {line: _span(*columns) for line, columns in found.items() if columns}

    def begun(self, after_line: int = 0) -> Generator[tuple[int, Span], None, None]:
        """Every row begun, in order of the input, as (line, span)."""
        with self._failures("read"):
            for line, *columns in self._db.execute(
                "SELECT line, offset, size, seal FROM rows WHERE line > ? ORDER BY line",
                (after_line,),
            ):
                yield line, _span(*columns)

    def last_begun(self) -> tuple[int, Span] | None:
        with self._failures("read"):
            found = self._db.execute(
                "SELECT line, offset, size, seal FROM rows ORDER BY line DESC LIMIT 1"
            ).fetchone()
            return None if found is None else (found[0], _span(*found[1:]))

    def known(self, line: int, model: str) -> Known | None:
        """What a row's line needs; `model` is the run's, for rows that name none."""
        with self._failures("read"):
            found = self._db.execute(
                "SELECT id, model, kept, operation_id, submits FROM rows WHERE line = ?", (line,)
            ).fetchone()
        if found is None:
            return None
        own_id, own_model, kept, operation_id, submits = found
        if kept is not None:
            with self._failures("read"):
                codec.decode(kept)
        return Known(
            line, own_id or f"line-{line}", own_model or model, kept, operation_id, submits
        )

    def place(self, line: int) -> Span | None:
        """Where a finished row's line stands in its file; None for a row that has none."""
        with self._failures("read"):
            found = self._db.execute(
                "SELECT place, place_size, place_seal FROM rows"
                " WHERE line = ? AND place IS NOT NULL",
                (line,),
            ).fetchone()
            return None if found is None else _span(*found)

    # Pace and money.

    def sends_since(self, moment: float) -> list[tuple[int, float, float | None]]:
        """POSTs that had not ended by `moment`, as (number, at, ended), oldest first."""
        with self._failures("read"):
            return self._db.execute(
                "SELECT number, at, ended FROM sends WHERE ended > ? OR ended IS NULL"
                " ORDER BY number",
                (moment,),
            ).fetchall()

    def _forget_sends(self, before: float) -> None:
        self._db.execute("DELETE FROM sends WHERE coalesce(ended, at) < ?", (before,))

    def last_send(self) -> int:
        with self._failures("read"):
            return int(
                self._db.execute("SELECT coalesce(max(number), 0) FROM sends").fetchone()[0]
            )

    def totals(self, model: str) -> Totals:
        """The fold over everything finished; `model` is the run's, for rows that name none."""
        with self._failures("read"):
            return tally.read(self._db, model)


def _text(name: str) -> str:
    return package_files("pipeline").joinpath(name).read_text("utf-8")


def _span(offset: object, size: object, seal: object) -> Span:
    """A span as it was recorded; rows that are done are not looked at before they are needed.

    Raises:
        ValueError: no run writes it.

    """
    if not (isinstance(offset, int) and isinstance(size, int) and isinstance(seal, bytes)):
        raise ValueError("the place of a line is none")  # noqa: TRY004 - of data, not of a call
    if offset < 0 or not 0 <= size <= _LONGEST_LINE:
        raise ValueError("the place of a line is outside of every file")
    return Span(offset, size, seal)
