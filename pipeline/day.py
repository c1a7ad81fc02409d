"""The days by which results are priced: Moscow's, as the bill has them.

A day is ISO text (``2026-03-03``), which sorts as time does. Moscow is three hours ahead of UTC in
summer and winter, since before there were prices.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

Day = str

_MOSCOW = timedelta(hours=3)


def day_at(moment: float) -> Day:
    """The day of a moment in seconds since 1970."""
    return _in_moscow(datetime.fromtimestamp(moment, UTC))


def day_of(*stamps: str | None) -> Day | None:
    """The day of the first of these ISO stamps that is one; None where none is."""
    for stamp in stamps:
        if stamp is None:
            continue
        # All moments of an hour that is UTC's are of one day, so that few of them are computed.
        is_utc = stamp[-1:] == "Z" and stamp[10:11] == "T"
        day = _day_of_hour(stamp[:13]) if is_utc else _day(stamp)
        if day is not None:
            return day
    return None


def days_between(first: Day, last: Day) -> int:
    return (date.fromisoformat(last) - date.fromisoformat(first)).days


@lru_cache(maxsize=4096)
def _day_of_hour(hour: str) -> Day | None:
    return _day(f"{hour}:00:00Z")


def _day(stamp: str) -> Day | None:
    try:
        moment = datetime.fromisoformat(stamp)
        return _in_moscow(moment) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _in_moscow(moment: datetime) -> Day:
    return (moment.astimezone(UTC) + _MOSCOW).date().isoformat()
