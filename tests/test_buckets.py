"""Counts over time are the same in whatever order moments come, and never take much memory."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.buckets import WIDTHS, Buckets, width_for

moments = st.lists(
    st.integers(0, 200) | st.integers(1_800_000_000, 1_800_100_000) | st.integers(0, 7 * 10**9),
    max_size=60,
)


def filled(seconds: list[int], most: int = 8) -> Buckets:
    buckets = Buckets(most)
    for second in seconds:
        buckets.add(second)
    return buckets


def plainly(seconds: list[int], width: int) -> Counter[int]:
    return Counter(second // width * width for second in seconds)


@given(moments, st.randoms(use_true_random=False))
def test_the_order_of_moments_makes_no_difference(seconds: list[int], chance: object) -> None:
    shuffled = list(seconds)
    chance.shuffle(shuffled)  # type: ignore[attr-defined] # a random.Random
    assert filled(seconds) == filled(shuffled)


@given(moments)
def test_merging_keeps_every_moment_in_its_bucket(seconds: list[int]) -> None:
    buckets = filled(seconds)
    assert buckets.counts == plainly(seconds, buckets.width)
    assert len(buckets.counts) <= 8 or buckets.width == WIDTHS[-1]


@given(moments)
def test_buckets_are_no_wider_than_they_must_be(seconds: list[int]) -> None:
    found = [width for width in WIDTHS if len(plainly(seconds, width)) <= 8]
    assert filled(seconds).width == (found[0] if found else WIDTHS[-1])


@given(moments, st.sampled_from(WIDTHS))
def test_wider_buckets_can_be_had_and_the_others_stay(seconds: list[int], width: int) -> None:
    buckets = filled(seconds)
    before = dict(buckets.counts)
    wider = buckets.at_least(width)
    assert wider.width == max(width, buckets.width)
    assert wider.counts == plainly(seconds, wider.width)
    wider.add(5)
    assert buckets.counts == before


def test_every_rung_is_a_multiple_of_the_one_before() -> None:
    assert all(wider % narrow == 0 for narrow, wider in pairwise(WIDTHS))


def test_a_span_is_from_the_first_bucket_to_the_end_of_the_last() -> None:
    buckets = filled([3, 10])
    assert (buckets.span, buckets.total) == ((3, 11), 2)
    assert buckets.at_least(5).span == (0, 15)
    assert Buckets().span is None


@pytest.mark.parametrize(
    ("seconds", "most", "least", "width"),
    [(0, 10, 1, 1), (10, 10, 1, 1), (11, 10, 1, 5), (11, 10, 60, 60), (10**12, 10, 1, WIDTHS[-1])],
)
def test_the_narrowest_width_that_will_do(seconds: int, most: int, least: int, width: int) -> None:
    assert width_for(seconds, most, least) == width
