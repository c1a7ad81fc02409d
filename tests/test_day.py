"""The day of a result is Moscow's."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.day import day_at, day_of, days_between


@pytest.mark.promise("P15")
@pytest.mark.parametrize(
    ("stamp", "day"),
    [
        ("2026-03-02T20:59:59Z", "2026-03-02"),
        ("2026-03-02T21:00:00Z", "2026-03-03"),
        ("2026-03-02T20:59:59.999999999Z", "2026-03-02"),
        ("2026-03-03T00:00:00+03:00", "2026-03-03"),
        ("2026-03-02T23:59:59+03:00", "2026-03-02"),
        ("2026-12-31T21:00:00Z", "2027-01-01"),
        ("2024-02-29T12:00:00+00:00", "2024-02-29"),
        ("2026-03-02 21:00:00Z", "2026-03-03"),
    ],
)
def test_a_day_begins_at_midnight_in_moscow(stamp: str, day: str) -> None:
    assert day_of(stamp) == day


@pytest.mark.parametrize(
    "stamp", [None, "", "Z", "soon", "2026-03-02", "2026-03-02T21:00:00", "2026-13-02T21:00:00Z"]
)
def test_what_is_no_moment_has_no_day(stamp: str | None) -> None:
    assert day_of(stamp) is None
    assert day_of(stamp, "2026-03-02T21:00:00Z") == "2026-03-03"


def test_the_first_stamp_counts() -> None:
    assert day_of("2026-03-05T00:00:00Z", "2026-03-02T00:00:00Z") == "2026-03-05"
    assert day_of() is None
    assert day_of("9999-12-31T23:00:00Z") is None


moments = st.datetimes(datetime(2023, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))


@given(moments)
def test_a_moment_and_its_stamp_are_of_one_day(moment: datetime) -> None:
    day = day_at(moment.timestamp())
    assert day == day_of(moment.strftime("%Y-%m-%dT%H:%M:%SZ")) == day_of(moment.isoformat())
    assert day == (moment + timedelta(hours=3)).strftime("%Y-%m-%d")


def test_days_are_counted() -> None:
    assert days_between("2026-03-03", "2026-11-21") == 263
