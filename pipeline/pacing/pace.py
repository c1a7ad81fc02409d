"""How fast we may ask: all windows of one kind of call, and what the answers teach of them."""

import math
from collections.abc import Callable, Iterable, Sequence

from pipeline.pacing.gate import Gate, Throttle
from pipeline.pacing.learned import KnownQuota, Learned
from pipeline.pacing.margin import Floor, held_for
from pipeline.pacing.past import Past
from pipeline.pacing.purse import AHEAD, Purse, Statement
from pipeline.pacing.quota import SHORT, UNLIMITED, Finding, Lesson, Quota
from pipeline.pacing.rates import Rate
from pipeline.pacing.strangers import Strangers
from pipeline.pacing.succession import Known, successor, window_of
from pipeline.pacing.window import Window

_NEVER = math.inf
# How much the time that an answer takes counts, against those before it.
_LATEST = 0.1
# What is true for a night is not said each minute.
_SAID_FOR = 3600.0


class Pace:
    """All sliding windows of one kind of call, its gate, and what is known of its quotas.

    Attributes:
        purse: where the windows are shared with other runs, the places that this one holds.
        on_learned: hears when a limit changed, or that somebody else uses a quota.

    """

    def __init__(self, rates: Iterable[Rate], *, open_ended: bool = False) -> None:
        self._windows = [Window(rate, _quota(rate, open_ended=open_ended)) for rate in rates]
        self._open = 0
        self._gate = Gate()
        self._floor = Floor()
        self._past = Past()
        self._filled: tuple[float, float] | None = None
        self._strangers = Strangers()
        self._answer_seconds = 0.0
        self._said: dict[tuple[float, Finding], float] = {}
        self.purse: Purse | None = None
        self.on_learned: Callable[[], None] = _nobody

    @property
    def rates(self) -> tuple[Rate, ...]:
        """What the windows hold now."""
        return tuple(window.rate for window in self._windows)

    @property
    def open(self) -> int:
        """Calls under way."""
        return self._open

    def opens_at(self, now: float) -> float:
        """When the next call may start; infinity while that depends on something else's end."""
        alone = self._opens_alone_at(now)
        return alone if self.purse is None else self.purse.opens_at(now, alone)

    def _opens_alone_at(self, now: float) -> float:
        if self._strangers.are_here(now) and self._open >= self._most_beside_strangers():
            return _NEVER
        return max(self._gate.opens_at(now), *(w.opens_at(now) for w in self._windows), now)

    def _most_beside_strangers(self) -> int:
        return self._strangers.most_calls(self._windows, self._answer_seconds)

    def begin(self) -> None:
        self._open += 1
        for window in self._windows:
            window.begin()
        self._gate.begin()
        if self.purse is not None:
            self.purse.begin()

    def end(self, now: float, took: float | None = None) -> None:
        """A call ended; `took` are its seconds from start to end if the service accepted it."""
        self._open -= 1
        if took is not None:
            self._answer_seconds += _LATEST * (took - self._answer_seconds)
        end = self._floor.end_of(now, took)
        self._past.end(end)
        for window in self._windows:
            window.end(end)
        if self.purse is not None:
            self.purse.end(end)

    def undo(self, begun: float) -> None:
        """The call was never sent: it takes no place in any window."""
        self._open -= 1
        for window in self._windows:
            window.undo()
        self._gate.undecided(begun)
        if self.purse is not None:
            self.purse.undo(begun)

    def statement(self, purse: Purse, now: float) -> Statement:
        """What the purse tells of its calls and asks for, but no more than may start here."""
        room = min((w.room(now + AHEAD) for w in self._windows), default=0)
        return purse.statement(now, room)

    # What the answer to a call that has ended tells.

    def passed(self, begun: float, now: float) -> None:
        """The service let the call through."""
        self._gate.passed(begun)
        more = [window for window in self._windows if window.passed(begun, now)]
        if more:
            self.on_learned()

    def undecided(self, begun: float) -> None:
        """The answer did not tell whether the quota has room."""
        self._gate.undecided(begun)

    def throttled(self, throttle: Throttle, begun: float, now: float) -> Lesson | None:
        """Heed a 429; return what is worth telling, once for as long as it is so.

        The gate stays open where calls of our own, more than we now know to be allowed, explain
        the refusal: the window tells better when there is room.
        """
        self._floor.forget()
        window = self._named(throttle.seconds)
        if window is None:
            slower = self.slowed_down(throttle, begun, now)
            return self._unheard_of(throttle, now) or slower
        before = window.rate
        finding = window.quota.refused(throttle.allowed, window.taken(now), begun, now)
        is_explained = window.taken(now) > window.quota.limit
        if is_explained:
            self._gate.undecided(begun)
        else:
            self._gate.throttled(throttle, begun, now)
        if finding is Finding.NOTHING_NEW:
            return None
        if not is_explained:
            self._strangers.met(window, self._windows, now)
        self.on_learned()
        return self._news(window, finding, before, throttle, now)

    def slowed_down(self, throttle: Throttle, begun: float, now: float) -> Lesson | None:
        """Heed a 429 whose quota need not be that of all calls: wait, and believe no number."""
        begins = self._gate.throttled(throttle, begun, now)
        return Lesson(None, throttle.quota) if begins else None

    def _named(self, seconds: float | None) -> Window | None:
        return next((w for w in self._windows if w.seconds == seconds), None)

    def _unheard_of(self, throttle: Throttle, now: float) -> Lesson | None:
        """Keep to a quota that nobody configured, if the service names its period and number."""
        seconds, allowed = throttle.seconds, throttle.allowed
        if seconds is None or allowed is None:
            return None
        window = self._window_more(seconds, now)
        finding = window.quota.refused(allowed, window.taken(now), now, now)
        if finding is not Finding.SMALLER:
            return None
        window.quota.know_all_at(now + seconds)
        self._windows.append(window)
        self.on_learned()
        return Lesson(finding, throttle.quota, after=window.rate.words)

    def _window_more(self, seconds: float, now: float) -> Window:
        """A window without a limit yet, with what the longest one knows of calls."""
        longest = max(self._windows, key=lambda window: window.seconds, default=None)
        quota = Quota(None, UNLIMITED, seconds, UNLIMITED)
        ended = () if longest is None else longest.ended(now)
        return window_of(Rate(UNLIMITED, seconds), quota, ended, self._open)

    def _news(
        self, window: Window, finding: Finding, before: Rate, throttle: Throttle, now: float
    ) -> Lesson | None:
        key = (window.seconds, finding)
        last, self._said[key] = self._said.get(key, -_NEVER), now
        if now - last < _SAID_FOR:
            return None
        allowed = throttle.allowed
        told = None if allowed is None else Rate(allowed, window.seconds).words
        after = before if finding is Finding.SHARED else window.rate
        return Lesson(finding, throttle.quota, before.words, after.words, told)

    # What the user changes while calls go on.

    def change(
        self,
        rates: Iterable[Rate],
        now: float,
        *,
        open_ended: bool = False,
        earlier: Sequence[float] = (),
    ) -> None:
        """Go by other rates from now on; calls made so far take their places in all of them.

        `earlier`: when calls of earlier processes ended, in order, as far back as the longest of
        these rates goes; those of this process are known for a day. What the service named beside
        the rates that were configured goes on to hold.
        """
        known, before = Known(self._past, self._open, earlier, self._filled), self._windows
        self._windows = [
            successor(before, rate, _quota(rate, open_ended=open_ended), known, now)
            for rate in rates
        ]
        lengths = {window.seconds for window in self._windows}
        of_service = (window for window in before if window.quota.configured is None)
        self._windows += [window for window in of_service if window.seconds not in lengths]
        self._strangers.keep_to(self._windows)

    # What is to be seen of it.

    @property
    def has_long_windows(self) -> bool:
        return any(window.seconds > SHORT for window in self._windows)

    @property
    def windows(self) -> tuple[Window, ...]:
        """To be looked at, not to be changed."""
        return tuple(self._windows)

    def gate_opens_at(self, now: float) -> float:
        """When a 429 lets calls pass again; infinity while a call of our own is to find out."""
        return self._gate.opens_at(now)

    def is_beside_others(self, now: float) -> bool:
        """Whether somebody who is no run of ours uses a long window too."""
        return self._strangers.are_here(now)

    @property
    def horizon(self) -> float:
        """How many seconds back a call can still matter."""
        return held_for(max((w.seconds for w in self._windows), default=0.0))

    # What survives a restart.

    def restore(self, ended: list[float]) -> None:
        """Take over calls of an earlier process, by the times of their ends, in order."""
        for window in self._windows:
            window.restore(ended)

    def fill(self, now: float, long_until: float) -> None:
        """Assume that an earlier process used everything up: just now, long windows by then."""
        self._filled = now, min(long_until, now)
        for window in self._windows:
            window.restore([self._filled[window.seconds > SHORT]] * window.rate.limit)

    def learned(self) -> str:
        """What is known of quotas beyond what was configured, as JSON."""
        quotas = (
            KnownQuota(w.seconds, w.quota.known, w.quota.configured)
            for w in self._windows
            if w.quota.found_out is not None
        )
        return Learned(tuple(quotas), self._strangers.noted()).text

    def found_out(self) -> tuple[Rate, ...]:
        """Rates that are not what was configured."""
        found = ((w.quota.found_out, w.seconds) for w in self._windows)
        return tuple(Rate(known, seconds) for known, seconds in found if known is not None)

    def held(self) -> tuple[Rate, ...]:
        """Rates that are what was configured, for all that is known."""
        return tuple(w.rate for w in self._windows if w.quota.known == w.quota.configured)

    def recall(self, noted: str | None, now: float) -> None:
        """Take over what another process learned; nothing of what makes no sense."""
        learned = Learned.parse(noted)
        for quota in learned.quotas:
            self._recall(quota, now)
        for shared in learned.shared:
            if self._named(shared.seconds) is not None:
                self._strangers.recall(shared, now)

    def _recall(self, quota: KnownQuota, now: float) -> None:
        """Whoever configures another number than before knows better than the past."""
        window = self._named(quota.seconds)
        if window is None and quota.configured is None:
            window = self._window_more(quota.seconds, now)
            self._windows.append(window)
        if window is not None and window.quota.configured == quota.configured:
            window.quota.take_over(quota.known, now)


def _quota(rate: Rate, *, open_ended: bool) -> Quota:
    return Quota(rate.limit, rate.limit, rate.seconds, UNLIMITED if open_ended else rate.limit)


def _nobody() -> None: ...
