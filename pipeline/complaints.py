"""What is wrong with the lines of an input, lines with the same fault in one sentence. Pure.

Of each fault the first lines are kept, and of faults the first 20: memory does not grow with the
input. Where lines differ in what stood in the place of what was wanted, the first one's is told.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.entry import REPEATED
from pipeline.rows import BadRow
from pipeline.wording import so_many

SHOWN = 20
_NAMED = 3
# What was got, or where: of the line alone, not of the fault.
_OF_THE_LINE = re.compile(r", got .*| \(.*\)")


@dataclass(slots=True)
class _Fault:
    """Lines that are bad alike: how many, the first of them, and what is wrong with the first."""

    message: str
    is_same: bool = True
    lines: list[int] = field(default_factory=list)
    count: int = 0

    def told(self, name: str) -> str:
        if self.count == 1:
            return _told_at(name, self.lines[0], self.message)
        *others, last = map(str, self.lines)
        if more := self.count - len(self.lines):
            others, last = [*others, last], f"{more:,} more"
        lines = f"lines {', '.join(others)} and {last}"
        return f"{name}: {lines}{'' if self.is_same else ', the first of them'}: {self.message}"


@dataclass(slots=True)
class Complaints:
    """What was found so far."""

    bad: int = 0
    first: BadRow | None = None
    _faults: dict[str, _Fault] = field(default_factory=dict)

    def take(self, row: BadRow) -> None:
        """Note what is wrong with a row, if it is among the first faults."""
        self.bad += 1
        self.first = self.first or row
        kind = _kind_of(row)
        if kind not in self._faults and len(self._faults) == SHOWN:
            return
        fault = self._faults.setdefault(kind, _Fault(row.message))
        fault.count += 1
        if len(fault.lines) < _NAMED:
            fault.lines.append(row.line)
        fault.is_same &= fault.message == row.message

    def sentences(self, name: str, hint: str = "") -> Iterator[str]:
        """One for each of the first faults, and one that counts the lines with others."""
        yield from (fault.told(name) for fault in self._faults.values())
        if more := self.bad - sum(fault.count for fault in self._faults.values()):
            yield f"… and {so_many(more, 'more bad line')}{hint}"


def told(row: BadRow, name: str) -> str:
    """What is wrong with a row, and where it stands: `name` is the input's."""
    return _told_at(name, row.line, row.message)


def _told_at(name: str, line: int, message: str) -> str:
    return f"{name}:{line}: {message}"


def _kind_of(row: BadRow) -> str:
    """What lines that are bad alike have in common."""
    return REPEATED if row.code == REPEATED else _OF_THE_LINE.sub("", row.message)
