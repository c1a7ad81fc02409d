"""The only door to time: seconds since 1970 that never run backwards while the process lives.

The wall clock is read once. From there on time advances with a clock that no administrator and no
time server can set, and that goes on counting while a laptop sleeps (Linux's CLOCK_BOOTTIME).
All processes since the machine's start can compare their moments on that clock, whatever the wall
clock was set to in between. Simulations hand in their own reading.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from functools import partial
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


_steady = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Clock:
    """Wall time in seconds, steady within one process."""

    def __init__(self, read: Callable[[], float] = _steady, start: float | None = None) -> None:
        self._read = read
        self._offset = (time.time() if start is None else start) - read()  # noqa: TID251
        self._is_real = start is None

    def now(self) -> float:
        return self._offset + self._read()

    def since_boot(self, moment: float) -> float:
        """A moment of `now` on the clock that every process of this machine reads alike."""
        return moment - self._offset

    def wall(self) -> float:
        """What the wall clock says, which may have been set since this process began."""
        return time.time() if self._is_real else self.now()  # noqa: TID251


def boot() -> str:
    """Which start of the machine `since_boot` counts from; empty where that can't be told."""
    with suppress(OSError):
        return _BOOT_ID.read_text("ascii").strip()
    return ""


def stamp(moment: float) -> str:
    """A moment as ISO 8601 in UTC, to the second: ``2026-11-20T23:10:01Z``."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def local_day_and_time(moment: float) -> str:
    """A moment as people here read it: ``2026-11-20 23:10``."""
    return datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M")


def local_to_the_second(moment: float) -> str:
    """The same where it is to be given again as it is: ``2026-11-20 23:10:14``."""
    local = datetime.fromtimestamp(moment).astimezone()
    return local.strftime("%Y-%m-%d %H:%M:%S" if local.second else "%Y-%m-%d %H:%M")


def local_with_zone(moment: float) -> str:
    """The same where somebody may think of another zone: ``2026-11-20 23:10 (UTC+03:00)``."""
    zone = datetime.fromtimestamp(moment).astimezone().isoformat()[-len("+03:00") :]
    return f"{local_day_and_time(moment)} (UTC{zone})"


def zone_at(moment: float) -> int:
    """How many seconds the time of day here is ahead of UTC at a moment."""
    ahead = datetime.fromtimestamp(moment).astimezone().utcoffset()
    return 0 if ahead is None else int(ahead.total_seconds())


def moment_of(text: str, now: float) -> float:
    """A moment that people write: ``07:30`` is the next one after `now`; else ISO, local or not.

    Raises:
        ValueError: it is neither.

    """
    if len(text) == len("07:30"):
        wanted = time_of_day.fromisoformat(text)
        here = datetime.fromtimestamp(now).astimezone()
        on = here.date() + timedelta(days=(wanted <= here.time()))
        # Taken apart and put together by the local clock, which may jump in between.
        return datetime.combine(on, wanted).timestamp()
    return datetime.fromisoformat(text).timestamp()
