"""Totals from some rows, and how often their intervals hold."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.estimate.fit import Estimate, Fit, t_quantile, total

sizes = st.floats(1, 1e5)


@pytest.mark.parametrize(
    ("chance", "freedom", "known"),
    [(0.975, 5, 2.571), (0.975, 10, 2.228), (0.995, 10, 3.169), (0.9875, 30, 2.360)],
)
def test_quantiles_are_those_of_the_tables(chance: float, freedom: float, known: float) -> None:
    assert t_quantile(chance, freedom) == pytest.approx(known, abs=0.005)


def test_with_hardly_any_freedom_the_quantile_is_that_of_two_degrees() -> None:
    assert t_quantile(0.975, 2) == pytest.approx(4.303, abs=0.001)
    assert t_quantile(0.975, 1) == t_quantile(0.975, 3) == t_quantile(0.975, 2)


@given(st.lists(st.tuples(sizes, sizes), min_size=1, max_size=40))
def test_what_is_known_of_every_row_is_exact(pairs: list[tuple[float, float]]) -> None:
    found = Fit.of(pairs).among(len(pairs), sum(x for x, _ in pairs))
    assert found.is_exact
    assert found.likely == pytest.approx(sum(y for _, y in pairs))


def test_a_line_is_followed_to_rows_of_other_sizes() -> None:
    fit = Fit.of([(float(x), 14 + x / 5) for x in range(100, 200)])
    found = fit.among(1000, 1000 * 300.0)
    assert found.likely == pytest.approx(1000 * (14 + 60))
    assert found.relative(0.95) < 1e-6


def test_one_row_far_from_all_others_makes_no_slope() -> None:
    near = [(100.0 + n % 3, 50.0 + n % 5) for n in range(40)]
    assert Fit.of([*near, (100_000.0, 5.0)]).slope == 0
    assert Fit.of([(x * 1.0, 2.0 * x) for x in range(40)]).slope == pytest.approx(2)


def test_a_single_row_says_little_of_the_others() -> None:
    low, high = Fit.of([(10.0, 100.0)]).among(50, 500.0).interval(0.95)
    assert low == 0
    assert high > 10_000


def test_rows_asked_anew_are_less_certain_than_those_that_stay() -> None:
    chance = Random(1)  # noqa: S311 - a test's dice
    fit = Fit.of([(0.0, chance.gauss(100, 10)) for _ in range(50)])
    stay, anew = fit.among(100, 0.0), fit.anew(100, 0.0)
    assert stay.likely == anew.likely
    assert anew.variance == pytest.approx(3 * 2 * stay.variance / 2)


def test_the_range_that_nobody_knows_a_chance_of_comes_on_top() -> None:
    found = Estimate(100.0, 25.0) + Estimate(low=10.0, high=50.0)
    low, high = found.interval(0.95)
    assert found.likely is None
    assert high - low == pytest.approx(40 + 2 * (100 - Estimate(100.0, 25.0).interval(0.95)[0]))


@given(st.lists(st.tuples(sizes, sizes, st.floats(2, 1e3)), min_size=1, max_size=8))
def test_a_sum_is_as_free_as_its_parts_at_least_and_no_freer_than_all(
    parts: list[tuple[float, float, float]],
) -> None:
    found = total(Estimate(centre, variance, freedom) for centre, variance, freedom in parts)
    assert found.variance == pytest.approx(sum(variance for _, variance, _ in parts))
    assert min(f for *_, f in parts) <= found.freedom * 1.001
    assert found.freedom <= sum(f for *_, f in parts) * 1.001


def test_an_interval_is_never_below_nothing() -> None:
    assert Estimate(1.0, 100.0, 5).interval(0.95)[0] == 0


def test_a_small_spread_seen_by_chance_is_widened_to_that_of_all() -> None:
    fit = Fit.of([(0.0, 99.0), (0.0, 101.0)] * 20)
    wide = fit.scattered(0.25)
    assert wide.spread == pytest.approx(0.25 * 100**2)
    assert wide.scattered(0.01) == wide
    assert wide.anew(40, 0.0).likely == fit.anew(40, 0.0).likely


def test_intervals_of_skewed_rows_hold_as_often_as_they_say() -> None:
    chance, held = Random(5), 0  # noqa: S311 - a test's dice
    for _ in range(400):
        rows = [(x, x * chance.lognormvariate(0, 0.7)) for x in _sizes(chance, 1000)]
        known = chance.sample(rows, 100)
        low, high = Fit.of(known).among(1000, sum(x for x, _ in rows)).interval(0.95)
        held += low <= sum(y for _, y in rows) <= high
    assert held / 400 >= 0.95


def _sizes(chance: Random, count: int) -> list[float]:
    return [math.exp(chance.gauss(5, 0.4)) for _ in range(count)]
