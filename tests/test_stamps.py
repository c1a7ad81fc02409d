"""Stamps of the service as seconds, as the standard library reads them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.stamps import second_of


@given(st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31)), st.booleans())
def test_a_stamp_is_the_second_that_it_names(moment: datetime, has_fraction: bool) -> None:
    moment = moment.replace(tzinfo=UTC)
    text = moment.isoformat(timespec="microseconds" if has_fraction else "seconds")
    whole = int(moment.replace(microsecond=0).timestamp())
    assert second_of(text.replace("+00:00", "Z")) == whole
    assert second_of(text) == whole


def test_another_zone_is_the_same_moment() -> None:
    assert second_of("2026-11-20T23:10:01+03:00") == second_of("2026-11-20T20:10:01Z")


@pytest.mark.parametrize(
    "stamp",
    [
        *(None, "", "yesterday", "2026-11-20T23:10:01", "2026-13-20T23:10:01Z", "Z"),
        *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1969-12-31T23:59:59Z"),
        *("2026-11-20T23:10:61Z", "2026-11-20T23:10:²²Z", "9999-12-31T23:59:59-23:59"),
    ],
)
def test_what_is_no_stamp_of_our_age_is_none(stamp: str | None) -> None:
    assert second_of(stamp) is None
