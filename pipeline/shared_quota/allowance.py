"""The allowance of one folder, through which several runs on one machine share its quotas.

Every exchange is one turn in its register: what ended and what is given back is written, what
became of runs that died is settled, and places that this run may use from now on are written as
held before it hears of them. So whatever dies, and when, no place is ever used twice.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from pipeline.clock import Clock
from pipeline.pacing.purse import AHEAD, Statement
from pipeline.pacing.rates import Kind, Rate
from pipeline.shared_quota import sharing
from pipeline.shared_quota.presence import Presence
from pipeline.shared_quota.register import FAILURES, Register
from pipeline.shared_quota.sharing import Sharer

_PATIENCE_AT_THE_END = 1.0


class Unshared(Exception):
    """An allowance can't be used; ``str()`` says where, and why."""


def state_file(environment: Mapping[str, str], host: str, folder: str) -> Path:
    """Where runs that use this folder of this host find each other.

    Raises:
        Unshared: the user has no place for it.

    """
    state, home = environment.get("XDG_STATE_HOME", ""), environment.get("HOME", "")
    if not Path(state).is_absolute():
        if not Path(home).is_absolute():
            raise Unshared("HOME is not set")
        state = f"{home}/.local/state"
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", f"{host}-{folder}")[:80]
    # A home that several machines share has a file for each: their clocks can't be compared.
    whose = f"{os.uname().nodename}\n{host}\n{folder}"
    digest = blake2b(whose.encode(), digest_size=6).hexdigest()
    return Path(state) / "yagpt-batch" / f"{readable}-{digest}.quota"


class Allowance:
    """One run's way into it, from coming to leaving; every call blocks, and may raise Unshared."""

    def __init__(self, path: Path, rates: Mapping[Kind, tuple[Rate, ...]], clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._rates = dict(rates)
        self._kinds = set(rates)
        self._others: set[int] = set()
        self._seen = -1
        self._wanted: dict[Kind, int] = {}
        self._ask_again_at: dict[Kind, float] = {}
        with self._failures():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._presence = Presence(path)
            try:
                self._register = Register(path, clock)
            except BaseException:
                self._presence.leave()
                raise
            try:
                self._come(rates)
            except BaseException:
                self.abandon()
                raise

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            why = getattr(error, "strerror", None) or str(error)
            raise Unshared(f"{self._path}: {why}") from error

    def _come(self, rates: Mapping[Kind, tuple[Rate, ...]]) -> None:
        register, slot = self._register, self._presence.slot
        with register.turn() as now:
            # Whoever had this slot before is dead, or it could not be had.
            self._settle(slot, now)
            for kind, of_kind in rates.items():
                register.put(kind, slot, Sharer(of_kind))
                register.keep_windows(kind, of_kind, now)

    def keep_to(self, rates: Mapping[Kind, tuple[Rate, ...]]) -> None:
        """From the next exchange on, this run goes by these rates."""
        if rates != self._rates:
            self._rates = dict(rates)
            # What others do is looked at anew, too.
            self._seen = -1

    def drop(self, kind: Kind, told: Statement, still_open: int, ended_by: float) -> None:
        """Share calls of this kind no more. Those under way count as ended in so many seconds."""
        register = self._register
        with self._failures(), register.turn() as now:
            self._tell_ends(kind, told, now)
            register.add_ends(kind, {now + ended_by: still_open}, now)
            register.remove(self._presence.slot, kind)
        self._kinds.discard(kind)
        self._wanted.pop(kind, None)

    def exchange(self, said: Mapping[Kind, Statement]) -> dict[Kind, tuple[float, ...]]:
        """Tell what became of places held, and take more: each is good from its moment on.

        Moments are those of this run's own clock.
        """
        register = self._register
        with self._failures():
            register.check_in_place()
            if not self._is_news(said):
                return {}
            with register.turn() as now:
                self._settle_dead(now)
                places = {kind: self._trade(kind, told, now) for kind, told in said.items()}
            self._seen = register.version()
        return {kind: tuple(at - register.lag for at in found) for kind, found in places.items()}

    def leave(self, said: Mapping[Kind, Statement], still_open: Mapping[Kind, int]) -> None:
        """Give everything back. Calls that are still open count as ended a moment from now."""
        register = self._register
        try:
            register.hurry(_PATIENCE_AT_THE_END)
            with self._failures(), register.turn() as now:
                for kind, told in said.items():
                    self._tell_ends(kind, told, now)
                    register.add_ends(kind, {now + sharing.IN_FLIGHT: still_open[kind]}, now)
                register.remove(self._presence.slot)
        finally:
            self.abandon()

    @property
    def has_others(self) -> bool:
        """Whether somebody else was there when the file was looked at last."""
        return bool(self._others)

    def abandon(self) -> None:
        """Let the others find that this run is gone."""
        self._register.close()
        self._presence.leave()

    def _is_news(self, said: Mapping[Kind, Statement]) -> bool:
        """Whether this run has something to tell, or others did something."""
        now = self._clock.now()
        return (
            any(told.ended or told.spare for told in said.values())
            or any(told.want != self._wanted.get(kind) for kind, told in said.items())
            or any(now >= self._ask_again_at[kind] for kind in said)
            or self._seen != self._register.version()
            or not all(self._presence.sees(slot) for slot in self._others)
        )

    def _trade(self, kind: Kind, told: Statement, now: float) -> tuple[float, ...]:
        register, slot = self._register, self._presence.slot
        sharers = register.sharers(kind)
        before = sharers.get(slot)
        if before is None and kind not in self._kinds:
            self._kinds.add(kind)
            before = Sharer(())
        if before is None:
            raise ValueError("it has forgotten this run")
        if before.rates != self._rates[kind]:
            before = replace(before, rates=self._rates[kind])
            register.put(kind, slot, before)
            register.keep_windows(kind, before.rates, now)
        self._tell_ends(kind, told, now)
        given_back = told.spare + len(told.ended)
        sharers[slot] = replace(before, held=before.held - given_back, had=before.had - told.spare)
        lengths = sharing.windows(sharers.values())
        ends = {seconds: register.ends(kind, seconds, now) for seconds in lengths}
        grant = sharing.granted(sharers, slot, told.want, ends, now, AHEAD)
        if grant.sharer != before:
            register.put(kind, slot, grant.sharer)
        self._wanted[kind] = told.want
        self._ask_again_at[kind] = sharing.ask_again_at(grant, AHEAD) - register.lag
        return grant.places

    def _tell_ends(self, kind: Kind, told: Statement, now: float) -> None:
        lag = self._register.lag
        self._register.add_ends(kind, Counter(min(at + lag, now) for at in told.ended), now)

    def _settle_dead(self, now: float) -> None:
        slots = self._register.slots()
        for slot in slots:
            if not self._presence.sees(slot):
                self._settle(slot, now)
        self._others = slots - {self._presence.slot}

    def _settle(self, slot: int, now: float) -> None:
        """Whatever a run that died held may have been used, and arrive yet."""
        for kind, held in self._register.held(slot).items():
            self._register.add_ends(kind, {now + sharing.IN_FLIGHT: held}, now)
        self._register.remove(slot)
