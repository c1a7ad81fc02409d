"""Fifty nights in which everything goes wrong; `make nights` plays more of them."""

import gc
from collections.abc import Iterator

import pytest

from tests.proof.budgets import play as thrifty
from tests.proof.nights import play

# A process that dies closes nothing.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(autouse=True)
def nothing_left_over() -> Iterator[None]:
    """Find what a night left open while that may still be ignored."""
    yield
    gc.collect()


@pytest.mark.promise("P15")
@pytest.mark.parametrize("seed", range(500, 512))
def test_a_night_with_a_budget_is_never_billed_for_more(seed: int) -> None:
    thrifty(seed)


@pytest.mark.promise("P1")
@pytest.mark.promise("P2")
@pytest.mark.promise("P3")
@pytest.mark.promise("P4")
@pytest.mark.promise("P5")
@pytest.mark.promise("P13")
@pytest.mark.promise("P14")
@pytest.mark.promise("P15")
@pytest.mark.promise("P17")
@pytest.mark.parametrize("seed", range(50))
def test_a_night_loses_nothing_and_pays_for_nothing_twice_unknowingly(seed: int) -> None:
    play(seed)
