"""Standard error as a stream that never fails: a terminal that is gone must not end a run.

After the first failed write nothing more is said. What is said holds no control characters of
prompts or services, and is wrapped between words where a terminal shows it.
"""

import io
import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from pipeline.terminal.step import Sentence

_COLUMNS, _ROWS = 80, 24
_DUMB = frozenset({"dumb", "unknown", ""})
NEW_LINE = "\n"


class Speech(io.TextIOBase):
    """What people are told while the program works."""

    def __init__(self) -> None:
        self._quiet = False
        self._through: Callable[[str], object] | None = None
        self.wipe = ""

    def route(self, through: Callable[[str], object] | None, wipe: str = "") -> None:
        """Say lines by this from now on: something stands on the terminal that `wipe` removes."""
        self._through, self.wipe = through, wipe

    def say(self, lines: str) -> None:
        if self._through is None:
            self.write(f"{lines}\n")
        else:
            self._through(lines)

    def write(self, text: str) -> int:
        if not self._quiet:
            try:
                sys.stderr.write(text)
                sys.stderr.flush()
            except (OSError, ValueError, AttributeError):
                # Full, closed, or never there.
                self._quiet = True
                _discard_the_rest()
        return len(text)

    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        return size_of(self)

    @property
    def encoding(self) -> str:  # type: ignore[override] # read only, as it is there
        return sys.stderr.encoding if sys.stderr is not None else "utf-8"

    def isatty(self) -> bool:
        return sys.stderr is not None and not sys.stderr.closed and sys.stderr.isatty()

    def fileno(self) -> int:
        return sys.stderr.fileno()


def _discard_the_rest() -> None:
    """Or the interpreter tries again at its exit, and fails."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


SPEECH = Speech()


def say(sentence: "Sentence") -> None:
    """Tell a sentence, on lines of its own, above whatever shows the progress."""
    SPEECH.say("\n".join(shown(sentence, SPEECH)))


def say_whole(line: str) -> None:
    """The same on one line, however long: for what programs read, and logs."""
    SPEECH.say(clean(line))


def shown(sentence: "Sentence", stream: TextIO | Speech | None) -> list[str]:
    """Its lines: one, but for a terminal, whose lines it is wrapped into."""
    width = width_of(stream)
    if width is None:
        return [clean(str(sentence))]
    from pipeline.terminal.screen import lines_of  # noqa: PLC0415 - help has nothing to wrap

    return list(lines_of(cleaned(sentence), width))


def is_screen(stream: TextIO | Speech | None) -> bool:
    """Whether it is a terminal that can move its cursor."""
    if stream is None or stream.closed or not stream.isatty():
        return False
    return os.environ.get("TERM", "dumb") not in _DUMB


def width_of(stream: TextIO | Speech | None) -> int | None:
    """How many columns a line may have there; None is as many as it likes: it is no terminal."""
    if not is_screen(stream):
        return None
    # The last column stays free: some terminals go to the next line once it is filled.
    return max(size_of(stream)[0] - 1, 1)


def size_of(stream: TextIO | Speech | None) -> tuple[int, int]:
    """Columns and rows; where a terminal does not know, what all once had."""
    with suppress(OSError, ValueError, AttributeError):
        size = os.get_terminal_size(stream.fileno())  # type: ignore[union-attr] # suppressed
        return size.columns or _COLUMNS, size.lines or _ROWS
    return _COLUMNS, _ROWS


def say_from_signal(sentence: str) -> None:
    """The same from within a signal, which may interrupt a write of the same stream."""
    if sys.stderr is None:
        return
    lines = "\n".join(shown(sentence, SPEECH))
    with suppress(OSError):
        os.write(2, f"{SPEECH.wipe or NEW_LINE}{lines}\n".encode())


def say_last_from_signal(sentence: str) -> None:
    """The same where the process ends at once: not where it would have to wait for a reader."""
    with suppress(OSError):
        _, ready, _ = select.select([], [2], [], 0)
        if ready:
            say_from_signal(sentence)


def cleaned(sentence: "Sentence") -> "Sentence":
    """The sentence with nothing in it that could drive a terminal."""
    if isinstance(sentence, str):
        return clean(sentence)
    from msgspec.structs import replace  # noqa: PLC0415 - the same

    return replace(sentence, why=clean(sentence.why), words=[*map(clean, sentence.words)])


def clean(text: str) -> str:
    """The text with nothing in it that could drive a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
