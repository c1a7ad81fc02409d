"""Somebody who uses a long window too and is no run of ours: what refusals tell of them. Pure.

Nobody can be asked how many they are. So we make as few calls at once as our own rate needs: then
a refusal meets one call, not all that are under way.
"""

from collections.abc import Iterable, Sequence

from pipeline.pacing.learned import Shared
from pipeline.pacing.quota import SHORT
from pipeline.pacing.window import Window

# Beside others there are so many times more calls under way than their mean rate needs.
_TO_SPARE = 2.0


class Strangers:
    """Which windows are shared with them, and until when that is believed."""

    def __init__(self) -> None:
        self._until: dict[float, float] = {}

    def are_here(self, now: float) -> bool:
        return bool(self._until) and any(now < until for until in self._until.values())

    def most_calls(self, windows: Iterable[Window], answer_seconds: float) -> int:
        """How many calls may be under way beside them, where each takes so long."""
        shared = [w.rate.limit / w.seconds for w in windows if w.seconds in self._until]
        return max(round(min(shared) * answer_seconds * _TO_SPARE), 1)

    def met(self, window: Window, windows: Sequence[Window], now: float) -> None:
        """They showed in a window: where it is a long one, they are left a part of short ones.

        Beside them we need not be fast in these either.
        """
        if window.seconds <= SHORT:
            return
        self._until[window.seconds] = now + window.seconds
        for other in windows:
            if other.seconds <= SHORT:
                other.quota.leave_room(now, window.seconds)

    def keep_to(self, windows: Iterable[Window]) -> None:
        """Forget them where there is no such window any more."""
        kept = {window.seconds for window in windows}
        self._until = {s: until for s, until in self._until.items() if s in kept}

    def noted(self) -> tuple[Shared, ...]:
        return tuple(Shared(seconds, until) for seconds, until in self._until.items())

    def recall(self, shared: Shared, now: float) -> None:
        """Believe another process, but for no longer than a window."""
        self._until[shared.seconds] = min(shared.until, now + shared.seconds)
