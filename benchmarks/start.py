"""How long `yagpt-batch` takes to begin, beside Python's own start.

    python -m benchmarks.start [--rounds 15]

Help, versions and the status of a finished run are timed from the start of the process to its
end; a run from its start to the moment when its first POST came to a server on this machine, over
plain HTTP. All are timed in turns, as medians; CPU is that of the process, of a run until it is
killed right after that POST. The file cache is warm.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click
import msgspec

from benchmarks.stand_ins import first_call, serving
from pipeline.checks.preflight import look
from pipeline.files.source import Source
from pipeline.input.rows import Recipe
from pipeline.life.facts import Cursor

_PROGRAM = Path(sys.executable).with_name("yagpt-batch")
_COMMANDS = ("run", "estimate", "status", "audit", "check", "cost", "prices", "emulator")
_SERVER = (sys.executable, "-m", "benchmarks.instant")
_MANY = 10_000
_ENVIRONMENT = {"PATH": os.environ["PATH"], "YC_API_KEY": "any", "YC_METADATA_ADDR": "127.0.0.1:9"}
# In seconds of wall time; the second is what a command may take beyond Python's own start.
_HELP, _STATUS, _FIRST = 0.1, 0.1, 0.4

_Timed = tuple[float, float]
"""Seconds of wall time and of CPU."""


@dataclass(slots=True)
class Case:
    """One thing that is timed. `target` is a wall time, of what is `beyond` Python's start."""

    name: str
    time: Callable[[], _Timed]
    target: float | None = None
    beyond: bool = False
    times: list[_Timed] = field(default_factory=list)

    @property
    def wall(self) -> float:
        return median(wall for wall, _ in self.times)

    @property
    def cpu(self) -> float:
        return median(cpu for _, cpu in self.times)


def _process(*words: str | Path, folder: Path) -> _Timed:
    """From the start of a process to its end, which must be a good one."""
    began = _now()
    process = subprocess.Popen(  # noqa: S603 - Python and the program itself
        words,
        cwd=folder,
        env=_ENVIRONMENT | {"HOME": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    cpu = _ended(process)
    took = _now() - began
    if process.returncode:
        sys.exit(f"{' '.join(map(str, words))} ended with {process.returncode}")
    return took, cpu


def _ended(process: subprocess.Popen[bytes]) -> float:
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime


def _now() -> float:
    return time.monotonic()  # noqa: TID251 - the clock that the server stamps with


def _first_post(rows: int) -> _Timed:
    """From the start of a new run of so many rows to its first POST."""
    with TemporaryDirectory() as name, serving(_SERVER, 1) as server:
        folder = Path(name)
        (folder / "in.jsonl").write_bytes(b"".join(_rows(rows)))
        words = ("run", "in.jsonl", "-o", "out.jsonl", "--progress", "none", "--folder-id", "b1g")
        began = _now()
        run = subprocess.Popen(  # noqa: S603 - the program itself
            [_PROGRAM, *words, "--endpoint", server.url],
            cwd=folder,
            env=_ENVIRONMENT | {"HOME": name},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        came = first_call(server.port)
        run.kill()
        return came - began, _ended(run)


def _look() -> float:
    """Seconds of CPU for each row that a run looks at before its first POST."""
    with TemporaryDirectory() as name:
        path = Path(name) / "in.jsonl"
        path.write_bytes(b"".join(_rows(_MANY)))
        source, before = Source(path), time.process_time()
        asyncio.run(look(source, Recipe("yandexgpt-lite", "b1g"), Cursor(), None))
        took = time.process_time() - before
        source.close()
    return took / _MANY


def _rows(count: int) -> Iterator[bytes]:
    """Lines of some 150 bytes."""
    for number in range(count):
        text = (
            f"Строка {number}: сколько будет {number} + 1? Ответь одним числом, без единого слова."
        )
        yield msgspec.json.encode({"prompt": text}) + b"\n"


def _cases(folder: Path) -> Mapping[str, Case]:
    """What is timed, Python's own start first; `folder` holds a finished run."""

    def of(name: str, *words: str | Path, target: float | None, beyond: bool = False) -> Case:
        return Case(name, lambda: _process(*words, folder=folder), target, beyond)

    python = sys.executable
    cases = [
        of("python -I -S -c pass", python, "-I", "-S", "-c", "pass", target=None),
        of("python -c pass", python, "-c", "pass", target=None),
        of("python -c 'import click'", python, "-c", "import click", target=None),
        of("--version", _PROGRAM, "--version", target=_HELP),
        of("--help", _PROGRAM, "--help", target=_HELP),
        *(of(f"{name} --help", _PROGRAM, name, "--help", target=_HELP) for name in _COMMANDS),
        of("status OUTPUT", _PROGRAM, "status", "out.jsonl", target=_STATUS, beyond=True),
        Case("first POST of 1 row", lambda: _first_post(1), _FIRST),
        Case(f"first POST of {_MANY:,} rows", lambda: _first_post(_MANY), _FIRST),
    ]
    return {case.name: case for case in cases}


def _finish_a_run(folder: Path) -> None:
    (folder / "in.jsonl").write_bytes(b"".join(_rows(3)))
    _process(_PROGRAM, "run", "in.jsonl", "-o", "out.jsonl", "--emulator", folder=folder)


@click.command(help=__doc__)
@click.option("--rounds", default=15, show_default=True)
def main(rounds: int) -> None:
    with TemporaryDirectory() as name:
        _finish_a_run(Path(name))
        cases = _cases(Path(name))
        for case in cases.values():
            case.time()
        for _ in range(rounds):
            for case in cases.values():
                case.times.append(case.time())
    python = cases["python -c pass"].wall
    print(f"{'':26}{'wall':>8}{'CPU':>8}{'beyond Python':>15}  ms; asked for")
    missed = [case for case in cases.values() if not _told(case, python)]
    print(f"the look at a row: {median(_look() for _ in range(rounds)) * 1e6:.1f} µs of CPU")
    sys.exit(bool(missed))


def _told(case: Case, python: float) -> bool:
    """Print a line; return whether the target is met."""
    beyond = case.wall - python
    line = f"{case.name:26}{case.wall * 1e3:8.0f}{case.cpu * 1e3:8.0f}{beyond * 1e3:15.0f}"
    if case.target is None:
        print(line)
        return True
    met = (beyond if case.beyond else case.wall) <= case.target
    asked = f"{case.target * 1e3:.0f}{' beyond Python' if case.beyond else ''}"
    print(f"{line}  {asked}: {'met' if met else 'NOT MET'}")
    return met


if __name__ == "__main__":
    main()
