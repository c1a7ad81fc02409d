"""Doubts that turn out to be part of an outage cost their rows no attempt.

An outage is noticed at the last of several failures. So a doubt that may be the beginning of one
is weighed first: until a POST is answered (it was no outage, the attempt counts), until an outage
is noticed (the attempt is forgiven), or until nothing was learned for a while (it counts). Only
then does its row go on.
"""

from pipeline.bell import Bell
from pipeline.course import Course
from pipeline.facts import Move
from pipeline.item import Forgiven, State, after
from pipeline.reach import Reach

_WEIGHED_FOR = 30.0


class Forgiveness:
    """Hears how every POST ended, and lets doubts go on."""

    def __init__(self, course: Course, reach: Reach) -> None:
        self._course = course
        self._reach = reach
        self._weighed: dict[int, tuple[State, float]] = {}
        self._bell = Bell()

    async def answered(self) -> None:
        """A POST was answered: what failed before was no outage."""
        self._reach.answered()
        for line in list(self._weighed):
            await self._let_go(line)

    async def failed(self) -> bool:
        """A POST failed as in an outage; true where it is one."""
        self._reach.failed()
        if self._reach.is_up:
            return False
        for line in list(self._weighed):
            await self._forgive(line)
        return True

    async def weigh(self, line: int, doubt: State) -> None:
        """Keep a recorded doubt until it is known what it was."""
        self._weighed[line] = doubt, self._course.clock.now() + _WEIGHED_FOR
        self._bell.ring()
        if not self._reach.is_up:
            # While it was recorded, another lane noticed the outage.
            await self._forgive(line)

    async def watch(self) -> None:
        """Let doubts go on that nothing more was learned about; for ever."""
        while True:
            now = self._course.clock.now()
            for line, (_, until) in list(self._weighed.items()):
                if until <= now:
                    await self._let_go(line)
            next_at = min((until for _, until in self._weighed.values()), default=None)
            await self._bell.wait(None if next_at is None else next_at - now)

    async def _forgive(self, line: int) -> None:
        weighed = self._weighed.pop(line, None)
        if weighed is not None:
            forgiven = after(weighed[0], Forgiven())
            await self._course.recorder.record(Move(line, forgiven))
            await self._course.advance(line, forgiven)

    async def _let_go(self, line: int) -> None:
        weighed = self._weighed.pop(line, None)
        if weighed is not None:
            await self._course.advance(line, weighed[0])
