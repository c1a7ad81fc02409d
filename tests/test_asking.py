"""Whole runs under virtual time: when operations are asked for, and how often."""

import json
from collections import Counter
from pathlib import Path

import pytest

from pipeline.codec import Json, decode
from pipeline.emulator.model import Config, Service
from pipeline.files.paths import Paths
from pipeline.input.rows import Recipe
from pipeline.network.carrier import Reply
from pipeline.pacing.rates import Rate
from pipeline.settings import Settings
from pipeline.store.checkpoint import Checkpoint
from tests.simulation import EVENING, Sending, simulate

DAY = 86400.0
SETTINGS = Settings(Recipe("yandexgpt-lite", Config().folder))


def rows(folder: Path, count: int, models: tuple[str | None, ...] = (None,)) -> Path:
    """An input; its rows name these models in turn."""
    path = folder / "prompts.jsonl"
    lines: list[dict[str, str]] = []
    for n in range(count):
        model = models[n % len(models)]
        lines.append({"prompt": f"row {n}."} | ({} if model is None else {"model": model}))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


class Polls:
    """Counts polls as they pass, by operation."""

    def __init__(self) -> None:
        self.count = Counter[str]()

    async def meet(self, call: Sending) -> Reply:
        if call.is_poll:
            self.count[call.operation_id] += 1
        return await call.onward()


def noted(output: Path) -> Json:
    checkpoint = Checkpoint(Paths(output).checkpoint)
    text = checkpoint.meta("latency")
    checkpoint.close()
    return decode((text or "null").encode())


def test_a_run_takes_two_polls_an_operation_from_its_first_row_to_its_last(tmp_path: Path) -> None:
    polls, model = Polls(), Service(Config(latency_median=20.0, latency_sigma=0.6))
    outcome, end = simulate(
        rows(tmp_path, 1500), tmp_path / "results.jsonl", SETTINGS, model, meet=polls.meet
    )
    assert outcome.exit_code == 0
    # The last 32 rows, which nobody competes with, are asked more often.
    assert polls.count.total() <= 2.0 * (1500 - 32) + 20 * 32
    all_over = max(map(model.finish_time, model.ledger.accepted.values()))
    oldest = max(model.finish_time(one) - one.at for one in model.ledger.accepted.values())
    assert end - all_over < max(oldest / 20, 1.0) + 1


@pytest.mark.promise("P14")
def test_an_operation_that_never_ends_costs_few_polls_in_its_three_days(tmp_path: Path) -> None:
    polls, output = Polls(), tmp_path / "results.jsonl"
    model = Service(Config(latency_median=30 * DAY, latency_sigma=0, retention=60 * DAY))
    settings = Settings(SETTINGS.recipe, rates=(Rate(10, 1.0),))
    outcome, end = simulate(rows(tmp_path, 100), output, settings, model, meet=polls.meet)
    assert outcome.totals.rows("failed") == 100
    assert 3 * DAY <= end - EVENING <= 3 * DAY + 600
    assert max(polls.count.values()) < 80


def test_what_a_run_learned_is_in_its_checkpoint_by_model(tmp_path: Path) -> None:
    output = tmp_path / "results.jsonl"
    simulate(rows(tmp_path, 600, (None, "yandexgpt")), output, SETTINGS, Service(Config()))
    found = noted(output)
    assert isinstance(found, list)
    models = {entry["model"]: entry["known"] for entry in found if isinstance(entry, dict)}
    assert models.keys() == {None, "yandexgpt"}
    assert all(isinstance(known, int) and known > 200 for known in models.values())


def test_a_run_of_few_rows_notes_nothing(tmp_path: Path) -> None:
    output = tmp_path / "results.jsonl"
    simulate(rows(tmp_path, 20), output, SETTINGS, Service(Config()))
    assert noted(output) is None


def test_a_resume_goes_on_with_what_was_learned(tmp_path: Path) -> None:
    """So its first new operations are asked for as the last ones before it were."""
    output, path = tmp_path / "results.jsonl", rows(tmp_path, 900)
    model = Service(Config(latency_median=20.0, latency_sigma=0.3))
    simulate(path, output, SETTINGS, model, stop_after=60)
    accepted = len(model.ledger.accepted)
    assert noted(output) is not None
    polls = Polls()
    simulate(path, output, SETTINGS, model, start=EVENING + 300, stop_after=45, meet=polls.meet)
    new = list(model.ledger.accepted)[accepted : accepted + 100]
    assert sum(polls.count[name] for name in new) < 250


def test_nonsense_in_place_of_what_was_learned_does_no_harm(tmp_path: Path) -> None:
    output, path = tmp_path / "results.jsonl", rows(tmp_path, 50)
    simulate(path, output, SETTINGS, Service(Config()), stop_after=1)
    checkpoint = Checkpoint(Paths(output).checkpoint)
    checkpoint.set_meta({"latency": '[{"model": null, "known": 1e300, "ended": [-1]}, 7]'})
    checkpoint.close()
    outcome, _ = simulate(path, output, SETTINGS, Service(Config()), start=EVENING + 9 * DAY)
    assert outcome.exit_code in {0, 3}
