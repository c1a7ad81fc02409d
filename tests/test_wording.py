"""Numbers in sentences."""

from decimal import Decimal

import pytest

from pipeline.wording import raised, so_many, so_much


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        ("0", "0.00"),
        ("12345.675", "12,345.68"),
        ("1", "1.00"),
        ("0.9999", "1.00"),
        ("0.4919", "0.49"),
        ("0.0816", "0.082"),
        ("0.000341", "0.00034"),
        ("5E+3", "5,000.00"),
    ],
)
def test_sums_have_kopecks_and_small_ones_two_digits(amount: str, told: str) -> None:
    assert so_much(Decimal(amount)) == told
    assert so_much(Decimal(amount), "RUB") == f"{told} RUB"


@pytest.mark.parametrize(
    ("amount", "told"), [("0", "0"), ("0.07761", "0.078"), ("0.0991", "0.10"), ("3.001", "3.01")]
)
def test_a_limit_that_is_shown_is_none_below_it(amount: str, told: str) -> None:
    assert raised(Decimal(amount)) == Decimal(told)
    assert Decimal(so_much(raised(Decimal(amount)))) == Decimal(told)


def test_a_sum_that_is_not_known_is_none() -> None:
    assert so_much(None, "RUB") == "an unknown sum of RUB"


def test_one_is_one_and_more_are_many() -> None:
    assert (so_many(1, "row"), so_many(2000, "row")) == ("1 row", "2,000 rows")
