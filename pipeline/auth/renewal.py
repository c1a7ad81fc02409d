"""When a credential is renewed, and when a run gives up on it. Pure.

    Missing ──issued──▶ Held ──nearly over──▶ (asked for ahead, while it is used) ──issued──▶ Held
       ▲                 │ refused
       │                 ▼
       └──refused── Trial ◀──issued── Missing
                     └──accepted──▶ Held

A new credential after a refused one is tried by one call of each kind that was refused, before all
others follow: what one host accepts, another may not. Whoever sent a call with a credential that
has been replaced since hears of it too late: credentials are told apart by identity, and one that
is tried again is a copy.
"""

from dataclasses import dataclass, replace
from typing import Literal

from pipeline.auth.credentials import Credential, NoCredentialError
from pipeline.pacing.rates import Kind

# The share of a credential's life that is left when another one is asked for, and the most.
_MARGIN = 0.1
_LONGEST_MARGIN = 3600.0
# How soon to look for another one where its end is not told: as often as the official SDK does.
_UNTOLD_LIFE = 3600.0
_SHORTEST_WAIT, _LONGEST_WAIT = 1.0, 60.0
# A credential that was accepted and can't change may be refused by accident, for so long.
_UNCHANGED_FOR = 300.0
# So long after it was issued, a token may not be known to every host yet.
_SETTLES = 60.0
# So many refusals in a row are no accident.
_CHANCE = 4
_NOBODY: frozenset[Kind] = frozenset()


@dataclass(frozen=True, slots=True)
class Missing:
    """Nothing to call with since `since`; the source is asked at `ask_at`.

    `refusals` in a row led here, by the calls in `by`; `why` is what the service or the source
    said last, and `may_pass` whether the source thinks that it will have one soon by itself.
    """

    since: float
    ask_at: float
    refusals: int = 0
    failures: int = 0
    why: str = ""
    advice: str = ""
    may_pass: bool = True
    by: frozenset[Kind] = _NOBODY


@dataclass(frozen=True, slots=True)
class Trial:
    """Tried after a refusal: by one call at a time of each kind in `by`, until it is accepted."""

    credential: Credential
    since: float
    refusals: int
    ask_at: float
    by: frozenset[Kind]


@dataclass(frozen=True, slots=True)
class Held:
    """Good, as far as is known; another one is asked for at `ask_at`, while this one is used.

    `spare` is the one before it, in case that it is refused before any call was `accepted`.
    """

    credential: Credential
    ask_at: float
    issued_at: float
    failures: int = 0
    accepted: bool = False
    spare: Credential | None = None


Standing = Missing | Trial | Held


Renews = Literal["never", "perhaps", "always"]
"""Whether asking a source again brings another credential; always: a new one, good or not."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of where it comes from; `proven`: one of it has been accepted before."""

    renews: Renews
    proven: bool = False


def after_issue(standing: Standing, credential: Credential, now: float) -> Standing:
    """Where one stands with a credential that the source just handed out."""
    ask_at = _ask_at(credential, now)
    match standing:
        case Missing(since, _, refusals, by=by) if refusals:
            return Trial(credential, since, refusals, ask_at, by)
        case Trial(_, since, refusals, _, by):
            return Trial(credential, since, refusals, ask_at, by)
        case Held(former) if former.secret == credential.secret:
            return replace(standing, ask_at=ask_at, failures=0)
        case Held(former, failures=failures):
            return Held(credential, ask_at, now, failures, spare=former)
        case Missing():
            return Held(credential, ask_at, now)


def after_failure(standing: Standing, error: NoCredentialError, now: float) -> Standing:
    """Where one stands when the source had none."""
    match standing:
        case Missing(failures=failures):
            return replace(
                standing,
                ask_at=now + _wait(failures),
                failures=failures + 1,
                why=str(error),
                advice=error.advice,
                may_pass=error.may_pass,
            )
        case Held(failures=failures):
            return replace(standing, ask_at=now + _wait(failures), failures=failures + 1)
        case Trial():
            return replace(standing, ask_at=now + _LONGEST_WAIT)


def after_refusal(
    standing: Standing, refused: Credential, by: Kind, why: str, advice: str, now: float
) -> Standing:
    """Where one stands when the service did not accept a credential of a call of this kind."""
    match standing:
        case Held(credential) if credential is refused:
            return _after_first_refusal(standing, by, why, advice, now)
        case Trial(credential, since, refusals, by=others) if credential is refused:
            ask_at = now + _wait(refusals - 1)
            return Missing(since, ask_at, refusals + 1, 0, why, advice, by=others | {by})
        case _:
            # Sent before that one was replaced.
            return standing


