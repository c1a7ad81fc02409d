"""Lines of an open file from any byte on, for those who write it and those who only look."""

import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import StorageFailed

_BLOCK = 1 << 20


def lines_between(fd: int, start: int, end: int | None) -> Iterator[tuple[int, bytes, bool]]:
    """Every line between two bytes, as (offset, line without newline, whether it is whole).

    Without an `end` the file's own is meant. Blocks.

    Raises:
        StorageFailed: the disk fails.

    """
    offset, taken, rest = start, start, b""
    while block := _read(fd, taken, end):
        taken += len(block)
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield offset, line, True
            offset += len(line) + 1
    if rest:
        yield offset, rest, False


def whole_lines(path: Path) -> Iterator[bytes]:
    """The whole lines of a file as it stands, if there is one. Blocks.

    Raises:
        StorageFailed: the disk fails.

    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        yield from (line for _, line, whole in lines_between(fd, 0, None) if whole)
    finally:
        os.close(fd)


def line_at(fd: int, offset: int, size: int) -> bytes:
    """So many bytes from one on; fewer where the file ends before. Blocks.

    Raises:
        StorageFailed: the disk fails.

    """
    data = b""
    while len(data) < size and (more := _read(fd, offset + len(data), offset + size)):
        data += more
    return data


def line_before(fd: int, end: int) -> tuple[int, bytes]:
    """The line that ends, newline included, at byte `end`, and where it begins.

    Without a newline there it is what no line of ours is: empty. Blocks.

    Raises:
        StorageFailed: the disk fails.

    """
    start, data = end, b""
    while start > 0 and b"\n" not in data[:-1]:
        before, start = start, max(start - _BLOCK, 0)
        data = _read(fd, start, before) + data
    line = data[:-1].rpartition(b"\n")[2] if data[-1:] == b"\n" else b""
    return end - len(line) - 1, line


def _read(fd: int, start: int, end: int | None) -> bytes:
    size = _BLOCK if end is None else min(_BLOCK, end - start)
    try:
        return os.pread(fd, max(size, 0), start)
    except OSError as error:
        raise StorageFailed(f"can't read the files of the run: {error.strerror}.") from error
