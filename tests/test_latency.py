"""What is learned of how long operations take."""

import math
from itertools import pairwise
from random import Random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codec import Json, decode, encode
from pipeline.operations.latency import BINS, EDGES, Latency, age_at, position
from tests.strategies import any_json, with_parts_replaced

DAY = 86400.0
ages = st.floats(0, 6 * DAY)
chances = st.floats(0.01, 0.99)


@st.composite
def latencies(draw: st.DrawFn) -> Latency:
    """One that has heard of operations in any order, with stamps that may be nonsense."""
    latency = Latency()
    told = st.none() | st.floats(-1e9, 1e9)
    for _ in range(draw(st.integers(0, 30))):
        since, age = sorted((draw(ages), draw(ages)))
        if draw(st.booleans()):
            latency.still_ran(since, age)
        else:
            latency.ended(since, age, draw(told))
    return latency


def learned(seconds: list[float]) -> Latency:
    """As from operations first asked for some time after they were over."""
    latency = Latency()
    for took in seconds:
        latency.ended(0.0, took * 1.5 + 1.0, float(round(took)))
    return latency


def lognormal(median: float, sigma: float, count: int, seed: int = 1) -> list[float]:
    chance = Random(seed)  # noqa: S311 - a simulation
    return [median * math.exp(chance.gauss(0.0, sigma)) for _ in range(count)]


def quarters(latency: Latency) -> list[float]:
    return [latency.age_of(0.0, chance) for chance in (0.25, 0.5, 0.75)]


# Bins.


@given(ages)
def test_a_position_tells_its_age(age: float) -> None:
    assert age_at(position(age)) == pytest.approx(age, rel=1e-9, abs=1e-12)


def test_bins_cover_six_days_and_grow_by_a_twelfth_at_most() -> None:
    assert EDGES[0] == 0.0
    assert EDGES[BINS] > 6 * DAY
    assert all(b / a < 13 / 12 + 0.01 for a, b in pairwise(EDGES[1:]))
    assert [position(edge) for edge in EDGES] == pytest.approx(range(BINS + 1))


@pytest.mark.parametrize("age", [-1.0, 1e12])
def test_an_age_beyond_all_bins_stands_at_their_end(age: float) -> None:
    assert position(age) == (0.0 if age < 0 else BINS)
    assert age_at(position(age)) == (0.0 if age < 0 else EDGES[BINS])


# Whatever was heard.


@given(latencies(), ages, ages, ages)
def test_a_chance_is_a_chance_and_grows_with_the_age(
    latency: Latency, since: float, one: float, other: float
) -> None:
    sooner, later = sorted((one, other))
    low, high = latency.chance(since, sooner), latency.chance(since, later)
    assert 0.0 <= low <= high <= 1.0
    assert math.isfinite(latency.hazard(since, later))


@given(latencies(), ages, chances)
def test_the_age_of_a_chance_is_where_that_chance_is_reached(
    latency: Latency, since: float, chance: float
) -> None:
    age = latency.age_of(since, chance)
    assert since <= age * (1 + 1e-9)
    assert age <= EDGES[BINS]
    if age < EDGES[BINS]:
        assert latency.chance(since, age) == pytest.approx(chance, abs=1e-6)


