"""Keeps the one credential that all calls bear: renewed by one owner, while others go on or wait.

It hears of every answer, and lets lanes know whether a call makes sense. What an answer means is
`renewal`'s to say.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Protocol

from pipeline.auth import renewal
from pipeline.auth.credentials import Credential, NoCredentialError
from pipeline.auth.renewal import Held, Issue, Missing, Renews, Source, Standing, Trial
from pipeline.bell import Bell
from pipeline.clock import Clock, local_day_and_time, stamp
from pipeline.codec import Json
from pipeline.errors import NoPermission, RunError, first_of
from pipeline.events import CREDENTIAL, CREDENTIAL_GOOD, CREDENTIAL_REFUSED, NO_CREDENTIAL
from pipeline.network.carrier import Carrier
from pipeline.pacing.rates import Kind

_log = logging.getLogger("yagpt-batch")
# A laptop that slept looks at the clock so often.
_LONGEST_NAP = 30.0
_SHORTEST_CALL = 1.0


class CredentialSource(Protocol):
    """Hands out credentials.

    Attributes:
        name: where they come from, as users know it: a variable, a command.
        advice: what to do when the service refuses them.
        renews: as `renewal.Source` has it.

    """

    @property
    def name(self) -> str: ...

    @property
    def advice(self) -> str: ...

    @property
    def renews(self) -> Renews: ...

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
        self._used: Credential | None = None
        self._newest: Issue | None = None
        self._proven = self._is_told = False
        self._bell = Bell()
        self.on_change: Callable[[], None] = lambda: None

    @property
    def credential(self) -> Credential:
        """What calls bear now; the refused one, while there is no other."""
        assert self._used is not None, "a call was made before there was a credential"  # noqa: S101
        return self._used

    def admits(self, kind: Kind, under_way: int) -> bool:
        """Whether a call of this kind may start while so many of them are under way."""
        return renewal.admits(self._standing, kind, under_way)

    def absence(self) -> dict[str, Json] | None:
        """Since when there is no credential, and when that ends the run; None while there is."""
        standing = self._standing
        if not isinstance(standing, Missing) or not (standing.refusals or standing.failures):
            return None
        gives_up_at = renewal.gives_up_at(standing, self._patience, self._known())
        host = f"the credential ({self._source.name})"
        return {"host": host, "since": standing.since, "gives_up_at": gives_up_at}

    def accepted(self, credential: Credential, by: Kind) -> None:
        """The service answered a call that bore it."""
        if renewal.is_known_good(self._standing, self._newest, credential, by):
            return
        self._proven = True
        newest, now = self._newest, self._clock.now()
        is_newest = newest is not None and newest.credential.secret == credential.secret
        if newest is not None and is_newest and by not in newest.accepted_by:
            self._newest = replace(newest, accepted_by=newest.accepted_by | {by})
        self._become(renewal.after_acceptance(self._standing, credential, by, now))

    def refused(self, credential: Credential, by: Kind, why: str) -> None:
        """The service did not accept it."""
        advice = credential.misplaced or self._source.advice
        said, now = f"the service does not accept it: {why}", self._clock.now()
        self._become(renewal.after_refusal(self._standing, credential, by, said, advice, now))

    async def watch(self) -> None:
        """Get the credential, and another one whenever it is time; for ever.

        Raises:
            NoPermission: there is none, and waiting makes no sense.

        """
        self._begin()
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
        self._begin()
        while isinstance(self._standing, Missing):
            await self._step()

    def _begin(self) -> None:
        # Patience counts from here: what came before had nothing to do with it.
        if self._used is None:
            self._standing = Missing(self._clock.now(), self._clock.now())

    async def _step(self) -> None:
        standing, now = self._standing, self._clock.now()
        until = standing.ask_at
        if isinstance(standing, Missing):
            ends_at = renewal.gives_up_at(standing, self._patience, self._known())
            if ends_at <= now and (standing.refusals or standing.failures):
                raise self._no_permission(standing)
            until = min(until, ends_at)
        if until > now:
            await self._bell.wait(min(until - now, _LONGEST_NAP))
        else:
            await self._renew()

    async def _renew(self) -> None:
        try:
            issued = await self._issued()
        except NoCredentialError as error:
            self._become(renewal.after_failure(self._standing, error, self._clock.now()))
            self._tell_failure(error)
            return
        self._become(renewal.after_issue(self._standing, issued, self._clock.now()))

    async def _issued(self) -> Credential:
        """A new credential; or once more one that is so new that hosts may not know it yet."""
        now, newest = self._clock.now(), self._newest
        if newest and renewal.is_settling(self._standing, newest, now, self._known()):
            return replace(newest.credential)
        issued = await self._asked(now)
        if newest is None or issued.secret != newest.credential.secret:
            ends_at = None if issued.ends_at is None else stamp(issued.ends_at)
            _log.info(CREDENTIAL, self._source.name, _until(issued), ends_at)
            self._newest = Issue(issued, self._clock.now())
        return issued

    async def _asked(self, now: float) -> Credential:
        standing, limit = self._standing, None
        if isinstance(standing, Missing):
            ends_at = renewal.gives_up_at(standing, self._patience, self._known())
            limit = max(ends_at - now, _SHORTEST_CALL)
        try:
            async with asyncio.timeout(limit):
                return await self._source.fresh(self._carrier, now)
        except TimeoutError as error:
            raise NoCredentialError("it does not answer within --patience") from error

    def _tell_failure(self, error: NoCredentialError) -> None:
        match self._standing:
            case Held(failures=1) | Missing(failures=1, may_pass=True):
                _log.warning(NO_CREDENTIAL, self._source.name, error)
            case Missing(failures=1) if self._proven:
                _log.warning(NO_CREDENTIAL, self._source.name, error)
            case _:
                pass

    def _known(self) -> Source:
        return Source(self._source.renews, self._proven)

    def _no_permission(self, standing: Missing) -> NoPermission:
        again = "run the same command again: nothing is lost."
        advice = f"{standing.advice} Then {again}" if standing.advice else again.capitalize()
        why = standing.why or "there is no credential"
        return NoPermission(f"{self._source.name}: {why}", advice)

    def _become(self, standing: Standing) -> None:
        before, self._standing = self._standing, standing
        if before is standing:
            return
        if isinstance(standing, Held | Trial):
            self._used = standing.credential
        self._tell(standing)
        self._bell.ring()
        self.on_change()

    def _tell(self, standing: Standing) -> None:
        match standing:
            case Missing(why=why, refusals=refusals) if refusals and not self._is_told:
                self._is_told = True
                _log.warning(CREDENTIAL_REFUSED, self._source.name, why)
            case Held() if self._is_told:
                self._is_told = False
                _log.warning(CREDENTIAL_GOOD)
            case _:
                pass


def _until(credential: Credential) -> str:
    """When it ends, as words to go on with; nothing where that is not known."""
    if credential.ends_at is None:
        return ""
    return f", and lasts until {local_day_and_time(credential.ends_at)}"
