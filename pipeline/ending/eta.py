"""When a run ends, from what drives it: its windows as they stand, and how long operations take.

First when the rows to come can be submitted: through all windows, from places that come free at
known moments, and no faster than rows really were where something else holds them up (`curve`).
Then when the last answer is in. All operations are over by y with a chance of

    exp( sum over those in flight of  log(1 - S(age at y) / S(age last heard of))
       + sum over those to come of    log(1 - S(age at y)) )

with S the share that still runs, by what was learned of latencies so far. Both sums go over some
sixty samples with weights, so what they cost does not grow with the run.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from msgspec import Struct

from pipeline.ending.ends import EVEN, FAST, SLOW, Tail
from pipeline.ending.prospect import (
    ANSWERS,
    CONCURRENCY,
    DENIED,
    IN_FLIGHT,
    OTHERS,
    POLLS,
    QUOTA,
    SERVICE,
    SET_ASIDE,
    SHARE,
    Eta,
)
from pipeline.operations.agenda import Flight
from pipeline.operations.latency import Latency
from pipeline.pacing.curve import Achieved, Curve
from pipeline.pacing.margin import held_for
from pipeline.pacing.rates import Rate
from pipeline.pacing.window import Window

SAMPLES = 64
"""Operations in flight are told by about so many of them."""
_SPREAD = 1.28
_ENOUGH_KNOWN = 16
_SPACING = 1.3
# So many questions an operation takes, by its `timetable`.
_POLLS_EACH = 2.0
# What holds rows up beside the windows is told if submitting takes so many times longer by it.
_CLEARLY = 1.25
# Answers bind where the last one takes so many times longer than to submit all that is left.
_FAR_MORE = 5.0
_NOTHING = 1.0
_UNSURE = 0.25
# So far ahead nobody looks, and no calendar need go: ten years.
_FOR_EVER = 10 * 365 * 86400.0


class Cut(Struct, frozen=True):
    """What ends submitting before the last row of the input: `by` which of the user's own limits.

    The last `slow` of the rows that it lets through take `longer` seconds, whatever the windows
    hold; and of all of them a share `doubtful` may be more, or fewer.
    """

    by: str
    slow: int = 0
    longer: float = 0.0
    doubtful: float = 0.0


@dataclass(frozen=True, slots=True)
class Situation:
    """Where a run stands; moments in seconds since 1970.

    `to_submit` rows need a POST yet, none of which leaves before `opens_at`; `running` operations
    are waited for. `flights` is a sample of these; `coming`, by share, what is known of those to
    come. `away`: a host is that is needed. `throttled`: by a 429. Beside the running there are the
    `denied`, the last of which are over by `denied_until`, None where that is not known. `cut`:
    what lets no more rows through than these.
    """

    now: float
    to_submit: int
    running: int
    windows: Sequence[Window]
    flights: Sequence[Flight] = ()
    coming: Sequence[tuple[float, Latency]] = ()
    poll_rates: Sequence[Rate] = ()
    opens_at: float = 0.0
    away: bool = False
    throttled: bool = False
    achieved: Achieved | None = None
    denied: int = 0
    denied_until: float | None = None
    cut: Cut | None = None

    @property
    def at_pace(self) -> int:
        """Rows to be submitted as fast as the windows, and what else holds them up, let them."""
        return self.to_submit if self.cut is None else max(self.to_submit - self.cut.slow, 0)


class _Submits(Struct, frozen=True):
    """When the last row is submitted, how much sooner or later that may be, and what binds."""

    curve: Curve
    end: float
    sooner: float
    later: float
    bound_by: Rate | str | None
    used: float | None


def hindrance(
    *,
    throttled: bool = False,
    full_by: str | None = None,
    posting_full: bool = False,
    beside_others: bool = False,
    shared: bool = False,
) -> str | None:
    """What keeps the next row from being submitted, beside the run's own windows.

    `full_by`: what makes that no more operations may be in flight.
    `beside_others`, `shared`: these would let it pass, but their quota is not the run's alone.
    """
    causes = {
        QUOTA: throttled,
        IN_FLIGHT: full_by == IN_FLIGHT,
        SET_ASIDE: full_by == SET_ASIDE,
        OTHERS: beside_others,
        CONCURRENCY: posting_full,
        SHARE: shared,
    }
    return next((name for name, is_so in causes.items() if is_so), None)


def estimate(seen: Situation) -> Eta:
    """When a run ends, and what binds."""
    others = _of_others(seen) if seen.cut is None else _cut_short(seen, seen.cut)
    if not seen.denied:
        return others
    eta = replace(others, waiting=seen.running + seen.denied, denied=seen.denied)
    until = seen.denied_until
    if seen.at_pace or seen.running or seen.away:
        if eta.likely is None or eta.latest is None or until is None or until <= eta.likely:
            return eta
        until = max(until, eta.latest)
    return replace(eta, bound_by=DENIED, used=None, earliest=None, likely=None, latest=until)


def _cut_short(seen: Situation, cut: Cut) -> Eta:
    """The same where a limit ends it: its last rows take longer, give or take a quarter."""
    eta = _of_others(replace(seen, to_submit=seen.at_pace))
    if eta.bound_by == SERVICE:
        return eta
    submits_until = (eta.submitted or eta.at) + cut.longer
    unsure = _UNSURE * cut.longer + cut.doubtful * (submits_until - eta.at)

    def later(moment: float | None, by: float) -> float | None:
        return None if moment is None else max(moment + cut.longer + by, eta.at)

    return replace(
        eta,
        bound_by=cut.by,
        used=None,
        submitted=submits_until if seen.to_submit else None,
        earliest=later(eta.earliest, -unsure),
        likely=later(eta.likely, 0.0),
        latest=later(eta.latest, unsure),
    )


def _of_others(seen: Situation) -> Eta:
    """The same without those that the service denies."""
    if seen.away:
        return Eta(seen.now, seen.running, SERVICE)
    if not seen.to_submit and not seen.running:
        return Eta(seen.now)
    submits = _submits(seen) if seen.to_submit else None
    if submits is not None and submits.end + submits.later - seen.now > _FOR_EVER:
        return Eta(seen.now, seen.running, submits.bound_by, submits.used)
    ends = _ends(seen, submits)
    if ends[2] is not None and ends[2] - seen.now > _FOR_EVER:
        ends = (None, None, None)
    if submits is None:
        return Eta(seen.now, seen.running, ANSWERS, None, None, *ends)
    bound_by, used = submits.bound_by, submits.used
    likely, asked = ends[1], _asked_by(seen, _POLLS_EACH)
    if likely is not None and likely <= asked:
        bound_by, used = POLLS, None
    elif likely is not None and _FAR_MORE * (submits.end - seen.now) < likely - seen.now:
        bound_by, used = ANSWERS, None
    return Eta(seen.now, seen.running, bound_by, used, submits.end, *ends)


def _submits(seen: Situation) -> _Submits:
    """The windows alone, or the rate that was really achieved, if that is clearly lower."""
    curve = partial(Curve, seen.windows, seen.now, seen.to_submit, begin=seen.opens_at)
    alone, last = curve(), seen.to_submit - 1
    end, achieved = alone.at(last), seen.achieved
    binding = _binding(seen)
    by: Rate | str | None = None if binding is None else binding.known
    used = None if binding is None else binding.used(seen.now)
    if seen.throttled:
        by, used = QUOTA, None
    if achieved is None:
        return _Submits(alone, end, 0.0, 0.0, by, used)
    slow = curve(apart=1.0 / achieved.per_second)
    slow_end = slow.at(last)
    takes, longer = end - seen.now, slow_end - seen.now
    if longer <= _CLEARLY * takes + _NOTHING:
        return _Submits(slow, slow_end, slow_end - end, 0.0, by, used)
    spread = _SPREAD * longer * math.sqrt(1 / max(achieved.rows, 1.0) + 1 / seen.to_submit)
    by = QUOTA if seen.throttled else achieved.hindrance
    if achieved.hindrance == SHARE:
        # Others may end any moment. Or there is one more than there was.
        return _Submits(slow, slow_end, slow_end - end, longer, by, None)
    return _Submits(slow, slow_end, min(spread, slow_end - end), spread, by, None)


def _binding(seen: Situation) -> Window | None:
    """The window by which alone the last row would be submitted last."""

    def alone(window: Window) -> float:
        turns, row = divmod(seen.to_submit - 1, window.rate.limit)
        return window.place_at(row, seen.now) + turns * held_for(window.seconds)

    return max(seen.windows, key=alone, default=None)


# When the last answer is in.


def _ends(seen: Situation, submits: _Submits | None) -> tuple[float | None, ...]:
    """The moments by which all is over, with each of the chances."""
    starts = [] if submits is None else list(_starts(submits.curve, seen.to_submit))
    tail = Tail(seen.now, seen.flights, seen.coming, starts)
    if not (seen.coming if starts else seen.flights) or tail.known < _ENOUGH_KNOWN:
        return (None, None, None)
    early, likely, late = tail.end(0.1, FAST), tail.end(0.5, EVEN), tail.end(0.9, SLOW)
    if submits is not None:
        early, late = early - submits.sooner, late + submits.later
    early = max(early, seen.now, _asked_by(seen, 1.0))
    likely = max(likely, early, _asked_by(seen, _POLLS_EACH))
    return (early, likely, max(late, likely))


def _asked_by(seen: Situation, polls_each: float) -> float:
    """When all have been asked for so often, at the fastest."""
    polls = (seen.to_submit + seen.running) * polls_each
    needs = (max(polls - rate.limit, 0) * rate.seconds / rate.limit for rate in seen.poll_rates)
    return seen.now + max(needs, default=0.0)


def _starts(curve: Curve, rows: int) -> Iterator[tuple[float, int]]:
    """Samples of when rows start, with the number each stands for: ever fewer from the last on."""
    done = 0
    while done < rows:
        count = min(max(int(done * (_SPACING - 1)), 1), rows - done)
        yield curve.at(rows - 1 - done - count // 2), count
        done += count
