"""A place given back before its window has passed since the call's end is never too early."""

import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from pipeline.pacing.gate import Throttle
from pipeline.pacing.margin import Floor, held_for
from pipeline.pacing.pace import Pace
from pipeline.pacing.rates import Rate

CALLS = 1000
NOW = 1_790_000_000.0
PER_SECOND = Throttle(quota="ai.textGenerationAsyncRequestsPerSecond", allowed=10)


def taught(floor: Floor, seconds: list[float], now: float = 0.0) -> None:
    for took in seconds:
        floor.end_of(now, took)


# How long a place is held.


@pytest.mark.promise("P13")
@pytest.mark.parametrize("seconds", [1.0, 60.0, 3600.0, 86400.0])
def test_a_place_is_held_for_a_whole_window_of_a_clock_that_runs_slower(seconds: float) -> None:
    ours_runs_fast = 1.0001
    assert held_for(seconds) / ours_runs_fast > seconds
    assert held_for(seconds) < seconds * 1.001 + 0.01


# What every call takes at least.


def test_nothing_is_taken_off_before_enough_calls_were_seen() -> None:
    floor = Floor()
    taught(floor, [0.06] * (CALLS - 1))
    assert floor.seconds == 0.0
    taught(floor, [0.06])
    assert floor.seconds == pytest.approx(0.048)


def test_where_all_calls_take_the_same_almost_all_of_it_is_taken_off() -> None:
    floor = Floor()
    taught(floor, [0.06] * CALLS)
    assert floor.end_of(100.0, 0.06) == pytest.approx(100.0 - 0.048)


@pytest.mark.parametrize("seed", range(20))
def test_where_calls_differ_it_stays_below_the_shortest_that_there_can_be(seed: int) -> None:
    chance, floor = random.Random(seed), Floor()  # noqa: S311 - a test's dice
    for _ in range(5 * CALLS):
        taught(floor, [0.06 + chance.uniform(0, 0.2) + chance.uniform(0, 0.2)])
        assert floor.seconds < 0.06
    assert floor.seconds > 0.02


def test_a_shorter_call_counts_at_once() -> None:
    floor = Floor()
    taught(floor, [0.06] * (CALLS + 5))
    assert floor.end_of(100.0, 0.045) == pytest.approx(100.0 - 0.8 * 0.03)
    taught(floor, [0.045] * 11)
    assert floor.seconds == pytest.approx(0.8 * 0.045)


def test_one_call_shorter_by_far_takes_it_all_back() -> None:
    floor = Floor()
    taught(floor, [0.06] * CALLS)
    assert floor.end_of(100.0, 0.01) == 100.0


def test_a_longer_way_counts_when_the_calls_that_knew_the_shorter_are_long_ago() -> None:
    floor = Floor()
    taught(floor, [0.06] * CALLS + [0.2] * (2 * CALLS - 1))
    assert floor.seconds == pytest.approx(0.8 * 0.2)
    floor = Floor()
    taught(floor, [0.06] * CALLS + [0.2] * (CALLS - 1))
    assert floor.seconds == pytest.approx(0.8 * 0.06)


def test_a_call_that_was_not_accepted_teaches_nothing_and_ends_when_it_ended() -> None:
    floor = Floor()
    for _ in range(2 * CALLS):
        floor.end_of(0.0, None)
    assert floor.seconds == 0.0
    taught(floor, [0.06] * CALLS)
    assert floor.end_of(100.0, None) == 100.0
    assert floor.seconds == pytest.approx(0.048)


def test_ends_stay_in_order() -> None:
    floor = Floor()
    taught(floor, [0.06] * CALLS)
    moments = [floor.end_of(*end) for end in ((10.0, None), (10.01, 0.06), (10.1, 0.06))]
    assert moments == pytest.approx([10.0, 10.0, 10.1 - 0.048])


# What a refusal teaches.


def test_after_a_refusal_all_is_learned_anew_from_twice_as_many() -> None:
    floor = Floor()
    taught(floor, [0.06] * CALLS)
    for needed in 2 * CALLS, 4 * CALLS:
        floor.forget()
        assert floor.seconds == 0.0
        taught(floor, [0.06] * (needed - 1))
        assert floor.seconds == 0.0
        taught(floor, [0.06])
        assert floor.seconds > 0.0


def test_refusals_with_nothing_taken_off_are_not_held_against_it() -> None:
    floor = Floor()
    taught(floor, [0.06] * CALLS)
    for _ in range(8):
        floor.forget()
    taught(floor, [0.06] * (2 * CALLS))
    assert floor.seconds > 0.0


# Within a pace.


def carried(pace: Pace, calls: int, travel: Callable[[], float]) -> list[float]:
    """Calls one after another; when each arrived at a service that has accepted all of them."""
    now, arrived = NOW, []
    for _ in range(calls):
        now = pace.opens_at(now)
        pace.begin()
        out, back = travel(), travel()
        arrived.append(now + out)
        pace.end(now + out + back, out + back)
        now += out + back
    return arrived


@pytest.mark.promise("P13")
@pytest.mark.parametrize("jitter", [0.0, 0.001, 0.02, 0.2])
@pytest.mark.parametrize("seed", range(5))
def test_no_window_is_passed_by_what_is_taken_off(jitter: float, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test's dice
    rate = Rate(1, 1.0)
    arrived = carried(Pace([rate]), 5 * CALLS, lambda: 0.03 + chance.uniform(0, jitter))
    assert min(b - a for a, b in pairwise(arrived)) >= rate.seconds


@pytest.mark.promise("P13")
def test_the_time_that_calls_take_is_not_lost_once_it_is_known() -> None:
    arrived = carried(Pace([Rate(1, 1.0)]), 3 * CALLS, lambda: 0.03)
    assert arrived[CALLS] - arrived[0] == pytest.approx(CALLS * 1.0622, rel=1e-3)
    assert arrived[-1] - arrived[-CALLS] < CALLS * 1.015


def test_a_429_ends_it() -> None:
    pace = Pace([Rate(1, 1.0)])
    carried(pace, CALLS, lambda: 0.03)
    begun = NOW + 2 * CALLS
    pace.begin()
    pace.end(begun + 0.06, None)
    pace.throttled(PER_SECOND, begun, begun + 0.06)
    later = begun + 3600.0
    pace.begin()
    pace.end(later + 0.06, 0.06)
    pace.passed(later, later + 0.06)
    assert pace.opens_at(later + 0.06) - later == pytest.approx(0.06 + held_for(1.0), abs=1e-6)
