"""Quotas enforced by an exact sliding log, which is what judges a client's pace.

A call is admitted when every window that ends with it stays within its limit. Refused calls use up
nothing. All admitted times are kept: they are the log, and what tests look at afterwards.
"""

from array import array
from collections import Counter
from collections.abc import Iterable

from pipeline.emulator.refusals import OverQuota
from pipeline.pacing.rates import Rate

_PER = {1.0: "PerSecond", 60.0: "PerMinute", 3600.0: "PerHour", 86400.0: "PerDay"}


class Quota:
    """The windows of one kind of call.

    Attributes:
        times: when each admitted call came, in unix seconds.
        violations: how often each limit refused a call, by the quota's id.

    """

    def __init__(self, name: str, rates: Iterable[Rate]) -> None:
        self._limits = tuple((f"ai.{name}{_per(rate)}.rate", rate) for rate in rates)
        self.times = array("d")
        self.violations: Counter[str] = Counter()

    def admit(self, now: float) -> None:
        """Count one call, or raise `OverQuota` and count nothing but the violation."""
        for quota_id, rate in self._limits:
            if self._full(rate, now):
                self.violations[quota_id] += 1
                raise OverQuota(
                    f"{quota_id} rate quota limit exceed: allowed {rate.limit} requests"
                )
        self.restore(now)

    def restore(self, at: float) -> None:
        """Count a call that was admitted before."""
        self.times.append(at)

    def _full(self, rate: Rate, now: float) -> bool:
        # Written as a sum because a client that waits for "then + seconds" computes that same
        # number; a difference can round the other way and refuse a call that is exactly on time.
        return len(self.times) >= rate.limit and self.times[-rate.limit] + rate.seconds > now


def _per(rate: Rate) -> str:
    """How an id ends; that of a window that no real quota has names no period."""
    return _PER.get(rate.seconds, "")
