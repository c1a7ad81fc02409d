"""Tokens, money and hours of a run that is still to come, as numbers and as people read them."""

import re
from decimal import Decimal

import pytest

from pipeline.emulator.tokens import count_conversation
from pipeline.estimate.canary import canary_for
from pipeline.estimate.census import Stratum
from pipeline.estimate.fit import Estimate
from pipeline.estimate.forecast import (
    Basis,
    Forecast,
    Sum,
    bounded_outputs,
    duration_of,
    parts_of,
    rough_inputs,
    unlimited_rows,
    weights,
)
from pipeline.estimate.quote import as_json, sentences
from pipeline.money.prices import LONGEST_CONTEXT
from pipeline.pacing.rates import Rate
from pipeline.settings import DEFAULT_POLL_RATES, DEFAULT_RATES
from tests.builders import price_table

TABLE = price_table()
LITE = "yandexgpt-lite"


def forecast(
    asked: Estimate, said: Estimate, model: str = LITE, basis: str = "like", rows: int = 40_000
) -> Forecast:
    return Forecast(
        parts_of({model: rows}, {model: asked}, {model: said}, TABLE),
        *(3, 0, Basis("sample", 240), Basis(basis, 2000)),
        duration_of(rows, DEFAULT_RATES, DEFAULT_POLL_RATES),
        0.95,
    )


def told(found: Forecast) -> str:
    return "\n".join(sentences(found, TABLE, "prompts.jsonl", "results.jsonl"))


@pytest.mark.parametrize(
    ("rows", "seconds", "bound_by"),
    [
        (1, 0, Rate(10, 1.0)),
        (5000, 500, Rate(10, 1.0)),
        (5001, 3600, Rate(5000, 3600.0)),
        (40_000, 7 * 3600 + 499.9, Rate(5000, 3600.0)),
        (1_000_000, 199 * 3600 + 499.9, Rate(5000, 3600.0)),
    ],
)
def test_hours_follow_from_all_windows(rows: int, seconds: float, bound_by: Rate) -> None:
    found = duration_of(rows, DEFAULT_RATES, DEFAULT_POLL_RATES)
    assert found.bound_by == bound_by
    # A clock is allowed to be wrong by two ten-thousandths.
    assert seconds - 1 <= found.seconds <= 1.0003 * seconds + 1.5


def test_slow_polls_bind_where_two_for_each_row_take_longer() -> None:
    found = duration_of(100, [Rate(10, 1.0)], [Rate(1, 1.0)])
    assert found.bound_by == Rate(1, 1.0)
    assert found.seconds == pytest.approx(200, rel=0.02)


def test_without_a_limit_nothing_binds() -> None:
    found = duration_of(100, [], [])
    assert (found.seconds, found.bound_by) == (0.0, None)


def test_a_run_of_centuries_is_told_as_well() -> None:
    found = duration_of(10**9, [Rate(1, 3600.0)], DEFAULT_POLL_RATES)
    assert found.seconds == pytest.approx(3.6e12)


def test_the_hours_of_a_night_are_told_with_what_binds() -> None:
    words = told(forecast(Estimate(1e6), Estimate(1e7)))
    assert "40,000 rows: 7 h 08 min and the last answers, bound by 5,000 an hour" in words


def test_what_is_known_exactly_has_no_interval() -> None:
    words = told(forecast(Estimate(1_000_000.0), Estimate(2_000_000.0)))
    assert "Input: 1,000,000 tokens, from 240 rows" in words
    assert "Cost: 300.00 RUB (prices of" in words


def test_an_interval_is_told_with_its_confidence() -> None:
    words = told(forecast(Estimate(1e6, 1e8), Estimate(2e6, 1e10)))
    assert re.search(
        r"Output: 2,000,000 tokens ± \d+\.\d %, as 2,000 earlier answers in res", words
    )
    assert re.search(
        r"Cost: 300\.00 RUB, between 27\d.* and 32\d.*, with a confidence of 95 %", words
    )


