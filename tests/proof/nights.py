"""Nights under virtual time: the real run, a service with faults, and a process that keeps dying.

A night is made of its seed alone: rows, settings, latencies, faults and deaths. The process dies
at a numbered step (a kill, or a power cut that loses what was not synced), is stopped, or gives
up; it is started again, after a moment or after days, until every row has its line. Then rows that
failed may be sent again, mended or not, with further deaths. Each death is
judged by what lies on disk in that instant, the end by the oracle.

    python -m tests.proof.nights --seeds 500 [--first 0] [--side-by-side 2]
"""

import json
import logging
import random
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import click

from pipeline.clock import Clock
from pipeline.emulator.ailments import Ailments
from pipeline.emulator.api import Api
from pipeline.emulator.faults import Unreliable
from pipeline.emulator.model import Accepted, Service
from pipeline.errors import Exit
from pipeline.files.paths import Paths
from pipeline.operations.polling import RETENTION
from pipeline.results.audit import audit
from pipeline.settings import Settings
from tests.oracle import Odd, announced, check, checkpoint_at
from tests.proof.crashes import Died, Mortal, mortal
from tests.proof.networks import Network
from tests.proof.plans import HOUR, Night
from tests.proof.retries import Again, mend, put_back
from tests.proof.seeds import CORES, played
from tests.scratch import in_memory, shipped_prices
from tests.simulation import EVENING, simulate

_MOST_LIVES = 300
_FINISHED = {Exit.OK, Exit.SOME_FAILED, Exit.SOME_HELD}
_MISTOLD = {"no-usage", "huge-usage", "no-alternatives", "neither", "both", "fails"}


@dataclass(slots=True)
class Story:
    """What a night came to, or several together."""

    nights: int = 0
    lives: int = 0
    kills: int = 0
    power_cuts: int = 0
    stops: int = 0
    steps: int = 0
    faults: int = 0
    rows: int = 0
    lost: int = 0
    half_lines: int = 0
    paid_again: int = 0
    accepted: int = 0
    accepted_twice: int = 0
    doubts: int = 0
    replaced: int = 0
    retries: int = 0
    virtual_hours: float = 0.0
    cpu_seconds: float = 0.0

    def __add__(self, other: "Story") -> "Story":
        names = self.__dataclass_fields__
        return Story(**{name: getattr(self, name) + getattr(other, name) for name in names})


def play(seed: int) -> Story:
    """Play one night to its end and judge it.

    Raises:
        AssertionError: a promise was broken; the message names the seed.

    """
    begun = time.process_time()
    try:
        with in_memory() as folder:
            story = Played(seed, Path(folder)).play()
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        told = f"{type(error).__name__}: {error} at {where.name}: {where.line}"
        raise AssertionError(f"night {seed}: {told}") from error
    story.cpu_seconds = time.process_time() - begun
    return story


@dataclass(frozen=True, slots=True)
class _Seen:
    """An operation whose id was on disk when the process died at `at`."""

    line: int
    operation_id: str
    at: float


@dataclass(slots=True)
class _Life:
    """One process: its files, those of its heir, and how it ended; None: it died."""

    paths: Paths
    code: int | None = None


