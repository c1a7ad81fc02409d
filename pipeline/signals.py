"""Signals: the first asks the run to end, a later one ends it at once.

A signal that was ignored when the program started (nohup) stays ignored. After the run has ended
in order, the process dies by the signal, so that shells and supervisors see the truth.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from pipeline.clock import Clock
from pipeline.speech import say_from_signal, say_last_from_signal

# GNU timeout sends each of its signals twice, to the process and to its group, and so do programs
# that pass on what the terminal has sent to all. No hand is so fast, but a program may be.
_TOGETHER = 0.05
_MOMENT = 0.25
# Not "in flight": that is said of operations, and nobody waits for these at a stop.
_FIRST_WORDS = "Stopping: waiting for answers to requests being sent (again to leave at once)."
_LAST_WORDS = (
    "Left at once: requests being sent may be in doubt. The same command goes on with the run."
)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Listens from its creation on; `on_first` hears of the first, if need be afterwards.

    One that comes together with the first may be the same one: a moment later it ends the process
    all the same, but by then most requests in flight have been answered.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._first: int | None = None
        self._first_at = 0.0
        self._on_first: Callable[[int], None] | None = None
        _listen(self._heard)

    def tell(self, on_first: Callable[[int], None]) -> None:
        self._on_first = on_first
        if self._first is not None:
            on_first(self._first)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        now = self._clock.now()
        if self._first is None:
            self._first, self._first_at = number, now
            say_from_signal(_FIRST_WORDS)
            if self._on_first is not None:
                self._on_first(number)
        elif now - self._first_at >= _TOGETHER:
            _leave(number)
        else:
            signal.signal(signal.SIGALRM, lambda *_: _leave(number))
            signal.setitimer(signal.ITIMER_REAL, _MOMENT)

    def rest(self) -> None:
        """All is recorded: nothing is waited for that a signal was to cut short."""
        signal.setitimer(signal.ITIMER_REAL, 0.0)


class Told(BaseException):
    """A signal ended a block."""


@contextmanager
def cleanly() -> Iterator[None]:
    """Let the block leave nothing half done where a signal ends it; then die by that signal."""
    first: list[int] = []

    def heard(number: int, _frame: FrameType | None) -> None:
        first.append(number)
        raise Told

    before = [(number, signal.getsignal(number)) for number in _SIGNALS]
    _listen(heard)
    try:
        yield
    except Told:
        die_by(first[0])
    finally:
        for number, what in before:
            signal.signal(number, what)


def _listen(heard: Callable[[int, FrameType | None], None]) -> None:
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, heard)


def _leave(number: int) -> None:
    # Whatever becomes of these words, a third one ends the process.
    signal.signal(number, signal.SIG_DFL)
    say_last_from_signal(_LAST_WORDS)
    die_by(number)


def die_by(number: int) -> None:
    """End this process by the signal's default action."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
