"""Moments as the service stamps them, in whole seconds since 1970."""

from datetime import UTC, datetime
from functools import lru_cache

_LONGEST_MINUTE = 60
# 2200-01-01: nobody answers later, and every calendar goes as far.
_LAST = 7_258_118_400


def second_of(stamp: str | None) -> int | None:
    """The second of an ISO stamp; None where it is none, names no zone, or is of another age."""
    if stamp is None:
        return None
    if stamp[-1:] == "Z" and stamp[16:17] == ":" and stamp[17:19].isdecimal():
        # Rows that are neighbours share their minutes, so that few of them are computed.
        minute, second = _minute(stamp[:16]), int(stamp[17:19])
        return None if minute is None or second > _LONGEST_MINUTE else minute + second
    return _second(stamp)


@lru_cache(maxsize=4096)
def _minute(text: str) -> int | None:
    return _second(f"{text}:00+00:00")


def _second(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            return None
        second = int((moment - datetime.fromtimestamp(0, UTC)).total_seconds() // 1)
    except (ValueError, OverflowError):
        return None
    return second if 0 <= second < _LAST else None
