"""The way into a checkpoint for everybody who is not the run: nothing is created or changed.

SQLite means to help: opened in the usual way it makes a log and shared memory and mends what a
crash left, and the run would no longer notice that its log is missing. So there are three ways in.

    log and its shared memory are there   both are read as they are, beside a run that goes on
    no log                                the file is read as one that does not change
    a log without shared memory           nobody has it open; a copy is read

Shared memory of another log than the one that is there is as good as none: a process was killed,
or is, between beginning a log anew and telling so. SQLite would wait for it a long time.

The last two are right only while no run begins, so that is looked at afterwards. Meanwhile the
lock that any reader has keeps a run that ends from removing its log.
"""

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from pipeline.errors import BadData, StorageFailed
from pipeline.life.facts import Signature

# The bytes of a database that its readers lock, by SQLite's file format.
_SHARED_FIRST = 0x40000002
_SHARED_SIZE = 510
# Where a log, and its shared memory, have the salt by which SQLite tells one log from the next:
# "The WAL-Index Header" and "WAL Header" of sqlite.org/walformat.html and fileformat2.html.
_SALT_IN_LOG, _SALT_IN_MEMORY, _SALT_SIZE = 16, 32, 8
_Given = TypeVar("_Given")
_Seen = TypeVar("_Seen")


class Disturbed(Exception):
    """A run began or ended while its checkpoint was being opened or read: look again."""


def is_running(output: Path) -> bool:
    """Whether a process has the run: ask for its lock, and give it back at once.

    Raises:
        BadData: there is no such output.

    """
    fd = _opened(output, "output")
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        # No locks here: then the run could not have taken one either.
        return False
    finally:
        os.close(fd)
    return False


def steadily(output: Path, see: Callable[[_Given, bool], _Seen]) -> Callable[[_Given], _Seen]:
    """`see` for a look at the checkpoint, told whether a process has the run all the while.

    What a run notes as it begins, with nobody there, would be that of one that was killed.

    Raises:
        BadData: there is no such output.

    """
    was = is_running(output)

    def look(given: _Given) -> _Seen:
        nonlocal was
        before, was = was, is_running(output)
        if was != before:
            raise Disturbed("runs begin and end all the time")
        return see(given, was)

    return look


def signature_of(path: Path) -> Signature | None:
    """Size and time of a file as it is now; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return Signature(status.st_size, status.st_mtime_ns)


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a checkpoint for the block, in one transaction.

    Never to be used in the process of the run itself: closing a file gives up all locks that
    SQLite has on it for this process.

    Raises:
        BadData: it is missing, damaged, or not whole.
        StorageFailed: it can't be read.
        Disturbed: what was read may be wrong.

    """
    with _kept(path) as real:
        way = _Way.to(real)
        with _failures(path), way.connected() as db:
            try:
                yield db
            finally:
                way.check()


@contextmanager
def _kept(path: Path) -> Iterator[Path]:
    """Lock it as a reader does, and give its real path."""
    fd = _opened(path, "checkpoint")
    try:
        try:
            fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
        except BlockingIOError:
            raise Disturbed("a run is about to begin or to end") from None
        except OSError as error:
            raise StorageFailed(f"can't lock {path}: {error.strerror}.") from None
        if not os.fstat(fd).st_size:
            raise BadData(f"the checkpoint {path} is empty.", "Its run has not begun.")
        yield path.resolve()
    finally:
        os.close(fd)


def _opened(path: Path, what: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        why = f"there is no {what} {path}."
        raise BadData(why, "Name the output of a run, and keep its files together.") from None
    except OSError as error:
        raise StorageFailed(f"can't read the {what} {path}: {error.strerror}.") from None


class _Way(Struct, frozen=True):
    """How a checkpoint is read, and what its files were when that was decided.

    `is_shared`: the shared memory tells where in the log what stands.
    """

    path: Path
    files: tuple[Signature | None, Signature | None, Signature | None]
    is_shared: bool

    @classmethod
    def to(cls, path: Path) -> "_Way":
        return cls(path, _files(path), _is_shared(path))

    @contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        _, log, _ = self.files
        uri = self.path.as_uri()
        if self.is_shared:
            with closing(_connection(f"{uri}?mode=ro&readonly_shm=1")) as db:
                yield db
        elif log is None or log.size == 0:
            with closing(_connection(f"{uri}?immutable=1")) as db:
                if log is None:
                    self._refuse_half(db)
                yield db
        else:
            with _copied(self.path) as copy, closing(_connection(copy.as_uri())) as db:
                yield db

    def _refuse_half(self, db: sqlite3.Connection) -> None:
        """Refuse a database that a run left open, now that its log is gone."""
        tables = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
        if tables and ("1",) in db.execute("SELECT value FROM meta WHERE key = 'open'"):
            raise BadData(
                f"{self.path.name}-wal, a part of {self.path}, is missing.",
                "Put it back: without it rows would be paid for again.",
            )

    def check(self) -> None:
        """Find out whether a run got in between, where it may not."""
        if not self.is_shared and _files(self.path) != self.files:
            raise Disturbed("runs begin and end all the time")


def _files(path: Path) -> tuple[Signature | None, Signature | None, Signature | None]:
    log, memory = (path.with_name(path.name + ending) for ending in ("-wal", "-shm"))
    return signature_of(path), signature_of(log), signature_of(memory)


def _is_shared(path: Path) -> bool:
    """Whether there is a log with its own shared memory; no log is of none but itself."""
    log, memory = (
        _salt(path.with_name(path.name + ending), at)
        for ending, at in (("-wal", _SALT_IN_LOG), ("-shm", _SALT_IN_MEMORY))
    )
    return None not in (log, memory) and log in (b"", memory)


def _salt(path: Path, at: int) -> bytes | None:
    """The salt in a file, empty where it is too short for one; None where there is no file."""
    try:
        with path.open("rb") as file:
            salt = os.pread(file.fileno(), _SALT_SIZE, at)
    except OSError:
        return None
    return salt if len(salt) == _SALT_SIZE else b""


@contextmanager
def _copied(path: Path) -> Iterator[Path]:
    from tempfile import TemporaryDirectory  # noqa: PLC0415 - 4 ms, and hardly ever needed

    with TemporaryDirectory() as folder:
        try:
            for file in (path, path.with_name(path.name + "-wal")):
                shutil.copy(file, folder)
        except OSError as error:
            raise StorageFailed(f"can't copy {path}: {error.strerror}.") from error
        yield Path(folder) / path.name


def _connection(uri: str) -> sqlite3.Connection:
    """Open it and begin the one transaction in which everything is read."""
    db = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        db.execute("BEGIN")
        db.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        db.close()
        raise Disturbed(str(error)) from None
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def _failures(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StorageFailed(f"can't read the checkpoint {path}: {error}.") from error
    except sqlite3.DatabaseError as error:
        raise BadData(
            f"the checkpoint {path} is damaged, or none: {error}.", "Restore it from a copy."
        ) from error
