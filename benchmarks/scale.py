"""What runs cost that have done ten thousand, a hundred thousand and a million rows.

    python -m benchmarks.scale [--rows 10000 --rows 100000 --rows 1000000] [--rounds 5]

The files are those of `benchmarks.finished`, the service is `benchmarks.instant`. Times are those
of whole processes, at the median, in seconds: until the first request where a run goes on, until
the end elsewhere. What of a process was the processor's stands behind: on a busy machine it tells
more. All hold what it takes to start Python and the program, which `--version` shows.

Where a run goes on there are no limits on calls: with some, the first poll waits out what an
earlier process may have used of them, a second.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from resource import struct_rusage
from statistics import median
from tempfile import TemporaryDirectory
from urllib.request import urlopen

import click

_PENDING = 1000
_FOLDER_ID = "b1gbenchmark00000000"
_PROGRAM = Path(sys.executable).with_name("yagpt-batch")
_START = "--version"
_SETTLED = "run, nothing to do"
_RESUME = "run, 1,000 pending"
# Seconds; what looks from outside may take so long beyond the start of the program.
_TARGETS = {_SETTLED: 0.6, _RESUME: 0.6}
_TARGET_OF_A_LOOK = 0.1
_LOOKS = {
    "status": ("status",),
    "status --json": ("status", "--json"),
    "audit --quick": ("audit", "--quick"),
}
_MOST_IN_FLIGHT = 400
_FLAT = 1.1
# So that next to none of those pending are over before a run that goes on is stopped.
_HOLD = 5.0
_LONGEST = 60.0


@dataclass(slots=True)
class Measured:
    """Seconds of several rounds, and the most bytes of memory in any."""

    seconds: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    memory: int = 0

    def add(self, seconds: float, used: struct_rusage) -> None:
        self.seconds.append(seconds)
        self.busy.append(used.ru_utime + used.ru_stime)
        most = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        self.memory = max(self.memory, most)


class Size:
    """All that is measured on the files of one number of rows."""

    def __init__(self, folder: Path, rows: int, rounds: int) -> None:
        self.rows = rows
        self._rounds = rounds
        self._input, self._output = folder / "prompts.jsonl", folder / "results.jsonl"
        words = [str(folder), "--rows", str(rows), "--pending", str(_PENDING)]
        told_by("benchmarks.finished", *words, "--folder-id", _FOLDER_ID)
        checkpoint = self._output.with_name(f"{self._output.name}.checkpoint")
        self.bytes_per_row = checkpoint.stat().st_size / rows
        self.found: dict[str, Measured] = {}

    def measure(self) -> None:
        with served(0.0) as url:
            self._repeat(_START, [_START], url)
            for name, words in _LOOKS.items():
                self._repeat(name, [*words, str(self._output)], url)
        with served(_HOLD) as url:
            self.found[_RESUME] = Measured()
            for _ in range(self._rounds):
                self.found[_RESUME].add(*self._to_first_request(url))
        with served(0.0) as url:
            finished(self._run(), url)
            self._repeat(_SETTLED, self._run(), url)

    def _run(self) -> list[str]:
        options = ["--folder-id", _FOLDER_ID, "--no-shared-quota", "--progress", "none"]
        limits = ["--rate", "none", "--poll-rate", "none"]
        return ["run", str(self._input), "-o", str(self._output), *options, *limits]

    def _repeat(self, name: str, words: list[str], url: str) -> None:
        measured = self.found[name] = Measured()
        finished(words, url)
        for _ in range(self._rounds):
            measured.add(*finished(words, url))

    def _to_first_request(self, url: str) -> tuple[float, struct_rusage]:
        """Begin to resume, and stop it as soon as a call has come."""
        first_call(url)
        began = time.time()  # noqa: TID251 - as the server tells it
        process = begun(self._run(), url)
        first, until = None, time.monotonic() + _LONGEST  # noqa: TID251 - a benchmark's own clock
        while first is None and time.monotonic() < until:  # noqa: TID251 - as above
            time.sleep(0.02)
            first = first_call(url)
        os.kill(process.pid, signal.SIGINT)
        used = ended(process, {0, -signal.SIGINT})
        if first is None:
            sys.exit("no call came")
        return first - began, used


def told_by(module: str, *words: str) -> str:
    """What another program of these prints: its memory is not to be that of what it makes."""
    command = [sys.executable, "-m", module, *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603 - ours


def first_call(url: str) -> float | None:
    """When the first call came to the server since it was asked for last; None if none did."""
    with urlopen(f"{url}/counts") as answer:  # noqa: S310 - http, as above
        first: float | None = json.load(answer)["first"]
        return first


@contextmanager
def served(hold: float) -> Iterator[str]:
    """The server, whose answers are held back so long."""
    with subprocess.Popen(  # noqa: S603 - the server beside this
        [sys.executable, "-m", "benchmarks.instant", "--delay", str(hold)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None  # noqa: S101 - a pipe, as asked for
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        server.communicate()


def begun(words: list[str], url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - the program itself
        [_PROGRAM, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"YC_API_KEY": "benchmark", "YAGPT_ENDPOINT": url},
    )


def ended(process: subprocess.Popen[bytes], codes: set[int]) -> struct_rusage:
    """Wait for its end; return what it used."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in codes:
        sys.exit(f"{process.args!r} ended with {process.returncode}")
    return used


def finished(words: list[str], url: str) -> tuple[float, struct_rusage]:
    began = time.perf_counter()
    used = ended(begun(words, url), {0})
    return time.perf_counter() - began, used


@click.command(help=__doc__)
@click.option("--rows", multiple=True, type=int, default=(10_000, 100_000, 1_000_000))
@click.option("--rounds", default=5, show_default=True)
def main(rows: tuple[int, ...], rounds: int) -> None:
    sizes = []
    for count in rows:
        with TemporaryDirectory() as folder:
            size = Size(Path(folder), count, rounds)
            size.measure()
        show(size)
        sizes.append(size)
    each = int(told_by("benchmarks.in_flight"))
    print(f"an operation in flight takes {each} bytes")
    sys.exit(not judged(sizes, each))


def show(size: Size) -> None:
    print(f"{size.rows:,} rows done, {size.bytes_per_row:.0f} bytes of checkpoint each")
    for name, measured in size.found.items():
        times = f"{min(measured.seconds):.2f} to {max(measured.seconds):.2f}"
        memory = f"{measured.memory / (1 << 20):5.1f} MB"
        busy = f"{median(measured.busy):.2f} s of processor"
        print(f"  {name:20} {median(measured.seconds):.2f} s ({times}), {busy}, {memory}")


def judged(sizes: list[Size], each: int) -> bool:
    """Say of each target whether it is met, and return whether all are."""
    least, most = sizes[0], sizes[-1]
    start = median(most.found[_START].seconds)
    limits = _TARGETS | dict.fromkeys(_LOOKS, start + _TARGET_OF_A_LOOK)
    met = {
        f"{name}: {limit:.2f} s": median(most.found[name].seconds) <= limit
        for name, limit in limits.items()
    }
    met |= {
        f"{name}: memory that does not grow": most.found[name].memory
        <= _FLAT * least.found[name].memory
        for name in limits
    }
    met[f"an operation in flight: {_MOST_IN_FLIGHT} bytes"] = each <= _MOST_IN_FLIGHT
    for target, is_met in met.items():
        print(f"{target}: {'met' if is_met else 'NOT MET'}")
    return all(met.values())


if __name__ == "__main__":
    main()
