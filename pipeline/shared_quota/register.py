"""The file of an allowance: what each sharer holds, when calls ended, and what time it is there.

Its time is tied to the clock that all processes of this machine read alike, and goes on from one
start of the machine to the next. A power cut may lose what was written last, and leaves the file
whole. Everything blocks, and may raise one of FAILURES.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files as package_files
from pathlib import Path

from pipeline.clock import Clock, boot
from pipeline.pacing.rates import LONGEST_WINDOW, Kind, Rate
from pipeline.shared_quota import sharing
from pipeline.shared_quota.sharing import Anchor, Ends, Sharer

FAILURES = (sqlite3.Error, OSError, ValueError)
"""What a file that can't be used raises."""
_APPLICATION = 0x79614761
_VERSION = 1
_PATIENCE = 10.0


class Register:
    """The open file. `lag` is what its time is ahead of this process's clock."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._boot = boot()
        self.lag = 0.0
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._inode = path.stat().st_ino
        self._db = sqlite3.connect(
            path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        db = self._db
        complaint = None if _is_empty(db) else _complaint(db)
        if complaint is not None:
            raise ValueError(complaint)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        with self._alone():
            if _is_empty(db):
                _create(db)

    def close(self) -> None:
        self._db.close()

    # Turns and time.

    def check_in_place(self) -> None:
        """Make sure that others find the file that this run uses."""
        if self._path.stat().st_ino != self._inode:
            raise ValueError("another file has taken its place")

    def version(self) -> int:
        """A number that changes whenever another run has written."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def hurry(self, seconds: float) -> None:
        """Wait no longer than that for a turn from now on."""
        self._db.execute(f"PRAGMA busy_timeout={int(seconds * 1000)}")

    @contextmanager
    def turn(self) -> Iterator[float]:
        """Alone in the file, at a moment of its time; all that is written then, or nothing."""
        with self._alone():
            changes = self._db.total_changes
            anchor = self._anchored()
            yield anchor.at
            if self._db.total_changes != changes:
                self._db.execute("DELETE FROM anchor")
                row = (anchor.boot, anchor.offset, anchor.at, anchor.wall)
                self._db.execute("INSERT INTO anchor VALUES (?, ?, ?, ?)", row)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _anchored(self) -> Anchor:
        # Read only now that it is our turn: whoever had the turn before is not ahead of us.
        now, wall = self._clock.now(), self._clock.wall()
        row = self._db.execute("SELECT boot, offset, at, wall FROM anchor").fetchone()
        since_boot = self._clock.since_boot(now)
        known = None if row is None else Anchor(*row)
        anchor = sharing.anchored(known, self._boot, since_boot, wall)
        self.lag = since_boot + anchor.offset - now
        return anchor

    # Sharers.

    def slots(self) -> set[int]:
        return {slot for (slot,) in self._db.execute("SELECT DISTINCT slot FROM sharers")}

    def sharers(self, kind: Kind) -> dict[int, Sharer]:
        return {
            slot: Sharer(tuple(map(Rate.parse, rates.split())), *numbers)
            for slot, rates, *numbers in self._db.execute(
                "SELECT slot, rates, held, had, want, until FROM sharers WHERE kind = ?", (kind,)
            )
        }

    def held(self, slot: int) -> dict[Kind, int]:
        query = "SELECT kind, held FROM sharers WHERE slot = ?"
        return dict(self._db.execute(query, (slot,)).fetchall())

    def put(self, kind: Kind, slot: int, sharer: Sharer) -> None:
        rates = " ".join(map(str, sharer.rates))
        self._db.execute(
            "INSERT OR REPLACE INTO sharers VALUES (?, ?, ?, ?, ?, ?, ?)",
            (kind, slot, rates, sharer.held, sharer.had, sharer.want, sharer.until),
        )

    def remove(self, slot: int, kind: Kind | None = None) -> None:
        """Forget a sharer, or what it shares of one kind."""
        which = "slot = ?1 AND kind = coalesce(?2, kind)"
        self._db.execute(f"DELETE FROM sharers WHERE {which}", (slot, kind))  # noqa: S608 - of constants

    # Ends of calls.

    def ends(self, kind: Kind, seconds: float, now: float) -> Ends:
        """What takes places in a window of that length now."""
        return self._db.execute(
            "SELECT at, calls FROM ends WHERE kind = ? AND seconds = ? AND at > ? ORDER BY at",
            (kind, seconds, sharing.past(seconds, now)),
        ).fetchall()

    def add_ends(self, kind: Kind, ended: Mapping[float, int], now: float) -> None:
        """Remember calls that ended, for every window; forget those that take no place now."""
        if not any(ended.values()):
            return
        for seconds in self._lengths(kind, used_by=now):
            self._insert(kind, seconds, ended.items())
            self._db.execute(
                "DELETE FROM ends WHERE kind = ? AND seconds = ? AND at <= ?",
                (kind, seconds, sharing.past(seconds, now)),
            )

    def keep_windows(self, kind: Kind, rates: tuple[Rate, ...], now: float) -> None:
        """Keep ends for the windows of these rates, and no more for what was long not used."""
        present = sharing.kept_windows(self.sharers(kind).values())
        for seconds in self._lengths(kind, used_by=now - LONGEST_WINDOW) - present:
            self._db.execute("DELETE FROM windows WHERE (kind, seconds) = (?, ?)", (kind, seconds))
            self._db.execute("DELETE FROM ends WHERE (kind, seconds) = (?, ?)", (kind, seconds))
        for seconds in present - self._lengths(kind, used_by=now):
            longest = self.ends(kind, LONGEST_WINDOW, now)
            self._insert(kind, seconds, sharing.made_of_longer(longest, seconds, now))
        used = {rate.seconds for rate in rates} | {LONGEST_WINDOW}
        rows = [(kind, seconds, now) for seconds in used]
        self._db.executemany("INSERT OR REPLACE INTO windows VALUES (?, ?, ?)", rows)

    def _lengths(self, kind: Kind, used_by: float) -> set[float]:
        query = "SELECT seconds FROM windows WHERE kind = ? AND used <= ?"
        return {seconds for (seconds,) in self._db.execute(query, (kind, used_by))}

    def _insert(self, kind: Kind, seconds: float, ends: Iterable[tuple[float, int]]) -> None:
        kept = [(sharing.kept_as(at, seconds), calls) for at, calls in ends if calls]
        self._db.executemany(
            "INSERT INTO ends VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET calls = calls + excluded.calls",
            [(kind, seconds, at, calls) for at, calls in kept],
        )


def _is_empty(db: sqlite3.Connection) -> bool:
    application = db.execute("PRAGMA application_id").fetchone()[0]
    return application == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone()


def _create(db: sqlite3.Connection) -> None:
    schema = package_files("pipeline.shared_quota").joinpath("register.sql").read_text("utf-8")
    for statement in schema.split(";"):
        db.execute(statement)
    db.execute(f"PRAGMA application_id={_APPLICATION}")
    db.execute(f"PRAGMA user_version={_VERSION}")


def _complaint(db: sqlite3.Connection) -> str | None:
    """Why this file is not to be used."""
    if db.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
        return "it is something else"
    if db.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
        return "another version of yagpt-batch wrote it"
    found: tuple[str] = db.execute("PRAGMA quick_check").fetchone()
    return None if found == ("ok",) else f"it is damaged: {found[0]}"
