"""One process after another that sends calls as fast as the program's own pace lets it.

What stands between two calls is the program's: `Pace`, and where processes share a folder, `Purse`
and `Allowance` with its file, asked when `shared_quota.refill` would ask. What is played
is what it runs on: lanes, travelling calls, what the disk has of them, kills.
"""

import math
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from benchmarks.night import EVENING, Network, Service, Time
from pipeline.clock import Clock
from pipeline.pacing.gate import Throttle
from pipeline.pacing.pace import Pace
from pipeline.pacing.purse import PERIOD, Purse, Statement
from pipeline.pacing.rates import Kind, Rate
from pipeline.shared_quota.allowance import Allowance

# Timers go off a little late, never early.
_TICK = 1e-6
# What ended so shortly before a kill has not reached the disk.
_UNWRITTEN = 0.02
# As in `pipeline.shared_quota.refill`; and how long a turn in the file takes each way.
_APART = 0.02
_ONE_WAY = 0.001


def tell(pace: Pace, throttle: Throttle | None, begun: float, now: float) -> None:
    """Tell a pace of a call's answer, as `engine.submit_lanes` does; None: it was accepted."""
    pace.end(now, now - begun if throttle is None else None)
    if throttle is None:
        pace.passed(begun, now)
    else:
        pace.throttled(throttle, begun, now)


@dataclass(frozen=True, slots=True)
class Habits:
    """How a process lives.

    Its clock runs faster than the service's by the part `fast` and is `ahead` seconds off. It is
    killed so often, in seconds, and can send again after `dead` more. `state` is the file by which
    it shares the folder's quota.
    """

    rates: tuple[Rate, ...]
    network: Network = field(default_factory=Network)
    lanes: int = 8
    fast: float = 0.0
    ahead: float = 0.0
    killed_every: float | None = None
    dead: float = 2.0
    state: Path | None = None


@dataclass(slots=True)
class _Send:
    """What the checkpoint knows of a POST, by the process's clock."""

    begun: float
    ended: float | None = None


