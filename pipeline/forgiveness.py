"""Doubts that turn out to be part of an outage cost their rows no attempt.

An outage is noticed at the last of several failures, so the doubts before that one are remembered
until it is known whether they began an outage, or a call is answered.
"""

from pipeline.course import Course
from pipeline.facts import Move
from pipeline.item import Forgiven, State, after
from pipeline.reach import Reach


class Forgiveness:
    """Hears how every POST ended, and forgives."""

    def __init__(self, course: Course, reach: Reach) -> None:
        self._course = course
        self._reach = reach
        self._doubts: dict[int, State] = {}

    def answered(self) -> None:
        """A POST was answered: what failed before was no outage."""
        self._doubts.clear()
        self._reach.answered()

    def failed(self) -> bool:
        """A POST failed as in an outage; true where it is one."""
        self._reach.failed()
        self._forgive()
        return not self._reach.is_up

    def remember(self, line: int, doubt: State) -> None:
        """A doubt was recorded that counts as an attempt so far.

        While it was, another call may have been the one at which the outage was noticed.
        """
        self._doubts[line] = doubt
        self._forgive()

    def _forgive(self) -> None:
        if self._reach.is_up:
            return
        for line, doubt in self._doubts.items():
            forgiven = after(doubt, Forgiven())
            if self._course.intake.replace(line, forgiven):
                self._course.recorder.post(Move(line, forgiven))
        self._doubts.clear()