@given(latencies(), ages, chances, chances)
def test_a_greater_chance_comes_later(
    latency: Latency, since: float, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert latency.age_of(since, low) <= latency.age_of(since, high)


@given(latencies())
def test_hazards_are_never_nothing_and_never_without_end(latency: Latency) -> None:
    steps = [b - a for a, b in pairwise(latency.sums)]
    assert len(steps) == BINS
    assert all(0.0 < step <= 9.0 for step in steps)
    assert 0.0 <= latency.reach <= EDGES[BINS]


# What is learned.


def test_who_knows_nothing_expects_an_end_each_time_the_age_doubles() -> None:
    latency = Latency()
    for age in 1.0, 60.0, 3600.0, DAY:
        assert latency.chance(age, 2 * age) == pytest.approx(1 - math.exp(-1))


@pytest.mark.parametrize(("median", "sigma"), [(20.0, 0.6), (20.0, 1.4), (3 * 3600.0, 0.3)])
def test_quarters_of_a_distribution_are_learned(median: float, sigma: float) -> None:
    found = quarters(learned(lognormal(median, sigma, 3000)))
    right = [median * math.exp(sigma * z) for z in (-0.6745, 0.0, 0.6745)]
    assert found == pytest.approx(right, rel=0.2)


def test_two_peaks_are_learned_and_the_gap_between_them() -> None:
    shuffled = lognormal(3.0, 0.3, 2100) + lognormal(60.0, 0.3, 900)
    Random(1).shuffle(shuffled)  # noqa: S311 - a simulation
    latency = learned(shuffled)
    assert latency.chance(0.0, 12.0) == pytest.approx(0.7, abs=0.05)
    assert latency.chance(12.0, 25.0) < 0.05
    assert latency.chance(25.0, 150.0) > 0.9


def test_operations_that_still_run_are_evidence_as_good_as_those_that_ended() -> None:
    """Half of them take long; those are heard of as running, and not yet as anything else."""
    latency = Latency()
    for _ in range(200):
        latency.ended(0.0, 10.0, 5.0)
        latency.still_ran(0.0, 10.0)
    assert latency.chance(0.0, 10.0) == pytest.approx(0.5, abs=0.03)
    for _ in range(200):
        latency.still_ran(10.0, 100.0)
    assert latency.chance(10.0, 100.0) < 0.1


def test_a_distribution_twice_as_slow_is_followed_within_1200_operations() -> None:
    latency = learned(lognormal(20.0, 0.6, 5000) + lognormal(40.0, 0.6, 1200, seed=2))
    assert quarters(latency)[1] == pytest.approx(40.0, rel=0.15)


def test_stamps_of_whole_seconds_do_not_hide_latencies_of_less() -> None:
    """When it was last heard of, and when first seen over, bounds it too."""
    latency = Latency()
    for _ in range(300):
        latency.still_ran(0.0, 0.25)
        latency.ended(0.25, 0.5, 0.0)
    assert latency.chance(0.0, 0.25) < 0.05
    assert latency.chance(0.25, 0.5) > 0.9


def test_without_stamps_what_we_saw_is_learned() -> None:
    latency = Latency()
    for took in lognormal(20.0, 0.6, 3000):
        since = 10.0 * (took // 10.0)
        latency.still_ran(0.0, since)
        latency.ended(since, since + 10.0)
    for age in 10.0, 20.0, 30.0:
        right = NormalDist().cdf(math.log(age / 20.0) / 0.6)
        assert latency.chance(0.0, age) == pytest.approx(right, abs=0.05)


@pytest.mark.parametrize("told", [-5.0, 3600.0, 1e9])
def test_stamps_that_contradict_what_we_saw_are_not_believed(told: float) -> None:
    believed, unstamped = Latency(), Latency()
    for _ in range(50):
        believed.ended(8.0, 10.0, told)
        unstamped.ended(8.0, 10.0)
    assert believed.sums == unstamped.sums


def test_the_reach_is_the_oldest_age_heard_of_and_then_where_almost_all_are_over() -> None:
    latency = Latency()
    latency.still_ran(0.0, 50.0)
    assert latency.reach == pytest.approx(50.0, rel=0.09)
    for took in [10.0] * 995 + [3600.0] * 5:
        latency.ended(0.0, took + 1.0, took)
    assert 9.0 < latency.reach < 13.0


def test_a_million_operations_leave_numbers_of_a_sensible_size() -> None:
    """New evidence weighs ever more; it is brought back to 1 in time."""
    latency = learned([20.0] * 10_000)
    assert latency.known == 10_000
    assert max(latency.sums) < BINS * 9
    assert quarters(latency)[1] == pytest.approx(20.0, rel=0.1)


def test_the_reach_is_the_oldest_age_known_of_while_many_still_run() -> None:
    latency = Latency()
    for _ in range(100):
        latency.ended(0.0, 11.0, 10.0)
        latency.still_ran(0.0, 60.0)
    assert 55.0 < latency.reach < 66.0


def test_at_first_each_operation_changes_what_is_expected_and_later_only_many_do() -> None:
    latency, versions = Latency(), list[int]()
    for _ in range(20_000):
        latency.still_ran(0.0, 1.0)
        versions.append(latency.version)
    assert versions[49] - versions[0] == 49
    assert versions[-1] - versions[-2001] == 10


# What survives a restart.


def test_what_was_learned_survives_a_restart() -> None:
    before = learned(lognormal(20.0, 0.6, 1000))
    state = encode(before.state())
    assert len(state) < 4000
    after = Latency.of(decode(state))
    assert quarters(after) == pytest.approx(quarters(before), rel=0.1)
    assert after.known == 100


def test_what_another_process_learned_is_soon_outweighed() -> None:
    state = learned([5.0] * 2000).state()
    latency = Latency.of(decode(encode(state)))
    for _ in range(300):
        latency.ended(0.0, 100.0, 80.0)
    assert 60.0 < quarters(latency)[1] < 90.0


def test_a_few_operations_are_not_blown_up() -> None:
    latency = Latency.of(decode(encode(learned([5.0] * 3).state())))
    assert latency.known == 3


@given(
    with_parts_replaced(
        st.just(decode(encode(learned([5.0, 9.0]).state()))), any_json(["known", "ended"])
    )
)
def test_any_json_in_place_of_what_was_learned_is_taken(state: Json) -> None:
    latency = Latency.of(state)
    latency.ended(0.0, 10.0, 5.0)
    assert all(math.isfinite(sum_) for sum_ in latency.sums)
    assert 0 <= latency.known <= 101
    assert decode(encode(latency.state()))


@given(latencies())
def test_any_latency_can_be_saved_and_read(latency: Latency) -> None:
    again = Latency.of(decode(encode(latency.state())))
    assert again.known == min(latency.known, 100)
    assert all(math.isfinite(sum_) for sum_ in again.sums)
