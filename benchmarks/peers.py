"""yagpt-batch beside what else people send many prompts with, in turns, against the same server.

    python -m benchmarks.peers [--rows 2000] [--in-flight 50] [--rounds 3] [--done 20000]

Each tool is installed into an environment of its own and is a process of its own, on one core;
the server is on another one. In each round each tool is called for one row and for all. Then those
that resume are called on an output that is finished. Only installing goes beyond this machine.
"""

import json
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import click

from benchmarks.contenders import CONTENDERS, Contender, Unmeasured
from benchmarks.environments import Environments, size
from benchmarks.gauge import Gauge, Run
from benchmarks.scoreboard import Standing, spreads, table, table_again

_CACHE = Path(__file__).parent.parent / ".bench-peers"


@dataclass(frozen=True, slots=True)
class Terms:
    """What is the same for all; `patience`: seconds after which a command is ended."""

    rows: int = 2000
    done: int = 20_000
    rounds: int = 3
    in_flight: int = 50
    patience: float = 1200.0


_USUAL = Terms()


class Race:
    """The turns of all contenders; who fails has no more of them, and why is kept."""

    def __init__(
        self, contenders: Iterable[Contender], cache: Path, folder: Path, terms: Terms
    ) -> None:
        self._standings = {one: Standing(one.name) for one in contenders}
        self._gauges: dict[Contender, Gauge] = {}
        self._environments = Environments(cache)
        self._folder = folder
        self._terms = terms

    @property
    def standings(self) -> list[Standing]:
        return list(self._standings.values())

    def install(self) -> None:
        """Make what there is not yet of the environments."""
        self._each("installed", self._install)

    def run(self) -> None:
        """Call the commands, from nothing."""
        alone, source = self._rows(1), self._rows(self._terms.rows)
        for number in range(self._terms.rounds):
            self._each(f"round {number + 1}", partial(self._run, alone, source))

    def run_again(self) -> list[Standing]:
        """Call the commands of those that resume until all is done, and then once more."""
        resuming = [one for one in self._standings if one.resumes]
        source = self._rows(self._terms.done)
        self._each("to be resumed", partial(self._finish, source), resuming)
        for number in range(self._terms.rounds):
            self._each(f"resumed, round {number + 1}", partial(self._resume, source), resuming)
        return [self._standings[one] for one in resuming]

    def _install(self, one: Contender) -> Path:
        place = self._environments.install(one)
        self._standings[one].size = size(place)
        terms = self._terms
        self._gauges[one] = Gauge(one, place, self._folder, terms.in_flight, terms.patience)
        return place

    def _run(self, alone: Path, source: Path, one: Contender) -> Run:
        self._standings[one].starts.append(self._measure_anew(one, alone, 1))
        run = self._measure_anew(one, source, self._terms.rows)
        self._standings[one].wholes.append(run)
        return run

    def _measure_anew(self, one: Contender, source: Path, rows: int) -> Run:
        with TemporaryDirectory(dir=self._folder) as folder:
            return replace(self._gauges[one], folder=Path(folder)).measure(source, rows)

    def _finish(self, source: Path, one: Contender) -> Run:
        folder = Path(mkdtemp(dir=self._folder))
        # The server's address is one of the things that must be the same in a resume.
        gauge = replace(self._gauges[one], folder=folder, port=_free_port())
        self._gauges[one] = gauge
        run = self._standings[one].first = gauge.measure(source, self._terms.done)
        return run

    def _resume(self, source: Path, one: Contender) -> Run:
        run = self._gauges[one].measure(source, self._terms.done)
        self._standings[one].again.append(run)
        return run

    def _each(
        self,
        when: str,
        act: Callable[[Contender], object],
        contenders: Sequence[Contender] | None = None,
    ) -> None:
        for one in self._standings if contenders is None else contenders:
            if self._standings[one].why_not is None:
                try:
                    done = act(one)
                except Unmeasured as error:
                    done = self._standings[one].why_not = str(error)
                click.echo(f"{when}: {one.name}: {done}", err=True)

    def _rows(self, count: int) -> Path:
        path = self._folder / f"{count}.jsonl"
        with path.open("w") as file:
            for number in range(1, count + 1):
                prompt = f"Строка {number}: сколько будет {number} + 1? Ответь одним словом."
                row = {"id": f"row-{number}", "prompt": prompt}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        return path


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@click.command(help=__doc__)
@click.option("--rows", default=_USUAL.rows, show_default=True)
@click.option("--in-flight", default=_USUAL.in_flight, show_default=True)
@click.option("--rounds", default=_USUAL.rounds, show_default=True)
@click.option("--done", default=_USUAL.done, show_default=True, help="Rows of what is resumed.")
@click.option("--patience", default=_USUAL.patience, show_default=True, help="Seconds a command.")
@click.option("--cache", type=click.Path(path_type=Path), default=_CACHE, show_default=True)
@click.option("--only", multiple=True, help="Contenders whose names hold this.")
def main(cache: Path, only: tuple[str, ...], **terms: Any) -> None:
    race(
        [one for one in CONTENDERS if not only or any(part in one.name for part in only)],
        cache,
        Terms(**terms),
    )


def race(contenders: Iterable[Contender], cache: Path, terms: Terms) -> None:
    """Measure and print."""
    with TemporaryDirectory() as folder:
        found = Race(contenders, cache, Path(folder), terms)
        found.install()
        found.run()
        print(f"{terms.rows:,} rows, {terms.in_flight} in flight; medians of {terms.rounds}\n")
        print(table(found.standings, terms.rows) + "\n", flush=True)
        print("\n".join(spreads(found.standings, terms.rows)) + "\n", flush=True)
        print(table_again(found.run_again(), terms.done))


if __name__ == "__main__":
    main()
