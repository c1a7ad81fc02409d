"""Small files that hold secrets: read without waiting, and by whom else they can be read."""

import os
import stat
from pathlib import Path

_LARGEST = 64 * 1024
_OTHERS = 0o077


def content_of(path: Path) -> bytes:
    """What a file holds; a pipe or a device would keep everything waiting.

    Raises:
        OSError: it can't be read, or is no file of a few kilobytes.

    """
    # A pipe that nobody writes to must not hold up even the opening.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is no ordinary file")
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise OSError(0, "it is too large to be a secret")
    return content


def is_read_by_others(path: Path) -> bool:
    """Whether its mode lets others on this machine read it."""
    try:
        return bool(path.stat().st_mode & _OTHERS)
    except OSError:
        return False
