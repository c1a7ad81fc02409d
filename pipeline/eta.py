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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from pipeline.agenda import Flight
from pipeline.codec import Json
from pipeline.curve import Achieved, Curve
from pipeline.ends import EVEN, FAST, SLOW, Tail
from pipeline.latency import Latency
from pipeline.margin import held_for
from pipeline.rates import Rate
from pipeline.window import Window

SAMPLES = 64
"""Operations in flight are told by about so many of them."""
ANSWERS, IN_FLIGHT, CONCURRENCY = "answers", "max-in-flight", "concurrency"
SERVICE, QUOTA, POLLS = "service", "quota", "polls"
SHARE, OTHERS = "other runs", "others"
BUDGET, FINISH_BY = "budget", "finish-by"

_WORDS = {
    ANSWERS: "bound by how long answers take",
    IN_FLIGHT: "bound by --max-in-flight",
    CONCURRENCY: "bound by --concurrency",
    SERVICE: "waiting for the service",
    QUOTA: "waiting for quota",
    SHARE: "bound by what other runs use of the quota",
    OTHERS: "bound by what others use of the quota",
    BUDGET: "as far as --budget goes",
    FINISH_BY: "as far as --finish-by lets it",
    POLLS: "bound by how often the service may be asked",
}
_SPREAD = 1.28
_ENOUGH_KNOWN = 16
_SPACING = 1.3
# So many questions an operation takes, by its `timetable`.
_POLLS_EACH = 2.0
# What holds rows up beside the windows is told if submitting takes so many times longer by it.
_CLEARLY = 1.25
# Answers bind where the last one takes so many times longer than to submit all that is left.
_FAR_MORE = 5.0
# Between two moments so near each other nobody chooses: in seconds, and of all that is left.
_NEAR, _NEAR_SHARE = 150.0, 0.02
_SOON = 60.0
_NOTHING = 1.0
# So far ahead nobody looks, and no calendar need go: ten years.
_FOR_EVER = 10 * 365 * 86400.0
_LONG_WINDOW = 60.0

Told = Callable[[float], str]
"""A moment as text."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Where a run stands; moments in seconds since 1970.

    `to_submit` rows need a POST yet, none of which leaves before `opens_at`; `running` operations
    are waited for. `flights` is a sample of these; `coming`, by share, what is known of those to
    come. `away`: a host is that is needed. `throttled`: by a 429.
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


@dataclass(frozen=True, slots=True)
class Eta:
    """When a run ends, as seen `at` a moment; moments in seconds since 1970, None if not known.

    `submitted`: when the last row is, if any is to be. `earliest`, `likely`, `latest`: when the
    last answer is in, with chances of 10, 50 and 90 %. `bound_by`: a rate as options write it, or
    the name of something else that binds; `used`: how much of that rate is, 0 to 1. `waiting`:
    operations in flight.
    """

    at: float
    waiting: int = 0
    bound_by: Rate | str | None = None
    used: float | None = None
    submitted: float | None = None
    earliest: float | None = None
    likely: float | None = None
    latest: float | None = None


@dataclass(frozen=True, slots=True)
class _Submits:
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
    in_flight_full: bool = False,
    posting_full: bool = False,
    beside_others: bool = False,
    shared: bool = False,
) -> str | None:
    """What keeps the next row from being submitted, beside the run's own windows.

    `beside_others`, `shared`: these would let it pass, but their quota is not the run's alone.
    """
    causes = {
        QUOTA: throttled,
        IN_FLIGHT: in_flight_full,
        OTHERS: beside_others,
        CONCURRENCY: posting_full,
        SHARE: shared,
    }
    return next((name for name, is_so in causes.items() if is_so), None)


def estimate(seen: Situation) -> Eta:
    """When a run ends, and what binds."""
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
    by: Rate | str | None = None if binding is None else binding.rate
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


# What is said of it.


def words(eta: Eta, local: Told) -> str:
    """When, and what binds: ``07:42, bound by 5,000 an hour (99.4 % used)``; empty if neither.

    `local` writes a date and a time with a blank between them; the date is left out if it is
    today's.
    """
    return ", ".join(part for part in (_when(eta, partial(_clock, eta, local)), _why(eta)) if part)


def _clock(eta: Eta, local: Told, moment: float) -> str:
    day, _, time = local(moment).partition(" ")
    return time if local(eta.at).startswith(f"{day} ") else f"{day} {time}"


def _when(eta: Eta, told: Told) -> str:
    if eta.likely is None or eta.earliest is None or eta.latest is None:
        is_soon = eta.submitted is None or eta.submitted - eta.at < _SOON
        return (
            "" if is_soon or eta.submitted is None else f"all submitted by {told(eta.submitted)}"
        )
    if eta.latest - eta.at < _SOON:
        return ""
    if eta.latest - eta.earliest <= max(_NEAR, _NEAR_SHARE * (eta.likely - eta.at)):
        return told(eta.likely)
    return f"between {told(eta.earliest)} and {told(eta.latest)}"


def _why(eta: Eta) -> str:
    match eta.bound_by:
        case None:
            return ""
        case Rate() as rate:
            is_told = eta.used is not None and rate.seconds >= _LONG_WINDOW
            used = f" ({100 * (eta.used or 0.0):.1f} % used)" if is_told else ""
            return f"bound by {rate.words}{used}"
        case "answers" if eta.submitted is None:
            last = "answer" if eta.waiting == 1 else f"{eta.waiting:,} answers"
            return f"waiting for the last {last}"
        case name:
            return _WORDS[name]


def as_json(eta: Eta | None, utc: Told) -> dict[str, Json]:
    """The same as values; `utc` writes moments. Without an estimate all of them are null."""

    def told(moment: float | None) -> Json:
        return None if moment is None else utc(moment)

    eta = eta or Eta(0.0)
    moments = (eta.submitted, eta.earliest, eta.likely, eta.latest)
    names = ("all_submitted", "earliest", "likely", "latest")
    return {
        "eta": dict(zip(names, map(told, moments), strict=True)),
        "bound_by": None if eta.bound_by is None else str(eta.bound_by),
        "used": None if eta.used is None else round(eta.used, 4),
    }
