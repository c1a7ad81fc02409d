"""A server beside which something is measured: on a core of its own, and it tells what it saw."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contenders import Unmeasured

_ROOT = Path(__file__).parent.parent


@dataclass(slots=True)
class StandIn:
    """What it tells: its port first, and once it is over, what it was asked.

    `first_post` is a time of the machine's monotonic clock.
    """

    port: int
    calls: int = 0
    first_post: float | None = None


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
    stand_in.first_post = counts["first_post"]


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
