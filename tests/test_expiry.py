"""Operations that the service has forgotten, and those that never end."""

import json
from pathlib import Path

import pytest

from pipeline.emulator.model import Config, Service
from pipeline.input.rows import Recipe
from pipeline.life.item import Policy
from pipeline.settings import Settings
from tests.simulation import EVENING, simulate

DAY = 86400.0
_RECIPE = Recipe(model="yandexgpt-lite", folder=Config().folder)


def _rows(folder: Path) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"слово {n}"}) + "\n" for n in range(20)))
    return path


def _errors(output: Path) -> list[dict[str, str]]:
    text = output.with_name("results.errors.jsonl").read_text()
    return [json.loads(line)["error"] for line in text.splitlines()]


@pytest.mark.promise("P14")
def test_rows_fetched_too_late_are_submitted_again_and_counted_as_paid_twice(
    tmp_path: Path,
) -> None:
    rows, output = _rows(tmp_path), tmp_path / "results.jsonl"
    model = Service(Config(latency_median=60, latency_sigma=0))
    simulate(rows, output, Settings(_RECIPE), model, stop_after=30)

    late = EVENING + 3 * DAY + 60
    outcome, end = simulate(rows, output, Settings(_RECIPE), model, start=late)

    totals = json.loads(output.read_text().splitlines()[-1])["totals"]
    assert outcome.exit_code == 0
    assert outcome.totals.rows("ok") == 20
    assert len(model.ledger.accepted) == 40
    assert totals["rows"] == 20
    assert totals["replaced_usage"]["unknown"] == 20
    # Denied twice, a minute apart, before it is believed.
    assert end - late >= 60 + 60


@pytest.mark.promise("P17")
def test_lost_operations_make_room_among_those_in_flight(tmp_path: Path) -> None:
    rows, output = _rows(tmp_path), tmp_path / "results.jsonl"
    model = Service(Config(latency_median=60, latency_sigma=0))
    settings = Settings(_RECIPE, max_in_flight=5)
    simulate(rows, output, settings, model, stop_after=30)

    outcome, _ = simulate(rows, output, settings, model, start=EVENING + 4 * DAY)

    assert outcome.totals.rows("ok") == 20
    assert len(model.ledger.accepted) == 25
    # As soon as they are known to be lost, not when something else wakes the lanes.
    assert list(model.submit_times)[5] - (EVENING + 4 * DAY) < 120


@pytest.mark.promise("P14")
def test_lost_rows_become_error_lines_where_that_is_asked_for(tmp_path: Path) -> None:
    rows, output = _rows(tmp_path), tmp_path / "results.jsonl"
    model = Service(Config(latency_median=60))
    settings = Settings(_RECIPE, policy=Policy(resubmit_lost=False))
    simulate(rows, output, settings, model, stop_after=5)

    outcome, _ = simulate(rows, output, settings, model, start=EVENING + 4 * DAY)

    assert outcome.exit_code == 3
    assert {(e["stage"], e["code"]) for e in _errors(output)} == {("lost", "lost")}
    assert len(model.ledger.accepted) == 20


@pytest.mark.promise("P4")
@pytest.mark.promise("P14")
def test_an_operation_denied_before_its_time_is_never_submitted_again(tmp_path: Path) -> None:
    rows, output = _rows(tmp_path), tmp_path / "results.jsonl"
    model = Service(Config(latency_median=60, retention=10))

    outcome, end = simulate(rows, output, Settings(_RECIPE), model)

    assert outcome.exit_code == 3
    assert {(e["stage"], e["code"]) for e in _errors(output)} == {("lost", "denied")}
    assert len(model.ledger.accepted) == 20
    assert end - EVENING >= 600


@pytest.mark.promise("P14")
def test_the_minutes_of_a_denied_operation_are_counted_anew_by_each_process(
    tmp_path: Path,
) -> None:
    rows, output = _rows(tmp_path), tmp_path / "results.jsonl"
    model = Service(Config(latency_median=60, retention=10))
    simulate(rows, output, Settings(_RECIPE), model, stop_after=500)
    assert not output.with_name("results.errors.jsonl").exists()

    outcome, end = simulate(rows, output, Settings(_RECIPE), model, start=EVENING + 510)

    assert outcome.exit_code == 3
    assert {(e["stage"], e["code"]) for e in _errors(output)} == {("lost", "denied")}
    assert 600 <= end - (EVENING + 510) < 700


@pytest.mark.promise("P14")
@pytest.mark.promise("P17")
def test_an_operation_that_never_ends_is_given_up_after_three_days(tmp_path: Path) -> None:
    rows, output = _rows(tmp_path), tmp_path / "results.jsonl"
    model = Service(Config(latency_median=30 * DAY, latency_sigma=0, retention=60 * DAY))

    outcome, end = simulate(rows, output, Settings(_RECIPE), model)

    assert outcome.exit_code == 3
    assert {(e["stage"], e["code"]) for e in _errors(output)} == {("operation", "never_done")}
    assert 3 * DAY <= end - EVENING <= 3 * DAY + 600
