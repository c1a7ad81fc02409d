"""What a run costs grows with work in hand, and not with work done: counted, not timed."""

import asyncio
import gc
import gzip
import sqlite3
import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pytest
from aiofiles.threadpool.binary import AsyncBufferedReader
from click.testing import CliRunner

from pipeline.api.outcomes import StillRunning
from pipeline.checks import preflight
from pipeline.cli.audit import audit
from pipeline.cli.status import status
from pipeline.clock import Clock
from pipeline.emulator.model import Config, Service
from pipeline.engine import start
from pipeline.engine.course import Course
from pipeline.engine.intake import Intake
from pipeline.engine.paces import paces
from pipeline.engine.takeover import take_over
from pipeline.files import extent
from pipeline.files.source import Source
from pipeline.input.rows import Recipe
from pipeline.life.facts import ROWS, Doubt, Ended, Sent, Signature
from pipeline.life.item import Doubtful, Waiting
from pipeline.money.spending import Spending
from pipeline.operations.agenda import Agenda
from pipeline.operations.polling import AskAgain, after_poll
from pipeline.resuming.recovery import Files
from pipeline.settings import Settings
from pipeline.state.board import Counts, Ending, Stopped
from pipeline.store import database
from pipeline.store.checkpoint import Checkpoint
from pipeline.store.pen import Pen, Style
from pipeline.store.recorder import Recorder
from tests.builders import MODEL, NOW, SETTINGS, Place, begin_all, finish, move, place, price_table
from tests.simulation import EVENING, simulate

IN_FLIGHT = 10_000
ASKED = Settings(Recipe(MODEL, Config().folder))
MOST_BYTES = 400
"""That one operation in flight may take, however often it was asked for."""


def steady() -> Service:
    return Service(Config(latency_median=10, latency_sigma=0))


def course(files: Files, budget: Decimal | None = None) -> Course:
    checkpoint = files.checkpoint
    pen = Pen(checkpoint, files.source, Style(MODEL))
    recorder = Recorder(checkpoint, pen, files.output, files.errors)
    intake = Intake(files.source, recorder.spans, SETTINGS.recipe, checkpoint.cursor(), None)
    spending = Spending(price_table(), MODEL, checkpoint.totals(MODEL), budget)
    return Course(SETTINGS.policy, recorder, intake, Clock(), Ending(), Counts(), spending)


def taken_over(files: Files, budget: Decimal | None = None) -> Course:
    """What a process has in hand that goes on with these files."""

    async def take() -> Course:
        taken = course(files, budget)
        await take_over(files.checkpoint, taken, MODEL, NOW)
        return taken

    return asyncio.run(take())


