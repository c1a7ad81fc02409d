"""A file of prices is read as it is meant, or every fault of it is told by its place."""

from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.money.prices import Price, Units
from pipeline.money.tariff import BadTariff, read_tariff

ONE = """
[[list]]
valid_from = 2026-01-01
mode = "async"
currency = "RUB"
vat_included = true
source = "the contract"

[[list.price]]
models = ["a", "b"]
input = "0.10"
output = 0.2
"""


def faults(text: str) -> list[str]:
    with pytest.raises(BadTariff) as told:
        read_tariff(text)
    return told.value.faults


def test_numbers_are_exact_however_they_are_written() -> None:
    price = read_tariff(ONE).find("b")
    assert read_tariff(ONE.replace("= 0.2", "= 2e-1")).find("b") == price
    assert price == Price(Decimal("0.10"), Decimal("0.2"))


def test_units_are_for_both_or_apart() -> None:
    both, apart = (
        read_tariff(ONE + more).find("a")
        for more in ('units = "3"\n', 'input_units = 1.25\noutput_units = "5"\n')
    )
    assert both is not None
    assert apart is not None
    assert both.units == Units(Decimal(3), Decimal(3))
    assert apart.units == Units(Decimal("1.25"), Decimal(5))


def test_lists_stand_in_any_order_and_the_first_currency_is_the_one_that_is_told() -> None:
    later = ONE.replace("2026-01-01", "2026-05-01").replace('"0.10"', '"0.70"')
    dollars = ONE.replace("RUB", "USD").replace("true", "false")
    table = read_tariff(later + dollars + ONE)
    assert [known.since for known in table.lists] == ["2026-01-01", "2026-05-01"]
    assert (table.currency, [also.currency for also in table.also]) == ("RUB", ["USD"])
    assert read_tariff(dollars + ONE).currency == "USD"
    assert [table.find("a", day).input for day in ("2026-04-30", "2026-05-01")] == [  # type: ignore[union-attr]
        Decimal("0.10"),
        Decimal("0.70"),
    ]


def test_lists_of_other_modes_are_no_prices_of_ours() -> None:
    other = ONE.replace('"async"', '"sync"').replace('"0.10"', '"9"')
    price = read_tariff(ONE + other).find("a")
    assert price is not None
    assert price.input == Decimal("0.10")
    assert faults(other) == ['no [[list]] is of the mode "async".']


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("valid_from = 2026-01-01\n", ""), 'list 1: "valid_from" is missing'),
        (("= 2026-01-01", '= "soon"'), "list 1: \"valid_from\" is 'soon', and must be a date"),
        (('mode = "async"\n', ""), 'list 1: "mode" is missing'),
        (('"async"', '"asink"'), "list 1: \"mode\" is 'asink', and must be one of async, sync"),
        (('"RUB"', '"₽"'), "list 1: \"currency\" is '₽', and must be three capitals"),
        (("= true", '= "yes"'), "list 1: \"vat_included\" is 'yes', and must be true or false"),
        (('source = "the contract"\n', ""), 'list 1: "source" is missing'),
        (("source =", "origin ="), 'list 1: "origin" is nothing that it can have'),
        (("[[list.price]]", "[[list.prices]]"), "list 1: there is no [[list.price]] in it"),
        (('["a", "b"]', '"a"'), 'list 1, price 1: "models" must be a list of names'),
        (('["a", "b"]', "[]"), 'list 1, price 1: "models" must be a list of names'),
        (('["a", "b"]', '["a", "a"]'), "list 1, price 1: 'a' has a price in this list already"),
        (('input = "0.10"\n', ""), 'list 1, price 1: "input" is missing'),
        (('"0.10"', '"-1"'), 'list 1, price 1: "input" is "-1", and must be a number'),
        (('"0.10"', '"NaN"'), 'list 1, price 1: "input" is "NaN", and must be a number'),
        (('"0.10"', "true"), 'list 1, price 1: "input" is True, and must be a number'),
        (("= 0.2", "= inf"), 'list 1, price 1: "output" is "Infinity", and must be a number'),
        (("= 0.2", '= 0.2\nunits = "x"'), 'list 1, price 1: "units" is "x"'),
        (("= 0.2", "= 0.2\ninput_units = 1"), '"input_units" and "output_units" go together'),
        (("= 0.2", "= 0.2\nunits = 1\noutput_units = 1"), "no others go with them"),
        (("[[list]]", "[list"), "this is no TOML: "),
        (("[[list]]", "[[lists]]"), '"lists" is nothing that prices have.'),
    ],
)
def test_a_fault_is_told_by_its_list_and_entry(change: tuple[str, str], told: str) -> None:
    text = ONE.replace(*change)
    assert text != ONE
    assert any(told in fault for fault in faults(text)), faults(text)


def test_all_faults_are_told_at_once() -> None:
    text = ONE.replace("true", "1").replace('"0.10"', '"x"').replace('["a", "b"]', "[1]")
    assert len(faults(text)) == 3


def test_two_lists_of_one_day_contradict_each_other() -> None:
    assert faults(ONE + ONE) == ["list 2: list 1 is of the same day and currency."]
    assert read_tariff(ONE + ONE.replace("RUB", "USD")).also


def test_nothing_is_no_prices() -> None:
    assert faults("") == ["there is no [[list]] of prices."]
    assert faults("list = []") == ["there is no [[list]] of prices."]


_SHIPPED = (Path(__file__).parent.parent / "pipeline" / "money" / "prices.toml").read_text(
    encoding="utf-8"
)


@given(st.data())
def test_a_file_that_was_damaged_is_refused_or_read_but_never_raises(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(_SHIPPED) - 1))
    spoilt = _SHIPPED[:place] + data.draw(st.text(max_size=3)) + _SHIPPED[place + 1 :]
    with suppress(BadTariff):
        assert read_tariff(spoilt).lists
