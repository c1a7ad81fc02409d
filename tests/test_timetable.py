"""At which ages operations are asked for."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.operations.latency import BINS, EDGES, Latency
from pipeline.operations.polling import RETENTION
from pipeline.operations.timetable import LATEST, Found, Timetable, best_plan, latest
from tests.test_latency import latencies, learned, lognormal

DAY = 86400.0


def sums_of(hazards: list[float]) -> list[float]:
    sums = [0.0]
    for hazard in [*hazards, *[hazards[-1]] * (BINS - len(hazards))]:
        sums.append(sums[-1] + hazard)
    return sums


def cost(sums: list[float], price: float, asked: list[int]) -> float:
    """What it costs to ask at these edges, reckoned bin by bin; asked once more where all end."""
    alive = [math.exp(-hazard) for hazard in sums]
    total, before = 0.0, 0
    for edge in asked:
        total += price * alive[before]
        for n in range(before, edge):
            middle = (EDGES[n] + EDGES[n + 1]) / 2
            total += (alive[n] - alive[n + 1]) * (EDGES[edge] - middle)
        before = edge
    return total + 2 * price * alive[before]


def walked(following: list[int], end: int) -> list[int]:
    at, asked = 0, list[int]()
    while at < end:
        at = following[at]
        asked.append(at)
    return asked


# The plan.


@given(st.lists(st.floats(0.01, 3.0), min_size=6, max_size=6), st.floats(0.01, 3.0), st.data())
def test_no_other_plan_costs_less(hazards: list[float], price: float, data: st.DataObject) -> None:
    sums = sums_of([*hazards, 20.0])
    plan = best_plan(sums, price)
    best = cost(sums, price, walked(list(plan.following), plan.end))
    between = st.sets(st.integers(1, plan.end - 1)).map(sorted)
    assert best <= cost(sums, price, [*data.draw(between), plan.end]) + 1e-9


def test_a_dearer_question_is_asked_less_often() -> None:
    sums = learned(lognormal(20.0, 1.0, 1000)).sums
    polls = [best_plan(sums, price).polls for price in (0.1, 1.0, 10.0, 100.0)]
    assert polls == sorted(polls, reverse=True)
    assert polls[0] > 5
    assert polls[-1] < 1.5


def test_between_two_peaks_nobody_asks() -> None:
    peaks = lognormal(3.0, 0.2, 700) + lognormal(60.0, 0.2, 300)
    latency = learned([took for n in range(300) for took in peaks[n::300]])
    ages = Timetable(latency).ages()
    asked, age = [], 0.0
    for _ in range(4):
        heard_in = max(n for n in range(BINS) if EDGES[n] <= age)
        age = ages[heard_in if age else 0]
        asked.append(age)
    assert not [age for age in asked if 12 < age < 40]


# The timetable.


def of_all_bins(found: Found) -> list[float]:
    return [found[bin_] for bin_ in range(BINS)]


@given(latencies())
def test_whatever_was_learned_an_operation_is_asked_again_not_at_once_and_in_time(
    latency: Latency,
) -> None:
    for heard_in, age in enumerate(of_all_bins(Timetable(latency).ages())):
        assert math.isfinite(age)
        assert age <= LATEST[heard_in]
        # Those heard of later in the same bin are not to be asked at once again.
        if EDGES[heard_in] < RETENTION / 2:
            assert age >= (EDGES[heard_in + 1] if heard_in else 0.0) + 0.25


@given(latencies())
def test_beyond_all_that_is_known_an_operation_is_asked_when_its_age_has_grown_fourfold(
    latency: Latency,
) -> None:
    for heard_at, age in zip(EDGES, of_all_bins(Timetable(latency).ages()), strict=False):
        assert age <= max(4 * heard_at, 1.5 * latency.reach, 1.0)


def test_those_found_running_spare_the_younger_ones_questions_that_tell_nothing() -> None:
    """Most end at 3 s; the others are older than anybody has seen one end."""
    latency = Latency()
    for _ in range(70):
        latency.ended(0.0, 6.0, 3.0)
    for _ in range(30):
        latency.still_ran(0.0, 6.0)
        latency.still_ran(6.0, 50.0)
    heard_in = max(n for n in range(BINS) if EDGES[n] <= 6.0)
    assert 45 < Timetable(latency).ages()[heard_in] <= 1.5 * 55


@given(latencies())
def test_the_last_are_asked_once_a_second_at_most_and_each_time_they_age_by_a_twentieth(
    latency: Latency,
) -> None:
    gaps = of_all_bins(Timetable(latency).gaps())
    assert 1.0 <= gaps[0] <= max(latency.reach, 1.0)
    for heard_at, gap in zip(EDGES[1:], gaps[1:], strict=False):
        assert 1.0 <= gap <= max(heard_at / 20, 1.0) + 1e-6


def test_the_last_operations_are_asked_more_eagerly_than_others() -> None:
    timetable = Timetable(learned(lognormal(20.0, 1.0, 1000)))
    assert timetable.gaps()[0] < timetable.ages()[0] / 2


@pytest.mark.parametrize("sigma", [0.6, 1.4])
def test_an_operation_is_planned_to_take_two_questions_at_most(sigma: float) -> None:
    latency = learned(lognormal(20.0, sigma, 1000))
    timetable, alive, asked = Timetable(latency), 1.0, 0.0
    age, ages = 0.0, timetable.ages()
    while alive > 1e-6 and age < DAY:
        asked += alive
        heard_in = max(n for n in range(BINS) if EDGES[n] <= age + 1e-9)
        age = ages[heard_in if age else 0]
        alive = 1.0 - latency.chance(0.0, age)
    assert 1.8 < asked <= 2.0


def test_a_service_of_which_nothing_is_known_is_asked_soon() -> None:
    assert Timetable(Latency()).ages()[0] < 2.0


def test_what_is_heard_changes_the_timetable() -> None:
    latency = Latency()
    timetable = Timetable(latency)
    before = timetable.ages()[0]
    for _ in range(100):
        latency.ended(0.0, 100.0, 80.0)
    assert timetable.ages()[0] > 10 * before


# Expiry.


@pytest.mark.promise("P14")
def test_the_nearer_its_expiry_the_more_often_an_operation_is_asked_for() -> None:
    age, asked = 0.0, list[float]()
    while age < RETENTION + 3600:
        age = latest(age)
        asked.append(age)
    before = [age for age in asked if age < RETENTION]
    assert asked[0] == RETENTION / 4
    assert RETENTION - before[-1] <= 60
    assert min(age for age in asked if age >= RETENTION) <= RETENTION + 60
    assert len(asked) < 80
