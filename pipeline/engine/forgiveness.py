"""Doubts that turn out to be part of an outage cost their rows no attempt.

An outage is noticed at the last of several failures, so a doubt that may be the beginning of one
is weighed first: until a POST is answered (it was no outage, the attempt counts), until an outage
is noticed (the attempt is forgiven), or else for a second, after which a probe tells. Only then
does its row go on.
"""

import asyncio
from enum import Enum, auto

from pipeline.bell import Bell
from pipeline.calls.reach import Reach
from pipeline.engine.course import Course
from pipeline.life.facts import Move
from pipeline.life.item import Forgiven, State, after

_WEIGHED_FOR = 1.0


class Judgement(Enum):
    """What a failed POST means for its row's attempts."""

    COUNTS = auto()
    FORGIVEN = auto()
    OPEN = auto()


class Forgiveness:
    """Hears how every POST ended, and lets doubts go on."""

    def __init__(self, course: Course, reach: Reach) -> None:
        self._course = course
        self._reach = reach
        self._weighed: dict[int, State] = {}
        self._bell = Bell()

    async def answered(self) -> None:
        """A POST was answered: what failed before was no outage."""
        self._reach.answered()
        for line in list(self._weighed):
            await self._let_go(line)

    async def failed(self) -> Judgement:
        """A POST failed as in an outage: whether it was part of one."""
        # The host answers, yet not to this POST: that is no outage, and may be the row's own.
        on_trial = self._reach.is_on_trial
        self._reach.failed()
        if on_trial:
            return Judgement.COUNTS
        if self._reach.is_up:
            return Judgement.OPEN
        for line in list(self._weighed):
            await self._forgive(line)
        return Judgement.FORGIVEN

    async def weigh(self, line: int, doubt: State) -> None:
        """Keep a recorded doubt until it is known what it was."""
        self._weighed[line] = doubt
        self._bell.ring()
        if not self._reach.is_up:
            # While it was recorded, another lane noticed the outage.
            await self._forgive(line)

    async def watch(self) -> None:
        """Have doubts weighed that no other call tells about; for ever."""
        while True:
            await self._bell.wait()
            await asyncio.sleep(_WEIGHED_FOR)
            lines = list(self._weighed)
            is_away = bool(lines) and await self._reach.is_found_away()
            for line in lines:
                await (self._forgive(line) if is_away else self._let_go(line))

    async def _forgive(self, line: int) -> None:
        doubt = self._weighed.pop(line, None)
        if doubt is not None:
            forgiven = after(doubt, Forgiven())
            await self._course.recorder.record(Move(line, forgiven))
            await self._course.advance(line, forgiven)

    async def _let_go(self, line: int) -> None:
        doubt = self._weighed.pop(line, None)
        if doubt is not None:
            await self._course.advance(line, doubt)
