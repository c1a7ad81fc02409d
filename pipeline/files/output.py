"""Append-only JSONL files: locked, repaired at the end, synced, and refused where damaged.

Nothing that was ever committed is rewritten: lines are only appended, in one piece each, and
synced before anybody is told. What else happens to a file of lines, `recovery` decides.

All calls block; they are made on one thread at a time.
"""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from pipeline.errors import AFRESH, BadData, Busy, StorageFailed
from pipeline.files import reading
from pipeline.files.paths import unwritable
from pipeline.life.facts import Signature, Span

# Whoever asks from outside whether a run goes on has its lock for less than this.
_INSTANT = 0.05
_BLOCK = 1 << 20
# Not every system has the one that leaves a file's times alone.
_sync = getattr(os, "fdatasync", os.fsync)


def seal(line: bytes) -> bytes:
    """The 8-byte digest by which a line is known again."""
    return blake2b(line, digest_size=8).digest()


class Lines:
    """One open file of lines.

    Raises StorageFailed at the first write or sync that fails; after that nothing is tried again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._fd = _open_file(path)
            self.size = os.fstat(self._fd).st_size
            self._last_line_at: int | None = None
            self._is_locked = False
            if self.size == 0:
                _sync_folder(path.parent)
        except OSError as error:
            raise _failed("open", path, error) from error

    def close(self) -> None:
        os.close(self._fd)

    def lock(self) -> None:
        """Take the run's lock; the kernel gives it back however this process ends.

        Raises:
            Busy: another process has it.

        """
        try:
            if not self._try_lock():
                time.sleep(_INSTANT)
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._is_locked = True
            # Whoever had the lock until now may have written since we opened the file.
            self.size = os.fstat(self._fd).st_size
        except BlockingIOError:
            raise Busy(
                f"another process is running {self.path}.",
                "Wait for it, or stop it first; this command then continues the run.",
            ) from None
        except OSError as error:
            raise _failed("lock", self.path, error) from error

    def _try_lock(self) -> bool:
        with suppress(BlockingIOError):
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False

    def is_at_path(self) -> bool:
        """Whether the path still leads to the file that is open (and locked) here."""
        try:
            return os.path.samestat(os.fstat(self._fd), self.path.stat())
        except FileNotFoundError:
            return False

    def is_deleted(self) -> bool:
        """Whether no path at all leads to it any more."""
        return os.fstat(self._fd).st_nlink == 0

    def put_back(self, path: Path) -> None:
        """Give what is in the file, which was deleted, the name `path`, and go on with that.

        Whoever looks there finds nothing, or all of it under the lock that this file has.

        Raises:
            FileExistsError: something has that name, and was left alone.
            OSError: it can't be written.

        """
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        part.unlink(missing_ok=True)
        fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            if self._is_locked:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _copy(self._fd, fd)
            os.fsync(fd)
            # No rename: it would take the place of another file.
            os.link(part, path)
        except BaseException:
            os.close(fd)
            raise
        finally:
            part.unlink(missing_ok=True)
        os.close(self._fd)
        self._fd = fd
        _sync_folder(path.parent)

    def append(self, lines: Sequence[bytes]) -> list[Span]:
        """Write whole lines in one piece and sync them; return where each stands."""
        self.take_back_last()
        spans = []
        for line in lines:
            spans.append(Span(self.size, len(line), seal(line)))
            self.size += len(line) + 1
        data = b"".join(part for line in lines for part in (line, b"\n"))
        try:
            _write(self._fd, data)
            _sync(self._fd)
        except OSError as error:
            raise _failed("write", self.path, error) from error
        return spans

    def append_last(self, line: bytes) -> None:
        """Write a line that stands at the end only: whatever is appended next takes its place."""
        (span,) = self.append([line])
        self._last_line_at = span.offset

    def keep_last(self, offset: int) -> None:
        """The line at `offset` is one that `append_last` wrote in an earlier process."""
        self._last_line_at = offset

    def last(self) -> bytes | None:
        """The line that the next one takes the place of, if there is one."""
        if self._last_line_at is None:
            return None
        return os.pread(self._fd, self.size - self._last_line_at - 1, self._last_line_at)

    def take_back_last(self) -> None:
        """Cut the line that the next one would take the place of, if there is one."""
        if self._last_line_at is not None:
            self.cut(self._last_line_at)

    def cut(self, size: int) -> None:
        """Take back everything from byte `size` on."""
        self._last_line_at = None
        try:
            os.ftruncate(self._fd, size)
            os.fsync(self._fd)
        except OSError as error:
            raise _failed("cut", self.path, error) from error
        self.size = size

    def signature(self) -> Signature:
        status = os.fstat(self._fd)
        return Signature(status.st_size, status.st_mtime_ns)

    def line_at(self, place: Span) -> bytes:
        """A line that was appended before."""
        data = reading.line_at(self._fd, place.offset, place.size)
        if seal(data) != place.seal:
            raise BadData(
                f"{self.path}: the line at byte {place.offset:,} is not what this run wrote.",
                f"Restore the file from a copy, or {AFRESH}.",
            )
        return data

    def line_before(self, end: int) -> tuple[int, bytes]:
        """As `reading.line_before`."""
        return reading.line_before(self._fd, end)

    def lines_from(self, offset: int) -> Iterator[tuple[int, bytes, bool]]:
        """As `reading.lines_between`, up to the end of the file."""
        return reading.lines_between(self._fd, offset, None)


def _open_file(path: Path) -> int:
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no regular file")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)


def _write(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, data[written:])


def _copy(fd: int, to: int) -> None:
    """Copy all of a file to an empty one, with its time, by which it is known, and its mode."""
    at = 0
    while block := os.pread(fd, _BLOCK, at):
        _write(to, block)
        at += len(block)
    status = os.fstat(fd)
    os.fchmod(to, stat.S_IMODE(status.st_mode))
    os.utime(to, ns=(status.st_atime_ns, status.st_mtime_ns))


def changed(path: Path, number: int, offset: int) -> BadData:
    """The refusal of a file whose committed part is not what was written."""
    return BadData(
        f"{path}: line {number:,} (byte {offset:,}) is not what this run wrote.",
        f"Restore the file from a copy, or {AFRESH}.",
    )


def replace(path: Path, by: Path) -> None:
    """Give a file, where it is still there, another one's name; durable in either case."""
    try:
        if by.exists():
            os.rename(by, path)  # noqa: PTH104 - as all that a crash could divide
        _sync_folder(path.parent)
    except OSError as error:
        raise _failed("replace", path, error) from error


def _sync_folder(folder: Path) -> None:
    """Make a new name durable: a synced file in an unsynced folder can vanish."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _failed(doing: str, path: Path, error: OSError) -> StorageFailed:
    advice = "Make space or mend the permission, then run the same command again."
    return unwritable(doing, path, error, advice)
