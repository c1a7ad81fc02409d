"""What tokens cost: names and URIs of models, worst cases, and money as text."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.prices import CONTEXT_TOKENS, Price, PriceTable, money
from tests.builders import price_table

PRICES = price_table()
LITE, PRO, RC, ALICE = (
    Price(Decimal("0.10"), Decimal("0.10")),
    Price(Decimal("0.60"), Decimal("0.60")),
    Price(Decimal("0.40"), Decimal("0.40")),
    Price(Decimal("0.25"), Decimal("1.00")),
)


def test_the_table_that_ships_has_a_date_and_a_currency() -> None:
    assert PRICES.date == "2026-03-03"
    assert PRICES.currency == "RUB"


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("yandexgpt-lite", LITE),
        ("yandexgpt-lite/latest", LITE),
        ("yandexgpt-lite/rc", LITE),
        ("yandexgpt-lite/deprecated", LITE),
        ("yandexgpt-5-lite", LITE),
        ("yandexgpt", PRO),
        ("yandexgpt/latest", PRO),
        ("yandexgpt-5-pro", PRO),
        ("yandexgpt/rc", RC),
        ("yandexgpt-5.1", RC),
        ("aliceai-llm", ALICE),
        ("aliceai-llm/latest", ALICE),
        ("gpt://b1g/yandexgpt-lite", LITE),
        ("gpt://b1g/yandexgpt-lite/latest", LITE),
        ("gpt://b1g/yandexgpt/rc", RC),
        ("gpt://b1g/yandexgpt-lite/latest@tamr1", LITE),
        ("gpt://b1g/yandexgpt/latest@tamr1", PRO),
        ("yandexgpt-lite/latest@tamr1", LITE),
    ],
)
def test_a_model_is_priced_by_name_branch_or_uri(model: str, price: Price) -> None:
    assert PRICES.find(model) == price


@pytest.mark.promise("P15")
@pytest.mark.parametrize(
    "model",
    [
        *("", "gpt://", "gpt://b1g", "gpt://b1g/", "ds://bt1abc", "/", "@", "gpt://b1g/@x"),
        *("yandexgpt/deprecated", "gpt://b1g/yandexgpt/deprecated", "yandexgpt-32k"),
        *("YandexGPT", "qwen3-235b-a22b-fp8/latest", "aliceai-llm-flash", "summarization"),
    ],
)
def test_a_model_that_the_table_does_not_name_has_no_price_rather_than_none(model: str) -> None:
    assert PRICES.find(model) is None
    assert PRICES.worst(model, 10, 10) is None


@given(st.text())
def test_no_name_of_a_model_raises(model: str) -> None:
    PRICES.find(model)
    PRICES.find(f"gpt://{model}")


def test_a_price_is_for_a_thousand_tokens_and_exact() -> None:
    assert ALICE.of(1000, 1000) == Decimal("1.25")
    assert LITE.of(1, 0) == Decimal("0.0001")
    assert ALICE.of(0, 0) == 0
    assert LITE.of(10**15, 1) == Decimal("100000000000.0001")


TABLE = PriceTable(
    "2026-01-01",
    "RUB",
    {
        "same": Price(Decimal(1), Decimal(1)),
        "output": Price(Decimal(1), Decimal(4)),
        "input": Price(Decimal(4), Decimal(1)),
    },
)
EDGES = [0, 1, CONTEXT_TOKENS // 2, CONTEXT_TOKENS - 1, CONTEXT_TOKENS, CONTEXT_TOKENS + 1]
bounds = st.sampled_from([*EDGES, 10**9]) | st.integers(0, 40_000)


@pytest.mark.promise("P5")
@given(st.sampled_from(["same", "output", "input"]), bounds, bounds | st.none(), st.data())
def test_no_request_within_the_context_costs_more_than_the_worst_case(
    model: str, most_in: int, most_out: int | None, data: st.DataObject
) -> None:
    worst, price = TABLE.worst(model, most_in, most_out), TABLE.prices[model]
    assert worst is not None
    tokens_in = data.draw(st.integers(0, min(most_in, CONTEXT_TOKENS)))
    room = CONTEXT_TOKENS - tokens_in
    tokens_out = data.draw(st.integers(0, room if most_out is None else min(most_out, room)))
    assert price.of(tokens_in, tokens_out) <= worst


@given(st.sampled_from(["same", "output", "input"]), bounds, bounds | st.none())
def test_the_worst_case_can_happen(model: str, most_in: int, most_out: int | None) -> None:
    price, worst = TABLE.prices[model], TABLE.worst(model, most_in, most_out)
    out = CONTEXT_TOKENS if most_out is None else most_out
    corners = [
        price.of(tokens_in, min(out, CONTEXT_TOKENS - tokens_in))
        for tokens_in in {0, min(most_in, CONTEXT_TOKENS), max(CONTEXT_TOKENS - out, 0)}
        if tokens_in <= most_in
    ]
    assert worst == max(corners)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, None),
        (Decimal(0), "0.00"),
        (Decimal("0.000"), "0.00"),
        (Decimal("0.5"), "0.50"),
        (Decimal("12.30"), "12.30"),
        (Decimal("12.3400"), "12.34"),
        (Decimal("0.0001"), "0.0001"),
        (Decimal("1E+3"), "1000.00"),
        (Decimal("1E-7"), "0.0000001"),
        (Decimal("123456789.123456"), "123456789.123456"),
        (Decimal("5533023222000000.1"), "5533023222000000.10"),
    ],
)
def test_money_is_a_decimal_string_with_kopecks_and_no_exponent(
    amount: Decimal | None, text: str | None
) -> None:
    assert money(amount) == text


@given(st.decimals(0, 10**12, places=7))
def test_money_loses_nothing(amount: Decimal) -> None:
    text = money(amount)
    assert text is not None
    assert Decimal(text) == amount
    assert len(text.partition(".")[2]) >= 2
