"""What refusals and full windows teach of a quota."""

import json
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.pacing.gate import Throttle
from pipeline.pacing.pace import Pace
from pipeline.pacing.quota import UNLIMITED, Finding, Lesson, Quota
from pipeline.pacing.rates import Rate

HOUR = 3600.0
ID = "ai.textGenerationAsyncCompletionRequests"


def hourly(configured: int = 5000, ceiling: int | None = None) -> Quota:
    return Quota(configured, configured, HOUR, configured if ceiling is None else ceiling)


def full(quota: Quota, now: float) -> int:
    """A full window passes, and opens further if it is time to try that; the limit then."""
    quota.passed(quota.limit, begun=now)
    if quota.more_at() <= now:
        quota.try_more(now)
    return quota.limit


def per_second(configured: int = 10) -> Quota:
    return Quota(configured, configured, 1.0, configured)


# What a refusal tells.


def test_a_smaller_number_is_the_limit_from_then_on() -> None:
    quota = hourly()
    assert quota.refused(2000, own=2001, begun=9.0, now=10.0) is Finding.SMALLER
    assert (quota.limit, quota.known) == (2000, 2000)


def test_refusals_of_calls_that_were_under_way_tell_nothing_new() -> None:
    quota = hourly()
    quota.refused(2000, own=2001, begun=9.0, now=10.0)
    assert quota.refused(2000, own=2001, begun=9.5, now=10.5) is Finding.NOTHING_NEW
    assert quota.refused(2000, own=2001, begun=10.0, now=10.5) is not Finding.NOTHING_NEW


@pytest.mark.parametrize("allowed", [5000, None])
def test_a_refusal_within_a_known_number_shows_somebody_else(allowed: int | None) -> None:
    quota = hourly()
    assert quota.refused(allowed, own=4000, begun=9.0, now=10.0) is Finding.SHARED
    assert quota.limit == 5000


def test_in_a_short_window_somebody_else_gets_room_and_it_is_taken_back_step_by_step() -> None:
    quota, now = per_second(), 10.0
    assert quota.refused(10, own=8, begun=9.9, now=now) is Finding.SHARED
    assert quota.limit == 5
    assert quota.more_at() == now + 60.0
    assert [full(quota, now + 60.0 * n) for n in range(1, 8)] == [6, 7, 8, 9, 10, 10, 10]


def test_somebody_else_gets_half_of_a_short_window_at_the_most() -> None:
    quota, now = per_second(), 10.0
    for _ in range(5):
        now += 1.0
        quota.refused(10, own=1, begun=now, now=now)
    assert quota.limit == 5


def test_a_larger_number_than_the_user_s_is_not_used() -> None:
    quota = hourly(1000)
    assert quota.refused(5000, own=1000, begun=9.0, now=10.0) is Finding.LARGER
    assert quota.limit == 1000


def test_a_larger_number_is_used_where_the_user_leaves_it_to_us() -> None:
    quota = hourly(ceiling=UNLIMITED)
    assert quota.refused(20_000, own=4000, begun=9.0, now=10.0) is Finding.LARGER
    assert quota.limit == 20_000


def test_a_quota_that_was_raised_again_is_used_up_to_what_the_user_said() -> None:
    quota = hourly()
    quota.refused(2000, own=2001, begun=9.0, now=10.0)
    assert quota.refused(8000, own=2000, begun=20.0, now=20.0) is Finding.LARGER
    assert quota.limit == 5000


@pytest.mark.parametrize("allowed", [0, -3])
def test_a_number_that_lets_nothing_through_is_not_believed(allowed: int) -> None:
    quota = hourly()
    assert quota.refused(allowed, own=10, begun=9.0, now=10.0) is Finding.SHARED
    assert quota.limit == 5000


# Trying more.


def test_no_more_than_the_user_said_is_ever_tried() -> None:
    quota = hourly()
    assert full(quota, now=1e9) == 5000
    assert quota.more_at() == math.inf


def test_more_is_tried_only_where_the_window_was_full() -> None:
    quota = hourly(ceiling=UNLIMITED)
    quota.passed(4999, begun=9.0)
    assert quota.more_at() == math.inf
    quota.passed(5000, begun=9.0)
    assert quota.more_at() <= 9.0


def test_the_next_try_is_twice_as_large_a_minute_later_until_more_is_proved() -> None:
    quota, now = hourly(ceiling=UNLIMITED), 10.0
    assert [full(quota, now + 60.0 * n) for n in range(5)] == [5001, 5003, 5007, 5015, 5031]
    assert quota.known == 5000, "as long as they are few, they prove nothing"
    assert full(quota, now + 60.0 * 4 + 59) == 5031
    for n in range(5, 9):
        full(quota, now + 60.0 * n)
    assert quota.known > 5250


