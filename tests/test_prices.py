"""What tokens cost: names and URIs of models, worst cases, and money as text."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.money.prices import (
    LONGEST_CONTEXT,
    Price,
    PriceList,
    PriceTable,
    Units,
    money,
)
from tests.builders import price_table

PRICES = price_table()


def price(of_input: str, of_output: str, units_in: str, units_out: str) -> Price:
    units = Units(Decimal(units_in), Decimal(units_out))
    return Price(Decimal(of_input), Decimal(of_output), units)


LITE = price("0.10", "0.10", "0.5", "0.5")
PRO = price("0.60", "0.60", "3", "3")
RC = price("0.40", "0.40", "2", "2")
ALICE = price("0.25", "1.00", "1.25", "5")
OLD_LITE = price("0.20", "0.20", "0.5", "0.5")
OLD_PRO = price("1.00", "1.00", "2.5", "2.5")


def test_the_table_that_ships_has_a_date_and_a_currency() -> None:
    assert PRICES.date == "2026-03-03"
    assert PRICES.currency == "RUB"


DAYS = ["2026-01-01", "2026-03-03", "2027-01-01"]


@pytest.mark.parametrize(
    ("model", "due"),
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
def test_a_model_is_priced_by_name_branch_or_uri(model: str, due: Price) -> None:
    found = PRICES.find(model)
    assert found is not None
    assert replace(found, context=None) == due


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


@pytest.mark.promise("P15")
@pytest.mark.parametrize(
    ("model", "day", "due"),
    [
        ("yandexgpt-lite", "2023-12-05", None),
        ("yandexgpt-lite", "2023-12-06", OLD_LITE),
        ("yandexgpt", "2024-03-24", OLD_PRO),
        ("yandexgpt", "2024-03-25", PRO),
        ("yandexgpt-lite", "2024-03-25", LITE),
        ("yandexgpt/rc", "2025-08-27", PRO),
        ("yandexgpt/deprecated", "2025-08-27", PRO),
        ("yandexgpt/rc", "2025-08-28", None),
        ("yandexgpt/rc", "2025-11-25", RC),
        ("yandexgpt/latest", "2025-08-28", PRO),
        ("llama", "2024-12-03", None),
        ("llama/latest", "2024-12-04", PRO),
        ("llama-lite", "2025-10-01", LITE),
        ("llama", "2025-11-25", None),
        ("ds://bt1abc", "2024-12-31", PRO),
        ("ds://bt1abc", "2025-11-25", None),
        ("summarization/latest", "2024-06-01", LITE),
        ("aliceai-llm", "2025-11-24", None),
        ("aliceai-llm", "2026-03-02", ALICE),
        ("aliceai-llm", "2031-01-01", ALICE),
    ],
)
def test_a_day_has_the_prices_that_were_valid_on_it(
    model: str, day: str, due: Price | None
) -> None:
    found = PRICES.find(model, day)
    assert (found and replace(found, context=None)) == due


@pytest.mark.promise("P15")
def test_a_list_that_is_announced_is_not_today_s() -> None:
    lists = [PriceList(day, {"lite": Price(Decimal(n), Decimal(n))}) for n, day in enumerate(DAYS)]
    table = PriceTable("RUB", lists)
    for today, n in (("2026-02-01", 0), ("2026-03-03", 1), ("2030-01-01", 2), ("2020-01-01", 0)):
        present = table.as_of(today)
        assert present.date == DAYS[n]
        assert present.find("lite") == lists[n].prices["lite"]
        assert present.find("lite", "2029-01-01") == lists[2].prices["lite"]


@pytest.mark.promise("P15")
def test_what_may_be_priced_on_a_later_day_costs_at_most_the_dearest_of_these() -> None:
    prices = [Price(Decimal(each), Decimal(each)) for each in (2, 9, 4)]
    lists = [PriceList(day, {"lite": one}) for day, one in zip(DAYS, prices, strict=True)]
    table = PriceTable(
        "RUB", [*lists[:2], PriceList(DAYS[2], {"lite": prices[2], "new": prices[0]})]
    )
    assert table.most("lite", 1000, 0, "2026-02-01") == 9
    assert table.most("lite", 1000, 0, DAYS[1]) == 9
    assert table.most("lite", 1000, 0, DAYS[2]) == 4
    assert table.most("lite", 1000, 0, None) == 9
    assert table.most("new", 1000, 0, "2026-02-01") == 2
    assert table.most("other", 1000, 0, None) is None


@pytest.mark.promise("P15")
def test_without_a_known_context_nothing_bounds_a_request_but_its_own_bounds() -> None:
    open_ended = Price(Decimal(1), Decimal(1))
    assert open_ended.worst(500_000, 40_000) == 540
    assert open_ended.worst(1000, None) == 1 + Decimal(LONGEST_CONTEXT) / 1000
    assert replace(open_ended, context=32_000).worst(500_000, 40_000) == 32


@pytest.mark.promise("P15")
def test_a_list_holds_from_its_first_day_until_the_next_one() -> None:
    first, second = (PriceList(day, {}) for day in ("2026-01-01", "2026-03-03"))
    table = PriceTable("RUB", [first, second])
    days = ["2025-12-31", "2026-01-01", "2026-03-02", "2026-03-03", "2027-01-01", None]
    assert [table.list_on(day) for day in days] == [None, first, first, second, second, second]
    assert table.date == "2026-03-03"


def test_dollars_are_without_vat_and_cost_what_the_documents_said_at_first() -> None:
    (dollars,) = PRICES.also
    assert (dollars.currency, {known.vat_included for known in dollars.lists}) == ("USD", {False})
    assert {known.vat_included for known in PRICES.lists} == {True}
    pro = dollars.find("yandexgpt", "2023-12-06")
    assert pro is not None
    assert (pro.input, pro.output) == (Decimal("0.008"), Decimal("0.008"))


def test_every_model_that_has_roubles_has_dollars() -> None:
    (dollars,) = PRICES.also
    for known in PRICES.lists:
        for model in known.prices:
            assert dollars.find(model, known.since) is not None, (model, known.since)


@pytest.mark.parametrize(
    ("day", "model", "tokens", "units"),
    [
        # The documents' own: "(115 + 1500) x 2.5 = 4037.5 = 4038, rounding up to the integer" of
        # December 2023, and "1615 x 3 = 4845" since March 2024.
        ("2023-12-06", "yandexgpt", (115, 1500), 4038),
        ("2024-03-25", "yandexgpt", (115, 1500), 4845),
        ("2026-03-03", "yandexgpt", (115, 1500), 4845),
        ("2026-03-03", "yandexgpt-lite", (1, 0), 1),
        ("2026-03-03", "yandexgpt-lite", (1, 1), 1),
        ("2026-03-03", "yandexgpt-lite", (1, 2), 2),
        ("2026-03-03", "yandexgpt-lite", (0, 0), 0),
        ("2026-03-03", "aliceai-llm", (3, 1), 9),
    ],
)
def test_billing_units_are_rounded_up_in_their_sum(
    day: str, model: str, tokens: tuple[int, int], units: int
) -> None:
    found = PRICES.find(model, day)
    assert found is not None
    assert found.units is not None
    assert found.units.of(*tokens) == units


def test_units_come_to_the_prices_of_the_documents_examples() -> None:
    """A unit was 0.40 roubles per 1,000 at first: 4,038 of them are 1.6152; then 0.20."""
    assert 4038 * Decimal("0.40") / 1000 == Decimal("1.6152")
    assert PRO.of(115, 1500) == Decimal("0.969") == 4845 * Decimal("0.20") / 1000
    synchronous = Price(Decimal("0.20"), Decimal("0.20"), Units(Decimal(1), Decimal(1)))
    assert synchronous.units is not None
    assert synchronous.units.of(225, 525) == 750
    assert synchronous.of(225, 525) == Decimal("0.15")
    at_first = Price(Decimal("0.40"), Decimal("0.40"))
    assert at_first.of(20, 32) == Decimal("0.0208")


@pytest.mark.parametrize("listed", [PRICES, *PRICES.also], ids=lambda table: table.currency)
def test_prices_are_their_units_at_one_price_of_a_unit(listed: PriceTable) -> None:
    for known in listed.lists:
        unit = {
            (price.input / price.units.input).quantize(Decimal("0.00001"))
            for price in known.prices.values()
            if price.units is not None
        }
        assert max(unit) - min(unit) <= Decimal("0.00002"), known.since


def test_a_price_is_for_a_thousand_tokens_and_exact() -> None:
    assert ALICE.of(1000, 1000) == Decimal("1.25")
    assert LITE.of(1, 0) == Decimal("0.0001")
    assert ALICE.of(0, 0) == 0
    assert LITE.of(10**15, 1) == Decimal("100000000000.0001")


CONTEXT = 32_768
_PRICES = {
    "same": Price(Decimal(1), Decimal(1), context=CONTEXT),
    "output": Price(Decimal(1), Decimal(4), context=CONTEXT),
    "input": Price(Decimal(4), Decimal(1), context=CONTEXT),
}
TABLE = PriceTable("RUB", [PriceList("2026-01-01", _PRICES)])
EDGES = [0, 1, CONTEXT // 2, CONTEXT - 1, CONTEXT, CONTEXT + 1]
bounds = st.sampled_from([*EDGES, 10**9]) | st.integers(0, 40_000)


@pytest.mark.promise("P5")
@given(st.sampled_from(["same", "output", "input"]), bounds, bounds | st.none(), st.data())
def test_no_request_within_the_context_costs_more_than_the_worst_case(
    model: str, most_in: int, most_out: int | None, data: st.DataObject
) -> None:
    worst, price = TABLE.worst(model, most_in, most_out), _PRICES[model]
    assert worst is not None
    tokens_in = data.draw(st.integers(0, min(most_in, CONTEXT)))
    room = CONTEXT - tokens_in
    tokens_out = data.draw(st.integers(0, room if most_out is None else min(most_out, room)))
    assert price.of(tokens_in, tokens_out) <= worst


@given(st.sampled_from(["same", "output", "input"]), bounds, bounds | st.none())
def test_the_worst_case_can_happen(model: str, most_in: int, most_out: int | None) -> None:
    price, worst = _PRICES[model], TABLE.worst(model, most_in, most_out)
    out = CONTEXT if most_out is None else most_out
    corners = [
        price.of(tokens_in, min(out, CONTEXT - tokens_in))
        for tokens_in in {0, min(most_in, CONTEXT), max(CONTEXT - out, 0)}
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
