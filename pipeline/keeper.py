"""Keeps the one credential that all calls bear: renewed by one owner, while others go on or wait.

It hears of every answer, and lets lanes know whether a call makes sense. What an answer means is
`renewal`'s to say.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from pipeline import renewal
from pipeline.bell import Bell
from pipeline.carrier import Carrier
from pipeline.clock import Clock, local_day_and_time
from pipeline.codec import Json
from pipeline.credentials import Credential, NoCredentialError
from pipeline.errors import NoPermission, RunError, first_of
from pipeline.renewal import Held, Missing, Standing, Trial

_log = logging.getLogger("yagpt-batch")
# A laptop that slept looks at the clock so often.
_LONGEST_NAP = 30.0
_AGAIN = "Then run the same command again: nothing is lost."


class CredentialSource(Protocol):
    """Hands out credentials.

    Attributes:
        name: where they come from, as users know it: a variable, a command.
        advice: what to do when the service refuses them.
        can_renew: whether asking again can bring another one.

    """

    @property
    def name(self) -> str: ...

    @property
    def advice(self) -> str: ...

    @property
    def can_renew(self) -> bool: ...

    async def fresh(self, carrier: Carrier, now: float) -> Credential:
        """Another credential, or the same where there is no other.

        Raises:
            NoCredentialError: there is none to be had.

        """
        ...


class Keeper:
    """One source's credential. `on_change` is called whenever it may let calls through."""

    def __init__(
        self, source: CredentialSource, carrier: Carrier, clock: Clock, patience: float
    ) -> None:
        self._source = source
        self._carrier = carrier
        self._clock = clock
        self._patience = patience
        self._standing: Standing = Missing(clock.now(), clock.now())
        self._last: Credential | None = None
        self._proven = False
        self._bell = Bell()
        self.on_change: Callable[[], None] = lambda: None

    @property
    def credential(self) -> Credential:
        """What calls bear now; the refused one, while there is no other."""
        assert self._last is not None, "a call was made before there was a credential"  # noqa: S101
        return self._last

    def admits(self, under_way: int) -> bool:
        """Whether a call may start while so many of its kind are under way."""
        match self._standing:
            case Held():
                return True
            case Trial():
                return under_way == 0
            case Missing():
                return False

    def absence(self) -> dict[str, Json] | None:
        """Since when there is no credential, and when that ends the run; None while there is."""
        if not isinstance(self._standing, Missing) or not self._standing.refusals:
            return None
        since = self._standing.since
        return {"host": self._source.name, "since": since, "gives_up_at": since + self._patience}

    def accepted(self, credential: Credential) -> None:
        """The service answered a call that bore it."""
        self._proven = True
        self._become(renewal.after_acceptance(self._standing, credential))

    def refused(self, credential: Credential, why: str) -> None:
        """The service did not accept it."""
        advice, now = self._advice(credential), self._clock.now()
        said = f"the service does not accept it: {why}"
        self._become(renewal.after_refusal(self._standing, credential, said, advice, now))

    async def watch(self) -> None:
        """Get the credential, and another one whenever it is time; for ever.

        Raises:
            NoPermission: there is none, and waiting makes no sense.

        """
        while True:
            await self._step()

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Watch while the block lasts, for those who have no other tasks.

        Raises:
            RunError: of `watch` or of the block.

        """
        try:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self.watch())
                yield
                watching.cancel()
        except* RunError as errors:
            raise first_of(errors) from None

    async def obtain(self) -> None:
        """Get the first credential, for those who make a few calls only.

        Raises:
            NoPermission: as `watch`.

        """
        while isinstance(self._standing, Missing):
            await self._step()

    async def _step(self) -> None:
        self._give_up()
        now = self._clock.now()
        if self._standing.ask_at > now:
            await self._bell.wait(min(self._standing.ask_at - now, _LONGEST_NAP))
        else:
            await self._renew()

    async def _renew(self) -> None:
        try:
            issued = await self._source.fresh(self._carrier, self._clock.now())
        except NoCredentialError as error:
            is_news = not getattr(self._standing, "failures", 0)
            self._become(renewal.after_failure(self._standing, error, self._clock.now()))
            self._give_up()
            if is_news:
                _log.warning("! %s: %s; asking again", self._source.name, error)
            return
        is_new = self._last is None or issued.secret != self._last.secret
        self._become(renewal.after_issue(self._standing, issued, self._clock.now()))
        if isinstance(self._standing, Held | Trial):
            self._last = self._standing.credential
        if is_new:
            _log.info("a credential of %s%s", self._source.name, _until(issued))

    def _give_up(self) -> None:
        standing, now = self._standing, self._clock.now()
        if not isinstance(standing, Missing):
            return
        known = {"proven": self._proven, "can_renew": self._source.can_renew}
        if renewal.gives_up(standing, now, self._patience, **known):
            why = standing.why or "there is no credential"
            advice = f"{standing.advice} {_AGAIN}".strip()
            raise NoPermission(f"{self._source.name}: {why}", advice)

    def _advice(self, credential: Credential) -> str:
        if credential.belongs_in is not None:
            return f"It looks like what belongs in {credential.belongs_in}: set that instead."
        return self._source.advice

    def _become(self, standing: Standing) -> None:
        before, self._standing = self._standing, standing
        if before is standing:
            return
        self._bell.ring()
        if type(before) is not type(standing):
            if isinstance(before, Held) and isinstance(standing, Missing):
                _log.warning("! %s: %s", self._source.name, standing.why)
            elif isinstance(before, Trial) and isinstance(standing, Held):
                _log.warning("the service accepts the new credential")
            self.on_change()


def _until(credential: Credential) -> str:
    """When it ends, as words to go on with; nothing where that is not known."""
    if credential.ends_at is None:
        return ""
    return f", and lasts until {local_day_and_time(credential.ends_at)}"
