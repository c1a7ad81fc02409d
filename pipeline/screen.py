"""What a terminal is sent to show sentences in the place of those before. Pure.

Everything is drawn over what was there and only then is the rest of each line, and of the screen,
cleared: so nothing flickers. What is too long is wrapped here, since where a terminal does it
itself nobody can tell how many lines there are.
"""

from collections.abc import Iterable, Iterator
from unicodedata import combining, east_asian_width

CLEAR = "\x1b[2J"
_HOME, _TO_THE_END_OF_LINE, _TO_THE_END = "\x1b[H", "\x1b[K", "\x1b[J"
_NARROWEST = 8
_INDENT = "  "


def frame(sentences: Iterable[str], columns: int, rows: int) -> str:
    """All of it in one piece; the cursor ends below. What does not fit on the screen is left out.

    The sentences must hold nothing that drives a terminal.
    """
    # The last column makes some terminals wrap, and the last row is the cursor's.
    width = max(columns - 1, _NARROWEST)
    lines = [line for sentence in sentences for line in wrapped(sentence, width, _INDENT)]
    shown = lines[: max(rows - 1, 1)]
    return _HOME + "".join(f"{line}{_TO_THE_END_OF_LINE}\n" for line in shown) + _TO_THE_END


def wrapped(sentence: str, width: int, indent: str = "") -> Iterator[str]:
    """Its words in lines of so many columns; all but the first begin with the indent.

    Only a word that is longer than a line is cut.
    """
    line = ""
    for word in sentence.split(" "):
        longer = f"{line} {word}" if line.strip() else line + word
        if columns_of(longer) <= width:
            line = longer
            continue
        if line.strip():
            yield line
            line = indent
        *whole, line = _cut(line + word, width, indent)
        yield from whole
    yield line


def _cut(text: str, width: int, indent: str) -> list[str]:
    """A word that is longer than a line, in pieces."""
    pieces = [""]
    for char in text:
        if columns_of(pieces[-1] + char) > width:
            pieces.append(indent)
        pieces[-1] += char
    return pieces


def columns_of(text: str) -> int:
    """How many columns a text takes."""
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if combining(char):
        return 0
    return 2 if east_asian_width(char) in "WF" else 1
