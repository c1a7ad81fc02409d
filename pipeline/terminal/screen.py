"""How sentences stand on a terminal, and how they take the place of those before. Pure.

Everything is drawn over what was there and only then is the rest of each line, and of the screen,
cleared: so nothing flickers. What is too long is wrapped here, since a terminal does it in the
middle of words, and nobody can tell how many lines there are.
"""

import shlex
from collections.abc import Iterable, Iterator
from unicodedata import combining, east_asian_width

from pipeline.terminal.step import Sentence, Step

CLEAR = "\x1b[2J"
_HOME, _TO_THE_END_OF_LINE, _TO_THE_END = "\x1b[H", "\x1b[K", "\x1b[J"
_NARROWEST = 8
_INDENT = "  "
_GOES_ON = " \\"


def frame(sentences: Iterable[Sentence], columns: int, rows: int | None) -> str:
    """All of it in one piece; the cursor ends below. A count stands for what has no room.

    Where `rows` is None, everything has: it scrolls.
    The sentences must hold nothing that drives a terminal.
    """
    # The last column makes some terminals wrap, and the last row is the cursor's.
    width = max(columns - 1, _NARROWEST)
    lines = [line for sentence in sentences for line in lines_of(sentence, width)]
    room = len(lines) if rows is None else max(rows - 1, 1)
    shown = (
        lines if len(lines) <= room else [*lines[: room - 1], _more(len(lines) - room + 1, width)]
    )
    return _HOME + "".join(f"{line}{_TO_THE_END_OF_LINE}\n" for line in shown) + _TO_THE_END


def _more(left_out: int, width: int) -> str:
    return next(wrapped(f"… {left_out} more", width))


def lines_of(sentence: Sentence, width: int) -> Iterator[str]:
    """A sentence in lines of so many columns; what goes on is indented.

    A command that does not fit begins a line of its own, and a backslash ends each of its lines
    but the last: it can be copied as it stands. So no word of it is cut, however long it is.
    """
    match sentence:
        case Step() if columns_of(str(sentence)) > width:
            yield from wrapped(f"{sentence.why}:", width, _INDENT)
            yield from _typed(sentence, width)
        case _:
            yield from wrapped(str(sentence), width, _INDENT)


def _typed(step: Step, width: int) -> Iterator[str]:
    first, *others = map(shlex.quote, step.words)
    line = _INDENT + first
    for left, word in zip(range(len(others) - 1, -1, -1), others, strict=True):
        longer = f"{line} {word}"
        if columns_of(longer + (_GOES_ON if left else "")) <= width:
            line = longer
            continue
        yield line + _GOES_ON
        line = _INDENT + word
    yield line


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
