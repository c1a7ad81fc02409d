"""Deliberate bugs, each in a copy of the program of its own: the tests must find every one.

`mutants.toml` lists them: what the bug is, the promise that it breaks, the literal change, and the
quickest tests that should find it. A bug counts as caught where one of these tests fails, and not
where the program can't be imported or a test can't even begin. First the same tests must pass on
the program as it is.

    python -m tests.proof.mutants [--only WORDS] [--side-by-side 2]
"""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import cache_from_source
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from tests.proof.seeds import CORES

ROOT = Path(__file__).parent.parent.parent
_LIST = Path(__file__).with_name("mutants.toml")
# What tests read; the rest of the folder is none of their business.
_COPIED = (
    *("pipeline", "tests", "samples", "docs", "README.md", "README.ru.md", "CHANGELOG.md"),
    *("LICENSE", "Makefile", "pyproject.toml", "requirements.lock"),
)
_PYTEST = (
    *("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb", "line"),
    *("--timeout", "60"),
)
_FAILED = re.compile(r"^FAILED (.+?)(?: - (.*))?$", re.MULTILINE)
# A change that is no program any more proves nothing about tests, nor does what a test left open.
_NO_PROOF = re.compile(
    r"\b(?:Import|ModuleNotFound|Syntax|Indentation|Name|UnboundLocal)Error|unraisable|Warning:"
)
_MOST_SECONDS = 300.0
_TESTS_FAILED = 1


@dataclass(frozen=True, slots=True)
class Mutant:
    """One deliberate bug: `before`, which stands in `file` once, becomes `after`."""

    name: str
    promise: str
    file: str
    before: str
    after: str
    caught_by: tuple[str, ...]

    def change(self, text: str) -> str:
        """The file's text with the bug.

        Raises:
            ValueError: what is to be changed does not stand there exactly once, or stays the same.

        """
        if (found := text.count(self.before)) != 1:
            raise ValueError(f"{self.name}: its 'before' stands {found} times in {self.file}")
        if self.before == self.after:
            raise ValueError(f"{self.name}: it changes nothing")
        return text.replace(self.before, self.after)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a bug was caught; `told`: by which test, or why not."""

    mutant: Mutant
    is_caught: bool
    told: str
    seconds: float

    def __str__(self) -> str:
        word = "caught" if self.is_caught else "SURVIVED"
        name = f"{self.mutant.promise:3} {self.mutant.name}"
        return f"{word:8} {self.seconds:6.1f} s  {name}\n{'':20}{self.told}"


def mutants() -> list[Mutant]:
    """All of the list."""
    listed = tomllib.loads(_LIST.read_text(encoding="utf-8"))["mutant"]
    return [Mutant(**entry | {"caught_by": tuple(entry["caught_by"])}) for entry in listed]


def compiles(file: str, text: str) -> None:
    """Make sure that a changed file is still a program.

    Raises:
        SyntaxError: it is no Python.
        sqlite3.Error: it is no SQL.

    """
    if file.endswith(".sql"):
        with closing(sqlite3.connect(":memory:")) as db:
            db.executescript(text)
    else:
        compile(text, file, "exec", dont_inherit=True)


@contextmanager
def _copy(source: Path) -> Iterator[Path]:
    with TemporaryDirectory(prefix="mutant-") as name:
        for entry in _COPIED:
            path = source / entry
            if path.is_dir():
                shutil.copytree(path, Path(name) / entry)
            elif path.exists():
                shutil.copy2(path, Path(name) / entry)
        yield Path(name)


def _environment(folder: Path) -> dict[str, str]:
    """What makes Python import from `folder`, in the tests and in the programs that they start."""
    return os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "400"}


def _python(arguments: Sequence[str], folder: Path) -> tuple[int | None, str]:
    """How Python ended in a folder, None if it did not, and what it said."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=_environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=_MOST_SECONDS)
    except subprocess.TimeoutExpired:
        return None, f"it did not end within {_MOST_SECONDS:g} s"
    finally:
        # Programs that a test started may have outlived it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode, said


