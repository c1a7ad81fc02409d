"""What several tests need that is about nothing in particular."""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

_MEMORY = Path("/dev/shm")  # noqa: S108 - a disk's syncs are not what these tests are about


def in_memory() -> TemporaryDirectory[str]:
    """A folder without a disk, where the machine has such a thing."""
    return TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)


def busiest(moments: Iterable[float], seconds: float) -> int:
    """The most calls that any stretch of so many seconds holds, its very end left out."""
    ordered = sorted(moments)
    most = first = 0
    for last, moment in enumerate(ordered):
        # A sum, as whoever waits computes it: a difference may round the other way.
        while ordered[first] + seconds <= moment:
            first += 1
        most = max(most, last - first + 1)
    return most
