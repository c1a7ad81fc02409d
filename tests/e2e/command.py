"""The real `yagpt-batch`, started as a process, in a folder and an environment of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

PROGRAM = str(Path(sys.executable).with_name("yagpt-batch"))
FOLDER = "b1gemulator0000000000"
UNLIMITED = ("--rate", "none", "--poll-rate", "none")

_KEPT = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR")
_TICK = 0.01


def hear_signals() -> None:
    """Listen to signals that whoever started this process in the background had ignored.

    The program leaves an ignored signal ignored, and its processes would inherit that from here.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            is_interrupt = number == signal.SIGINT
            default = signal.default_int_handler if is_interrupt else signal.SIG_DFL
            signal.signal(number, default)


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Return once the condition holds; fail if it takes longer."""
    deadline = time.perf_counter() + seconds
    while not condition():
        assert time.perf_counter() < deadline, f"it did not come to pass within {seconds:g} s"
        time.sleep(_TICK)


def count_lines(path: Path) -> int:
    """How many whole lines a file has; none while it is not there."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


@dataclass(frozen=True, slots=True)
class Done:
    """How a process ended, and what it said; a signal's code is negative."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, of a call with --json."""
        return json.loads(self.out)

    @property
    def ids_not_stored(self) -> set[str]:
        """The operations that it told of because the disk would not take them."""
        return set(re.findall(r"operation (\w+) was accepted but could not be stored", self.err))


class Running:
    """A process under way; what it says goes to files, so that it never waits for a reader."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path, err: Path) -> None:
        self._process = process
        self._out = out
        self._err = err

    @property
    def out(self) -> str:
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return self._err.read_text(encoding="utf-8")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def until(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        """Return once the condition holds; fail if it takes longer, or the process ends."""
        until(lambda: condition() or self.has_ended, seconds)
        assert condition(), f"it ended before: {self.err}"

    def wait(self, seconds: float = 60.0) -> Done:
        return Done(self._process.wait(seconds), self.out, self.err)

    def kill(self) -> Done:
        self._process.kill()
        return self.wait()


class Shell:
    """A folder in which commands are called."""

    def __init__(self, folder: Path, program: str = PROGRAM) -> None:
        self.folder = folder
        self.program = program
        self._calls = 0

    def path(self, name: str) -> Path:
        return self.folder / name

    def write_rows(self, count: int, name: str = "in.jsonl", *, first: int = 1) -> Path:
        """Append rows with prompts that are all different, in Russian with an emoji."""
        path = self.path(name)
        with path.open("a", encoding="utf-8") as file:
            for number in range(first, first + count):
                row = {"prompt": f"Строка {number}: сколько будет {number} + 1? ☕"}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        return path

    def environment(self, variables: Mapping[str, str | None]) -> dict[str, str]:
        """Nothing of the caller's settings, credentials or proxies; None takes a variable out."""
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        given = {
            "HOME": str(self.folder),
            "YC_API_KEY": "test-key",
            # Nobody listens there: a machine's own metadata service is not the tests' business.
            "YC_METADATA_ADDR": "127.0.0.1:9",
            **variables,
        }
        return kept | {name: value for name, value in given.items() if value is not None}

    @contextmanager
    def started(
        self, *arguments: object, before: Sequence[str] = (), **variables: str | None
    ) -> Iterator[Running]:
        """Start a command; it is ended with the block. `before` stands before the program."""
        self._calls += 1
        out, err = self.path(f".{self._calls}.out"), self.path(f".{self._calls}.err")
        with out.open("wb") as out_file, err.open("wb") as err_file:
            process = subprocess.Popen(
                [*before, self.program, *map(str, arguments)],
                cwd=self.folder,
                env=self.environment(variables),
                stdin=subprocess.DEVNULL,
                stdout=out_file,
                stderr=err_file,
            )
        try:
            yield Running(process, out, err)
        finally:
            process.kill()
            process.wait()

    def call(
        self,
        *arguments: object,
        before: Sequence[str] = (),
        seconds: float = 60.0,
        **variables: str | None,
    ) -> Done:
        """Run a command to its end."""
        with self.started(*arguments, before=before, **variables) as running:
            return running.wait(seconds)

    @contextmanager
    def emulator(self, *arguments: object) -> Iterator["Emulator"]:
        """Serve on a free port, as a process of its own."""
        with self.started("emulator", "--port", 0, *arguments) as running:
            running.until(lambda: "Serving on " in running.out)
            yield Emulator(running.out.split()[-1])


@dataclass(frozen=True, slots=True)
class Emulator:
    """A served emulator."""

    url: str

    @property
    def options(self) -> tuple[str, ...]:
        """What makes `run` use it."""
        return ("--endpoint", self.url, "--folder-id", FOLDER)

    def ledger(self) -> Any:
        opener = build_opener(ProxyHandler({}))
        with opener.open(f"{self.url}/emulator/ledger", timeout=10) as answer:
            return json.load(answer)
