"""Percentiles and bins of whole seconds, as if all values had been kept."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.spread import Spread

values = st.lists(
    st.integers(0, 30) | st.integers(0, 1023) | st.integers(0, 300_000), min_size=1, max_size=80
)


def spread(seconds: list[int]) -> Spread:
    found = Spread()
    for value in seconds:
        found.add(value)
    return found


@given(values, st.sampled_from([1, 50, 90, 99, 100]))
def test_a_percentile_is_that_of_the_sorted_values(seconds: list[int], percent: int) -> None:
    rank = math.ceil(len(seconds) * percent / 100)
    exact = sorted(seconds)[rank - 1]
    told = spread(seconds).below(percent)
    assert told is not None
    assert told <= exact
    assert exact - told <= exact / 512
    assert exact > 1023 or told == exact


@given(values)
def test_the_order_of_values_makes_no_difference(seconds: list[int]) -> None:
    assert spread(seconds) == spread(seconds[::-1])


@given(values, st.integers(2, 40))
def test_every_value_is_in_exactly_one_bin(seconds: list[int], most: int) -> None:
    bins = spread(seconds).bins(most)
    assert sum(found.count for found in bins) == len(seconds)
    assert all(one.end == other.first for one, other in pairwise(bins))
    assert all(found.count for found in (bins[0], bins[-1]))


@given(values)
def test_bins_are_few(seconds: list[int]) -> None:
    assert len(spread(seconds).bins(40)) <= 43


def test_values_near_each_other_have_equal_bins_and_the_few_far_away_one_together() -> None:
    bins = spread([*range(2, 60), *range(2, 60), 10_000]).bins(40)
    widths = {found.end - found.first for found in bins if found.end is not None}
    assert widths == {2}
    assert (bins[-1].end, bins[-1].count) == (None, 1)


def test_values_of_all_sizes_have_bins_that_double() -> None:
    bins = spread([3] * 90 + [5000] * 10).bins(40)
    assert [(found.first, found.count) for found in bins if found.count] == [(2, 90), (3600, 10)]


def test_without_values_there_is_nothing_to_tell() -> None:
    assert (Spread().below(50), Spread().bins(40), Spread().total) == (None, [], 0)


@pytest.mark.parametrize("longest", [10**9, 7 * 10**9])
def test_an_absurd_value_makes_no_more_bins(longest: int) -> None:
    assert len(spread([longest, longest + 5]).bins(40)) <= 43
    assert len(spread([1, longest]).bins(40)) <= 43