def test_what_is_tried_waits_for_an_answer_before_more_is() -> None:
    quota = hourly(ceiling=UNLIMITED)
    full(quota, now=10.0)
    quota.passed(5000, begun=10.0)
    assert quota.more_at() == math.inf


def pauses(quota: Quota, allowed: int, count: int) -> list[float]:
    """After how many minutes one call more is tried, each time that it is refused."""
    now, found = 10.0, []
    for _ in range(count):
        began = now
        quota.passed(quota.limit, begun=now)
        now = max(quota.more_at(), now)
        found.append((now - began) / 60)
        quota.try_more(now)
        assert quota.limit == allowed + 1
        assert quota.refused(allowed, own=allowed + 1, begun=now, now=now) is Finding.TRIED
        assert quota.limit == allowed
    return found


def test_a_try_that_fails_is_repeated_ever_later_with_one_call() -> None:
    quota = hourly(ceiling=UNLIMITED)
    assert pauses(quota, 5000, 7) == [0, 120, 240, 480, 960, 1440, 1440]


def test_a_smaller_number_is_doubted_ever_less_often_with_one_call() -> None:
    quota = hourly()
    quota.refused(2000, own=2001, begun=10.0, now=10.0)
    assert pauses(quota, 2000, 8) == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_smaller_number_that_a_few_calls_disprove_is_forgotten() -> None:
    quota, now = hourly(), 10.0
    quota.refused(10, own=5, begun=9.0, now=now)
    assert [full(quota, now + 60.0 * n) for n in range(1, 6)] == [11, 13, 17, 25, 5000]
    assert (quota.known, quota.found_out) == (5000, None)


def test_a_number_that_our_own_calls_belie_is_not_believed() -> None:
    quota = hourly()
    assert quota.refused(10, own=300, begun=9.0, now=10.0) is Finding.SHARED
    assert quota.limit == 5000


def test_a_call_begun_before_a_limit_changed_proves_nothing() -> None:
    quota = hourly(ceiling=UNLIMITED)
    quota.refused(2000, own=2001, begun=9.0, now=10.0)
    assert not quota.passed(2100, begun=9.9)
    assert quota.known == 2000


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["passed", "refused"]),
            st.none() | st.integers(0, 40),
            st.integers(1, 30),
            st.floats(0, 5000),
        )
    ),
    st.sampled_from([1.0, HOUR]),
    st.sampled_from([10, UNLIMITED]),
)
def test_whatever_comes_a_limit_lets_something_through_and_never_more_than_its_ceiling(
    events: Sequence[tuple[str, int | None, int, float]], seconds: float, ceiling: int
) -> None:
    quota, now = Quota(10, 10, seconds, ceiling), 0.0
    for what, allowed, own, later in events:
        now += later
        if what == "passed":
            quota.passed(own, begun=now)
            if quota.more_at() <= now:
                quota.try_more(now)
        else:
            quota.refused(allowed, own, begun=now, now=now)
        assert 1 <= quota.limit <= ceiling
        assert quota.known >= 1


# A pace with several of them.


def throttle(period: str, allowed: int | None) -> Throttle:
    return Throttle(quota=f"{ID}Per{period}", allowed=allowed)


def used(pace: Pace, count: int, now: float) -> None:
    for _ in range(count):
        pace.begin()
        pace.end(now)


def test_a_refusal_that_our_own_calls_explain_closes_no_gate() -> None:
    pace = Pace([Rate(50, HOUR), Rate(30, 1.0)])
    used(pace, 31, now=10.0)
    lesson = pace.throttled(throttle("Hour", 30), begun=9.0, now=10.0)
    assert lesson is not None
    assert "allows 30 an hour, not 50 an hour; this run keeps to that" in lesson.words(
        "submits", ""
    )
    # Full; but a number is doubted from a minute on.
    assert pace.opens_at(11.5) == 70.0


def test_a_refusal_that_they_don_t_explain_closes_it_for_a_minute() -> None:
    pace = Pace([Rate(50, HOUR)])
    used(pace, 20, now=10.0)
    lesson = pace.throttled(throttle("Hour", 50), begun=9.0, now=10.0)
    assert lesson is not None
    assert "somebody else uses the 50 an hour too" in lesson.words("submits", "")
    assert pace.opens_at(11.0) == 70.0


