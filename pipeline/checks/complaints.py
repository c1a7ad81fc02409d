"""What is wrong with lines of an input: the first 20 by themselves, of the others a count. Pure.

Where a fault that none of the first lines has comes later, it is told where it begins. Memory does
not grow with the input.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.input.rows import BadRow
from pipeline.life.entry import REPEATED
from pipeline.wording import so_many

SHOWN = 20
_NAMED = 3
# What was got, or where: of the line alone, not of the fault.
_OF_THE_LINE = re.compile(r", got .*| \(.*\)")


@dataclass(slots=True)
class Complaints:
    """What was found so far: `bad` lines in all, and the first of them."""

    bad: int = 0
    shown: list[BadRow] = field(default_factory=list)
    _kinds: set[str] = field(default_factory=set)
    _later: dict[str, int] = field(default_factory=dict)

    @property
    def first(self) -> BadRow | None:
        return self.shown[0] if self.shown else None

    def take(self, row: BadRow) -> None:
        """Note what is wrong with a row, if it is among the first or begins another fault."""
        self.bad += 1
        if len(self.shown) < SHOWN:
            self.shown.append(row)
            self._kinds.add(_kind_of(row))
        elif len(self._later) < _NAMED and (kind := _kind_of(row)) not in self._kinds:
            self._later.setdefault(kind, row.line)

    def sentences(self, name: str, hint: str = "") -> Iterator[str]:
        """One for each of the first bad lines, and one that counts the others."""
        yield from (told(row, name) for row in self.shown)
        yield from self.others(hint)

    def others(self, hint: str = "") -> Iterator[str]:
        """The last of these sentences, if there are more than the first; `hint` stands in it."""
        if more := self.bad - len(self.shown):
            yield f"… and {so_many(more, 'more bad line')}{hint}{self._begun_later()}"

    def _begun_later(self) -> str:
        *others, last = map(str, self._later.values()) if self._later else [""]
        if not last:
            return ""
        lines = f"lines {', '.join(others)} and {last}" if others else f"line {last}"
        return f"; faults of another kind begin in {lines}"


def told(row: BadRow, name: str) -> str:
    """What is wrong with a row, and where it stands: `name` is the input's."""
    return f"{name}:{row.line}: {row.message}"


def _kind_of(row: BadRow) -> str:
    """What lines that are bad alike have in common."""
    return REPEATED if row.code == REPEATED else _OF_THE_LINE.sub("", row.message)