def tried(mutant: Mutant, source: Path = ROOT) -> Verdict:
    """Let the tests look for a bug in a copy of `source`."""
    begun = time.perf_counter()
    with _copy(source) as folder:
        is_caught, told = _looked_for(mutant, folder)
    return Verdict(mutant, is_caught, told, time.perf_counter() - begun)


def _looked_for(mutant: Mutant, folder: Path) -> tuple[bool, str]:
    path = folder / mutant.file
    try:
        text = mutant.change(path.read_text(encoding="utf-8"))
        compiles(mutant.file, text)
    except (ValueError, SyntaxError, sqlite3.Error) as error:
        return False, str(error)
    path.write_text(text, encoding="utf-8")
    if path.suffix == ".py":
        Path(cache_from_source(path)).unlink(missing_ok=True)
    if trouble := _not_imported(mutant.file, folder):
        return False, trouble
    return _caught(*_python([*_PYTEST, *mutant.caught_by], folder))


def _not_imported(file: str, folder: Path) -> str | None:
    """Why the changed program is not the one that tests import; None if it is."""
    module = "pipeline" if file.endswith(".sql") else file.removesuffix(".py").replace("/", ".")
    where = f"import pipeline.cli, {module} as it; print(it.__file__)"
    code, said = _python(["-c", where], folder)
    is_it = code == 0 and Path(said.strip()).is_relative_to(folder)
    return None if is_it else f"not what was imported: {said.strip()[-200:]}"


def _caught(code: int | None, said: str) -> tuple[bool, str]:
    failed = _FAILED.search(said)
    if code != _TESTS_FAILED or failed is None:
        return False, f"pytest ended with {code}: {said.strip()[-300:]}"
    test, why = failed[1], failed[2] or ""
    if _NO_PROOF.search(why):
        return False, f"it failed, but not of the bug: {why[:200]}"
    return True, f"{test}: {why[:120]}"


def _check_without_bugs(chosen: Iterable[Mutant], source: Path) -> None:
    """Make sure that the tests pass where there is no bug.

    Raises:
        RuntimeError: one does not, so that what it says of bugs means nothing.

    """
    tests = sorted({test for mutant in chosen for test in mutant.caught_by})
    code, said = _python([*_PYTEST, *tests], source)
    if code != 0:
        raise RuntimeError(f"the tests fail without any bug:\n{said.strip()[-1000:]}")


def verdicts(chosen: Sequence[Mutant], side_by_side: int = CORES) -> Iterator[Verdict]:
    """Try mutants, all on the program as it is now.

    Raises:
        RuntimeError: the tests fail without any bug.

    """
    with _copy(ROOT) as source, ThreadPoolExecutor(side_by_side) as pool:
        _check_without_bugs(chosen, source)
        yield from pool.map(partial(tried, source=source), chosen)


def figures(side_by_side: int = CORES) -> dict[str, int]:
    """How many mutants there are, and how many of them the tests catch."""
    told = list(verdicts(mutants(), side_by_side))
    return {"mutants": len(told), "caught": sum(verdict.is_caught for verdict in told)}


def _named(words: str) -> list[Mutant]:
    return [m for m in mutants() if words.lower() in f"{m.promise} {m.name} {m.file}".lower()]


@click.command()
@click.option("--only", default="", help="Those with these words in name, promise or file.")
@click.option("--side-by-side", default=CORES, show_default=True, help="Processes.")
def main(only: str, side_by_side: int) -> None:
    """Try every mutant; exit 1 if one survives."""
    chosen = _named(only)
    if not chosen:
        raise click.ClickException(f"no mutant has {only!r} in its name, promise or file.")
    caught = 0
    try:
        for verdict in verdicts(chosen, side_by_side):
            caught += verdict.is_caught
            click.echo(str(verdict))
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{caught} of {len(chosen)} mutants caught")
    sys.exit(caught < len(chosen))


if __name__ == "__main__":
    main()
