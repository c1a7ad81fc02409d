"""The file by which a run is steered from another shell: written whole, read at a glance.

Commands write it, one after another; the run only looks. What can't be read asks for nothing.
"""

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import StorageFailed
from pipeline.state.control import Control, Unreadable

_LONGEST = 65_536
_TRIES, _APART = 40, 0.05

Look = tuple[int, int, int]
"""What tells that a file is not the one that was seen: its number, time and size."""


def look_of(path: Path) -> Look | None:
    """The file as it is now, without opening it; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def read(path: Path) -> Control:
    """What it says; where there is none, that nothing is asked.

    Raises:
        Unreadable: it is none of ours, or can't be read.

    """
    try:
        # Whatever has its name, a pipe say, is not waited for.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return Control()
    except OSError as error:
        raise Unreadable(error.strerror) from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Unreadable("it is no file")
        data = os.read(fd, _LONGEST + 1)
    except OSError as error:
        raise Unreadable(error.strerror) from None
    finally:
        os.close(fd)
    if len(data) > _LONGEST:
        raise Unreadable("it is too long")
    return Control.read(data)


def write(path: Path, made: Callable[[Control], Control]) -> Control:
    """Put another control in the place of the one that stands there; it is on disk then.

    What can't be read is replaced. `made` is asked while no other command writes.

    Raises:
        StorageFailed: it can't be written.

    """
    new = path.with_name(path.name + ".new")
    try:
        with _alone(path.parent) as folder:
            before = Control()
            with suppress(Unreadable):
                before = read(path)
            control = made(before)
            _write_synced(new, control.written())
            new.replace(path)
            os.fsync(folder)
    except OSError as error:
        raise StorageFailed(f"can't write {path}: {error.strerror}.") from error
    return control


def remove(path: Path) -> None:
    """Take it away, now that there is nothing left to steer."""
    with suppress(OSError):
        path.unlink()


@contextmanager
def _alone(folder: Path) -> Iterator[int]:
    """The open folder, while no other command has it."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Where it is not to be had, the last of two that come together wins.
        for _ in range(_TRIES):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_APART)
            except OSError:
                break
            else:
                break
        yield fd
    finally:
        os.close(fd)


def _write_synced(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        while data:
            data = data[os.write(fd, data) :]
        os.fsync(fd)
    finally:
        os.close(fd)
