"""Whole nights under virtual time, judged by the service's own account of them."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from pipeline.emulator.model import Config, Service
from pipeline.input.rows import Recipe
from pipeline.pacing.rates import Rate
from pipeline.settings import Settings
from tests.scratch import busiest
from tests.simulation import EVENING, simulate

HOUR = 3600.0


def _rows(folder: Path, count: int) -> Path:
    path = folder / "prompts.jsonl"
    lines = (json.dumps({"prompt": f"Переведи слово номер {n}"}) for n in range(count))
    path.write_text("\n".join(lines) + "\n")
    return path


def _settings(**changes: object) -> Settings:
    recipe = Recipe(model="yandexgpt-lite", folder=Config().folder)
    return Settings(recipe=recipe, **changes)  # type: ignore[arg-type]


def _lines_by_row(output: Path) -> Counter[int]:
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    return Counter(line["line"] for line in lines if "line" in line)


@pytest.mark.promise("P1")
@pytest.mark.promise("P13")
@pytest.mark.timeout(400)
def test_a_night_of_20_000_rows_uses_the_quota_and_never_passes_it(folder: Path) -> None:
    rows, output = _rows(folder, 20_000), folder / "results.jsonl"
    model = Service(Config(latency_median=120, latency_sigma=0.8))

    outcome, end = simulate(rows, output, _settings(), model)

    assert outcome.exit_code == 0
    assert _lines_by_row(output) == dict.fromkeys(range(1, 20_001), 1)
    assert len(model.ledger.accepted) == 20_000
    assert not model.violations
    assert busiest(model.submit_times, 1.0) <= 10
    assert busiest(model.submit_times, HOUR) <= 5000
    assert busiest(model.poll_times, 1.0) <= 50
    # Four windows of 5,000: the last one opens three hours after the first.
    assert model.submit_times[-1] - EVENING < 3 * HOUR * 1.001 + 5000 / 10 * 1.05
    assert end - EVENING < 4 * HOUR


@pytest.mark.promise("P13")
def test_restarts_in_a_loop_and_a_jittery_network_draw_no_rejection(folder: Path) -> None:
    rows, output = _rows(folder, 600), folder / "results.jsonl"
    quota = (Rate(10, 1.0), Rate(100, 60.0))
    model = Service(Config(latency_median=5, submit_rates=quota))
    chance = random.Random(7)  # noqa: S311 - a simulated network
    settings, now, calls = _settings(rates=quota), EVENING, 0

    while True:
        calls += 1
        outcome, now = simulate(
            *(rows, output, settings, model),
            start=now + 0.3,
            delay=lambda: chance.uniform(0.001, 0.2),
            stop_after=chance.uniform(5, 40),
        )
        if outcome.exit_code == 0:
            break

    assert calls > 5
    assert not model.violations
    assert busiest(model.submit_times, 60.0) <= 100
    assert _lines_by_row(output) == dict.fromkeys(range(1, 601), 1)
    assert len(model.ledger.accepted) == 600


@pytest.mark.promise("P13")
def test_a_long_window_is_used_to_at_least_97_percent(folder: Path) -> None:
    rows, output = _rows(folder, 1_000), folder / "results.jsonl"
    quota = (Rate(10, 1.0), Rate(100, 60.0))
    model = Service(Config(latency_median=5, submit_rates=quota))

    simulate(rows, output, _settings(rates=quota), model, delay=lambda: 0.05)

    # Whoever wastes nothing begins the tenth window of 100 after nine minutes, and needs 9.9 s.
    ideal = 9 * 60.0 + 99 / 10
    assert not model.violations
    assert ideal / (model.submit_times[-1] - EVENING) > 0.97
