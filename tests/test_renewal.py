"""When a credential is asked for, tried and given up, as a function of what is heard of it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.auth.credentials import Credential, NoCredentialError
from pipeline.auth.renewal import (
    Held,
    Issue,
    Missing,
    Source,
    Standing,
    Trial,
    admits,
    after_acceptance,
    after_failure,
    after_issue,
    after_refusal,
    gives_up_at,
    is_settling,
)
from pipeline.pacing.rates import Kind
from tests.builders import NOW

HOUR = 3600.0
ONE = Credential("Bearer", "t1.one")
OTHER = Credential("Bearer", "t1.other")
AT_FIRST = Missing(NOW, NOW)
LONG_HELD = Held(ONE, NOW + HOUR, NOW - HOUR, accepted=True)
AWAY = NoCredentialError("no route", "Wait.", may_pass=True)
WRONG = NoCredentialError("no such file", "Write it.")
FIXED, FILE, MINT = Source("never"), Source("perhaps"), Source("always")
PROVEN_FIXED, PROVEN = replace(FIXED, proven=True), replace(FILE, proven=True)


def ending(seconds: float) -> Credential:
    return Credential("Bearer", "t1.passing", ends_at=NOW + seconds)


def refused(
    standing: Standing, credential: Credential, now: float = NOW, by: Kind = "submits"
) -> Standing:
    return after_refusal(standing, credential, by, "expired", "Get another.", now)


MISSED = refused(LONG_HELD, ONE)


def tried(standing: Standing, credential: Credential, now: float = NOW) -> Trial:
    trial = after_issue(standing, credential, now)
    assert isinstance(trial, Trial)
    return trial


@pytest.mark.promise("P11")
@pytest.mark.parametrize(
    ("life", "ask_after"),
    [(12 * HOUR, 11 * HOUR), (20, 18), (600, 540), (None, HOUR), (0, 1), (0.5, 1), (-5, 60)],
)
def test_another_one_is_asked_for_before_the_end(life: float | None, ask_after: float) -> None:
    credential = ONE if life is None else ending(life)
    assert after_issue(AT_FIRST, credential, NOW) == Held(credential, NOW + ask_after, NOW)


@pytest.mark.promise("P11")
def test_a_credential_that_many_calls_were_refused_for_is_missed_once() -> None:
    missing = refused(LONG_HELD, ONE)
    by: frozenset[Kind] = frozenset({"submits"})
    assert missing == Missing(NOW, NOW, 1, 0, "expired", "Get another.", by=by)
    assert refused(missing, ONE, NOW + 1) is missing
    renewed = after_issue(missing, OTHER, NOW + 2)
    assert refused(renewed, ONE, NOW + 3) is renewed
    held = after_acceptance(renewed, OTHER, "submits", NOW + 3)
    assert isinstance(held, Held)
    assert refused(held, ONE, NOW + 4) is held


@pytest.mark.promise("P11")
def test_a_new_one_after_a_refusal_is_tried_before_all_use_it() -> None:
    trial = tried(MISSED, OTHER)
    assert after_acceptance(trial, ONE, "submits", NOW) is trial
    assert admits(trial, "submits", 0)
    assert not admits(trial, "submits", 1)
    assert admits(trial, "polls", 9)
    assert isinstance(after_acceptance(trial, OTHER, "submits", NOW), Held)


@pytest.mark.promise("P11")
def test_what_one_host_accepts_proves_nothing_of_another_and_nothing_more_is_paid_for() -> None:
    trial = tried(refused(LONG_HELD, ONE, by="polls"), OTHER)
    assert after_acceptance(trial, OTHER, "submits", NOW) == trial
    assert not admits(trial, "submits", 0)
    assert admits(trial, "polls", 0)
    assert not admits(trial, "polls", 1)
    again = refused(trial, OTHER, NOW, by="submits")
    assert isinstance(again, Missing)
    assert again.by == {"submits", "polls"}
    both = tried(again, OTHER)
    left = after_acceptance(both, OTHER, "polls", NOW)
    assert isinstance(left, Trial)
    assert isinstance(after_acceptance(left, OTHER, "submits", NOW), Held)


@pytest.mark.promise("P11")
def test_a_new_one_that_is_refused_too_is_asked_for_ever_later() -> None:
    standing, now, waits = MISSED, NOW, list[float]()
    for _ in range(9):
        issued = replace(ONE)
        standing = refused(tried(standing, issued, now), issued, now)
        assert isinstance(standing, Missing)
        assert standing.since == NOW
        waits.append(standing.ask_at - now)
        now = standing.ask_at
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.promise("P11")
def test_one_that_was_just_accepted_is_tried_again_before_another_is_asked_for() -> None:
    """A good token that is refused now and then must not take a new one each time."""
    new = Held(ONE, NOW + HOUR, NOW, accepted=True)
    trial = refused(new, ONE, NOW + 10)
    assert isinstance(trial, Trial)
    assert trial.credential == ONE
    assert refused(trial, ONE, NOW + 11) is trial
    assert isinstance(refused(trial, trial.credential, NOW + 11), Missing)


@pytest.mark.promise("P11")
def test_one_renewed_ahead_of_time_that_is_not_known_yet_leaves_the_one_before_it_in_use() -> None:
    before = Held(ending(HOUR), NOW, NOW - HOUR, accepted=True)
    renewed = after_issue(before, OTHER, NOW)
    assert isinstance(renewed, Held)
    back = refused(renewed, OTHER, NOW + 1)
    assert isinstance(back, Held)
    assert back.credential == ending(HOUR)
    assert back.ask_at == NOW + 2
    later = after_issue(back, replace(OTHER), NOW + 2)
    assert isinstance(later, Held)
    known = after_acceptance(later, later.credential, "submits", NOW + 3)
    assert isinstance(known, Held)
    assert known.spare is None
    assert isinstance(refused(known, known.credential, NOW + HOUR), Missing)


@pytest.mark.parametrize(("source", "settles"), [(MINT, True), (FILE, False)])
def test_a_new_one_is_given_a_minute_to_be_known_where_another_would_be_as_new(
    source: Source, settles: bool
) -> None:
    newest = Issue(ONE, NOW)
    assert is_settling(MISSED, newest, NOW + 59, source) is settles
    assert not is_settling(MISSED, newest, NOW + 60, source)
    assert not is_settling(AT_FIRST, newest, NOW + 1, source)
    assert not is_settling(LONG_HELD, newest, NOW + 1, source)
    back = replace(LONG_HELD, credential=OTHER)
    assert is_settling(back, newest, NOW + 59, source) is settles
    assert not is_settling(back, Issue(ending(1), NOW), NOW + 1, source)


def test_one_that_was_accepted_before_is_not_new_to_those_who_refuse_it() -> None:
    by_polls = Issue(ONE, NOW, frozenset({"polls"}))
    often = Missing(NOW, NOW, refusals=5, by=frozenset({"submits"}))
    assert is_settling(often, by_polls, NOW + 1, MINT)
    assert not is_settling(replace(often, by=frozenset({"polls"})), by_polls, NOW + 1, MINT)
    assert not is_settling(replace(often, refusals=4), by_polls, NOW + 1, MINT)
    # Fewer refusals may be by chance.
    assert is_settling(replace(often, refusals=3, by=by_polls.accepted_by), by_polls, NOW, MINT)


@pytest.mark.promise("P11")
def test_a_renewal_that_fails_ahead_of_the_end_changes_nothing_for_calls() -> None:
    held = after_failure(after_issue(AT_FIRST, ONE, NOW), AWAY, NOW)
    assert held == Held(ONE, NOW + 1, NOW, failures=1)
    assert after_failure(held, AWAY, NOW + 1) == Held(ONE, NOW + 3, NOW, failures=2)


def test_the_same_one_again_is_no_other_one() -> None:
    """Whoever was refused with it, was refused with the one in use."""
    held = after_issue(LONG_HELD, replace(ONE), NOW)
    assert isinstance(held, Held)
    assert held.credential is ONE
    assert isinstance(refused(held, ONE), Missing)


@pytest.mark.promise("P11")
@pytest.mark.parametrize(
    ("standing", "source", "waits"),
    [
        (MISSED, FIXED, 0),
        (MISSED, PROVEN_FIXED, 300),
        (MISSED, FILE, 12 * HOUR),
        (Missing(NOW, NOW, refusals=2), FILE, 0),
        (Missing(NOW, NOW, refusals=2), MINT, 120),
        (Missing(NOW, NOW, refusals=2), PROVEN, 12 * HOUR),
        (after_failure(AT_FIRST, WRONG, NOW), FILE, 0),
        (after_failure(AT_FIRST, AWAY, NOW), MINT, 12 * HOUR),
        (after_failure(MISSED, WRONG, NOW), PROVEN, 12 * HOUR),
    ],
)
def test_what_is_wrong_from_the_start_is_told_at_once_and_what_was_good_is_waited_for(
    standing: Missing, source: Source, waits: float
) -> None:
    assert gives_up_at(standing, 12 * HOUR, source) == NOW + waits
    assert gives_up_at(standing, 5, source) == NOW + min(waits, 5)


@pytest.mark.promise("P11")
@given(st.lists(st.sampled_from(["away", "wrong", "issued", "refused"]), max_size=40))
def test_patience_is_counted_from_the_first_refusal_on(events: list[str]) -> None:
    standing: Standing = MISSED
    now, issued = NOW, OTHER
    for event in events:
        now += 30
        match event:
            case "issued":
                issued = replace(OTHER)
                standing = after_issue(standing, issued, now)
            case "refused":
                standing = refused(standing, issued, now)
            case _ if isinstance(standing, Missing):
                standing = after_failure(standing, AWAY if event == "away" else WRONG, now)
            case _:
                pass
    if isinstance(standing, Missing):
        assert gives_up_at(standing, HOUR, PROVEN) == NOW + HOUR
