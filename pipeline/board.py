"""What the parts of one running process share: how it ends, and what a watching person sees.

The counts are for display; totals are folded from the disk.
"""

import asyncio
from dataclasses import dataclass

from msgspec import Struct

from pipeline.errors import RunError


class Complete(Struct, frozen=True):
    """Every row has its line."""


class Stopped(Struct, frozen=True):
    """A signal asked for the end."""

    signal: int


class Broken(Struct, frozen=True):
    """Something happened that should not: a bug."""

    error: Exception


End = Complete | Stopped | RunError | Broken


class Ending:
    """Why the run ends, and a way to wait until it does."""

    def __init__(self) -> None:
        self._set = asyncio.Event()
        self.reason: End | None = None

    def set(self, reason: End) -> None:
        """Take note; the first reason counts, but that something failed outranks all others."""
        if self.reason is None or (
            isinstance(reason, RunError | Broken)
            and not isinstance(self.reason, RunError | Broken)
        ):
            self.reason = reason
            self._set.set()

    async def wait(self) -> End:
        await self._set.wait()
        assert self.reason is not None  # noqa: S101 - set before the event
        return self.reason


@dataclass(slots=True)
class Counts:
    """Rows by where they stand, now. `total` is None while the input has not been counted.

    `open` are those without a line; `twins` of them have another row sent for them.
    """

    total: int | None = None
    ok: int = 0
    failed: int = 0
    held: int = 0
    open: int = 0
    posting: int = 0
    running: int = 0
    doubts: int = 0
    twins: int = 0

    @property
    def finished(self) -> int:
        return self.ok + self.failed + self.held
