"""Who is there: each process holds the lock of a slot of its own, and loses it when it dies.

Slots are files that stay; nothing is read from them or written to them. The system gives a lock up
with the last way in which its holder's opening of the file can be used, however the holder dies.
"""

import fcntl
import os
from pathlib import Path

_SLOTS = 64


class Presence:
    """The lowest slot that is free, taken until `leave`.

    Raises:
        OSError: there is none, or no lock can be had in that folder.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.slot, self._fd = self._take()

    def _take(self) -> tuple[int, int]:
        for slot in range(1, _SLOTS + 1):
            fd = self._locked(slot, fcntl.LOCK_EX)
            if fd is not None:
                return slot, fd
        raise OSError(f"{_SLOTS} runs share it already")

    def _locked(self, slot: int, how: int) -> int | None:
        path = self._path.with_name(f"{self._path.name}.{slot}")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        return fd

    def sees(self, slot: int) -> bool:
        """Whether the holder of a slot is alive. Its taker may be looked for in vain meanwhile."""
        if slot == self.slot:
            return True
        # Shared, so that two who look do not take each other for the holder.
        fd = self._locked(slot, fcntl.LOCK_SH)
        if fd is None:
            return True
        os.close(fd)
        return False

    def leave(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
