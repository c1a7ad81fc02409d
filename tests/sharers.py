"""Runs that share an allowance, played with dice: they come, call, leave and die at any moment.

Who plays hands in the allowance, pure or on disk. What is kept of every call is when it started
and the latest moment at which the service can have counted it.
"""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.pacing.purse import Statement
from pipeline.pacing.rates import Rate
from pipeline.shared_quota.sharing import IN_FLIGHT
from tests.scratch import busiest


class Part(Protocol):
    """One run's way into the allowance."""

    def exchange(self, told: Statement) -> tuple[float, ...]: ...

    def leave(self, told: Statement, still_open: int) -> None: ...

    def die(self) -> None: ...


@dataclass(slots=True)
class Call:
    """A call; `latest` is infinite while it is under way."""

    start: float
    latest: float = math.inf


@dataclass(slots=True)
class Player:
    """A run that has come: its part, its places, its calls under way, and what it has to tell."""

    part: Part
    places: list[float] = field(default_factory=list)
    open: list[Call] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)


class Game:
    """So many steps by so many players; `come` gives each its part, `clock` moves on."""

    def __init__(self, come: Callable[[], Part], seed: int, most: int = 3) -> None:
        self._come = come
        self._chance = random.Random(seed)  # noqa: S311 - a test's dice
        self._most = most
        self._players: list[Player] = []
        self.now = 1_790_000_000.0
        self.calls: list[Call] = []

    def play(self, steps: int) -> list[Call]:
        for _ in range(steps):
            self._step()
            self.now += self._chance.choice([0.0, 0.001, 0.05, self._chance.uniform(0, 1)])
        for player in self._players:
            self._die(player)
        return self.calls

    def _step(self) -> None:
        if not self._players or (len(self._players) < self._most and self._chance.random() < 0.05):
            self._players.append(Player(self._come()))
        player = self._chance.choice(self._players)
        moves = [self._tell, self._tell, self._start, self._start, self._start, self._end]
        rarely = [self._die_and_go, self._leave]
        self._chance.choice(moves if self._chance.random() < 0.97 else rarely)(player)

    def _tell(self, player: Player) -> None:
        spare = self._chance.randint(0, len(player.places)) if self._chance.random() < 0.2 else 0
        del player.places[:spare]
        told = Statement(tuple(player.ended), spare, self._chance.choice([0, 1, 3, 10]))
        player.ended = []
        player.places = sorted([*player.places, *player.part.exchange(told)])

    def _start(self, player: Player) -> None:
        while player.places and player.places[0] <= self.now and self._chance.random() < 0.9:
            player.places.pop(0)
            player.open.append(Call(self.now))
            self.calls.append(player.open[-1])

    def _end(self, player: Player) -> None:
        self._chance.shuffle(player.open)
        for _ in range(self._chance.randint(0, len(player.open))):
            player.open.pop().latest = self.now
            player.ended.append(self.now)

    def _leave(self, player: Player) -> None:
        player.part.leave(Statement(tuple(player.ended)), len(player.open))
        self._gone(player)

    def _die_and_go(self, player: Player) -> None:
        self._die(player)
        self._gone(player)

    def _die(self, player: Player) -> None:
        player.part.die()
        for call in player.open:
            call.latest = self.now

    def _gone(self, player: Player) -> None:
        # What is on its way in this moment may arrive a little later.
        for call in player.open:
            call.latest = self.now + IN_FLIGHT * self._chance.random()
        self._players.remove(player)


def counted(calls: list[Call], seed: int) -> list[list[float]]:
    """Moments at which a service can have counted them, in a few bad ways."""
    chance = random.Random(seed)  # noqa: S311 - a test's dice
    return [
        [call.start for call in calls],
        [call.latest for call in calls],
        [chance.uniform(call.start, call.latest) for call in calls],
        [chance.choice((call.start, call.latest)) for call in calls],
        [call.latest if n % 7 < 4 else call.start for n, call in enumerate(calls)],
    ]


def check(calls: list[Call], limits: Mapping[float, int], seed: int) -> None:
    """No window holds more than its limit, whenever the service counted."""
    for moments in counted(calls, seed):
        for seconds, limit in limits.items():
            assert busiest(moments, seconds) <= limit


RATES = [
    (Rate(10, 1.0),),
    (Rate(1, 2.0),),
    (Rate(3, 1.0), Rate(5, 20.0)),
    (Rate(20, 1.0), Rate(60, 6.0), Rate(100, 60.0)),
]