class Process:
    """Sends calls through all its lives.

    Attributes:
        pace: that of the present life.
        clock: that of the present life.
        accepted: when each of its calls that was accepted came to the service.
        rejected: when each came that was answered with a 429.

    """

    pace: Pace
    clock: Clock

    def __init__(self, time: Time, service: Service, habits: Habits, seed: int) -> None:
        self._time = time
        self._service = service
        self._habits = habits
        self._chance = Random(seed)
        self._sends: deque[_Send] = deque()
        self._sharing: _Sharing | None = None
        self._in_flight = 0
        self._wakes_at = math.inf
        self._life = 0
        self._learned: str | None = None
        self.accepted = array("d")
        self.rejected = array("d")
        self._start()

    # Lives.

    def _start(self) -> None:
        habits = self._habits
        self.clock = Clock(self._read, EVENING + habits.ahead + self._read())
        self._in_flight, self._wakes_at = 0, math.inf
        self.pace = Pace(habits.rates)
        self._restore()
        if habits.state is not None:
            self._sharing = _Sharing(self, habits.state, habits.rates)
        if habits.killed_every is not None:
            self._time.at(self._time.now + habits.killed_every, self._kill)
        self.look()

    def _read(self) -> float:
        return (self._time.now - EVENING) * (1.0 + self._habits.fast)

    def _restore(self) -> None:
        """As `pipeline.engine.run` does it."""
        now = self.clock.now()
        self.pace.recall(self._learned, now)
        self.pace.on_learned = self._keep_learned
        for send in self._sends:
            send.ended = now if send.ended is None else send.ended
        since = now - self.pace.horizon
        ends = [send.ended or now for send in self._sends]
        self.pace.restore(sorted(min(end, now) for end in ends if end > since))

    def _keep_learned(self) -> None:
        self._learned = self.pace.learned()

    def _kill(self) -> None:
        self._life += 1
        if self._sharing is not None:
            self._sharing.die()
        lost = self.clock.now() - _UNWRITTEN
        for send in self._sends:
            if send.ended is not None and send.ended > lost:
                send.ended = None
        self._time.at(self._time.now + self._habits.dead, self._start)

    def stop(self) -> None:
        """Let go of the files, if there are any."""
        if self._sharing is not None:
            self._sharing.die()

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do that in so many seconds of this process's clock, unless it dies before."""
        life = self._life

        def act() -> None:
            if life == self._life:
                action()

        self._time.at(self._time.now + seconds / (1.0 + self._habits.fast), act)

    # Calls.

    def look(self) -> None:
        """Send what may be sent; look again when the pace says so."""
        while self._in_flight < self._habits.lanes:
            now = self.clock.now()
            opens_at = self.pace.opens_at(now)
            if opens_at > now:
                self._wake(opens_at, now)
                return
            self._send(now)

    def _wake(self, moment: float, now: float) -> None:
        if moment in (self._wakes_at, math.inf):
            return
        self._wakes_at = moment

        def wake() -> None:
            if moment == self._wakes_at:
                self._wakes_at = math.inf
                self.look()

        self.later(moment - now + _TICK, wake)

    def _send(self, now: float) -> None:
        send = _Send(now)
        self._forget(now)
        self._sends.append(send)
        self.pace.begin()
        self._in_flight += 1
        life = self._life

        def arrive() -> None:
            # What is on its way arrives, whatever becomes of its sender.
            throttle = self._service.judge()
            (self.accepted if throttle is None else self.rejected).append(self._time.now)
            if life == self._life:
                back = self._habits.network.travel(self._chance)
                self._time.at(self._time.now + back, lambda: hear(throttle))

        def hear(throttle: Throttle | None) -> None:
            if life == self._life:
                self._hear(send, throttle)

        out = self._habits.network.travel(self._chance)
        self._time.at(self._time.now + out, arrive)

    def _hear(self, send: _Send, throttle: Throttle | None) -> None:
        send.ended = self.clock.now()
        tell(self.pace, throttle, send.begun, send.ended)
        self._in_flight -= 1
        self.look()

    def _forget(self, now: float) -> None:
        """Forget what no process will ask for any more."""
        sends, since = self._sends, now - 2.0 * self.pace.horizon
        while sends and (end := sends[0].ended) is not None and end < since:
            sends.popleft()


class _Sharing:
    """A life's dealings with the allowance, at the times of `pipeline.shared_quota.refill`."""

    def __init__(self, process: Process, state: Path, rates: tuple[Rate, ...]) -> None:
        self._process = process
        self._allowance = Allowance(state, {"submits": rates}, process.clock)
        self._purse = process.pace.purse = Purse(self._ring)
        self._rung = False
        self._waits = 0
        self._is_waiting = False
        process.later(_ONE_WAY, self._state)

    def die(self) -> None:
        """What the system does for a process that is killed: its lock and its file are gone."""
        self._allowance.abandon()

    def _state(self) -> None:
        process = self._process
        said: dict[Kind, Statement] = {
            "submits": process.pace.statement(self._purse, process.clock.now())
        }
        process.later(_ONE_WAY, lambda: self._exchange(said))

    def _exchange(self, said: dict[Kind, Statement]) -> None:
        self._allowance.keep_to({"submits": self._process.pace.rates})
        places = self._allowance.exchange(said).get("submits", ())
        self._process.later(_ONE_WAY, lambda: self._hand_out(places))

    def _hand_out(self, places: tuple[float, ...]) -> None:
        self._process.later(_APART, self._wait)
        if places:
            self._purse.receive(places)
            self._process.look()

    def _wait(self) -> None:
        self._waits += 1
        self._is_waiting = True
        if self._rung:
            self._go_on(self._waits)
        elif not self._purse.is_at_rest:
            wait = self._waits
            self._process.later(PERIOD, lambda: self._go_on(wait))

    def _ring(self) -> None:
        """The purse has none left: if it waits, it waits no longer."""
        self._rung = True
        wait = self._waits
        self._process.later(0.0, lambda: self._go_on(wait))

    def _go_on(self, wait: int) -> None:
        if wait == self._waits and self._is_waiting:
            self._is_waiting = self._rung = False
            self._state()
