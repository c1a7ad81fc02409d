"""Keeps the purses of a run filled from the allowance of its folder, by asking in a thread.

Where the allowance can't be had, or is lost on the way, the run is told so once and goes on within
its own windows alone.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

from msgspec import Struct

from pipeline.bell import Bell
from pipeline.calls.service import POLL_TIMEOUT, SUBMIT_TIMEOUT
from pipeline.clock import Clock
from pipeline.pacing.pace import Pace
from pipeline.pacing.purse import PERIOD, Purse, Statement
from pipeline.pacing.rates import Kind, Rate
from pipeline.shared_quota.allowance import Allowance, Unshared

_Result = TypeVar("_Result")
Opener = Callable[[Mapping[Kind, tuple[Rate, ...]]], Allowance]
# Exchanges are so many seconds apart at least.
_APART = 0.02
# A file that lets nobody have a turn for so long is not waited for; nor at the end, for less.
_PATIENCE, _PATIENCE_AT_THE_END = 20.0, 3.0
# No call is under way for longer.
_LONGEST: dict[Kind, float] = {"submits": SUBMIT_TIMEOUT, "polls": POLL_TIMEOUT}


class _Paced(Struct, frozen=True):
    """One kind of call; `on_change` hears when there may be places."""

    pace: Pace
    on_change: Callable[[], None]


class _Share(Struct, frozen=True):
    """One kind of call whose windows are shared."""

    pace: Pace
    purse: Purse
    on_change: Callable[[], None]


class _Left(Struct, frozen=True):
    """One kind of call that is shared no more: what is to be told, and calls under way."""

    kind: Kind
    told: Statement
    still_open: int


class _Thread(Executor):
    """One thread for all work on the file; a file that hangs holds up no run, nor its end."""

    def __init__(self) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._is_running = False

    def submit(  # type: ignore[override] # by place alone
        self, work: Callable[..., _Result], *given: object
    ) -> Future[_Result]:
        future: Future[_Result] = Future()

        def do() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work(*given))
            except Exception as error:  # noqa: BLE001 - it is for whoever waits
                future.set_exception(error)

        self._work.put(do)
        if not self._is_running:
            self._is_running = True
            Thread(target=self._run, name="allowance", daemon=True).start()
        return future

    def _run(self) -> None:
        while (do := self._work.get()) is not None:
            do()

    def end(self) -> None:
        """End it when all is done; nobody waits for that."""
        self._work.put(None)


class Refill:
    """One run's dealings with the allowance; without an opener there is none, and no purse."""

    def __init__(self, opener: Opener | None, clock: Clock, say: Callable[[str], None]) -> None:
        self._opener = opener
        self._clock = clock
        self._say = say
        self._all: dict[Kind, _Paced] = {}
        self._shares: dict[Kind, _Share] = {}
        self._left: list[_Left] = []
        self._allowance: Allowance | None = None
        self._bell = Bell()
        self._thread = _Thread()

    def attach(self, kind: Kind, pace: Pace, on_change: Callable[[], None]) -> None:
        """Give a pace a purse, if there are windows to share and somebody to share them with."""
        self._all[kind] = _Paced(pace, on_change)
        self.follow()

    def follow(self) -> None:
        """Share what has windows now and nothing else: the rates may be others than before."""
        for kind, paced in self._all.items() if self._opener is not None else ():
            if paced.pace.rates and kind not in self._shares:
                purse = paced.pace.purse = Purse(self._bell.ring, apart=paced.pace.open)
                self._shares[kind] = _Share(paced.pace, purse, paced.on_change)
            elif not paced.pace.rates and kind in self._shares:
                purse, paced.pace.purse = self._shares.pop(kind).purse, None
                told = purse.statement(self._clock.now(), room=0)
                self._left.append(_Left(kind, told, purse.open))
        self._bell.ring()

    async def watch(self) -> None:
        """Exchange news for places while there is anything to exchange; for ever."""
        if self._opener is None:
            return
        while not self._shares:
            await self._bell.wait()
        try:
            await self._in_thread(self._open, self._opener, self._rates())
            while True:
                shares, left, self._left = self._shares.copy(), self._left, []
                said, rates = self._statements(), self._rates()
                places, has_others = await self._in_thread(self._exchange, said, rates, left)
                for share in shares.values():
                    share.purse.has_company = has_others
                self._hand_out(places, shares)
                await asyncio.sleep(_APART)
                await self._bell.wait(self._pause())
        except Unshared as error:
            self._go_alone(error)

    async def _in_thread(self, work: Callable[..., _Result], *given: object) -> _Result:
        try:
            # Not wait_for: before Python 3.12 it loses a cancellation that comes with the result.
            async with asyncio.timeout(_PATIENCE):
                return await asyncio.get_running_loop().run_in_executor(self._thread, work, *given)
        except TimeoutError:
            raise Unshared(f"its file did not answer for {_PATIENCE:.0f} s") from None

    def leave(self) -> None:
        """Give everything back, if there is time."""
        with suppress(Unshared, TimeoutError):
            still_open = {kind: share.purse.open for kind, share in self._shares.items()}
            done = self._thread.submit(self._leave, self._statements(), still_open, self._left)
            done.result(_PATIENCE_AT_THE_END)
        self._thread.end()

    # In the thread.

    def _open(self, opener: Opener, rates: Mapping[Kind, tuple[Rate, ...]]) -> None:
        self._allowance = opener(rates)

    def _exchange(
        self,
        said: Mapping[Kind, Statement],
        rates: Mapping[Kind, tuple[Rate, ...]],
        left: Sequence[_Left],
    ) -> tuple[dict[Kind, tuple[float, ...]], bool]:
        """The places, and whether others are there."""
        assert self._allowance is not None  # noqa: S101 - opened before
        _drop(self._allowance, left)
        self._allowance.keep_to(rates)
        return self._allowance.exchange(said), self._allowance.has_others

    def _leave(
        self,
        said: Mapping[Kind, Statement],
        still_open: Mapping[Kind, int],
        left: Sequence[_Left],
    ) -> None:
        allowance, self._allowance = self._allowance, None
        if allowance is not None:
            _drop(allowance, left)
            allowance.leave(said, still_open)

    def _abandon(self) -> None:
        allowance, self._allowance = self._allowance, None
        if allowance is not None:
            allowance.abandon()

    # On the loop.

    def _rates(self) -> dict[Kind, tuple[Rate, ...]]:
        """What each kind of call keeps to now: a 429 may have taught another number."""
        return {kind: share.pace.rates for kind, share in self._shares.items()}

    def _statements(self) -> dict[Kind, Statement]:
        now = self._clock.now()
        return {
            kind: share.pace.statement(share.purse, now) for kind, share in self._shares.items()
        }

    def _hand_out(
        self, places: Mapping[Kind, tuple[float, ...]], shares: Mapping[Kind, _Share]
    ) -> None:
        # What came for a kind that is shared no more is given back with all else that it held.
        for kind, of_kind in places.items():
            if of_kind:
                shares[kind].purse.receive(of_kind)
                shares[kind].on_change()

    def _pause(self) -> float | None:
        at_rest = not self._left and all(share.purse.is_at_rest for share in self._shares.values())
        return None if at_rest else PERIOD

    def _go_alone(self, error: Unshared) -> None:
        self._say(
            f"The folder's quota can't be shared with other runs ({error}): "
            "this run keeps to its own windows alone."
        )
        self._opener = None
        shares, self._shares = self._shares, {}
        self._thread.submit(self._abandon)
        for share in shares.values():
            share.pace.purse = None
            share.on_change()


def _drop(allowance: Allowance, left: Sequence[_Left]) -> None:
    for one in left:
        allowance.drop(one.kind, one.told, one.still_open, _LONGEST[one.kind])
