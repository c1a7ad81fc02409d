"""Whole runs under virtual time whose quota is not what they were told, or not theirs alone."""

import asyncio
import json
import logging
from pathlib import Path

import pytest

from pipeline.auth.credentials import Credential
from pipeline.clock import Clock
from pipeline.emulator.model import Config, Service
from pipeline.input.rows import Recipe
from pipeline.network.carrier import Reply
from pipeline.pacing.rates import Rate
from pipeline.settings import Settings
from tests.simulation import EVENING, ModelCarrier, Sending, VirtualLoop, live, simulate

MINUTE, HOUR = 60.0, 3600.0
TOLD = (Rate(10, 1.0), Rate(600, MINUTE))
SMALLER = (Rate(10, 1.0), Rate(60, MINUTE))


def rows(folder: Path, count: int) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"row {n}."}) + "\n" for n in range(count)))
    return path


def settings(*rates: Rate, auto_rate: bool = False) -> Settings:
    recipe = Recipe("yandexgpt-lite", Config().folder)
    return Settings(recipe, rates=rates, auto_rate=auto_rate)


def service(*rates: Rate) -> Service:
    return Service(Config(submit_rates=rates))


def refusals(model: Service) -> int:
    return sum(model.violations.values())


@pytest.mark.promise("P13")
def test_a_smaller_quota_is_learned_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("yagpt-batch").propagate = True
    model = service(*SMALLER)
    outcome, _ = simulate(
        *(rows(tmp_path, 600), tmp_path / "results.jsonl", settings(*TOLD), model)
    )
    assert outcome.exit_code == 0
    assert len(model.ledger.accepted) == 600
    # Ten minutes at 60 a minute. Doubted after 1, 2, 4 and 8 minutes: a refusal each.
    assert model.submit_times[-1] - EVENING < 10.5 * MINUTE
    said = [record.getMessage() for record in caplog.records if "Quota" in record.getMessage()]
    assert len([words for words in said if "allows 60 a minute, not 600 a minute" in words]) == 1
    assert refusals(model) <= 8 + 4


@pytest.mark.promise("P13")
def test_a_resumed_run_knows_what_was_learned(tmp_path: Path) -> None:
    model, output = service(*SMALLER), tmp_path / "results.jsonl"
    source, told = rows(tmp_path, 300), settings(*TOLD)
    _, end = simulate(source, output, told, model, stop_after=20.0)
    before = refusals(model)
    assert before > 0
    outcome, _ = simulate(source, output, told, model, start=end + 1, stop_after=50.0)
    assert refusals(model) == before
    outcome, _ = simulate(source, output, told, model, start=end + 60)
    assert outcome.exit_code == 0


@pytest.mark.promise("P13")
def test_a_larger_quota_is_found_by_trying_where_it_is_left_to_us(tmp_path: Path) -> None:
    model = service(Rate(120, MINUTE))
    auto = settings(Rate(20, MINUTE), auto_rate=True)
    outcome, _ = simulate(rows(tmp_path, 1000), tmp_path / "results.jsonl", auto, model)
    assert outcome.exit_code == 0
    # At 20 a minute that is 50 minutes, at 120 a minute eight; trying takes about as many.
    assert model.submit_times[-1] - EVENING < 22 * MINUTE
    assert refusals(model) <= 3


@pytest.mark.promise("P13")
def test_a_user_s_own_smaller_number_is_never_passed(tmp_path: Path) -> None:
    model = service(Rate(600, MINUTE))
    simulate(rows(tmp_path, 300), tmp_path / "r.jsonl", settings(Rate(60, MINUTE)), model)
    times = model.submit_times
    assert all(later - first >= MINUTE for first, later in zip(times, times[60:], strict=False))


@pytest.mark.promise("P13")
def test_a_quota_that_nobody_spoke_of_is_kept_from_the_first_refusal_on(tmp_path: Path) -> None:
    model = service(*SMALLER)
    outcome, _ = simulate(rows(tmp_path, 300), tmp_path / "r.jsonl", settings(), model)
    assert outcome.exit_code == 0
    assert refusals(model) <= 30


