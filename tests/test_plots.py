"""Where things stand in a plot, in percent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.plots import Axis, Zone, bar, heights

_NIGHT = 1_800_000_000  # 2027-01-15 08:00 UTC


@given(st.integers(0, 10**12))
def test_heights_reach_to_a_round_number_above_all(most: int) -> None:
    axis, marks = heights(most)
    assert axis.high >= most
    assert axis.high <= max(2.5 * most, 1)
    assert 2 <= len(marks) <= 6
    assert [marks[0].at, marks[-1].at] == [100, 0]
    assert marks[0].word == "0"


def test_marks_of_counts_are_round() -> None:
    assert [mark.word for mark in heights(4700)[1]] == ["0", "2,000", "4,000", "6,000"]
    assert [mark.word for mark in heights(3)[1]] == ["0", "1", "2", "3"]


@given(st.integers(0, 7 * 10**9), st.integers(1, 10**9), st.integers(-50_400, 50_400))
def test_marks_of_time_are_few_and_inside(low: int, span: int, ahead: int) -> None:
    marks = list(Zone(ahead).marks(Axis(low, low + span)))
    assert len(marks) <= 6
    assert all(-1e-6 <= mark.at <= 100 + 1e-6 for mark in marks)


@pytest.mark.parametrize(
    ("span", "ahead", "words"),
    [
        (10, 0, ["08:00:00", "08:00:02", "08:00:04", "08:00:06", "08:00:08", "08:00:10"]),
        (3600, 10_800, ["11:00", "11:15", "11:30", "11:45", "12:00"]),
        (28_800, 10_800, ["12:00", "14:00", "16:00", "18:00"]),
        (28_800, -12_600, ["06:00", "08:00", "10:00", "12:00"]),
        (300_000, 10_800, ["01-16", "01-17", "01-18"]),
    ],
)
def test_marks_of_time_are_round_where_people_are(span: int, ahead: int, words: list[str]) -> None:
    marks = Zone(ahead).marks(Axis(_NIGHT, _NIGHT + span))
    assert [mark.word for mark in marks] == words


@pytest.mark.parametrize(
    ("ahead", "name"), [(0, "UTC"), (10_800, "UTC+03:00"), (-12_600, "UTC-03:30")]
)
def test_a_zone_has_a_name(ahead: int, name: str) -> None:
    assert Zone(ahead).name == name
    assert Zone(ahead).moment(_NIGHT)[:10] == "2027-01-15"


def test_a_bar_stands_on_the_axis() -> None:
    found = bar(Axis(10, 20), Axis(0, 8), 12, 14, 2, "two")
    assert found.y + found.height == 100
    assert found.height == 25
    assert 20 < found.x < found.x + found.width < 40