def _after_first_refusal(held: Held, by: Kind, why: str, advice: str, now: float) -> Standing:
    if not held.accepted and held.spare is not None and now < (held.spare.ends_at or 0.0):
        # Renewed ahead of time, and not known to every host yet: the one before is still good.
        wait = _wait(held.failures)
        again = replace(held.spare)
        return Held(again, now + wait, now, held.failures + 1, accepted=True)
    if held.accepted and now - held.issued_at < _SETTLES:
        # Another one would be no better than this, which is new and was accepted.
        return Trial(replace(held.credential), now, 1, held.ask_at, frozenset({by}))
    return Missing(now, now, 1, 0, why, advice, by=frozenset({by}))


def after_acceptance(standing: Standing, accepted: Credential, by: Kind, now: float) -> Standing:
    """Where one stands when the service answered a call of this kind that bore this credential."""
    match standing:
        case Trial(credential, ask_at=ask_at, by=others) if credential is accepted:
            left = others - {by}
            if left:
                return replace(standing, by=left)
            return Held(credential, ask_at, now, accepted=True)
        case Held(credential, accepted=False) if credential is accepted:
            return replace(standing, accepted=True, failures=0, spare=None)
        case _:
            return standing


@dataclass(frozen=True, slots=True)
class Issue:
    """The newest credential of a source, and the calls for which it was accepted so far."""

    credential: Credential
    at: float
    accepted_by: frozenset[Kind] = _NOBODY


def is_known_good(
    standing: Standing, newest: Issue | None, credential: Credential, by: Kind
) -> bool:
    """Whether it is no news that calls of this kind are accepted with this credential."""
    return (
        isinstance(standing, Held)
        and standing.accepted
        and standing.credential is credential
        and newest is not None
        and newest.credential is credential
        and by in newest.accepted_by
    )


def is_settling(standing: Standing, newest: Issue, now: float, source: Source) -> bool:
    """Whether the newest one, which was refused, may be accepted soon, and a newer one no sooner.

    One that was accepted before is not new to those who refuse it now; they may have refused it
    by chance.
    """
    ends_at = newest.credential.ends_at
    if source.renews != "always" or now - newest.at >= _SETTLES or (ends_at or now + 1) <= now:
        return False
    match standing:
        case Missing(refusals=refusals, by=by):
            # One more is taken before it is known to be time that is needed.
            is_new_to_them = refusals > _CHANCE and not by <= newest.accepted_by
            return is_new_to_them or 0 < refusals < _CHANCE
        case Held(used):
            return used.secret != newest.credential.secret and not newest.accepted_by
        case Trial():
            return False


def gives_up_at(standing: Missing, patience: float, source: Source) -> float:
    """When waiting makes no sense any more, if nothing changes.

    What is wrong from the start is told at once: somebody may still be there to mend it.
    """
    if not standing.refusals and not standing.failures:
        # Nobody has been asked yet.
        return standing.since + max(patience, _SHORTEST_WAIT)
    if source.renews == "never":
        waits = _UNCHANGED_FOR if source.proven else 0.0
    elif source.proven:
        waits = patience
    elif standing.failures:
        waits = patience if standing.may_pass else 0.0
    elif source.renews == "always":
        waits = 2 * _SETTLES
    else:
        waits = patience if standing.refusals < 2 else 0.0
    return standing.since + min(waits, patience)


def _ask_at(credential: Credential, now: float) -> float:
    if credential.ends_at is None:
        return now + _UNTOLD_LIFE
    life = credential.ends_at - now
    if life < -_SHORTEST_WAIT:
        # It may be good all the same: a clock may be wrong.
        return now + _LONGEST_WAIT
    margin = min(life * _MARGIN, _LONGEST_MARGIN)
    return max(credential.ends_at - margin, now + _SHORTEST_WAIT)


def _wait(tries: int) -> float:
    return min(_SHORTEST_WAIT * 2.0 ** min(tries, 6), _LONGEST_WAIT)


def admits(standing: Standing, kind: Kind, under_way: int) -> bool:
    """Whether a call of this kind may start while so many of them are under way."""
    match standing:
        case Held():
            return True
        case Trial(by=by) if "polls" in by:
            # Nothing more is paid for that could not be fetched.
            return kind == "polls" and under_way == 0
        case Trial(by=by):
            return kind not in by or under_way == 0
        case Missing():
            return False
