"""Of how many operations is learned, and of which."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipeline.operations.sieve import Sieve


def passed(rate: float, seconds: float, sieve: Sieve | None = None, start: float = 0.0) -> int:
    """How many of so many a second pass."""
    sieve = sieve or Sieve()
    moments = [start + n / rate for n in range(round(rate * seconds))]
    return sum(sieve.passes(line, now) for line, now in enumerate(moments))


def test_at_the_rate_of_the_documented_quota_all_are_learned_from() -> None:
    assert passed(50, 60) == 50 * 60


@given(st.floats(150, 20_000))
def test_of_thousands_a_second_so_many_are_that_learning_costs_little(rate: float) -> None:
    sieve = Sieve()
    passed(rate, 3, sieve)
    a_second = passed(rate, 3, sieve, start=3.0) / 3
    assert 15 < a_second < 130


def test_a_burst_is_thinned_out_at_once() -> None:
    assert passed(1e6, 0.05) < 2000


def test_all_are_learned_from_again_once_there_are_few() -> None:
    sieve = Sieve()
    passed(5000, 5, sieve)
    passed(20, 10, sieve, start=5.0)
    assert passed(20, 10, sieve, start=15.0) == 200


def test_an_operation_passes_each_time_or_never() -> None:
    sieve = Sieve()
    passed(4000, 5, sieve)
    heard = [(line, sieve.passes(line, 5.0 + n * 0.001)) for n in range(3) for line in range(500)]
    assert set(Counter(heard).values()) == {3}


def test_lines_at_regular_distances_are_thinned_out_as_others_are() -> None:
    sieve = Sieve()
    passed(6400, 5, sieve)
    for apart in (2, 3, 10, 64, 100):
        share = sum(sieve.passes(line * apart, 5.5) for line in range(4000)) / 4000
        assert 0.2 / 64 < share < 3 / 64
