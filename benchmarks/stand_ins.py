"""A server beside which something is measured: on a core of its own, and it tells what it saw."""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from benchmarks.contenders import Unmeasured

# Often enough to stop what is measured, and no load beside it: when the call came is told.
_LOOKED_EVERY = 0.02
_PATIENCE = 30.0
_ROOT = Path(__file__).parent.parent


@dataclass(slots=True)
class StandIn:
    """What it tells: its port first, and once it is over, what it was asked.

    `first` is when the first call came, by the machine's monotonic clock.
    """

    port: int
    calls: int = 0
    first: float | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving(command: Sequence[str | Path], core: int) -> Iterator[StandIn]:
    """Serve for the length of the block.

    Raises:
        Unmeasured: it does not start.

    """
    process = start(
        command, core, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        port = process.stdout.readline() if process.stdout is not None else ""
        if not port:
            raise Unmeasured(f"its stand-in ended with {process.wait()}")
        stand_in = StandIn(int(port))
        yield stand_in
        counts = json.loads(process.communicate()[0])
    finally:
        process.kill()
        process.communicate()
    stand_in.calls = counts["posts"] + counts["gets"]
    stand_in.first = counts["first"]


def first_call(port: int, since: float = 0.0) -> float:
    """Wait for the first call since a moment, or since this was asked last; when it came.

    Raises:
        Unmeasured: none comes.

    """
    until = time.monotonic() + _PATIENCE  # noqa: TID251 - a benchmark's own clock
    while time.monotonic() < until:  # noqa: TID251 - as above
        with urlopen(f"http://127.0.0.1:{port}/counts") as answer:
            came: float | None = json.load(answer)["first"]
        if came is not None and came >= since:
            return came
        time.sleep(_LOOKED_EVERY)
    raise Unmeasured("no call came")


def start(command: Sequence[str | Path], core: int, **how: Any) -> subprocess.Popen[Any]:
    """Start a process that runs on that core alone, where there are two."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[core]})
    try:
        return subprocess.Popen(command, **how)  # noqa: S603 - what the contenders name
    except OSError as error:
        raise Unmeasured(str(error)) from None
    finally:
        os.sched_setaffinity(0, cores)