@pytest.mark.promise("P13")
def test_quota_that_somebody_else_uses_costs_at_most_a_refusal_a_minute(tmp_path: Path) -> None:
    hourly = Rate(200, HOUR)
    model = service(hourly)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    simulate(
        *(rows(theirs, 80), theirs / "r.jsonl", settings(hourly), model),
        start=EVENING - HOUR / 2,
    )
    outcome, _ = simulate(
        *(rows(tmp_path, 300), tmp_path / "results.jsonl", settings(hourly), model)
    )
    assert outcome.exit_code == 0
    minutes = (model.submit_times[-1] - EVENING) / MINUTE
    assert refusals(model) <= minutes + 8
    # 120 at once, 80 once theirs are an hour old, and 100 more when our first are. Calls that were
    # refused take places in our own windows too: a place a minute.
    assert minutes < 60 + 12


@pytest.mark.promise("P14")
def test_a_long_window_of_polls_holds_up_no_resume_after_it_is_over(tmp_path: Path) -> None:
    model, output = service(Rate(10, 1.0)), tmp_path / "results.jsonl"
    hourly = Settings(Recipe("yandexgpt-lite", Config().folder), poll_rates=(Rate(600, HOUR),))
    source = rows(tmp_path, 40)
    _, end = simulate(source, output, hourly, model, stop_after=3.0)
    polls = len(model.poll_times)
    assert polls > 0
    later = end + 3 * HOUR
    outcome, _ = simulate(source, output, hourly, model, start=later)
    assert outcome.exit_code == 0
    assert model.poll_times[polls] < later + 5


@pytest.mark.promise("P13")
def test_a_quota_of_one_row_s_own_model_slows_down_no_other_for_long(tmp_path: Path) -> None:
    model, path = service(Rate(10, 1.0)), tmp_path / "prompts.jsonl"
    lines = [{"prompt": f"row {n}."} for n in range(300)]
    lines[3]["model"] = "yandexgpt"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    message = "ai.proRequestsPerHour.rate rate quota limit exceed: allowed 5 requests"
    body = json.dumps({"error": {"grpcCode": 8, "httpCode": 429, "message": message}}).encode()
    refused: list[int] = []

    async def meet(sending: Sending) -> Reply:
        if sending.is_submit and sending.says('/yandexgpt"') and not refused:
            refused.append(1)
            return Reply(429, {}, body)
        return await sending.onward()

    outcome, end = simulate(path, tmp_path / "r.jsonl", settings(Rate(10, 1.0)), model, meet=meet)
    assert outcome.exit_code == 0
    assert refused
    # The gate closes for a minute, once.
    assert end - EVENING < 3 * MINUTE


@pytest.mark.promise("P13")
def test_a_machine_that_slept_goes_on_when_it_wakes(tmp_path: Path) -> None:
    hourly = Rate(20, HOUR)
    model, asleep = service(hourly), 0.9 * HOUR

    async def night() -> None:
        loop = asyncio.get_running_loop()
        # The loop's timers stand still in sleep, and the clock goes on.
        clock = Clock(lambda: loop.time() + (asleep if loop.time() > MINUTE else 0.0), EVENING)
        carrier = ModelCarrier(model, clock, lambda: 0.02)
        source, output = rows(tmp_path, 40), tmp_path / "results.jsonl"
        # Without an end it would be asked for anew once an hour, and that wakes everybody.
        key = Credential("Api-Key", "simulated", ends_at=EVENING + 24 * HOUR, is_users=False)
        await live(source, output, settings(hourly), clock, carrier, credential=key)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(night())
    # It woke 5 minutes before the window opened, and looked at the clock soon enough.
    assert 0 <= model.submit_times[20] - model.submit_times[0] - HOUR < MINUTE
