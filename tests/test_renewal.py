"""When a credential is asked for, tried and given up, as a function of what is heard of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.credentials import Credential, NoCredentialError
from pipeline.renewal import (
    Held,
    Missing,
    Standing,
    Trial,
    after_acceptance,
    after_failure,
    after_issue,
    after_refusal,
    gives_up,
)
from tests.builders import NOW

HOUR = 3600.0
ONE = Credential("Bearer", "t1.one")
OTHER = Credential("Bearer", "t1.other")
AT_FIRST = Missing(NOW, NOW)
AWAY = NoCredentialError("no route", "Wait.", may_pass=True)
WRONG = NoCredentialError("no such file", "Write it.")


def ending(seconds: float) -> Credential:
    return Credential("Bearer", "t1.passing", ends_at=NOW + seconds)


def refused(standing: Standing, credential: Credential, now: float = NOW) -> Standing:
    return after_refusal(standing, credential, "expired", "Get another.", now)


@pytest.mark.promise("P11")
@pytest.mark.parametrize(
    ("life", "ask_after"),
    [(12 * HOUR, 11 * HOUR), (20, 18), (600, 540), (None, HOUR), (0, 1), (0.5, 1), (-5, 60)],
)
def test_another_one_is_asked_for_before_the_end(life: float | None, ask_after: float) -> None:
    credential = ONE if life is None else ending(life)
    held = after_issue(AT_FIRST, credential, NOW)
    assert held == Held(credential, NOW + ask_after)


@pytest.mark.promise("P11")
def test_a_credential_that_many_calls_were_refused_for_is_missed_once() -> None:
    missing = refused(Held(ONE, NOW + HOUR), ONE)
    assert missing == Missing(NOW, NOW, 1, 0, "expired", "Get another.")
    assert refused(missing, ONE, NOW + 1) is missing
    renewed = after_issue(missing, OTHER, NOW + 2)
    assert refused(renewed, ONE, NOW + 3) is renewed
    held = after_acceptance(renewed, OTHER)
    assert isinstance(held, Held)
    assert refused(held, ONE, NOW + 4) is held


@pytest.mark.promise("P11")
def test_a_new_one_after_a_refusal_is_tried_before_all_use_it() -> None:
    trial = after_issue(refused(Held(ONE, NOW + HOUR), ONE), OTHER, NOW)
    assert isinstance(trial, Trial)
    assert after_acceptance(trial, ONE) is trial
    assert isinstance(after_acceptance(trial, OTHER), Held)


@pytest.mark.promise("P11")
def test_a_new_one_that_is_refused_too_is_asked_for_ever_later() -> None:
    standing, now, waits = refused(Held(ONE, NOW + HOUR), ONE), NOW, list[float]()
    for _ in range(9):
        issued = Credential("Bearer", "t1.one")
        standing = refused(after_issue(standing, issued, now), issued, now)
        assert isinstance(standing, Missing)
        assert standing.since == NOW
        waits.append(standing.ask_at - now)
        now = standing.ask_at
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.promise("P11")
def test_a_renewal_that_fails_ahead_of_the_end_changes_nothing_for_calls() -> None:
    held = after_failure(after_issue(AT_FIRST, ONE, NOW), AWAY, NOW)
    assert held == Held(ONE, NOW + 1, failures=1)
    assert after_failure(held, AWAY, NOW + 1) == Held(ONE, NOW + 3, failures=2)
    assert not gives_up(held, NOW + 99 * HOUR, HOUR, proven=True, can_renew=True)


def test_the_same_one_again_is_no_other_one() -> None:
    """Whoever was refused with it, was refused with the one in use."""
    again = Credential("Bearer", ONE.secret)
    held = after_issue(Held(ONE, NOW), again, NOW)
    assert isinstance(held, Held)
    assert held.credential is ONE
    assert isinstance(refused(held, ONE), Missing)


@pytest.mark.promise("P11")
@pytest.mark.parametrize(
    ("standing", "proven", "can_renew", "ends"),
    [
        (refused(Held(ONE, NOW), ONE), False, False, True),
        (refused(Held(ONE, NOW), ONE), True, False, False),
        (Missing(NOW, NOW, refusals=3), True, False, False),
        (Missing(NOW, NOW, refusals=4), True, False, True),
        (refused(Held(ONE, NOW), ONE), False, True, False),
        (Missing(NOW, NOW, refusals=2), False, True, True),
        (Missing(NOW, NOW, refusals=2), True, True, False),
        (after_failure(AT_FIRST, WRONG, NOW), False, True, True),
        (after_failure(AT_FIRST, AWAY, NOW), False, True, False),
        (after_failure(refused(Held(ONE, NOW), ONE), WRONG, NOW), True, True, False),
        (Held(ONE, NOW), False, False, False),
    ],
)
def test_what_is_wrong_from_the_start_is_told_at_once_and_what_was_good_is_waited_for(
    standing: Standing, proven: bool, can_renew: bool, ends: bool
) -> None:
    assert gives_up(standing, NOW, HOUR, proven=proven, can_renew=can_renew) is ends


@pytest.mark.promise("P11")
@given(st.lists(st.sampled_from(["away", "wrong", "issued", "refused"]), max_size=40))
def test_patience_is_counted_from_the_first_refusal_on(events: list[str]) -> None:
    standing, now = refused(Held(ONE, NOW), ONE), NOW
    for event in events:
        now += 30
        match event:
            case "issued":
                standing = after_issue(standing, OTHER, now)
            case "refused":
                standing = refused(standing, OTHER, now)
            case _ if isinstance(standing, Missing):
                standing = after_failure(standing, AWAY if event == "away" else WRONG, now)
            case _:
                pass
    if isinstance(standing, Missing):
        assert standing.since == NOW
        assert not gives_up(standing, NOW + HOUR, HOUR, proven=True, can_renew=True)
        assert gives_up(standing, NOW + HOUR + 1, HOUR, proven=True, can_renew=True)
