"""What a row costs, with the quotas lifted: the real command beside the barest client.

    python -m benchmarks.speed [--rows 40000] [--rounds 3] [--most 1000000] [--only TEXT]

The client has one core, `benchmarks.instant` the other; each row is submitted once and asked for
once. CPU is the user's and the system's of the whole process, its start included. Everything is
measured in turns, and the medians are shown; the barest client runs in the same turns, and what
it takes says how fast the machine was just then. Last come runs of many rows, one of each size.
"""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from resource import struct_rusage
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import click
import msgspec

from benchmarks.certificates import made
from benchmarks.stand_ins import serving, start

_PROGRAM = str(Path(sys.executable).with_name("yagpt-batch"))
_CLIENT, _SERVER = 0, 1
_SERVER_COMMAND = (sys.executable, "-m", "benchmarks.instant")
_LIFTED = (
    *("--folder-id", "b1gbenchmark00000000", "--rate", "none", "--poll-rate", "none"),
    *("--progress", "none"),
)
_IN_FLIGHT = (1, 50, 100, 500)
_SLOW = 2000
_MB = 1 << 20
_WORDS = ("вода", "река", "город", "утро", "письмо", "работа", "ответ", "вопрос", "слово", "книга")
# Seconds of CPU a row at most, and rows a second at least, with 50 to 500 calls in flight.
_TARGETS = {"httpx": (1.0e-3, 1000), "httptools": (0.25e-3, 4000)}
# So many times the rows, so that both take about as long.
_TIMES = {"httpx": 1, "httptools": 5}
_TLS_AT_MOST = 1.3
_MEMORY_AT_MOST = 80 * _MB
_FLAT = 1.1


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: seconds of the clock and of CPU, bytes of memory and of checkpoint."""

    rows: int
    seconds: float
    cpu: float
    memory: int
    checkpoint: int = 0


@dataclass(slots=True)
class Case:
    """What is measured in each turn; `target` if there is one."""

    name: str
    measure: Callable[[], Measured]
    target: tuple[float, float] | None = None
    runs: list[Measured] = field(default_factory=list)

    def middle(self, of: Callable[[Measured], float]) -> float:
        return median(of(run) for run in self.runs)

    @property
    def cpu(self) -> float:
        """Seconds a row."""
        return self.middle(lambda run: run.cpu / run.rows)

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.middle(lambda run: run.rows / run.seconds)


class Bench:
    """Files in a folder, and what is run on them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._certificates = made(folder)

    def barest(self, rows: int, in_flight: int) -> Measured:
        """The same two calls per row by the barest client."""
        with serving(_SERVER_COMMAND, _SERVER) as server:
            words = ("benchmarks.barest", str(server.port), str(rows), str(in_flight))
            return self._called((sys.executable, "-m", *words), rows)

    def run(self, rows: int, in_flight: int, http: str, *, tls: bool = False) -> Measured:
        """A run from its start to its end."""
        source, place = self._input(rows), self._folder / "run"
        place.mkdir()
        try:
            with serving(self._server(tls=tls), _SERVER) as server:
                url = server.url.replace("http:", "https:") if tls else server.url
                words = [_PROGRAM, "run", str(source), "-o", str(place / "results.jsonl")]
                words += ["--endpoint", url, "--http", http, "--concurrency", str(in_flight)]
                measured = self._called([*words, *_LIFTED], rows)
            if server.calls != 2 * rows:
                sys.exit(f"{server.calls:,} calls for {rows:,} rows: nothing to compare")
            size = (place / "results.jsonl.checkpoint").stat().st_size
            return replace(measured, checkpoint=size)
        finally:
            shutil.rmtree(place)

    def _server(self, *, tls: bool) -> list[str]:
        host = str(self._certificates.host)
        return [*_SERVER_COMMAND, *(["--certificate", host, "--key", host] if tls else [])]

    def _called(self, words: Sequence[str], rows: int) -> Measured:
        more = {
            "YC_API_KEY": "benchmark",
            "HOME": str(self._folder),
            "SSL_CERT_FILE": str(self._certificates.authority),
        }
        began = perf_counter()
        process = start(
            words,
            _CLIENT,
            env=os.environ | more,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{' '.join(words)} ended with {process.returncode}")
        return Measured(rows, perf_counter() - began, used.ru_utime + used.ru_stime, _memory(used))

    def _input(self, rows: int) -> Path:
        path = self._folder / f"{rows}.jsonl"
        if not path.exists():
            with path.open("wb") as file:
                file.writelines(_lines(rows))
        return path


def _lines(count: int) -> Iterator[bytes]:
    """Rows of some 150 bytes."""
    chance = random.Random(1)
    for number in range(count):
        text = f"{number}: {' '.join(chance.choices(_WORDS, k=10))}"
        yield msgspec.json.encode({"prompt": text}) + b"\n"


def _memory(used: struct_rusage) -> int:
    return used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _cases(bench: Bench, rows: int) -> list[Case]:
    """The barest client first."""
    cases = [Case("the barest client, 100 in flight", partial(bench.barest, rows, 100))]
    for http, target in _TARGETS.items():
        for in_flight in _IN_FLIGHT:
            name, is_one = f"{http}, {in_flight} in flight", in_flight == 1
            count = min(rows, _SLOW) if is_one else rows * _TIMES[http]
            measure = partial(bench.run, count, in_flight, http)
            cases.append(Case(name, measure, None if is_one else target))
        secured = partial(bench.run, rows * _TIMES[http], 100, http, tls=True)
        cases.append(Case(_secured(http), secured))
    return cases


def _secured(http: str) -> str:
    return f"{http}, 100 in flight, TLS"


def _show(cases: Sequence[Case]) -> None:
    barest = cases[0].cpu
    print("| | CPU a row, ms | a call | of the barest | rows a second | memory, MB | |")
    print("| --- | --: | --: | --: | --: | --: | --- |")
    for case in cases:
        print(
            f"| {case.name} | {1e3 * case.cpu:.3f} | {5e2 * case.cpu:.3f} "
            f"| {case.cpu / barest:.1f} "
            f"| {case.rate:,.0f} | {case.middle(lambda run: run.memory) / _MB:.0f} "
            f"| {_judged(case)} |"
        )


def _judged(case: Case) -> str:
    if case.target is None:
        return ""
    cpu, rate = case.target
    short = [
        f"{what} {found / asked:.2f} times what is asked for"
        for what, found, asked, is_met in (
            ("CPU", case.cpu, cpu, case.cpu <= cpu),
            ("rate", case.rate, rate, case.rate >= rate),
        )
        if not is_met
    ]
    return "; ".join(short) or "met"


def _compare_tls(cases: Sequence[Case]) -> None:
    by_name = {case.name: case for case in cases}
    for http in _TARGETS:
        plain, secured = by_name.get(f"{http}, 100 in flight"), by_name.get(_secured(http))
        if plain is not None and secured is not None:
            ratio = secured.cpu / plain.cpu
            met = "met" if ratio <= _TLS_AT_MOST else "NOT MET"
            print(f"TLS takes {ratio:.2f} times what {http} takes without: {met}")


def _show_growth(bench: Bench, most: int) -> None:
    """What many rows cost, from one size to the next ten times as large."""
    print("| rows | CPU a row, ms | rows a second | memory, MB | checkpoint, bytes a row |")
    print("| --: | --: | --: | --: | --: |")
    sizes = [size for size in (10_000, 100_000, 1_000_000, 10_000_000) if size <= most]
    found = []
    for size in sizes:
        run = bench.run(size, 100, "auto")
        found.append(run)
        print(
            f"| {size:,} | {1e3 * run.cpu / size:.3f} | {size / run.seconds:,.0f} "
            f"| {run.memory / _MB:.1f} | {run.checkpoint / size:.0f} |",
            flush=True,
        )
    if found:
        growth = found[-1].memory / found[0].memory
        met = growth <= _FLAT and found[-1].memory <= _MEMORY_AT_MOST
        print(f"memory grows {growth:.2f} times: {'met' if met else 'NOT MET'}")


@click.command(help=__doc__)
@click.option("--rows", default=40_000, show_default=True, help="Of the slower carrier.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--most", default=1_000_000, show_default=True, help="Rows of the largest run.")
@click.option("--only", default="", help="Only what has this in its name.")
def main(rows: int, rounds: int, most: int, only: str) -> None:
    with TemporaryDirectory() as name:
        bench = Bench(Path(name))
        first, *others = _cases(bench, rows)
        cases = [first, *(case for case in others if only in case.name)]
        for _ in range(rounds):
            for case in cases:
                case.runs.append(case.measure())
                print(
                    f"{case.name}: {1e3 * case.runs[-1].cpu / case.runs[-1].rows:.3f} ms",
                    file=sys.stderr,
                )
        _show(cases)
        _compare_tls(cases)
        _show_growth(bench, most)


if __name__ == "__main__":
    main()
