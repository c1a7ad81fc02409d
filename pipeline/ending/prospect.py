"""The end in sight, as it is told: a moment or an interval, and what binds until then."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from msgspec import Struct

from pipeline.codec import Json
from pipeline.pacing.rates import Rate

ANSWERS, IN_FLIGHT, CONCURRENCY = "answers", "max-in-flight", "concurrency"
SERVICE, QUOTA, POLLS = "service", "quota", "polls"
SHARE, OTHERS = "other runs", "others"
BUDGET, FINISH_BY, PAUSED = "budget", "finish-by", "paused"
SET_ASIDE = "set aside"
DENIED = "denied"

_WORDS = {
    ANSWERS: "bound by how long answers take",
    IN_FLIGHT: "bound by --max-in-flight",
    SET_ASIDE: "bound by what --budget sets aside for operations in flight",
    CONCURRENCY: "bound by --concurrency",
    SERVICE: "waiting for the service",
    QUOTA: "waiting for quota",
    SHARE: "bound by what other runs use of the quota",
    OTHERS: "bound by what others use of the quota",
    BUDGET: "as far as --budget goes",
    FINISH_BY: "as far as --finish-by lets it",
    POLLS: "bound by how often the service may be asked",
}
# Between two moments so near each other nobody chooses: in seconds, and of all that is left.
_NEAR, _NEAR_SHARE = 150.0, 0.02
_SOON, _SOON_WORDS = 60.0, "in less than a minute"
_LONG_WINDOW = 60.0

Told = Callable[[float], str]
"""A moment as text."""


class Pause(Struct, frozen=True):
    """Somebody paused the run at a moment; `go_on` is the command that ends that."""

    since: float
    go_on: str


@dataclass(frozen=True, slots=True)
class Eta:
    """When a run ends, as seen `at` a moment; moments in seconds since 1970, None if not known.

    `submitted`: when the last row is, if any is to be. `earliest`, `likely`, `latest`: when the
    last answer is in, with chances of 10, 50 and 90 %. `bound_by`: a rate as options write it, or
    the name of something else that binds; `used`: how much of that rate is, 0 to 1. `waiting`:
    operations in flight, `denied` of them by the service when they were last asked for. While
    there is a `pause` nobody knows when the run ends; where denied operations bind there is at
    most a `latest`.
    """

    at: float
    waiting: int = 0
    bound_by: Rate | str | None = None
    used: float | None = None
    submitted: float | None = None
    earliest: float | None = None
    likely: float | None = None
    latest: float | None = None
    pause: Pause | None = field(default=None, kw_only=True)
    denied: int = field(default=0, kw_only=True)


def words(eta: Eta, local: Told) -> str:
    """When, and what binds: ``07:42, bound by 5,000 an hour (99.4 % used)``; empty if neither.

    `local` writes a date and a time with a blank between them; the date is left out if it is
    today's.
    """
    if eta.pause is not None:
        return ", ".join(_paused(eta, eta.pause, local))
    return ", ".join(part for part in (_when(eta, partial(_clock, eta, local)), _why(eta)) if part)


def phrases(eta: Eta, local: Told) -> list[str]:
    """The same as phrases that stand by themselves."""
    if eta.pause is not None:
        return _paused(eta, eta.pause, local)
    when = _when(eta, partial(_clock, eta, local))
    is_end = bool(when) and _is_end_told(eta)
    return [part for part in (f"ends {when}" if is_end else when, _why(eta)) if part]


def _is_end_told(eta: Eta) -> bool:
    return eta.likely is not None or (eta.bound_by == DENIED and eta.latest is not None)


def sentence(eta: Eta, local: Told) -> str:
    """The same for whoever looks from outside; where the end is not known it says so."""
    told = words(eta, local)
    if told and eta.pause is None and not _is_end_told(eta):
        return f"The end is not known yet: {told}."
    return f"End in sight: {told}." if told else ""


def is_soon(eta: Eta) -> bool:
    """Whether the end is less than a minute away."""
    return eta.likely is not None and eta.latest is not None and eta.latest - eta.at < _SOON


def _paused(eta: Eta, pause: Pause, local: Told) -> list[str]:
    return [f"paused since {_clock(eta, local, pause.since)}", f"to go on: {pause.go_on}"]


def duration(seconds: float) -> str:
    """As people say it, in one or two units: ``2 h 14 min``."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return f"{int(seconds)} s"
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def _clock(eta: Eta, local: Told, moment: float) -> str:
    day, _, time = local(moment).partition(" ")
    return time if local(eta.at).startswith(f"{day} ") else f"{day} {time}"


def _when(eta: Eta, told: Told) -> str:
    if eta.bound_by == DENIED and eta.latest is not None:
        return f"by {told(eta.latest)} at the latest"
    if eta.likely is None or eta.earliest is None or eta.latest is None:
        if eta.submitted is None:
            return ""
        is_near = eta.submitted - eta.at < _SOON
        return f"all submitted {_SOON_WORDS if is_near else f'by {told(eta.submitted)}'}"
    if is_soon(eta):
        return _SOON_WORDS
    if eta.latest - eta.earliest <= max(_NEAR, _NEAR_SHARE * (eta.likely - eta.at)):
        return told(eta.likely)
    return f"between {told(eta.earliest)} and {told(eta.latest)}"


def _why(eta: Eta) -> str:
    why = _bound(eta)
    if not eta.denied or eta.bound_by == DENIED:
        return why
    are = "1 operation is" if eta.denied == 1 else f"{eta.denied:,} operations are"
    return ", ".join(part for part in (why, f"{are} denied by the service") if part)


def _bound(eta: Eta) -> str:
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
        case "denied":
            which = "an operation" if eta.denied == 1 else f"{eta.denied:,} operations"
            return f"waiting for {which} that the service denies"
        case name:
            return _WORDS[name]


def as_json(eta: Eta | None, utc: Told) -> dict[str, Json]:
    """The same as values; `utc` writes moments. Without an estimate all of them are null."""

    def told(moment: float | None) -> Json:
        return None if moment is None else utc(moment)

    denied = None if eta is None else eta.denied
    eta = eta or Eta(0.0)
    moments = (eta.submitted, eta.earliest, eta.likely, eta.latest)
    names = ("all_submitted", "earliest", "likely", "latest")
    return {
        "eta": dict(zip(names, map(told, moments), strict=True)),
        "bound_by": None if eta.bound_by is None else str(eta.bound_by),
        "used": None if eta.used is None else round(eta.used, 4),
        "denied": denied,
    }
