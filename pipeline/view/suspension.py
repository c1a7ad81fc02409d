"""Ctrl-Z while something stands below the cursor: the shell's prompt goes below that, too.

What was drawn is left as it is, and drawn anew once the process goes on.
"""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any


class Suspension:
    """Listens from its creation until `end`; `lines_below` tells how many lines are to be kept."""

    def __init__(self, lines_below: Callable[[], int]) -> None:
        self._lines_below = lines_below
        self._before: Any = signal.getsignal(signal.SIGTSTP)
        # Shells without job control, and whoever wants no stop, have it ignored.
        if self._before is not signal.SIG_IGN:
            signal.signal(signal.SIGTSTP, self._heard)

    def end(self) -> None:
        signal.signal(signal.SIGTSTP, self._before)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        # Past the stream, which it may have interrupted in a write.
        with suppress(OSError):
            os.write(2, b"\r" + b"\n" * self._lines_below())
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        # Here it goes on.
        signal.signal(number, self._heard)
