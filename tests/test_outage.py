"""When a host counts as away, when it is asked, and when it counts as back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.life.item import Policy
from pipeline.pacing.outage import (
    THRESHOLD,
    Down,
    Health,
    Trial,
    Up,
    after_answer,
    after_failure,
    after_finding,
    after_probe,
)


def failing(times: int, now: float = 100.0, health: Health | None = None) -> Health:
    health = health or Up()
    for n in range(times):
        health = after_failure(health, now + n)
    return health


def down(now: float = 100.0) -> Down:
    health = failing(THRESHOLD, now)
    assert isinstance(health, Down)
    return health


def unanswered(health: Health, now: float) -> Down:
    health = after_probe(health, now, answered=False)
    assert isinstance(health, Down)
    return health


def test_as_many_failures_as_a_row_has_attempts_are_an_outage() -> None:
    """So a row that is the only one left can't spend them all before it is noticed."""
    assert Policy().attempts == THRESHOLD == 3


def test_a_few_failures_are_no_outage() -> None:
    assert failing(THRESHOLD - 1) == Up(THRESHOLD - 1, 100.0)


@pytest.mark.promise("P12")
def test_several_failures_in_a_row_are_an_outage_since_the_first_of_them() -> None:
    health = failing(THRESHOLD)
    last = 100.0 + THRESHOLD - 1
    assert health == Down(since=100.0, probe_at=last + 5)


def test_an_answer_between_failures_starts_the_count_anew() -> None:
    health = after_answer(failing(THRESHOLD - 1))
    assert health == Up()
    assert failing(THRESHOLD - 1, 200.0, health) == Up(THRESHOLD - 1, 200.0)


def test_calls_begun_before_the_outage_was_noticed_change_nothing() -> None:
    health = down()
    assert after_answer(health) == health
    assert after_failure(health, 500.0) == health


@pytest.mark.promise("P12")
def test_unanswered_probes_come_ever_more_seldom_up_to_a_limit() -> None:
    health, waits = down(), list[float]()
    for _ in range(20):
        now = health.probe_at
        health = unanswered(health, now)
        waits.append(health.probe_at - now)
    assert waits[:5] == [5.0, 10.0, 20.0, 40.0, 50.0]
    assert set(waits[5:]) == {50.0}


@pytest.mark.promise("P12")
def test_probes_start_at_most_50_seconds_apart_though_each_takes_5() -> None:
    health = down()
    for _ in range(20):
        start = health.probe_at
        health = unanswered(health, start + 5.0)
        assert health.probe_at - start <= 50.0


@pytest.mark.promise("P12")
def test_work_resumes_within_a_minute_of_a_recovery_whenever_that_is() -> None:
    health = down()
    for _ in range(20):
        start = health.probe_at
        health = unanswered(health, start + 5.0)
        # The host came back just after the probe had been sent; the next one may take 5 s too.
        assert health.probe_at + 5.0 - start <= 60.0


def test_a_probe_that_is_answered_leads_to_a_trial_not_straight_back() -> None:
    assert after_probe(down(), 200.0, answered=True) == Trial(100.0, 200.0, 0)


def test_the_first_real_answer_ends_the_outage_and_forgets_it() -> None:
    assert after_answer(Trial(100.0, 200.0, 3)) == Up()


def test_a_probe_says_nothing_of_a_host_that_is_not_away() -> None:
    for health in Up(), Up(2, 5.0), Trial(1.0, 3.0, 2):
        for answered in True, False:
            assert after_probe(health, 200.0, answered=answered) == health


def test_each_relapse_doubles_the_time_until_the_next_try() -> None:
    health: Health = down()
    dwells = []
    for _ in range(30):
        trial = after_probe(health, 1000.0, answered=True)
        health = after_failure(trial, 1000.0)
        assert isinstance(health, Down)
        dwells.append(health.probe_at - 1000.0)
    assert dwells[:5] == [50.0, 100.0, 200.0, 400.0, 600.0]
    assert set(dwells[5:]) == {600.0}


@pytest.mark.promise("P12")
def test_a_relapse_is_the_same_outage_less_the_time_since_its_probe_was_answered() -> None:
    health = after_failure(after_probe(down(), 200.0, answered=True), 350.0)
    assert health == Down(since=100.0 + 150.0, probe_at=350.0 + 50.0, relapses=1)
    again = after_failure(after_probe(health, 400.0, answered=True), 1000.0)
    assert again == Down(since=250.0 + 600.0, probe_at=1000.0 + 100.0, relapses=2)


def test_unanswered_probes_keep_the_relapses() -> None:
    relapsed = after_failure(after_probe(down(), 200.0, answered=True), 300.0)
    assert unanswered(relapsed, 400.0).relapses == 1


MOVES = st.lists(st.sampled_from(["failure", "answer", "probe", "no probe"]), max_size=60)


@pytest.mark.promise("P17")
@given(MOVES)
def test_whatever_happens_the_next_try_is_near_and_an_outage_lasts_as_long_as_it_was_down(
    moves: list[str],
) -> None:
    health: Health = Up()
    now = began = 0.0
    for move in moves:
        now += 1.0
        before = health
        match move:
            case "failure":
                health = after_failure(health, now)
            case "answer":
                health = after_answer(health)
            case _:
                health = after_probe(health, now, answered=move == "probe")
        if isinstance(health, Down):
            assert health.probe_at <= now + 600.0
        if isinstance(before, Up) and not isinstance(health, Up):
            began = health.since
        if isinstance(before, Trial) and not isinstance(health, Up):
            began += 1.0  # the time that passed at this move
        if isinstance(health, Down):
            assert health.since == began <= now
        if isinstance(health, Trial):
            assert health.since == began - (now - health.at) <= health.at <= now


def test_counters_do_not_grow_for_ever() -> None:
    health = down()
    for _ in range(2000):
        health = unanswered(health, health.probe_at)
    assert (health.probes, health.relapses) == (10, 0)


@pytest.mark.promise("P12")
def test_a_host_that_fails_a_call_and_a_probe_is_away_since_the_first_failure() -> None:
    assert after_finding(failing(1), 102.0) == Down(since=100.0, probe_at=107.0)
    assert after_finding(Up(), 102.0) == Down(since=102.0, probe_at=107.0)
    for health in down(), Trial(100.0, 200.0, 1):
        assert after_finding(health, 300.0) == health
