"""A checkpoint's database: opened or made, found sound before a run goes on with it, and closed.

It is WAL with synchronous=FULL, so a committed fact survives a power cut. While it is open its
main file says so, for then it is not whole without its log: neither is ever taken up alone.
What stands in its tables, and how it gets there, is the `checkpoint`'s to know.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib.resources import files as package_files
from pathlib import Path
from uuid import UUID

from pipeline import codec
from pipeline.errors import AFRESH, BadData, StorageFailed
from pipeline.life.facts import APPLICATION, TWINS_VERSION, UNDATED_VERSION, VERSION, Cursor

_INCOMPLETE = (
    f"Without both files rows would be paid for again. Put back what is missing, or {AFRESH}."
)
# Bytes of a checkpoint that are read in a few hundredths of a second: some 30,000 rows.
_SMALL = 8 << 20


class Database:
    """The open database. Whatever uses its `connection` does so within `failures`.

    Raises:
        StorageFailed: the disk fails.
        BadData: it is not ours, damaged, or not whole.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(path.name + "-wal")
        had_log = self._log.exists()
        if had_log and self._log.stat().st_size and not (path.exists() and path.stat().st_size):
            raise BadData(f"{path} is gone, but its log {self._log.name} is not.", _INCOMPLETE)
        with self.failures("open"):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
                self._mark_open(had_log=had_log)
                self._status = path.stat()
            except BaseException:
                self.connection.close()
                raise

    def close(self) -> None:
        try:
            self._mark("0")
        except StorageFailed:
            with self.failures("close"):
                self._close_beside_log()
        else:
            with self.failures("close"):
                self.connection.close()

    def is_at_path(self) -> bool:
        """Whether the path still leads to what was opened."""
        try:
            return os.path.samestat(self._status, self._path.stat())
        except OSError:
            return False

    def keep_twins(self) -> None:
        """Make the tables of a run that sends the same request once, where they are not there."""
        if self._version() != TWINS_VERSION:
            self.connection.executescript(
                f"BEGIN; {_text('twins.sql')} PRAGMA user_version={TWINS_VERSION}; COMMIT;"
            )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that the block writes, synced; or nothing of it."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    @contextmanager
    def failures(self, doing: str) -> Iterator[None]:
        """What goes wrong in the block as what ends a run: the disk's fault, or damage."""
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
        advice = f"Restore it from a copy, or {AFRESH}."
        return BadData(f"the checkpoint {self._path} is damaged: {words}.", advice)

    # The mark that it is open.

    def _mark_open(self, *, had_log: bool) -> None:
        """Say in the main file that from here on it is not whole without its log."""
        if self._words().get("open") == "1" and not had_log:
            raise BadData(f"{self._log}, a part of {self._path.name}, is missing.", _INCOMPLETE)
        try:
            self._mark("1")
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (sqlite3.Error, StorageFailed):
            self._close_beside_log()
            raise

    def _mark(self, is_open: str) -> None:
        with self.failures("write"), self.transaction():
            self.connection.execute("INSERT OR REPLACE INTO meta VALUES ('open', ?)", (is_open,))

    def _close_beside_log(self) -> None:
        """Close, but leave the log, which the mark says must be there.

        SQLite removes it with the last connection, unless that one may only read.
        """
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        with suppress(sqlite3.Error), closing(sqlite3.connect(uri, uri=True)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT 1 FROM meta").fetchone()
            self.connection.close()

    # Made, or brought up to date.

    def _prepare(self) -> None:
        if self.connection.execute("PRAGMA journal_mode=WAL").fetchone() != ("wal",):
            raise sqlite3.OperationalError("it can't keep a log here")
        self.connection.execute("PRAGMA synchronous=FULL")
        self._make_or_recognize()
        version = self._version()
        self._check_pages()
        if version == UNDATED_VERSION:
            self._migrate()
        self._check_columns()
        self._check_run()

    def _make_or_recognize(self) -> None:
        application = self.connection.execute("PRAGMA application_id").fetchone()[0]
        tables = self.connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        if application == 0 and not tables:
            schema = _text("checkpoint.sql") + _text("tally.sql")
            self.connection.executescript(
                f"BEGIN; {schema} PRAGMA application_id={APPLICATION};"
                f"PRAGMA user_version={VERSION}; COMMIT;"
            )
        elif application != APPLICATION:
            raise BadData(f"{self._path} is no checkpoint of yagpt-batch.", "Move it elsewhere.")

    def _version(self) -> int:
        version = int(self.connection.execute("PRAGMA user_version").fetchone()[0])
        if version not in {VERSION, TWINS_VERSION, UNDATED_VERSION}:
            raise BadData(
                f"{self._path} was written by another version of yagpt-batch.",
                f"Finish the run with that version, or {AFRESH}.",
            )
        return version

    def _migrate(self) -> None:
        """Give the sums of an earlier version the column that they lack, in one transaction."""
        rename = "ALTER TABLE tally RENAME TO tally_of_1;"
        self.connection.executescript(
            f"BEGIN; {rename} {_text('tally.sql')} {_text('migration.sql')}"
            f"PRAGMA user_version={VERSION}; COMMIT;"
        )

    # Found sound.

    def _check_pages(self) -> None:
        """Refuse what is damaged before anything is made of it.

        All of a small file is looked at; of a large one what goes on, and `audit` sees the rest.
        """
        if self._path.stat().st_size <= _SMALL:
            (found,) = self.connection.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise self._damaged(found)

    def _check_columns(self) -> None:
        keeps_twins = self._version() == TWINS_VERSION
        query = _text("soundness.sql")
        odd = self.connection.execute(query, {"keeps_twins": keeps_twins}).fetchone()
        if odd is None and keeps_twins:
            odd = self.connection.execute(_text("twins_soundness.sql")).fetchone()
        if odd is not None:
            raise self._damaged(f"it holds what no run writes: {odd[0]}")

    def _check_run(self) -> None:
        (last,) = self.connection.execute("SELECT max(line) FROM rows").fetchone()
        rows, words = self._count_rows(), self._words()
        cursor, is_settings = Cursor.parse(words.get("cursor")), True
        if "run" in words or "settings" in words:
            UUID(words.get("run", ""))
            is_settings = isinstance(codec.decode(words.get("settings", "").encode()), dict)
        if cursor.rows != rows or cursor.line <= (last or 0) or cursor.offset < 0:
            raise self._damaged(
                f"it holds {rows:,} rows, and says that {cursor.rows:,} were begun"
            )
        if not is_settings:
            raise self._damaged("it does not say with which settings the run was begun")

    def _count_rows(self) -> int:
        """Rows pending and rows finished, at no cost for the latter: their sums know how many."""
        pending = "SELECT count(*) FROM rows INDEXED BY pending WHERE place IS NULL"
        finished = "SELECT coalesce(sum(rows), 0) FROM tally WHERE outcome <> 'replaced'"
        counts = (self.connection.execute(query).fetchone()[0] for query in (pending, finished))
        return sum(map(int, counts))

    def _words(self) -> dict[str, str]:
        """What is told of the run and of the database itself, as far as anything rests on it."""
        query = "SELECT key, value FROM meta WHERE key IN ('run', 'settings', 'cursor', 'open')"
        return dict(self.connection.execute(query).fetchall())


def _text(name: str) -> str:
    return package_files("pipeline.store").joinpath(name).read_text("utf-8")
