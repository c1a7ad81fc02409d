"""Windows that take the place of others while calls go on. Pure.

Whatever rates come, every call that was made keeps its place in all windows that reach back to it.
"""

from collections.abc import Iterable, Sequence
from heapq import merge

from msgspec import Struct

from pipeline.pacing.margin import held_for
from pipeline.pacing.past import Past
from pipeline.pacing.quota import SHORT, Quota
from pipeline.pacing.rates import Rate
from pipeline.pacing.window import Window


class Known(Struct, frozen=True):
    """What is known of the calls before.

    `open` are under way. `earlier`: when those of earlier processes ended, in order. `filled`:
    until when an earlier process may have used up everything, short windows and long ones; None
    if there was none, or all is known of it.
    """

    past: Past
    open: int
    earlier: Sequence[float] = ()
    filled: tuple[float, float] | None = None


def window_of(rate: Rate, quota: Quota, ended: Iterable[float], open_calls: int) -> Window:
    """A window for calls that ended then and calls that are under way."""
    window = Window(rate, quota)
    window.restore(ended)
    for _ in range(open_calls):
        window.begin()
    return window


def successor(
    windows: Sequence[Window], rate: Rate, quota: Quota, known: Known, now: float
) -> Window:
    """The window of a rate that is kept to from now on.

    Where the quota was configured alike before, what was found out of it since still holds.
    """
    same = next((window for window in windows if window.seconds == rate.seconds), None)
    if same is not None and same.quota.is_for(quota):
        quota = same.quota
    return window_of(rate, quota, _ended(windows, rate, known, now), known.open)


def _ended(windows: Sequence[Window], rate: Rate, known: Known, now: float) -> Iterable[float]:
    """When the calls ended that take places now, in order."""
    since = now - held_for(rate.seconds)
    filled_at = None if known.filled is None else known.filled[rate.seconds > SHORT]
    if filled_at is not None and filled_at > since:
        # No window of ours knows how many they were.
        before = sorted([*(at for at in known.earlier if at > since), *([filled_at] * rate.limit)])
        return merge(before, known.past.ended(rate.seconds, now))
    # A window that only the service spoke of may not have seen all that it reaches back to.
    longer = [w for w in windows if w.seconds >= rate.seconds and w.quota.configured is not None]
    if longer:
        shortest = min(longer, key=lambda window: window.seconds)
        return [at for at in shortest.ended(now) if at > since]
    earlier = (at for at in known.earlier if at > since)
    return merge(earlier, known.past.ended(rate.seconds, now))
