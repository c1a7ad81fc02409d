"""How a run's process comes to its end: killed at some moment or system call, or told to stop."""

import math
import random
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.oracle import checkpoint_of, errors_of

Phase = Literal["start", "reading", "first POST", "in flight", "totals"]

_PHASES: tuple[Phase, ...] = ("start", "reading", "first POST", "in flight", "totals")
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A call, the file that it must concern ("" for any), and how often a process makes it at most.
_POINTS = (
    ("pwrite64", "log", 300),
    ("fdatasync", "log", 80),
    ("write", "output", 60),
    ("fdatasync", "output", 60),
    ("sendto", "", 400),
    ("recvfrom", "", 400),
    ("connect", "", 12),
    ("write", "errors", 8),
    ("fdatasync", "errors", 8),
    ("pwrite64", "checkpoint", 40),
    ("fdatasync", "checkpoint", 4),
    ("ftruncate", "checkpoint", 3),
    ("ftruncate", "log", 3),
    ("ftruncate", "output", 2),
    ("openat", "output", 2),
    ("openat", "errors", 2),
    ("openat", "checkpoint", 3),
    ("openat", "log", 2),
    ("pwrite64", "journal", 6),
    ("fdatasync", "journal", 3),
    ("pwrite64", "index", 12),
    ("unlink", "", 4),
    ("fsync", "", 2),
    ("flock", "", 1),
)


@dataclass(frozen=True, slots=True)
class Killed:
    """SIGKILL, so many seconds after its start."""

    after: float


@dataclass(frozen=True, slots=True)
class KilledAt:
    """SIGKILL in place of a thread's `when`-th such call on a file; "" means any."""

    call: str
    file: str
    when: int


@dataclass(frozen=True, slots=True)
class OneOfSeveral:
    """Several processes are started at once; one of them is killed, later the one that is left."""

    processes: int
    victim: int
    after: float
    rest_after: float


@dataclass(frozen=True, slots=True)
class Told:
    """One signal in a phase of the run, or two, the second `apart` seconds after a word."""

    numbers: tuple[signal.Signals, ...]
    phase: Phase
    apart: float


End = Killed | KilledAt | OneOfSeveral | Told


def files_of(output: Path) -> dict[str, Path]:
    """The run's files by the names that are used here."""
    checkpoint = checkpoint_of(output)
    beside = {"log": "-wal", "index": "-shm", "journal": "-journal"}
    logs = {name: checkpoint.with_name(checkpoint.name + end) for name, end in beside.items()}
    return {"output": output, "errors": errors_of(output), "checkpoint": checkpoint, **logs}


def swept(number: int) -> KilledAt:
    """The `number`-th kill of a sweep: every point's first call, then every point's second."""
    depth, point = divmod(number, len(_POINTS))
    call, file, most = _POINTS[point]
    # The rarer calls go round, with another run each time.
    return KilledAt(call, file, depth % most + 1)


def drawn(chance: random.Random, lasts: float) -> End:
    """An end that chance decides; a process that is let alone takes about `lasts` seconds."""
    kind = chance.choices(("time", "call", "several", "told"), (30, 25, 20, 25))[0]
    match kind:
        case "time":
            return Killed(chance.uniform(0.02, lasts))
        case "call":
            call, file, most = chance.choice(_POINTS)
            return KilledAt(call, file, int(math.exp(chance.uniform(0, math.log(most + 1)))))
        case "several":
            processes = chance.choice((2, 2, 3))
            after = chance.uniform(0.2, 0.8 + lasts)
            victim = chance.randrange(processes)
            return OneOfSeveral(processes, victim, after, chance.uniform(0.1, lasts))
        case _:
            numbers = tuple(chance.choices(_STOPS, k=chance.choice((1, 1, 1, 2))))
            return Told(numbers, chance.choice(_PHASES), chance.choice((0.0, 0.01, 0.1)))
