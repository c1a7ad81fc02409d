"""Signals: the first asks the run to end, a later one ends it at once.

A signal that was ignored when the program started (nohup) stays ignored. After the run has ended
in order, the process dies by the signal, so that shells and supervisors see the truth.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from pipeline.clock import Clock

# `speech` would load it for a terminal, and a signal may come in the middle of that.
from pipeline.terminal import screen as _screen  # noqa: F401
from pipeline.terminal.speech import say_from_signal, say_last_from_signal

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
        self._rests = False
        _listen(self._heard)

    def tell(self, on_first: Callable[[int], None]) -> None:
        self._on_first = on_first
        if self._first is not None:
            on_first(self._first)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        now = self._clock.now()
        is_same = self._first is not None and now - self._first_at < _TOGETHER
        if self._rests:
            if not is_same:
                die_by(number)
        elif self._first is None:
            self._first, self._first_at = number, now
            say_from_signal(_FIRST_WORDS)
            if self._on_first is not None:
                self._on_first(number)
        elif not is_same:
            _leave(number)
        else:
            signal.signal(signal.SIGALRM, lambda *_: _leave(number))
            signal.setitimer(signal.ITIMER_REAL, _MOMENT)

    def rest(self) -> None:
        """All is recorded: nothing is waited for that a signal was to cut short.

        One that is new ends the process at once.
        """
        self._rests = True
        signal.setitimer(signal.ITIMER_REAL, 0.0)


class Told(BaseException):
    """A signal ended a block."""


class Ear:
    """Hears the signals of a block that is to be left `cleanly`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._first_at = 0.0
        self._waits = False
        self.first: int | None = None

    def heard(self, number: int, _frame: FrameType | None) -> None:
        now = self._clock.now()
        if self.first is None:
            self.first, self._first_at = number, now
        elif now - self._first_at < _TOGETHER:
            # The same one: what the first has begun to clean up is not to be left by it.
            return
        if not self._waits:
            raise Told

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Let this part of the block be done whole: a signal ends the block after it."""
        with self.deaf():
            yield
        if self.first is not None:
            raise Told

    @contextmanager
    def deaf(self) -> Iterator[None]:
        """Let signals end nothing; the first is remembered."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False


@contextmanager
def cleanly(clock: Clock | None = None) -> Iterator[Ear]:
    """Let the block leave nothing half done where a signal ends it; then die by that signal."""
    ear = Ear(clock or Clock())
    before = [(number, signal.getsignal(number)) for number in _SIGNALS]
    try:
        _listen(ear.heard)
        with suppress(Told):
            yield ear
    finally:
        with ear.deaf():
            for number, what in before:
                signal.signal(number, what)
    if ear.first is not None:
        die_by(ear.first)


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
