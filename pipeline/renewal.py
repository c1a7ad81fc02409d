"""When a credential is renewed, and when a run gives up on it. Pure.

    Missing ──issued──▶ Held ──nearly over──▶ (asked for ahead, while it is used) ──issued──▶ Held
       ▲                 │ refused
       │                 ▼
       └──refused── Trial ◀──issued── Missing
                     └──accepted──▶ Held

A new credential after a refused one is tried by one call before all others follow.
"""

from dataclasses import dataclass, replace

from pipeline.credentials import Credential, NoCredentialError

# The share of a credential's life that is left when another one is asked for, and the most.
_MARGIN = 0.1
_LONGEST_MARGIN = 3600.0
# How soon to look for another one where its end is not told: as often as the official SDK does.
_UNTOLD_LIFE = 3600.0
_SHORTEST_WAIT, _LONGEST_WAIT = 1.0, 60.0
# A credential that was accepted before and can't change may be refused by accident.
_TRIES_UNCHANGED = 3


@dataclass(frozen=True, slots=True)
class Missing:
    """Nothing to call with since `since`; the source is asked at `ask_at`.

    `refusals` in a row led here; `why` is what the service or the source said last, and
    `may_pass` whether the source thinks that it will have one soon by itself.
    """

    since: float
    ask_at: float
    refusals: int = 0
    failures: int = 0
    why: str = ""
    advice: str = ""
    may_pass: bool = True


@dataclass(frozen=True, slots=True)
class Trial:
    """Issued after a refusal: one call at a time until one is accepted."""

    credential: Credential
    since: float
    refusals: int
    ask_at: float


@dataclass(frozen=True, slots=True)
class Held:
    """Good, as far as is known; another one is asked for at `ask_at`, while this one is used."""

    credential: Credential
    ask_at: float
    failures: int = 0


Standing = Missing | Trial | Held


def after_issue(standing: Standing, credential: Credential, now: float) -> Standing:
    """Where one stands with a credential that the source just handed out."""
    ask_at = _ask_at(credential, now)
    match standing:
        case Missing(since, _, refusals) if refusals:
            return Trial(credential, since, refusals, ask_at)
        case Trial(_, since, refusals):
            return Trial(credential, since, refusals, ask_at)
        case Held(former) if former.secret == credential.secret:
            return Held(former, ask_at)
        case _:
            return Held(credential, ask_at)


def after_failure(standing: Standing, error: NoCredentialError, now: float) -> Standing:
    """Where one stands when the source had none."""
    match standing:
        case Missing(failures=failures):
            ask_at, tries = now + _wait(failures), failures + 1
            words = str(error), error.advice, error.may_pass
            return Missing(standing.since, ask_at, standing.refusals, tries, *words)
        case Held(failures=failures):
            return replace(standing, ask_at=now + _wait(failures), failures=failures + 1)
        case Trial():
            return replace(standing, ask_at=now + _LONGEST_WAIT)


def after_refusal(
    standing: Standing, refused: Credential, why: str, advice: str, now: float
) -> Standing:
    """Where one stands when the service did not accept a credential."""
    match standing:
        case Held(credential) if credential is refused:
            return Missing(now, now, 1, 0, why, advice)
        case Trial(credential, since, refusals) if credential is refused:
            return Missing(since, now + _wait(refusals - 1), refusals + 1, 0, why, advice)
        case _:
            # Sent before that one was replaced.
            return standing


def after_acceptance(standing: Standing, accepted: Credential) -> Standing:
    """Where one stands when the service answered a call that bore this credential."""
    match standing:
        case Trial(credential, _, _, ask_at) if credential is accepted:
            return Held(credential, ask_at)
        case _:
            return standing


def gives_up(
    standing: Standing, now: float, patience: float, *, proven: bool, can_renew: bool
) -> bool:
    """Whether waiting makes no sense any more.

    `proven`: the service has accepted a credential of this source before; else it is the source
    that is wrong, and somebody may still be there to mend it.
    """
    if not isinstance(standing, Missing):
        return False
    if not can_renew:
        return standing.refusals > (_TRIES_UNCHANGED if proven else 0)
    is_wrong = standing.refusals > 1 or (standing.failures > 0 and not standing.may_pass)
    if is_wrong and not proven:
        return True
    return now - standing.since > patience


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
