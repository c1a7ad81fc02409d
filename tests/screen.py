"""A terminal in miniature, for what this program sends to one, and nothing else.

Any other sequence fails the test; so does a line that is wider than the screen, unless lines are
to be folded, as sentences are.
"""

import re

_PIECE = re.compile(r"\x1b\[(\?7|\d*)([AJKhl])|[\r\n]|[^\x00-\x1f\x7f]")


class Screen:
    """Lines of text and a cursor. `widest` is the longest line that ever stood there."""

    def __init__(self, columns: int, *, folds: bool = False) -> None:
        self.columns = columns
        self.folds = folds
        self._cuts = False
        self._lines = [""]
        self._row = self._column = 0
        self.widest = 0

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self._lines)

    @property
    def cursor(self) -> tuple[int, int]:
        return self._row, self._column

    def feed(self, text: str) -> "Screen":
        """Take what a program wrote; a terminal's own line ends (CR LF) will do as well."""
        end = 0
        for found in _PIECE.finditer(text):
            assert found.start() == end, f"a terminal may not know {text[end : found.start()]!r}"
            end = found.end()
            self._take(found)
        assert end == len(text), f"a terminal may not know {text[end:]!r}"
        return self

    def _take(self, found: re.Match[str]) -> None:
        number, command = found.groups()
        match f"[{command}" if command else found[0]:
            case "[A":
                self._row -= int(number or 1)
                assert self._row >= 0
            case "[K":
                assert number == "2"
                self._lines[self._row] = ""
            case "[h" | "[l" as switch:
                assert number == "?7"
                self._cuts = switch == "[l"
            case "[J":
                assert not number
                del self._lines[self._row + 1 :]
                self._lines[self._row] = self._lines[self._row][: self._column]
            case "\r":
                self._column = 0
            case "\n":
                self._take_end()
            case letter:
                self._put(letter)

    def _take_end(self) -> None:
        self._row, self._column = self._row + 1, 0
        if self._row == len(self._lines):
            self._lines.append("")

    def _put(self, letter: str) -> None:
        if self.folds and self._column == self.columns:
            if self._cuts:
                return
            self._take_end()
        assert self.folds or self._column < self.columns - 1, f"too long: {self.text!r}"
        line = self._lines[self._row].ljust(self._column)
        self._lines[self._row] = line[: self._column] + letter + line[self._column + 1 :]
        self._column += 1
        self.widest = max(self.widest, self._column)
