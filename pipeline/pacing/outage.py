"""When the service can't be reached: noticed after several failures in a row, ended by a probe.

One detector watches one host. A failure is a call that was not sent, had no answer or drew a 5xx;
any other answer proves that the host is there. After an outage one call goes first, alone: if it
fails too, the host only seemed to be back (a gateway that answers probes but not the real call),
and each such relapse doubles the time until the next try.

    Up ──several failures──▶ Down ──probe answered──▶ Trial ──answered──▶ Up
                              ▲────────failed───────────┘
"""

from dataclasses import dataclass

THRESHOLD = 3
_FIRST_PROBE_AFTER = 5.0
_PROBES_APART = 50.0
_LONGEST_DWELL = 600.0


@dataclass(frozen=True, slots=True)
class Up:
    """The host answers, but for the last `failures` calls, the first of which ended at `since`."""

    failures: int = 0
    since: float = 0.0


_WELL = Up()


@dataclass(frozen=True, slots=True)
class Down:
    """No calls but probes; the next one is due at `probe_at`."""

    since: float
    probe_at: float
    probes: int = 0
    relapses: int = 0


@dataclass(frozen=True, slots=True)
class Trial:
    """A probe was answered, at `at`: one real call at a time until one is answered too."""

    since: float
    at: float
    relapses: int


Health = Up | Down | Trial


def after_failure(health: Health, now: float) -> Health:
    """Where a host stands after a real call failed."""
    match health:
        case Up(failures, since):
            first = since if failures else now
            if failures + 1 < THRESHOLD:
                return Up(failures + 1, first)
            return Down(first, now + _FIRST_PROBE_AFTER)
        case Trial(since, at, relapses):
            dwell = min(_PROBES_APART * 2.0**relapses, _LONGEST_DWELL)
            # The time since the probe was not spent waiting for the host.
            return Down(since + (now - at), now + dwell, relapses=min(relapses + 1, 10))
        case Down():
            return health


def after_finding(health: Health, now: float) -> Health:
    """Where a host stands that failed a real call and, asked whether it is there, a probe too."""
    if not isinstance(health, Up):
        return health
    return Down(health.since if health.failures else now, now + _FIRST_PROBE_AFTER)


def after_answer(health: Health) -> Health:
    """Where a host stands after a real call was answered.

    An answer to a call begun before the outage was noticed does not end it: only probes do.
    """
    return health if isinstance(health, Down) else _WELL


def after_probe(health: Health, now: float, *, answered: bool) -> Health:
    """Where a host stands after a probe that ended now."""
    if not isinstance(health, Down):
        return health
    if answered:
        return Trial(health.since, now, health.relapses)
    wait = min(_FIRST_PROBE_AFTER * 2.0**health.probes, _PROBES_APART)
    next_at = max(health.probe_at + wait, now)
    return Down(health.since, next_at, min(health.probes + 1, 10), health.relapses)
