"""Looks at a run again and again until it has ended; a signal ends it like any command."""

import os
import shutil
import sys
import time
from collections.abc import Callable

from pipeline.terminal.screen import CLEAR, frame
from pipeline.terminal.speech import clean, cleaned, say
from pipeline.terminal.step import Sentence

Look = Callable[[], tuple[bool, list[Sentence]]]
"""One look: whether the run goes on, and what to tell."""


def watched(look: Look, seconds: float, *, in_place: bool, between: str = "") -> None:
    """Show what every look tells, so many seconds apart, up to one at a run that has ended.

    `in_place`: each takes the place of the one before. Else `between` stands between two.
    """
    goes_on, told = look()
    first = CLEAR if in_place else ""
    while _shown(first + _picture(told, seconds if goes_on else None, in_place=in_place)):
        if not goes_on:
            return
        time.sleep(seconds)
        goes_on, told = look()
        first = "" if in_place else between


def _picture(told: list[Sentence], seconds: float | None, *, in_place: bool) -> str:
    if not in_place:
        return "".join(f"{clean(str(sentence))}\n" for sentence in told)
    lines = [cleaned(sentence) for sentence in told]
    if seconds is not None:
        lines += ["", f"Looked at every {seconds:g} s until it ends; Ctrl-C leaves it alone."]
    size = shutil.get_terminal_size()
    # The last picture stays, and may scroll.
    return frame(lines, size.columns, size.lines if seconds is not None else None)


def _shown(picture: str) -> bool:
    """Write it; false where nobody reads it any more."""
    try:
        sys.stdout.write(picture)
        sys.stdout.flush()
    except BrokenPipeError:
        pass
    except OSError as error:
        say(f"Standard output can't be written: {error.strerror}.")
    else:
        return True
    # Or the interpreter tries again at its exit, and fails.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return False