class Played:
    """One night, as it goes on."""

    resumable: frozenset[int] = frozenset({Exit.UNREACHABLE, Exit.NO_PERMISSION, 128 + 15})
    """What a run may end with and still be continued by the same command."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - a simulation
        self.night = night = Night.of(self._chance)
        self._folder = folder
        self._rows = folder / "prompts.jsonl"
        self.model = Service(night.config)
        self._api = Api(self.model)
        self._unreliable = Unreliable(self._api, night.faults, seed, EVENING)
        self._ailments = Ailments(night.faults, seed, EVENING)
        self._now = EVENING
        self._seen: list[_Seen] = []
        self._story = Story(nights=1)
        self._deaths = night.deaths
        # Of its own, so that what comes before a retry is the same night without one.
        self._later = random.Random(f"{seed}/later")  # noqa: S311 - as above
        self._retry: Again | None = None
        self._prices = shipped_prices()

    def play(self) -> Story:
        self._write(self.night.rows)
        (self._folder / "0").mkdir()
        paths = self._until_finished(Paths(self._folder / "0" / "results.jsonl"))
        if self.night.later:
            self._write(self.night.later)
            paths = self._until_finished(paths)
        paths = self._retried(paths)
        self._judge(paths)
        self._judge_that_a_finished_run_stays(paths)
        self._story.virtual_hours = (self._now - EVENING) / HOUR
        return self._story

    def _retried(self, paths: Paths) -> Paths:
        """What a user makes of rows that failed: sends some again, mended or not.

        A process that died on the way is followed by the same command, or by the first one.
        """
        later = self._later
        for _ in range(later.choice([0, 0, 1, 2])):
            self._deaths += later.choice([0, 1, 3])
            self._retry = Again.of(later, self._retries(paths))
            if later.random() < 0.5:
                mend(self._rows, paths, later)
                self._retry.mended = True
            paths = self._until_finished(paths)
            self._retry = None
        return paths

    def _retries(self, paths: Paths) -> int:
        with checkpoint_at(paths.output) as db:
            found = db.execute("SELECT value FROM meta WHERE key = 'retries'").fetchone()
        return int(found[0]) if found else 0

    def _write(self, rows: list[bytes]) -> None:
        with self._rows.open("ab") as file:
            file.writelines(row + b"\n" for row in rows)

    def _until_finished(self, paths: Paths) -> Paths:
        while self._story.lives < _MOST_LIVES:
            life = self._live(paths)
            paths = life.paths
            self.judge_life(life.code)
            if life.code in _FINISHED:
                return paths
            assert life.code is None or life.code in self.resumable, f"it ended with {life.code}"
            self._now += self._pause(life.code)
            if self._retry is not None:
                self._retry.go_on(self._retries(paths), self._later)
        raise AssertionError("it does not end")

    def settings(self) -> Settings:
        """Those of the next life."""
        return self.night.settings

    def judge_life(self, code: int | None) -> None:
        """What else is to hold each time that the process is gone; it ended so, or died."""

    def _pause(self, code: int | None) -> float:
        """Seconds until somebody starts it again."""
        if code in {Exit.UNREACHABLE, Exit.NO_PERMISSION}:
            return HOUR / 4
        drawn = self._chance.random()
        if drawn < 0.8:
            return 0.3 + self._chance.expovariate(0.1)
        return HOUR if drawn < 0.95 else 4 * 24 * HOUR

    def _live(self, paths: Paths, *, is_spared: bool = False) -> _Life:
        story, chance = self._story, self._chance
        story.lives += 1
        heir = Paths(self._folder / str(story.lives) / paths.output.name)
        deaths = story.kills + story.power_cuts + story.stops
        ends_early = deaths < self._deaths and not is_spared
        stop_after = chance.uniform(0, 600) if ends_early and chance.random() < 0.2 else None
        dies_at = int(10 ** chance.uniform(0, 3.2)) if ends_early and not stop_after else None
        life = Mortal(paths, heir, dies_at, chance)
        try:
            with mortal(life):
                code = self._carry(paths, life, stop_after)
        except Died:
            story.power_cuts += life.is_power_cut
            story.kills += not life.is_power_cut
            self._judge_picture(heir)
            return _Life(heir)
        finally:
            story.steps += life.steps
        story.stops += code > 128
        return _Life(paths, code)

    def _carry(self, paths: Paths, life: Mortal, stop_after: float | None) -> int:
        networks: list[tuple[Network, Clock]] = []

        def through(_: object, clock: Clock) -> Network:
            most_delay = self.night.most_delay
            network = Network(self._unreliable, clock, most_delay, life, self._chance)
            networks.append((network, clock))
            return network

        try:
            outcome, _ = simulate(
                *(self._rows, paths.output, self.settings(), self.model),
                start=self._now,
                stop_after=stop_after,
                through=through,
                disk=self.night.disk,
                retry=None if self._retry is None else self._retry.as_it_is(self.settings()),
            )
        except Died:
            networks[0][0].let_go()
            raise
        finally:
            self._now = networks[0][1].now()
        return outcome.exit_code

    def _judge_picture(self, paths: Paths) -> None:
        """What a reader and a successor find after a death."""
        lines = [line for path in (paths.output, paths.errors) for line in self._seen_in(path)]
        counted = Counter(line["line"] for line in lines if "line" in line)
        assert set(counted.values()) <= {1}, "a row has two lines"
        accepted = {a.client_request_id for a in self.model.ledger.submits}
        if not paths.checkpoint.exists():
            assert not accepted, "something was submitted without a checkpoint"
            return
        with checkpoint_at(paths.output) as db:
            assert accepted <= set(announced(db) if accepted else ()), "submitted unannounced"
            ids = "SELECT line, operation_id FROM rows WHERE operation_id IS NOT NULL"
            self._seen += [_Seen(line, name, self._now) for line, name in db.execute(ids)]
        if self._retry is not None and not self._retry.is_input_ahead(self._retries(paths)):
            findings = audit(paths, self._prices, given_input=self._rows).findings
            assert not findings, f"after a death in a retry: {findings[0]}"

    def _seen_in(self, path: Path) -> Iterator[Any]:
        """The lines that a reader sees who ignores an unterminated last one."""
        data = path.read_bytes() if path.exists() else b""
        for line in data.split(b"\n")[:-1]:
            # Zeros in a tail that was never synced: the next start cuts them.
            if b"\0" in line:
                return
            try:
                yield json.loads(line)
            except ValueError:
                self._story.half_lines += 1
        assert not self._story.half_lines, "a reader sees half a line"

    def _judge(self, paths: Paths) -> None:
        story = self._story
        kinds = {fault.kind for fault in self.night.faults}
        ledger = json.loads(self._api.respond("GET", "/emulator/ledger", {}, b"", self._now).body)
        odd = Odd(self._mistold(), ids="duplicate-id" in kinds)
        recipe = self.settings().recipe
        told = check(self._rows, paths.output, ledger, recipe=recipe, odd=odd)
        assert not self.model.violations, f"quotas were passed: {self.model.violations}"
        if not odd.ids:
            self._judge_ids_on_disk(paths)
        story.rows = sum(bool(row.strip()) for row in self._rows.read_bytes().split(b"\n"))
        story.lost = story.rows - len(told.results) - len(told.failures)
        story.accepted = len(self.model.ledger.submits)
        story.accepted_twice, story.doubts = told.paid_twice, told.doubts
        story.replaced, story.retries = told.replaced, self._retries(paths)
        story.faults = sum(self.model.ledger.faults.values())

    def _mistold(self) -> frozenset[str]:
        """Operations whose answers did not tell what they cost."""
        accepted = enumerate(self.model.ledger.submits, start=1)
        ailments = self._ailments
        drawn = {a.operation_id: ailments.befall(a.operation_id, n, a.at) for n, a in accepted}
        return frozenset(name for name, ailment in drawn.items() if ailment in _MISTOLD)

    def _judge_ids_on_disk(self, paths: Paths) -> None:
        """No row with an id on disk was submitted again before its operation was forgotten."""
        with checkpoint_at(paths.output) as db:
            names, asked_for = announced(db), put_back(db)
        by_line: dict[int, list[Accepted]] = {}
        for record in self.model.ledger.submits:
            by_line.setdefault(names[record.client_request_id], []).append(record)
        for seen in self._seen:
            kept_until = self.model.ledger.accepted[seen.operation_id].at + RETENTION
            kept_until = min(kept_until, asked_for.get(seen.operation_id, kept_until))
            again = [a for a in by_line[seen.line] if seen.at < a.at < kept_until]
            self._story.paid_again += len(again)
        assert not self._story.paid_again, "a row was paid for again, its id on disk"

    def _judge_that_a_finished_run_stays(self, paths: Paths) -> None:
        def state() -> list[Any]:
            files = [path.read_bytes() for path in (paths.output, paths.errors) if path.exists()]
            return [*files, len(self.model.ledger.submits), len(self.model.poll_times)]

        before = state()
        assert self._live(paths, is_spared=True).code in _FINISHED
        assert state() == before, "a finished run was changed by another start"


def figures(count: int, first: int = 0, side_by_side: int = CORES) -> Story:
    """Play nights and add up what they came to."""
    # What the runs would warn of is the nights' very purpose.
    logging.disable()
    stories = played(play, range(first, first + count), side_by_side)
    return reduce(Story.__add__, (story for _, story in stories), Story())


@click.command()
@click.option("--seeds", default=500, show_default=True, help="How many nights.")
@click.option("--first", default=0, show_default=True, help="The first night's seed.")
@click.option("--side-by-side", default=CORES, show_default=True, help="Processes.")
def main(seeds: int, first: int, side_by_side: int) -> None:
    """Play nights; the first one that breaks a promise ends it, and its seed is named."""
    try:
        told = figures(seeds, first, side_by_side)
    except AssertionError as error:
        raise click.ClickException(str(error)) from error
    for name in told.__dataclass_fields__:
        click.echo(f"{getattr(told, name):>12,.0f}  {name.replace('_', ' ')}")


if __name__ == "__main__":
    main()
