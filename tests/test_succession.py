"""Rates that change while calls go on: what was used stays used, in whatever windows come."""

import random
from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.pacing.gate import Throttle
from pipeline.pacing.margin import held_for
from pipeline.pacing.pace import Pace
from pipeline.pacing.past import Past
from pipeline.pacing.purse import Purse
from pipeline.pacing.rates import LONGEST_WINDOW, Rate

NOW = 1_790_000_000.0
PER_SECOND = "ai.textGenerationAsyncRequestsPerSecond"
PER_HOUR = "ai.textGenerationAsyncRequestsPerHour"
rate_lists = st.lists(
    st.builds(Rate, st.integers(1, 30), st.sampled_from([1.0, 2.0, 20.0, 60.0, 600.0])),
    max_size=3,
)


@pytest.mark.promise("P13")
@given(st.lists(rate_lists, min_size=2, max_size=6), st.integers(0, 10_000))
def test_no_window_that_holds_is_passed_whatever_held_before(
    every: list[list[Rate]], seed: int
) -> None:
    chance, now = random.Random(seed), NOW  # noqa: S311 - a test's dice
    pace, under_way, begun = Pace(every[0]), list[float](), list[float]()
    for rates in every:
        pace.change(rates, now)
        for _ in range(60):
            while pace.opens_at(now) <= now and len(under_way) < 8 and chance.random() < 0.9:
                pace.begin()
                under_way.append(now)
                begun.append(now)
                for rate in rates:
                    first = bisect_right(begun, now - rate.seconds)
                    assert len(begun) - first <= rate.limit
            if under_way and chance.random() < 0.7:
                under_way.pop(0)
                pace.end(now)
            now += chance.choice([0.0, 0.01, 0.5, 7.0])


@pytest.mark.promise("P13")
def test_a_window_longer_than_any_before_knows_calls_of_this_process_and_of_earlier_ones() -> None:
    pace = Pace([])
    for _ in range(3):
        pace.begin()
        pace.end(NOW)
    pace.begin()
    pace.change([Rate(6, 600.0)], NOW + 5, earlier=[NOW - 700, NOW - 100])
    assert pace.windows[0].taken(NOW + 5) == 5
    assert pace.opens_at(NOW + 5) == NOW + 5
    pace.begin()
    assert pace.opens_at(NOW + 5) == NOW - 100 + held_for(600.0)
    # One that was known already is not asked of anybody again.
    pace.change([Rate(6, 300.0)], NOW + 5, earlier=[NOW] * 50)
    assert pace.windows[0].taken(NOW + 5) == 6


@pytest.mark.promise("P13")
def test_what_an_earlier_process_may_have_used_counts_in_a_new_window() -> None:
    pace = Pace([Rate(5, 1.0)])
    pace.fill(NOW, NOW - 30)
    pace.change([Rate(5, 1.0), Rate(100, 600.0)], NOW + 10)
    assert pace.opens_at(NOW + 10) == NOW - 30 + held_for(600.0)


def test_what_was_found_out_holds_where_nothing_else_was_configured() -> None:
    pace, refusal = Pace([Rate(10, 1.0), Rate(50, 60.0)]), Throttle(quota=PER_SECOND, allowed=4)
    for _ in range(5):
        pace.begin()
    pace.throttled(refusal, NOW, NOW)
    assert pace.rates[0].limit == 4
    pace.change([Rate(10, 1.0), Rate(70, 60.0)], NOW + 1)
    assert pace.rates == (Rate(4, 1.0), Rate(70, 60.0))
    pace.change([Rate(9, 1.0)], NOW + 1)
    assert list(pace.rates) == [Rate(9, 1.0)]


def test_a_quota_that_only_the_service_spoke_of_goes_on_to_hold() -> None:
    pace, refusal = Pace([Rate(10, 1.0)]), Throttle(quota=PER_HOUR, allowed=4)
    for _ in range(5):
        pace.begin()
    pace.throttled(refusal, NOW, NOW)
    pace.change([Rate(3, 1.0)], NOW + 1)
    assert pace.rates == (Rate(3, 1.0), Rate(4, 3600.0))
    pace.change([Rate(3, 1.0), Rate(8, 3600.0)], NOW + 1)
    assert pace.rates == (Rate(3, 1.0), Rate(8, 3600.0))


def test_somebody_else_s_use_of_a_window_that_is_gone_slows_nothing_down() -> None:
    pace = Pace([Rate(10, 3600.0)])
    pace.begin()
    pace.throttled(Throttle(quota=PER_HOUR, allowed=10), NOW, NOW)
    assert pace.is_beside_others(NOW)
    pace.change([Rate(10, 1.0)], NOW)
    assert not pace.is_beside_others(NOW)


def test_the_past_is_short_and_never_earlier_than_it_was() -> None:
    past = Past()
    ends = [NOW + n * 0.25 for n in range(400)]
    for end in ends:
        past.end(end)
    kept = list(past.ended(LONGEST_WINDOW, ends[-1]))
    assert all(a <= b <= a + 10 for a, b in zip(ends, kept, strict=True))
    assert kept[-1] == ends[-1]
    assert list(past.ended(20.0, ends[-1] + 60)) == []
    past.end(NOW + 2 * LONGEST_WINDOW)
    assert len(list(past.ended(2 * LONGEST_WINDOW, NOW + 2 * LONGEST_WINDOW))) == 1


@pytest.mark.promise("P13")
def test_calls_that_hold_no_place_give_none_back() -> None:
    purse = Purse(lambda: None, apart=2)
    purse.receive([NOW])
    purse.begin()
    purse.end(NOW + 1)
    purse.undo(NOW)
    assert purse.statement(NOW + 1, 5).ended == ()
    assert purse.open == 1
    purse.end(NOW + 2)
    assert purse.statement(NOW + 2, 5).ended == (NOW + 2,)


@pytest.mark.promise("P13")
@pytest.mark.parametrize(
    ("before", "after", "later", "closed_for"),
    [("10/h", "1000/m", 1.0, 60.0), ("5/s", "50/s", 0.1, 1.0)],
)
def test_what_an_earlier_process_may_have_used_up_is_so_for_a_larger_rate_too(
    before: str, after: str, later: float, closed_for: float
) -> None:
    pace = Pace([Rate.parse(before)])
    pace.fill(NOW, NOW)
    pace.change([Rate.parse(after)], NOW + later)
    assert pace.opens_at(NOW + later) >= NOW + closed_for
