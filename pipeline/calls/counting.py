"""Rows' tokens, asked of the free tokenizer: a few calls at a time, within its quota.

A count costs nothing and changes nothing: what fails for now is simply asked again, a few times.
"""

import asyncio
import math
from collections.abc import Callable, Iterable, Iterator

from pipeline.api import outcomes
from pipeline.api.outcomes import Counted, CountOutcome, Problem
from pipeline.bell import Bell
from pipeline.calls.service import Service
from pipeline.calls.submitting import Fail, Retry, Stop, after_submit
from pipeline.clock import Clock
from pipeline.errors import RunError, Unreachable, first_of
from pipeline.input.rows import Row
from pipeline.pacing.pace import Pace
from pipeline.pacing.rates import Rate

RATE = Rate(50, 1.0)
"""The documented quota of the tokenizer."""
_LANES = 16
_TRIES, _THROTTLED_TRIES = 6, 100
_FIRST_WAIT = 1.0
_LONGEST_NAP = 60.0

Hear = Callable[[int | None], None]
"""Hears a row's tokens; None if the service refuses the row."""


class Tokenizer:
    """Counts tokens through the service, for as many rows as are handed in."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self._service = service
        self._clock = clock
        self._pace = Pace([RATE])
        self._turn, self._bell = asyncio.Lock(), Bell()
        self._under_way = 0
        self._proven = False
        service.keeper.on_change = self._bell.ring

    async def count(self, rows: Iterable[tuple[Row, Hear]]) -> None:
        """Have all of them counted.

        Raises:
            RunError: the service can't be reached, or refuses what all rows share.

        """
        left = iter(rows)
        while not self._proven and (first := next(left, None)) is not None:
            # What refuses the first may be what every row shares: it goes alone.
            await self._lane(iter([first]))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_LANES):
                    group.create_task(self._lane(left))
        except* RunError as errors:
            raise first_of(errors) from None

    async def _lane(self, rows: Iterator[tuple[Row, Hear]]) -> None:
        for row, hear in rows:
            hear(await self._counted(row))

    async def _counted(self, row: Row) -> int | None:
        tries = throttled = 0
        while True:
            begun = await self._permission()
            try:
                outcome = await self._service.count_tokens(row.body)
            finally:
                self._under_way -= 1
            self._settle_pace(outcome, begun)
            if isinstance(outcome, Counted):
                self._proven = True
                return outcome.tokens
            match after_submit(outcome, own_model=row.own_model, proven=self._proven):
                case Fail():
                    return None
                case _ if isinstance(outcome, outcomes.Unauthorized):
                    # Whoever keeps the credential says when there is another one, or when to end.
                    continue
                case Stop(error):
                    raise error
                case Retry(problem, throttle=throttle) if throttle is not None:
                    throttled += 1
                    if throttled > _THROTTLED_TRIES:
                        raise _unreachable(problem)
                case _:
                    tries += 1
                    if tries >= _TRIES:
                        raise _unreachable(outcome.problem)
                    await asyncio.sleep(_FIRST_WAIT * 2.0 ** (tries - 1))

    async def _permission(self) -> float:
        """Wait for the pace; return the moment at which a call began."""
        async with self._turn:
            while (opens_at := self._opens_at(now := self._clock.now())) > now:
                await self._bell.wait(min(opens_at - now, _LONGEST_NAP))
            self._pace.begin()
            self._under_way += 1
            return now

    def _opens_at(self, now: float) -> float:
        is_let = self._service.keeper.admits("submits", self._under_way)
        return self._pace.opens_at(now) if is_let else math.inf

    def _settle_pace(self, outcome: CountOutcome, begun: float) -> None:
        self._bell.ring()
        now = self._clock.now()
        match outcome:
            case Counted():
                self._pace.end(now, now - begun)
                self._pace.passed(begun, now)
            case outcomes.NotSent():
                self._pace.undo(begun)
            case outcomes.Throttled(throttle):
                self._pace.end(now)
                self._pace.throttled(throttle, begun, now)
            case _:
                self._pace.end(now)
                self._pace.undecided(begun)


def _unreachable(problem: Problem) -> Unreachable:
    return Unreachable(
        f"the tokenizer gives no count: {problem.message}",
        "Try again later, or let --offline guess from the number of characters.",
    )
