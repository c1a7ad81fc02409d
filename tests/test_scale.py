"""What a run costs grows with work in hand, and not with work done: counted, not timed."""

import asyncio
import gc
import tracemalloc
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.agenda import Agenda
from pipeline.board import Counts, Ending
from pipeline.clock import Clock
from pipeline.course import Course
from pipeline.intake import Intake
from pipeline.outcomes import StillRunning
from pipeline.polling import AskAgain, after_poll
from pipeline.recorder import Recorder, Style
from pipeline.recovery import Files
from pipeline.spending import Spending
from pipeline.takeover import take_over
from tests.builders import MODEL, NOW, SETTINGS, begin_all, place, price_table

IN_FLIGHT = 10_000
MOST_BYTES = 400
"""That one operation in flight may take, however often it was asked for."""


def course(files: Files, budget: Decimal | None = None) -> Course:
    checkpoint = files.checkpoint
    recorder = Recorder(checkpoint, files.source, files.output, files.errors, Style(MODEL))
    intake = Intake(files.source, recorder.spans, SETTINGS.recipe, checkpoint.cursor(), None)
    spending = Spending(price_table(), MODEL, checkpoint.totals(MODEL), budget)
    return Course(SETTINGS.policy, recorder, intake, Clock(), Ending(), Counts(), spending)


@pytest.mark.parametrize("budget", [None, Decimal(10**9)])
def test_an_operation_in_flight_takes_little_memory_and_a_take_over_no_more(
    folder: Path, budget: Decimal | None
) -> None:
    with place(folder, IN_FLIGHT).opened() as files:
        begin_all(files)
        taken = course(files, budget)
        asyncio.run(take_over(files.checkpoint, taken, MODEL, NOW))  # warms up what is imported
        taken = course(files, budget)
        gc.collect()
        tracemalloc.start()
        try:
            asyncio.run(take_over(files.checkpoint, taken, MODEL, NOW))
            for _ in range(IN_FLIGHT):
                ask_once(taken.agenda)
            held, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert taken.counts.running == len(taken.agenda) == IN_FLIGHT
    assert held < MOST_BYTES * IN_FLIGHT
    assert peak < 1.1 * held


def ask_once(agenda: Agenda) -> None:
    asking = agenda.pop(NOW + 60)
    verdict = after_poll(asking, StillRunning(None), NOW + 60 + asking.line)
    assert isinstance(verdict, AskAgain)
    agenda.put(verdict.asking, verdict.at)
