"""The pictures say what was counted, and never less than the quota allows."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.pacing.pace import Pace
from pipeline.pacing.rates import Rate
from pipeline.report.buckets import Buckets
from pipeline.report.figures import (
    BARS,
    FINISHED,
    QUOTA,
    SUBMITTED,
    Flow,
    least_seconds,
    per_bucket,
    so_far,
    took,
    words,
)
from pipeline.report.plots import Plot, Zone
from pipeline.report.spread import Spread
from pipeline.settings import DEFAULT_RATES

_BEGUN = 1_800_000_000


def counted(seconds: Sequence[int]) -> Buckets:
    buckets = Buckets()
    for second in seconds:
        buckets.add(_BEGUN + second)
    return buckets


def flow(
    sent: Sequence[int], done: Sequence[int], rates: Sequence[Rate] | None = DEFAULT_RATES
) -> Flow:
    return Flow(counted(sent), counted(done), rates, Zone(0))


def points(plot: Plot, kind: str) -> Sequence[tuple[float, float]]:
    (trace,) = [trace for trace in plot.traces if trace.kind == kind]
    return trace.points


def kinds(plot: Plot) -> list[str]:
    return [trace.kind for trace in plot.traces]


times = st.lists(st.integers(0, 30) | st.integers(0, 10**6), min_size=1, max_size=40)


@given(times, times)
def test_everything_is_inside_and_bars_are_few(sent: list[int], done: list[int]) -> None:
    for plot in (per_bucket(flow(sent, done)), so_far(flow(sent, done))):
        assert plot is not None
        assert len(plot.bars) <= BARS
        for found in plot.bars:
            assert 0 <= found.x <= found.x + found.width <= 100
            assert -1e-6 <= found.y < 100
        for trace in plot.traces:
            assert len(trace.points) <= 1200
            assert all(-1e-6 <= value <= 100 + 1e-6 for point in trace.points for value in point)


@given(times, times)
def test_bars_tell_of_all_that_was_submitted(sent: list[int], done: list[int]) -> None:
    plot = per_bucket(flow(sent, done))
    assert plot is not None
    told = [int(bar.told.rpartition(": ")[2].split()[0]) for bar in plot.bars]
    assert sum(told) == len(sent)


@given(times, times)
def test_sums_rise_from_nothing_to_all(sent: list[int], done: list[int]) -> None:
    plot = so_far(flow(sent, done))
    assert plot is not None
    top = max(len(sent), len(done))
    ends = {}
    for kind in (SUBMITTED, FINISHED):
        heights = [y for _, y in points(plot, kind)]
        assert heights[0] == 100
        assert heights == sorted(heights, reverse=True)
        ends[kind] = heights[-1]
    assert (ends[SUBMITTED] < ends[FINISHED]) == (len(sent) > len(done))
    assert top <= int(plot.up[-1].word.replace(",", ""))


@settings(max_examples=15)
@given(
    st.integers(1, 300),
    st.sampled_from([(Rate(10, 1.0), Rate(50, 60.0)), (Rate(3, 1.0),), (Rate(40, 30.0),)]),
)
def test_no_pace_is_faster_than_the_least_time(rows: int, rates: tuple[Rate, ...]) -> None:
    pace, now, sent = Pace(rates), 0.0, 0.0
    for _ in range(rows):
        now = max(now, pace.opens_at(now))
        sent = now
        pace.begin()
        pace.end(now)
    least = least_seconds(rates, rows)
    assert least <= sent + 1e-6
    assert least >= 0.99 * sent - 0.1


def test_the_quota_is_drawn_where_bars_come_near_it() -> None:
    near = per_bucket(flow([0] * 8, [5]))
    assert near is not None
    assert kinds(near) == [FINISHED, QUOTA]
    assert near.legend[-1] == (QUOTA, "at most 10 a second: the last call's limit")
    far = per_bucket(flow([0] * 2, [5]))
    assert far is not None
    assert kinds(far) == [FINISHED]
    hours = per_bucket(flow([0] * 5000 + [20_000], [20_000]))
    assert hours is not None
    assert hours.legend[-1] == (QUOTA, "at most 5,000 an hour: the last call's limit")


def test_without_a_limit_none_is_drawn() -> None:
    for rates in (None, ()):
        found = flow([0] * 8, [5], rates)
        assert [kinds(plot) for plot in (per_bucket(found), so_far(found)) if plot] == [
            [FINISHED],
            [SUBMITTED, FINISHED],
        ]


def test_without_times_there_is_no_picture() -> None:
    assert per_bucket(flow([], [])) is None
    assert so_far(flow([], [])) is None
    assert took(Spread()) is None


def test_a_run_of_which_nothing_is_finished_has_pictures_all_the_same() -> None:
    assert per_bucket(flow([0, 1], [])) is not None
    assert so_far(flow([0, 1], [])) is not None


def test_latencies_are_bars_with_few_words_below() -> None:
    latency = Spread()
    for value in [3, 3, 4, 9, 60]:
        latency.add(value)
    plot = took(latency)
    assert plot is not None
    assert plot.bars[0].told == "2 s to under 4 s: 2 answers"
    assert plot.bars[-1].told.endswith(": 1 answer")
    assert 2 <= len(plot.along) <= 6


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s"),
        (15, "15 s"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (7200, "2 h"),
        (5400, "1 h 30 min"),
    ],
)
def test_spans_are_said_in_few_letters(seconds: int, told: str) -> None:
    assert words(seconds) == told
