"""A disk and a process that die at a chosen step, under the simulated run.

Steps are counted where a death matters: at each write, sync, cut and rename of the output and the
errors file, at each transaction of the checkpoint, at each call that leaves and each answer to it.
A death takes a picture of the run's files as they then stand and raises `Died`; whatever the dying
process still writes goes to files that nobody reads again. A death by a power cut also loses what
was written and not synced: some of it, all of it, or zeros in its place; and a new name that was
not synced may be the old one again.
"""

import asyncio
import os
import random
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from pipeline.files import output
from pipeline.files.paths import Paths
from pipeline.life.facts import Fact, Move, Signature
from pipeline.life.item import Running
from pipeline.resuming import recovery
from pipeline.store import checkpoint
from pipeline.store.checkpoint import Checkpoint
from pipeline.store.database import Database
from tests.oracle import checkpoint_at


class Died(SystemExit):
    """The process is gone: no `except Exception` sees it, and asyncio lets it through."""


class Mortal:
    """One life of a process. `dies_at` is the step that it does not survive; None: it lives."""

    def __init__(
        self, paths: Paths, heir: Paths, dies_at: int | None, chance: random.Random
    ) -> None:
        self._paths, self._heir = paths, heir
        self._dies_at = dies_at
        self._chance = chance
        self._synced: dict[Path, int] = {
            path: path.stat().st_size for path in _lines_of(paths) if path.exists()
        }
        self._renamed: tuple[Path, Path, bytes] | None = None
        self._open: dict[int, Path] = {}
        # Ids of operations that the checkpoint has for certain.
        self.ids = _ids_on_disk(paths)
        self.steps = 0
        self.is_dead = False
        self.is_power_cut = chance.random() < 0.5

    def step(self) -> None:
        """Count a step; die if it is the last. What a dead process still does, does not count."""
        self.steps += not self.is_dead
        if self.steps == self._dies_at and not self.is_dead:
            self._die()

    def _die(self) -> None:
        self.is_dead = True
        # A dead process has nobody to tell that its tasks were not awaited.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        _take_picture(self._paths, self._heir)
        if self.is_power_cut:
            for path, heir in zip(_lines_of(self._paths), _lines_of(self._heir), strict=True):
                if heir.exists():
                    self._lose(heir, self._synced.get(path, 0))
            self._lose_name()
        raise Died

    def _lose_name(self) -> None:
        if self._renamed is not None and self._chance.random() < 0.5:
            old, new, before = self._renamed
            folder = self._heir.output.parent
            (folder / new.name).rename(folder / old.name)
            (folder / new.name).write_bytes(before)

    def _lose(self, path: Path, synced: int) -> None:
        """Lose what was never synced, or a part of it."""
        data = bytearray(path.read_bytes())
        kept = self._chance.randint(min(synced, len(data)), len(data))
        del data[kept:]
        if kept > synced and self._chance.random() < 0.5:
            first = self._chance.randint(synced, kept)
            last = self._chance.randint(first, kept)
            data[first:last] = bytes(last - first)
        path.write_bytes(data)

    # What stands in for the module os in pipeline/files/output.py.

    def open(self, path: Path, *arguments: Any) -> int:
        fd = os.open(path, *arguments)
        self._open[fd] = Path(path)
        return fd

    def write(self, fd: int, data: bytes) -> int:
        """Write in two pieces, so that a death can fall between them."""
        self.step()
        half = self._chance.randint(0, len(data))
        os.write(fd, data[:half])
        self.step()
        os.write(fd, data[half:])
        self.step()
        return len(data)

    def ftruncate(self, fd: int, size: int) -> None:
        self.step()
        os.ftruncate(fd, size)
        self._synced[self._open[fd]] = min(self._synced.get(self._open[fd], 0), size)
        self.step()

    def rename(self, old: Path, new: Path) -> None:
        self.step()
        before = new.read_bytes()
        old.rename(new)
        self._synced[new] = self._synced.pop(old, 0)
        self._renamed = (old, new, before)
        self.step()

    def sync(self, fd: int) -> None:
        self.step()
        if self._open[fd].is_dir():
            self._renamed = None
        self._synced[self._open[fd]] = os.fstat(fd).st_size
        self.step()


def _lines_of(paths: Paths) -> tuple[Path, ...]:
    return paths.output, paths.errors, paths.rewritten


def _ids_on_disk(paths: Paths) -> set[str]:
    if not paths.checkpoint.exists():
        return set()
    with checkpoint_at(paths.output) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'rows'").fetchone():
            return set()
        ids = "SELECT operation_id FROM rows WHERE operation_id IS NOT NULL"
        return {found for (found,) in db.execute(ids)}


def _take_picture(paths: Paths, heir: Paths) -> None:
    heir.output.parent.mkdir()
    for path, copy in zip(paths.all(), heir.all(), strict=True):
        # The shared memory of SQLite dies with its processes.
        if path.exists() and not path.name.endswith("-shm"):
            shutil.copy2(path, copy)


@contextmanager
def mortal(life: Mortal) -> Iterator[None]:
    """Let everything that writes in this block count its steps."""

    class Watched(Checkpoint):
        def record(self, facts: Iterable[Fact], files: dict[str, Signature]) -> set[int]:
            facts = list(facts)
            repeated = super().record(facts, files)
            moves = [fact.state for fact in facts if isinstance(fact, Move)]
            life.ids |= {state.operation_id for state in moves if isinstance(state, Running)}
            return repeated

    class WatchedDatabase(Database):
        @contextmanager
        def transaction(self) -> Iterator[None]:
            life.step()
            with super().transaction():
                yield
            life.step()

    system = SimpleNamespace(**{name: getattr(os, name) for name in dir(os)})
    system.open, system.write, system.ftruncate = life.open, life.write, life.ftruncate
    system.fsync, system.rename = life.sync, life.rename
    with (
        patch.object(output, "os", system),
        patch.object(output, "_sync", life.sync),
        patch.object(recovery, "Checkpoint", Watched),
        patch.object(checkpoint, "Database", WatchedDatabase),
    ):
        yield
