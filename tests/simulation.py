"""A night in milliseconds: the real run on a virtual clock, against the emulator's pure face.

The event loop's selector advances the clock instead of sleeping, and what would go to a thread is
done at once, so that a run is one thread and the same each time.
"""

import asyncio
import selectors
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pipeline.auth.credentials import Credential
from pipeline.auth.keeper import CredentialSource, Keeper
from pipeline.auth.local_tokens import Fixed
from pipeline.calls.service import Account, Service
from pipeline.clock import Clock
from pipeline.emulator.api import Api
from pipeline.emulator.model import Service as Model
from pipeline.engine.retry import Retry
from pipeline.engine.start import carry
from pipeline.engine.tools import Tools
from pipeline.files.paths import Paths
from pipeline.files.source import Source
from pipeline.money.prices import PriceTable
from pipeline.network.carrier import Carrier, NoAnswerError, NotSentError, Reply
from pipeline.network.endpoints import Endpoints
from pipeline.settings import Settings
from pipeline.shared_quota.allowance import Allowance
from pipeline.state.board import Ending, Outcome, Stopped
from pipeline.view.progress import Silent, View
from tests.scratch import shipped_prices

EVENING = 1_790_000_000.0
_TICK = 1e-6
# No process of a simulated run has a reason to live for longer.
_LONGEST = 60 * 86_400.0
_CREDENTIAL = Credential("Api-Key", "simulated", is_users=False)
_Result = TypeVar("_Result")
Fail = Callable[[float], Awaitable[Reply]]


class _Selector(selectors.DefaultSelector):
    """Waits by moving the clock."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # With something to do, the loop would only look; there is nothing that could not wait.
        ready = [] if timeout == 0 else super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("everything waits, and nothing can happen any more")
            self.now += max(timeout, 0.0) + _TICK
            if self.now > _LONGEST:
                raise RuntimeError("it goes on for ever")
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only when everybody waits; its disk takes `disk` seconds."""

    def __init__(self, disk: float = 0.0) -> None:
        self._virtual = _Selector()
        self._disk = disk
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def run_in_executor(  # type: ignore[override]
        self, _executor: object, func: Callable[..., _Result], *args: Any
    ) -> asyncio.Future[_Result]:
        future: asyncio.Future[_Result] = self.create_future()
        try:
            settle = partial(future.set_result, func(*args))
        except Exception as error:  # noqa: BLE001 - handed on to whoever awaits it
            settle = partial(future.set_exception, error)
        if self._disk:
            self.call_later(self._disk, lambda: future.cancelled() or settle())
        else:
            settle()
        return future


class ModelCarrier:
    """Carries calls to the model, each way in `delay()` seconds."""

    def __init__(self, model: Model, clock: Clock, delay: Callable[[], float]) -> None:
        self._api = Api(model)
        self._clock = clock
        self._delay = delay

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,  # noqa: ARG002 - this network always answers
    ) -> Reply:
        await asyncio.sleep(self._delay())
        now = self._clock.now()
        reply = self._api.respond(method, urlsplit(url).path, headers, body, now)
        await asyncio.sleep(self._delay())
        return Reply(reply.status, reply.headers, reply.body)

    async def close(self) -> None: ...


class AwayCarrier:
    """The model's host is away from `begin` to `end`; how it then fails, `fail` says."""

    def __init__(
        self, inner: ModelCarrier, clock: Clock, away: tuple[float, float], fail: Fail
    ) -> None:
        self._inner = inner
        self._clock = clock
        self._begin, self._end = away
        self._fail = fail
        self.calls: list[tuple[float, str, str]] = []

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Reply:
        now = self._clock.now()
        if not self._begin <= now < self._end:
            return await self._inner.send(method, url, headers, body, timeout)
        self.calls.append((now, method, urlsplit(url).path))
        return await self._fail(timeout)

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Sending:
    """A call on its way, and a way to let it go on to the model."""

    at: float
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    onward: Callable[[], Awaitable[Reply]]

    @property
    def is_submit(self) -> bool:
        return self.path.endswith("/completionAsync")

    @property
    def is_poll(self) -> bool:
        return self.method == "GET"

    @property
    def operation_id(self) -> str:
        return self.path.rpartition("/")[2]

    def says(self, words: str) -> bool:
        """Whether its body holds these words."""
        return words.encode() in self.body