def test_beside_somebody_else_one_call_at_a_time_is_under_way() -> None:
    pace = Pace([Rate(5000, HOUR)])
    used(pace, 20, now=10.0)
    pace.throttled(throttle("Hour", 5000), begun=9.0, now=10.0)
    for now in (70.0, 71.0):
        assert pace.opens_at(now) == now
        pace.begin()
        assert pace.opens_at(now) == math.inf
        pace.end(now)
        pace.passed(begun=now, now=now)
    later = 80.0 + HOUR
    pace.begin()
    assert pace.opens_at(later) == later


@pytest.mark.parametrize(("limit", "took", "most"), [(100_000, 0.25, 14), (5000, 3.0, 8)])
def test_a_large_quota_or_a_slow_answer_needs_more_at_once_beside_others(
    limit: int, took: float, most: int
) -> None:
    pace, now = Pace([Rate(limit, HOUR)]), 10.0
    for _ in range(50):
        pace.begin()
        pace.end(now, took)
    pace.throttled(throttle("Hour", limit), begun=9.0, now=now)
    pace.begin()
    pace.end(70.0, took)
    pace.passed(begun=70.0, now=70.0)
    for _ in range(most):
        assert pace.opens_at(70.0) == 70.0
        pace.begin()
    assert pace.opens_at(70.0) == math.inf


def test_the_same_is_said_once_until_it_was_not_so_for_an_hour() -> None:
    pace, said = Pace([Rate(5000, HOUR)]), []
    for now in (10.0, 70.0, 130.0, 130.0 + HOUR + 1):
        lesson = pace.throttled(throttle("Hour", 5000), begun=now, now=now)
        said.append(lesson is not None)
    assert said == [True, False, False, True]


def test_a_quota_that_nobody_configured_is_kept_from_then_on() -> None:
    pace = Pace([Rate(5000, HOUR)])
    used(pace, 20, now=10.0)
    pace.begin()
    lesson = pace.throttled(throttle("Minute", 20), begun=9.0, now=10.0)
    assert lesson is not None
    assert "the service allows 20 a minute; this run keeps to that" in lesson.words("submits", "")
    assert pace.rates == (Rate(5000, HOUR), Rate(20, 60.0))
    pace.end(12.0)
    # Twenty ended at 10 and one at 12: the first place comes free a minute after 10, or later.
    assert 70.0 <= pace.opens_at(12.0) <= 70.1
    assert pace.found_out() == (Rate(20, 60.0),)


@pytest.mark.parametrize("quota", [None, "ai.someSessionsCount"])
def test_a_quota_without_a_period_slows_down_and_no_more(quota: str | None) -> None:
    pace = Pace([Rate(5000, HOUR)])
    lesson = pace.throttled(Throttle(quota=quota, allowed=1), begun=9.0, now=10.0)
    assert lesson is not None
    assert lesson.words("polls", "too many sessions") == "polls slowed down: too many sessions"
    assert pace.rates == (Rate(5000, HOUR),)
    assert pace.opens_at(10.0) == 11.0


def test_who_listens_hears_of_every_change() -> None:
    pace, heard = Pace([Rate(20, HOUR)]), []
    pace.on_learned = lambda: heard.append(pace.rates[0].limit)
    pace.throttled(throttle("Hour", 5), begun=9.0, now=10.0)
    for minute in range(1, 30):
        now = 10.0 + 60.0 * minute
        while pace.opens_at(now) <= now:
            used(pace, 1, now)
            pace.passed(begun=now, now=now)
    assert heard == [5, 20]


def test_a_lie_about_a_day_holds_nothing_up_for_long() -> None:
    pace, now, sent = Pace([Rate(5000, HOUR)]), 10.0, 0
    pace.begin()
    pace.end(now)
    pace.throttled(throttle("Day", 1), begun=9.0, now=now)
    while now < 10.0 + 15 * 60.0:
        if pace.opens_at(now) <= now:
            used(pace, 1, now)
            pace.passed(begun=now, now=now)
            sent += 1
        now += 0.5
    assert sent > 600


def test_a_number_that_many_calls_belie_makes_no_window() -> None:
    pace = Pace([Rate(5000, HOUR)])
    used(pace, 400, now=10.0)
    lesson = pace.throttled(throttle("Day", 100), begun=9.0, now=10.0)
    assert lesson is not None
    assert lesson.words("submits", "no more") == "submits slowed down: no more"
    assert pace.rates == (Rate(5000, HOUR),)


