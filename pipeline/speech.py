"""Standard error as a stream that never fails: a terminal that is gone must not end a run.

After the first failed write nothing more is said. What is said holds no control characters of
prompts or services.
"""

import io
import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress

_COLUMNS, _ROWS = 80, 24
_INDENT = "  "
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

    def say(self, line: str) -> None:
        if self._through is None:
            self.write(f"{line}\n")
        else:
            self._through(line)

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
        """Columns and rows; where a terminal does not know, what all once had."""
        with suppress(OSError, ValueError, AttributeError):
            size = os.get_terminal_size(self.fileno())
            return size.columns or _COLUMNS, size.lines or _ROWS
        return _COLUMNS, _ROWS

    def folded(self, line: str) -> str:
        """A line as the terminal has room for it, wrapped between words."""
        from pipeline.screen import wrapped  # noqa: PLC0415 - help has nothing to wrap

        # The last column stays free: some terminals go to the next line once it is filled.
        return "\n".join(wrapped(line, max(self.size()[0] - 1, 1), _INDENT))

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


def say(sentence: str) -> None:
    """Tell a sentence, on a line of its own, above whatever shows the progress."""
    SPEECH.say(clean(sentence))


def say_from_signal(sentence: str) -> None:
    """The same from within a signal, which may interrupt a write of the same stream."""
    if sys.stderr is None:
        return
    with suppress(OSError):
        os.write(2, f"{SPEECH.wipe or NEW_LINE}{sentence}\n".encode())


def say_last_from_signal(sentence: str) -> None:
    """The same where the process ends at once: not where it would have to wait for a reader."""
    with suppress(OSError):
        _, ready, _ = select.select([], [2], [], 0)
        if ready:
            say_from_signal(sentence)


def clean(text: str) -> str:
    """The text with nothing in it that could drive a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