def test_only_limits_make_a_range() -> None:
    found = forecast(Estimate(1e6), Estimate(low=40_000.0, high=4e6), basis="max_tokens")
    assert "Output: 40,000 to 4,000,000 tokens" in told(found)
    assert "Cost: 104.00 to 500.00 RUB" in told(found)
    assert as_json(found, TABLE)["cost"] == {
        "amount": None,
        "least": "104.00",
        "most": "500.00",
        "currency": "RUB",
        "prices": TABLE.date,
    }


def test_a_model_without_a_price_has_tokens_and_no_cost() -> None:
    found = forecast(Estimate(1e6), Estimate(1e6), model="new-model")
    assert found.cost is None
    assert "Cost: unknown, since no price is known of new-model." in told(found)
    assert fields(as_json(found, TABLE)["cost"])["amount"] is None


def test_one_price_unknown_makes_the_whole_cost_unknown_and_weighs_all_alike() -> None:
    rows = {LITE: 1, "new-model": 1}
    one = dict.fromkeys(rows, Estimate(10.0))
    parts = parts_of(rows, one, one, TABLE)
    assert [part.cost is None for part in parts] == [True, False]
    assert weights(rows, TABLE, lambda price: price.input) == {}
    assert weights([LITE], TABLE, lambda price: price.input) == {LITE: 0.1}


def fields(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


def test_numbers_and_money_stand_in_the_json() -> None:
    found = as_json(forecast(Estimate(1e6, 1e8, 50), Estimate(2e6, 1e10, 50)), TABLE)
    assert (found["rows"], found["unfit"], found["confidence"]) == (40_000, 3, 0.95)
    assert (
        fields(found["input_tokens"]).items() >= {"likely": 1_000_000, "basis": "sample"}.items()
    )
    cost = fields(found["cost"])
    least, likely, most = (Decimal(str(cost[key])) for key in ("least", "amount", "most"))
    assert least < likely == Decimal(300) < most
    assert fields(found["time"])["bound_by"] == "5000/h"


def test_money_is_rounded_away_from_the_middle() -> None:
    found = Sum.of(Estimate(1.00005, 1e-12), 0.95)
    assert found.least <= Decimal("1.0000") < Decimal("1.0001") <= found.most
    exact = Sum.of(Estimate(1.00004), 0.95)
    assert exact.least == exact.likely == exact.most == Decimal("1.0000")


@pytest.mark.parametrize("text", ["Повтори слово ответить ", "ответить ", "question, "])
def test_a_rough_range_holds_what_words_that_come_again_take(text: str) -> None:
    """Each is one token, however long."""
    prompt = text * 100
    stratum = Stratum((LITE, 1, 0, True), count=1, characters=len(prompt))
    low, high = rough_inputs([stratum])[LITE].interval(1.0)
    assert low <= count_conversation([("user", prompt)]) <= high


def test_characters_alone_give_a_rough_range() -> None:
    stratum = Stratum((LITE, 1, 0, True), count=10, characters=6000)
    found = rough_inputs([stratum])[LITE]
    assert found.interval(0.95) == (600 + 140, 2000 + 140)


def test_rows_without_a_limit_are_bounded_by_what_the_context_leaves() -> None:
    strata = [
        Stratum((LITE, 1, 0, True), count=4, characters=1),
        Stratum((LITE, 1, 9, True), count=6, characters=1, capped=6, caps=3000),
    ]
    found = bounded_outputs(strata, {LITE: Estimate(10 * 768.0)}, TABLE)[LITE]
    assert found.interval(0.95) == (10, 3000 + 4 * 32_000)
    assert unlimited_rows(strata) == 4


def test_the_context_is_the_model_s_own_and_the_longest_there_is_where_nobody_knows() -> None:
    for model, context in (("aliceai-llm", 131_072), ("unheard-of", LONGEST_CONTEXT)):
        strata = [Stratum((model, 1, 0, True), count=1, characters=1)]
        found = bounded_outputs(strata, {model: Estimate(72.0)}, TABLE)[model]
        assert found.interval(0.95) == (1, context - 72)


@pytest.mark.parametrize(
    ("rows", "size"), [(59, None), (60, 30), (150, 30), (1000, 100), (3000, 300), (10**6, 300)]
)
def test_a_canary_that_is_advised_is_a_small_part_of_the_rows(rows: int, size: int | None) -> None:
    assert canary_for(rows) == size