@pytest.mark.parametrize("allowed", [UNLIMITED, 10**7, 0])
def test_a_number_that_binds_nothing_makes_no_window(allowed: int) -> None:
    pace = Pace([Rate(5000, HOUR)], open_ended=True)
    pace.throttled(throttle("Minute", allowed), begun=9.0, now=10.0)
    assert pace.rates == (Rate(5000, HOUR),)
    pace.throttled(throttle("Hour", allowed), begun=11.0, now=12.0)
    assert Rate.parse(str(pace.rates[0])) == pace.rates[0]


# Over a restart.


def again(pace: Pace, *rates: Rate, now: float = 20.0) -> Pace:
    resumed = Pace(rates)
    resumed.recall(pace.learned(), now)
    return resumed


def test_what_was_learned_survives_a_restart() -> None:
    pace = Pace([Rate(10, 1.0), Rate(5000, HOUR)])
    pace.throttled(throttle("Hour", 2000), begun=9.0, now=10.0)
    pace.throttled(throttle("Minute", 100), begun=11.0, now=12.0)
    resumed = again(pace, Rate(10, 1.0), Rate(5000, HOUR))
    assert resumed.rates == (Rate(10, 1.0), Rate(2000, HOUR), Rate(100, 60.0))


@pytest.mark.parametrize(("limit", "most"), [(5000, 1), (100_000, 55)])
def test_that_somebody_else_is_there_survives_a_restart(limit: int, most: int) -> None:
    pace = Pace([Rate(limit, HOUR)])
    pace.throttled(throttle("Hour", limit), begun=9.0, now=10.0)
    resumed = again(pace, Rate(limit, HOUR), now=80.0)
    for _ in range(50):
        resumed.begin()
        resumed.end(80.0, took=1.0 if limit > 5000 else 0.1)
    for _ in range(most):
        assert resumed.opens_at(80.0) == 80.0
        resumed.begin()
    assert resumed.opens_at(80.0) == math.inf
    long_ago = again(pace, Rate(limit, HOUR), now=-1e6)
    assert not long_ago.is_beside_others(-1e6 + HOUR), "a clock that was set back"


def test_who_configures_another_number_knows_better_than_the_past() -> None:
    pace = Pace([Rate(5000, HOUR)])
    pace.throttled(throttle("Hour", 2000), begun=9.0, now=10.0)
    assert again(pace, Rate(8000, HOUR)).rates == (Rate(8000, HOUR),)


@pytest.mark.parametrize(
    "noted",
    [
        None,
        "",
        "[]",
        "{",
        '"x"',
        json.dumps({"quotas": 7, "shared": [7, {"seconds": HOUR, "until": "soon"}]}),
        json.dumps({"quotas": [7, {}, {"seconds": HOUR, "known": 0, "configured": 5000}]}),
        json.dumps({"quotas": [{"seconds": "x", "known": 1}, {"seconds": -1, "known": 1}]}),
        json.dumps({"quotas": [{"seconds": 1e9, "known": 7, "configured": None}]}),
        json.dumps({"quotas": [{"seconds": HOUR, "known": 10**9, "configured": 5000}]}),
        json.dumps({"quotas": [{"seconds": HOUR, "known": True, "configured": 5000}]}),
    ],
)
def test_a_note_that_makes_no_sense_changes_nothing(noted: str | None) -> None:
    pace = Pace([Rate(5000, HOUR)])
    pace.recall(noted, now=10.0)
    assert pace.rates == (Rate(5000, HOUR),)
    assert pace.opens_at(10.0) == 10.0


# What people read.


@pytest.mark.parametrize(
    ("lesson", "words"),
    [
        (
            Lesson(Finding.LARGER, ID, "5,000 an hour", "20,000 an hour", "20,000 an hour"),
            f"Quota for submits: the service allows 20,000 an hour, not 5,000 an hour; "
            f"this run uses it ({ID}).",
        ),
        (
            Lesson(Finding.LARGER, ID, "100 an hour", "100 an hour", "5,000 an hour"),
            f"Quota for submits: the service allows 5,000 an hour, and somebody else uses a part "
            f"of it; this run was told 100 an hour (--rate auto uses what there is) ({ID}).",
        ),
        (
            Lesson(Finding.TRIED, ID, "11 a second", "10 a second", "10 a second"),
            "Quota for submits: more than 10 a second is not to be had; "
            f"tried again later ({ID}).",
        ),
    ],
)
def test_a_lesson_is_one_sentence_that_names_the_quota(lesson: Lesson, words: str) -> None:
    assert lesson.words("submits", "as the service says") == words