class Between:
    """Hands every call to `meet`, which answers it or lets it go on to the model."""

    def __init__(
        self, inner: Carrier, clock: Clock, meet: Callable[[Sending], Awaitable[Reply]]
    ) -> None:
        self._inner = inner
        self._clock = clock
        self._meet = meet

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Reply:
        def onward() -> Awaitable[Reply]:
            return self._inner.send(method, url, headers, body, timeout)

        path = urlsplit(url).path
        return await self._meet(Sending(self._clock.now(), method, path, headers, body, onward))

    async def close(self) -> None: ...


async def refused(timeout: float) -> Reply:
    """Nobody listens."""
    await asyncio.sleep(min(0.001, timeout))
    raise NotSentError("ConnectError: refused")


async def black_hole(timeout: float) -> Reply:
    """Calls leave and nothing ever comes back."""
    await asyncio.sleep(timeout)
    raise NoAnswerError(f"no answer within {timeout:g} s")


async def bad_gateway(timeout: float) -> Reply:
    """A proxy answers in the service's place."""
    await asyncio.sleep(min(0.05, timeout))
    return Reply(502, {"content-type": "text/html"}, b"<html>502 Bad Gateway</html>")


def simulate(
    rows: Path,
    output: Path,
    settings: Settings,
    model: Model,
    *,
    start: float = EVENING,
    delay: Callable[[], float] = lambda: 0.02,
    stop_after: float | None = None,
    through: Callable[[ModelCarrier, Clock], Carrier] = lambda carrier, _: carrier,
    meet: Callable[[Sending], Awaitable[Reply]] | None = None,
    disk: float = 0.0,
    credential: Credential = _CREDENTIAL,
    credentials: CredentialSource | None = None,
    prices: PriceTable | None = None,
    view: View | None = None,
    say: Callable[[str], None] = lambda _: None,
    retry: Retry | None = None,
    steered: bool = False,
) -> tuple[Outcome, float]:
    """Carry a run under virtual time; return how it ended, and when."""

    async def night() -> tuple[Outcome, float]:
        clock = Clock(asyncio.get_running_loop().time, start)
        carrier = through(ModelCarrier(model, clock, delay), clock)
        if meet is not None:
            carrier = Between(carrier, clock, meet)
        return await live(
            *(rows, output, settings, clock, carrier),
            stop_after=stop_after,
            credential=credential,
            credentials=credentials,
            prices=prices,
            view=view,
            say=say,
            retry=retry,
            steered=steered,
        )

    with asyncio.Runner(loop_factory=partial(VirtualLoop, disk)) as runner:
        return runner.run(night())


async def live(
    rows: Path,
    output: Path,
    settings: Settings,
    clock: Clock,
    carrier: Carrier,
    *,
    stop_after: float | None = None,
    credential: Credential = _CREDENTIAL,
    credentials: CredentialSource | None = None,
    prices: PriceTable | None = None,
    view: View | None = None,
    say: Callable[[str], None] = lambda _: None,
    state: Path | None = None,
    retry: Retry | None = None,
    steered: bool = False,
) -> tuple[Outcome, float]:
    """Carry a run in the loop that there is; with `state`, it shares its quotas by that file.

    Only a `steered` run looks at its control file, once a second.
    """
    keeper = Keeper(
        credentials or Fixed("the test", credential), carrier, clock, settings.patience
    )
    account = Account(keeper, settings.recipe.folder)
    service = Service(carrier, Endpoints("http://llm", "http://operations"), account, clock)
    ending, source = Ending(), Source(rows)
    if stop_after is not None:
        loop = asyncio.get_running_loop()
        loop.call_later(stop_after, ending.set, Stopped(signal.SIGTERM))
    tools = Tools(
        *(
            lambda: nullcontext(service),
            clock,
            prices or shipped_prices(),
            [view or Silent()],
            say,
        ),
        allowance=None if state is None else lambda rates: Allowance(state, rates, clock),
        control=Paths(output).control if steered else None,
    )
    try:
        outcome = await carry(Paths(output), source, settings, tools, ending, retry=retry)
    finally:
        source.close()
    return outcome, clock.now()