@pytest.mark.parametrize("budget", [None, Decimal(10**9)])
def test_an_operation_in_flight_takes_little_memory_and_a_take_over_no_more(
    folder: Path, budget: Decimal | None
) -> None:
    with place(folder, IN_FLIGHT).opened() as files:
        begin_all(files)
        taken_over(files, budget)  # warms up what is imported
        gc.collect()
        tracemalloc.start()
        try:
            taken = taken_over(files, budget)
            for _ in range(IN_FLIGHT):
                ask_once(taken.agenda)
            held, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert taken.counts.running == len(taken.agenda) == IN_FLIGHT
    assert held < MOST_BYTES * IN_FLIGHT
    assert peak < 1.1 * held


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes of inputs were read, by call."""
    sizes: list[int] = []
    next_block, block_at = Source._next_block, Source._block_at  # noqa: SLF001 - all go through these

    async def next_counted(source: Source, file: AsyncBufferedReader) -> bytes:
        block = await next_block(source, file)
        sizes.append(len(block))
        return block

    def counted_at(source: Source, offset: int, size: int = 1 << 18) -> bytes:
        block = block_at(source, offset, size)
        sizes.append(len(block))
        return block

    monkeypatch.setattr(Source, "_next_block", next_counted)
    monkeypatch.setattr(Source, "_block_at", counted_at)
    return sizes


def calls(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> list[str]:
    """The name, once for each time that it is called from now on."""
    called: list[str] = []
    real: Callable[..., object] = getattr(owner, name)

    def counted(*given: object, **named: object) -> object:
        called.append(name)
        return real(*given, **named)

    monkeypatch.setattr(owner, name, counted)
    return called


def prompts(folder: Path, count: int, *, packed: bool) -> Path:
    path = folder / f"prompts.jsonl{'.gz' if packed else ''}"
    data = b"".join(b'{"prompt":"row %d."}\n' % number for number in range(1, count + 1))
    path.write_bytes(gzip.compress(data, mtime=0) if packed else data)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_a_finished_run_reads_of_its_input_the_last_line_at_most(
    folder: Path, read: list[int], *, packed: bool
) -> None:
    path, output, model = prompts(folder, 30, packed=packed), folder / "results.jsonl", steady()
    simulate(path, output, ASKED, model)
    read.clear()
    outcome, _ = simulate(path, output, ASKED, model, start=EVENING + 3600)
    assert (outcome.exit_code, outcome.totals.rows("ok")) == (0, 30)
    assert sum(read) == (0 if packed else len(b'{"prompt":"row 30."}'))


@pytest.mark.parametrize("packed", [False, True])
def test_an_input_is_counted_and_looked_at_once_while_it_is_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, packed: bool
) -> None:
    monkeypatch.setattr(preflight, "ROWS", 5)
    path, output, model = prompts(folder, 60, packed=packed), folder / "results.jsonl", steady()
    told: list[str] = []
    counts, looks = calls(monkeypatch, Source, "count_rows"), calls(monkeypatch, start, "look")

    first, _ = simulate(path, output, ASKED, model, stop_after=3)
    assert isinstance(first.end, Stopped)
    again, _ = simulate(path, output, ASKED, model, start=EVENING + 3600, say=told.append)
    assert (again.exit_code, again.totals.rows("ok")) == (0, 60)
    assert "of 60 rows done" in told[0]
    assert (len(counts), len(looks)) == (1, 1)

    prompts(folder, 61, packed=packed)
    grown, _ = simulate(path, output, ASKED, model, start=EVENING + 7200)
    assert (grown.exit_code, grown.totals.rows("ok")) == (0, 61)
    assert (len(counts), len(looks)) == (1, 2)


@pytest.mark.parametrize(
    "note", [None, "", "60", "x 5 6", "-1 5 6", "60 5 7", "60 5", "\u0666 5 6"]
)
def test_only_a_note_of_the_same_file_tells_how_many_rows_it_has(note: str | None) -> None:
    assert extent.rows_of(note, Signature(5, 6)) is None
    assert extent.rows_of(extent.noted(60, Signature(5, 6)), Signature(5, 6)) == 60


# What is asked of the checkpoint, in steps of SQLite's machine.


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that gets longer by one for every ten steps."""
    made: list[int] = []
    connect = sqlite3.connect

    def counted(*given: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*given, **named)
        connection.set_progress_handler(lambda: made.append(1), 10)
        return connection

    monkeypatch.setattr(sqlite3, "connect", counted)
    # Small files are looked at whole.
    monkeypatch.setattr(database, "_SMALL", 0)
    return made


def mostly_done(folder: Path, done: int) -> Place:
    """A run with so many rows done and ten pending: of each kind some."""
    folder.mkdir()
    found = place(folder, done + 10)
    with found.opened() as files:
        begin_all(files)
        finish(files, *range(1, done + 1))
        move(files, done + 1, Waiting())
        move(files, done + 2, Doubtful(1, 1))
        files.checkpoint.record([Doubt(done + 2, NOW)], {})
        files.checkpoint.set_meta({ROWS: str(done + 10)})
    return found


def begun_again(run: Place) -> None:
    with run.opened() as files:
        taken = taken_over(files)
        paces(files, taken.recorder, SETTINGS, None, NOW)
        assert taken.counts.open == 10


def looked_at_by(command: click.Command, *options: str) -> Callable[[Place], None]:
    def look(run: Place) -> None:
        result = CliRunner().invoke(command, [str(run.paths.output), *options])
        assert result.exit_code == 0, result.output

    return look


@pytest.mark.parametrize(
    "act",
    [
        begun_again,
        looked_at_by(status),
        looked_at_by(status, "--json"),
        looked_at_by(audit, "--quick"),
    ],
)
def test_rows_that_are_done_take_no_step_of_a_start_or_of_a_look(
    folder: Path, steps: list[int], act: Callable[[Place], None]
) -> None:
    taken = []
    for done in (300, 3000):
        run = mostly_done(folder / str(done), done)
        steps.clear()
        act(run)
        taken.append(len(steps))
    few, many = taken
    assert 0 < many <= few + 10


def test_forgetting_posts_looks_at_those_alone_that_are_forgotten(
    folder: Path, steps: list[int]
) -> None:
    day = 86_400.0
    store = Checkpoint(folder / "results.jsonl.checkpoint")
    facts = [fact for n in range(1, 5000) for fact in (Sent(n, day + n), Ended(n, day + n + 1.0))]
    store.record(facts, {})
    steps.clear()
    store.record([Sent(5000, 3 * day)], {})
    assert len(steps) < 10
    store.record([Sent(6000, 3 * day + 4000.0)], {})
    assert store.sends_since(0.0)[0][0] == 3999
    store.close()


def ask_once(agenda: Agenda) -> None:
    asking = agenda.pop(NOW + 60)
    verdict = after_poll(asking, StillRunning(None), NOW + 60 + asking.line)
    assert isinstance(verdict, AskAgain)
    agenda.put(verdict.asking, verdict.at)
