"""What a trace says about writes and syncs: what failed, and whether a sync was tried again.

After a failed sync the bytes written before it may be gone, though the next sync succeeds. So
these bytes must be written anew before it, or the sync vouches for what nobody knows.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["appended", "checksummed", "plain"]

_LINE = re.compile(r"^(?P<thread>\d+) +(?P<at>[\d.]+) (?P<rest>.*)$")
_RESUMED = re.compile(r"^<\.\.\. \w+ resumed>")
_CALL = re.compile(r"^(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+|\?)(?P<said>.*)$")
_FILE = re.compile(r"^\d+<(?P<path>[^>]*)>")
_UNFINISHED = " <unfinished ...>"
_SYNCS = frozenset({"fsync", "fdatasync"})


@dataclass(frozen=True, slots=True)
class Traced:
    """One system call: when it was made, by whom, on which file, and what it came to."""

    thread: int
    at: float
    name: str
    path: str
    numbers: tuple[int, ...]
    result: int
    is_injected: bool


def read(lines: Iterable[str]) -> Iterator[Traced]:
    """The calls of a trace (`-f -ttt -y`), in the order in which they ended."""
    begun: dict[str, tuple[float, str]] = {}
    for line in lines:
        if (found := _LINE.match(line)) is None:
            continue
        thread, at, rest = found["thread"], float(found["at"]), found["rest"]
        if rest.endswith(_UNFINISHED):
            begun[thread] = (at, rest.removesuffix(_UNFINISHED))
            continue
        if _RESUMED.match(rest) and thread in begun:
            at, first = begun.pop(thread)
            rest = first + _RESUMED.sub("", rest)
        if (call := _CALL.match(rest)) is not None:
            yield _traced(int(thread), at, call)


def _traced(thread: int, at: float, call: re.Match[str]) -> Traced:
    arguments = call["arguments"]
    file = _FILE.match(arguments)
    numbers = re.findall(r", (\d+)(?=,|$)", arguments.rpartition('"')[2])
    return Traced(
        thread,
        at,
        call["name"],
        file["path"] if file else "",
        tuple(map(int, numbers)),
        -1 if call["result"] == "?" else int(call["result"]),
        "(INJECTED)" in call["said"],
    )


@dataclass(slots=True)
class _File:
    """Pieces of a file written since its last sync, and those that a failed sync left in doubt."""

    written: set[tuple[int, int]] = field(default_factory=set)
    doubtful: set[tuple[int, int]] = field(default_factory=set)
    has_failed: bool = False

    def after_write(self, offset: int, size: int) -> None:
        self.written.add((offset, size))

    def after_cut(self, end: int) -> None:
        self.doubtful = {piece for piece in self.doubtful if piece[0] < end}

    def after_failed_sync(self) -> None:
        self.doubtful |= self.written
        self.written = set()
        self.has_failed = True

    def after_sync(self, kind: Kind) -> bool:
        """Say whether the sync vouches for what it can't know."""
        is_unknown = {
            "appended": True,
            "checksummed": not self.written,
            "plain": bool(self.doubtful - self.written),
        }
        again = self.has_failed and is_unknown[kind]
        self.doubtful, self.written, self.has_failed = set(), set(), False
        return again


def tried_again(calls: Iterable[Traced], kind: Kind) -> int:
    """How many syncs of a file succeeded after a failed one, without its being written anew.

    A file that is `appended` to may not be synced at all after a failed sync. One whose pieces are
    each `checksummed` tells by itself which of them are whole: it may be written anew in part.
    """
    files: dict[str, _File] = {}
    again = 0
    for call in calls:
        file = files.setdefault(call.path, _File())
        match call.name:
            case "pwrite64" if call.result >= 0:
                size, offset = call.numbers[-2:]
                file.after_write(offset, size)
            case "ftruncate" if call.result == 0:
                file.after_cut(call.numbers[-1])
            case name if name in _SYNCS and call.result != 0:
                again += kind == "appended" and file.has_failed
                file.after_failed_sync()
            case name if name in _SYNCS:
                again += file.after_sync(kind)
            case _:
                pass
    return again
