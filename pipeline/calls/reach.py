"""Whether a host can be reached: hears of every call, and probes while it can't."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from msgspec import Struct

from pipeline.bell import Bell
from pipeline.clock import Clock
from pipeline.codec import Json
from pipeline.errors import Unreachable
from pipeline.events import AWAY, BACK
from pipeline.pacing import outage
from pipeline.pacing.outage import Down, Health, Trial, Up

_log = logging.getLogger("yagpt-batch")


class Host(Struct, frozen=True):
    """What is watched: its name for people, and a cheap call that tells whether it answers.

    The probe returns None where there is nothing to ask for now.
    """

    name: str
    probe: Callable[[], Awaitable[bool | None]]
    # The probe is a call like any other, so its answer ends the outage without a trial.
    probe_proves: bool = False


class Reach:
    """One host's health. `on_change` is called whenever it may let other calls through."""

    def __init__(
        self, host: Host, clock: Clock, patience: float, on_change: Callable[[], None]
    ) -> None:
        self._host = host
        self._clock = clock
        self._patience = patience
        self._on_change = on_change
        self._bell = Bell()
        self.health: Health = Up()

    @property
    def is_up(self) -> bool:
        return isinstance(self.health, Up)

    @property
    def is_on_trial(self) -> bool:
        return isinstance(self.health, Trial)

    def admits(self, under_way: int) -> bool:
        """Whether a call may start while so many are under way."""
        match self.health:
            case Up():
                return True
            case Trial():
                return under_way == 0
            case Down():
                return False

    def outage(self) -> dict[str, Json] | None:
        """Who is away, since when, and when that ends the run; None while all is well."""
        match self.health:
            case Up():
                return None
            case Down(since) | Trial(since):
                ends_at = since + self._patience
                return {"host": self._host.name, "since": since, "gives_up_at": ends_at}

    def answered(self) -> None:
        """A call was answered, whatever the answer."""
        self._become(outage.after_answer(self.health))

    def failed(self) -> None:
        """A call failed as it does when the host is away."""
        self._become(outage.after_failure(self.health, self._clock.now()))

    async def is_found_away(self) -> bool:
        """Ask, after a call that failed, whether the host is there at all."""
        if self.is_up and await self._host.probe() is False:
            self._become(outage.after_finding(self.health, self._clock.now()))
        return not self.is_up

    def hurry(self) -> None:
        """There is reason to think that the host is back: probe at once."""
        if isinstance(self.health, Down):
            self.health = replace(self.health, probe_at=self._clock.now())
            self._bell.ring()

    async def watch(self) -> None:
        """Probe while the host is away; for ever.

        Raises:
            Unreachable: it has been away for longer than the user's patience.

        """
        while True:
            health = self.health
            if not isinstance(health, Down):
                await self._bell.wait()
            elif self._clock.now() - health.since > self._patience:
                raise Unreachable(
                    f"{self._host.name} could not be reached for longer than --patience.",
                    "Nothing is lost: run the same command again when it is back.",
                )
            elif health.probe_at > self._clock.now():
                next_at = min(health.probe_at, health.since + self._patience + 0.001)
                await self._bell.wait(max(next_at - self._clock.now(), 0.0))
            else:
                await self._probe()

    async def _probe(self) -> None:
        answered = await self._host.probe()
        if answered and self._host.probe_proves:
            self._become(Up())
            return
        # Nothing to ask for: the next real call tells.
        now, seems_back = self._clock.now(), answered is not False
        self._become(outage.after_probe(self.health, now, answered=seems_back))

    def _become(self, health: Health) -> None:
        before, self.health = self.health, health
        if type(before) is type(health):
            return
        if isinstance(before, Up):
            _log.warning(AWAY, self._host.name)
        elif isinstance(health, Up):
            _log.warning(BACK, self._host.name)
        self._bell.ring()
        self._on_change()
