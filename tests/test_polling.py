"""From the answer to a GET to what becomes of its operation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.api import outcomes
from pipeline.api.outcomes import (
    Data,
    NotFound,
    PollOutcome,
    Problem,
    StillRunning,
)
from pipeline.api.wire import read_poll
from pipeline.codec import encode
from pipeline.input.form import AnyObject, fitting
from pipeline.life.item import Running
from pipeline.life.records import Failure
from pipeline.operations.polling import (
    RETENTION,
    AskAgain,
    Asking,
    Conclude,
    GiveUpLost,
    Useless,
    Verdict,
    after_poll,
    told_seconds,
)
from tests.builders import (
    ANSWER,
    OPERATION,
    PROBLEM,
    USAGE,
    operation,
    recorded,
    recorded_bytes,
    refusal,
)

BORN = 1000.0
DAY = 86400.0
ASKING = Asking(7, Running(OPERATION, BORN, 1, 1))
HTML = b"<html>the balancer's page</html>"
DENIALS = [outcomes.NotFound(PROBLEM), outcomes.Forbidden(PROBLEM)]


def verdict(
    status: int, body: bytes = b"", *, asking: Asking = ASKING, now: float = BORN + 10
) -> Verdict:
    return after_poll(asking, read_poll(OPERATION, status, {}, body, now), now)


def failure(verdict: Verdict) -> Failure:
    assert isinstance(verdict, Conclude)
    assert isinstance(verdict.end, Failure)
    return verdict.end


def again(verdict: Verdict) -> AskAgain:
    assert isinstance(verdict, AskAgain)
    return verdict


def told(verdict: Verdict) -> float:
    """When to ask again, where the answer decides that."""
    at = again(verdict).at
    assert at is not None
    return at


def repeated(outcome: PollOutcome, times: int, *, asking: Asking = ASKING) -> Verdict:
    """What the last of several such answers means, asked for whenever due."""
    now = BORN + 10
    for _ in range(times - 1):
        got = after_poll(asking, outcome, now)
        asking, now = again(got).asking, told(got)
    return after_poll(asking, outcome, now)


# The table.


def test_an_answer_concludes() -> None:
    got = verdict(200, recorded_bytes("sdk_operation_done"))
    assert isinstance(got, Conclude)
    assert isinstance(got.end, outcomes.Answer)
    assert got.usage == USAGE


def test_an_error_of_the_operation_concludes_with_the_service_s_words() -> None:
    error = recorded("SYNTHETIC_operation_error") | {"id": OPERATION}
    assert failure(verdict(200, encode(error))) == Failure(
        "operation", "INTERNAL", "Internal error"
    )


@pytest.mark.promise("P15")
def test_a_failure_that_was_paid_for_keeps_its_usage() -> None:
    got = verdict(200, operation(error={"code": 13, "message": "boom"}))
    assert failure(got).code == "INTERNAL"
    assert isinstance(got, Conclude)
    assert got.usage == USAGE


def test_done_with_neither_is_an_error_line() -> None:
    assert failure(verdict(200, operation(response=None))).code == "no_answer"


@pytest.mark.parametrize("body", [b"{}", recorded_bytes("sdk_operation_pending")])
def test_not_done_is_asked_again(body: bytes) -> None:
    assert again(verdict(200, body)) == AskAgain(replace(ASKING, heard_at=BORN + 10), None)


# Those that can't be told from an operation that is no more.
UNSURE = [408, 409, 499, 500, 502, 503, 504, 599]


@pytest.mark.promise("P4")
@pytest.mark.promise("P12")
@pytest.mark.parametrize("status", [401, 429, 501, 301, 302, 307, 308, *UNSURE])
@pytest.mark.parametrize("body", [b"", HTML, refusal("words", 14)])
@pytest.mark.parametrize("age", [10.0, RETENTION - 1, RETENTION + DAY, RETENTION * 2 - 1])
def test_a_call_that_tells_nothing_of_the_operation_leaves_it_running(
    status: int, body: bytes, age: float
) -> None:
    now = BORN + age
    got = verdict(status, body, now=now)
    assert again(got).asking == replace(ASKING, unsure_at=now if status in UNSURE else None)
    assert now + 1 <= told(got) <= now + 60


@pytest.mark.promise("P17")
@pytest.mark.parametrize("status", UNSURE)
@pytest.mark.parametrize("first", [RETENTION, RETENTION + DAY])
def test_an_operation_that_can_t_be_asked_for_a_day_past_retention_is_given_up(
    status: int, first: float
) -> None:
    body = refusal("words", 14)
    seen = again(verdict(status, body, now=BORN + first)).asking
    nearly = again(verdict(status, body, asking=seen, now=BORN + first + DAY - 0.1)).asking
    assert nearly == seen
    got = verdict(status, body, asking=nearly, now=BORN + first + DAY)
    assert failure(got) == Failure("operation", "UNAVAILABLE", "words")
    assert isinstance(got, Conclude)
    assert got.usage is None


@pytest.mark.promise("P17")
@pytest.mark.parametrize("status", UNSURE)
def test_an_operation_of_six_days_that_can_t_be_asked_for_is_given_up_at_once(status: int) -> None:
    got = verdict(status, refusal("words", 14), now=BORN + 2 * RETENTION)
    assert failure(got) == Failure("operation", "UNAVAILABLE", "words")


@pytest.mark.promise("P4")
@pytest.mark.parametrize("status", UNSURE)
def test_an_operation_is_not_given_up_within_a_day_of_its_retention(status: int) -> None:
    """However long it could not be asked for."""
    seen = again(verdict(status)).asking
    now = BORN + RETENTION + DAY
    again(verdict(status, asking=seen, now=now - 0.1))
    failure(verdict(status, asking=seen, now=now))


@pytest.mark.promise("P4")
@pytest.mark.parametrize("status", UNSURE)
def test_an_operation_that_is_heard_of_has_its_day_anew(status: int) -> None:
    now = BORN + RETENTION + DAY
    seen = again(verdict(status, now=now)).asking
    heard = again(after_poll(seen, StillRunning(60.0), now + DAY)).asking
    assert heard == replace(ASKING, heard_at=now + DAY)
    once_more = again(verdict(status, asking=heard, now=now + DAY + 1)).asking
    assert once_more.unsure_at == now + DAY + 1


@pytest.mark.promise("P4")
@pytest.mark.parametrize("status", [401, 429, 501, 307])
def test_a_refusal_that_is_not_the_operation_s_own_changes_nothing_of_its_day(status: int) -> None:
    now = BORN + RETENTION + DAY
    seen = again(verdict(500, now=now)).asking
    assert again(verdict(status, asking=seen, now=now + DAY)).asking == seen


@pytest.mark.promise("P4")
@pytest.mark.parametrize("status", [401, 429, 501, 307])
def test_an_operation_of_any_age_outlives_a_refusal_that_is_not_its_own(status: int) -> None:
    assert again(verdict(status, now=BORN + RETENTION * 2)).asking == ASKING


@pytest.mark.promise("P4")
@pytest.mark.parametrize("outcome", [outcomes.NotSent(PROBLEM), outcomes.Unsure(PROBLEM)])
def test_a_call_without_an_answer_leaves_the_operation_running(outcome: PollOutcome) -> None:
    first = BORN + 10 if isinstance(outcome, outcomes.Unsure) else None
    assert again(repeated(outcome, 1000)).asking == replace(ASKING, unsure_at=first)


@pytest.mark.promise("P17")
def test_an_operation_that_draws_nothing_but_409_is_given_up_in_the_end() -> None:
    asking, now = ASKING, BORN + 10
    while isinstance(
        got := verdict(409, refusal("aborted", 10), asking=asking, now=now), AskAgain
    ):
        assert now < BORN + RETENTION + DAY
        asking, now = got.asking, told(got)
    assert failure(got) == Failure("operation", "ABORTED", "aborted")
    assert now < BORN + RETENTION + DAY + 60


@pytest.mark.promise("P12")
def test_an_operation_is_not_given_up_for_a_network_that_is_gone() -> None:
    got = after_poll(ASKING, outcomes.NotSent(PROBLEM), BORN + RETENTION * 2)
    assert again(got).asking == ASKING


@pytest.mark.parametrize("status", [400, 405, 410, 413, 422])
def test_a_refused_poll_is_asked_three_times(status: int) -> None:
    outcome = read_poll(OPERATION, status, {"x-request-id": "r-4"}, refusal("words"), BORN)
    again(repeated(outcome, 2))
    assert failure(repeated(outcome, 3)) == Failure(
        "operation", "INVALID_ARGUMENT", "words", "r-4"
    )


@pytest.mark.parametrize("body", [b"", HTML, b"[]", operation(id="d7qzzzzzzzzzzzzzzzzz")])
def test_a_garbled_answer_is_asked_for_five_times(body: bytes) -> None:
    outcome = read_poll(OPERATION, 200, {}, body, BORN)
    again(repeated(outcome, 4))
    got = failure(repeated(outcome, 5))
    assert (got.stage, got.code) == ("operation", "undecodable")


def test_a_good_answer_between_garbled_ones_starts_the_count_anew() -> None:
    garbled = outcomes.Garbled(PROBLEM)
    seen = repeated(garbled, 4)
    healed = again(after_poll(again(seen).asking, StillRunning(), told(seen))).asking
    assert healed == replace(ASKING, heard_at=told(seen))
    again(repeated(garbled, 4, asking=healed))


def test_only_answers_of_one_kind_in_a_row_add_up() -> None:
    seen = again(repeated(outcomes.Garbled(PROBLEM), 4)).asking
    seen = again(after_poll(seen, outcomes.Refused(PROBLEM), BORN + 50)).asking
    assert seen.useless == Useless(outcomes.Refused, 1)
    seen = again(after_poll(seen, outcomes.Garbled(PROBLEM), BORN + 60)).asking
    assert seen.useless == Useless(outcomes.Garbled, 1)


@pytest.mark.parametrize(
    "between",
    [outcomes.Unsure(PROBLEM), outcomes.NotSent(PROBLEM), outcomes.Conflict(PROBLEM), *DENIALS],
)
def test_whatever_comes_between_breaks_a_row_of_garbled_or_refused_answers(
    between: PollOutcome,
) -> None:
    for outcome, limit in (outcomes.Garbled(PROBLEM), 5), (outcomes.Refused(PROBLEM), 3):
        seen = again(repeated(outcome, limit - 1)).asking
        seen = again(after_poll(seen, between, BORN + 50)).asking
        assert seen.useless is None
        again(repeated(outcome, limit - 1, asking=seen))


# Denied, lost, never done.


@pytest.mark.promise("P14")
@pytest.mark.parametrize("denial", DENIALS)
@pytest.mark.parametrize("age", [0.0, 10.0, RETENTION / 2, RETENTION - 601])
def test_an_operation_denied_too_early_is_asked_again_for_10_minutes_and_never_lost(
    denial: PollOutcome, age: float
) -> None:
    asking, now, asked = ASKING, BORN + age, [BORN + age]
    while isinstance(got := after_poll(asking, denial, now), AskAgain):
        assert got.at == now + 60
        asking, now = got.asking, now + 60
        asked.append(now)
    assert asked[-1] - asked[0] == 600
    end = failure(got)
    assert (end.stage, end.code, end.request_id) == ("lost", "denied", "r-1")
    assert "the service's words" in end.message


@pytest.mark.promise("P14")
@pytest.mark.parametrize("denial", DENIALS)
@pytest.mark.parametrize("age", [RETENTION, RETENTION + 1, RETENTION * 3])
def test_an_operation_past_retention_is_lost_once_denied_twice_a_minute_apart(
    denial: PollOutcome, age: float
) -> None:
    now = BORN + age
    first = again(after_poll(ASKING, denial, now))
    assert first.at == now + 60
    assert isinstance(after_poll(first.asking, denial, now + 59.9), AskAgain)
    assert after_poll(first.asking, denial, now + 60) == GiveUpLost()


@pytest.mark.promise("P14")
def test_a_denial_that_the_operation_s_return_contradicts_is_forgotten() -> None:
    now = BORN + RETENTION - 100
    denied = again(after_poll(ASKING, NotFound(PROBLEM), now)).asking
    back = again(after_poll(denied, StillRunning(), now + 60)).asking
    assert back == replace(ASKING, heard_at=now + 60)
    assert isinstance(after_poll(back, NotFound(PROBLEM), now + 120), AskAgain)


@pytest.mark.promise("P14")
def test_an_answer_is_taken_even_after_a_denial_and_past_retention() -> None:
    now = BORN + RETENTION * 2
    denied = again(after_poll(ASKING, NotFound(PROBLEM), now)).asking
    assert after_poll(denied, ANSWER, now + 60) == Conclude(ANSWER, USAGE)


@pytest.mark.promise("P14")
def test_an_operation_that_runs_for_3_days_becomes_an_error_line() -> None:
    again(after_poll(ASKING, StillRunning(), BORN + RETENTION - 0.1))
    end = failure(after_poll(ASKING, StillRunning(), BORN + RETENTION))
    assert (end.stage, end.code) == ("operation", "never_done")


@pytest.mark.promise("P14")
@pytest.mark.parametrize("ours", [-5 * DAY, 0.0, RETENTION, 2 * RETENTION - 0.1])
def test_the_age_that_the_service_tells_goes_before_ours(ours: float) -> None:
    for young in -5 * DAY, 0.0, RETENTION - 0.1:
        again(after_poll(ASKING, StillRunning(young), BORN + ours))
    for old in RETENTION, RETENTION + 0.1, 5 * RETENTION:
        end = failure(after_poll(ASKING, StillRunning(old), BORN + ours))
        assert (end.stage, end.code) == ("operation", "never_done")


@pytest.mark.promise("P17")
@pytest.mark.parametrize("told", [None, -5 * DAY, 0.0, RETENTION - 1])
def test_an_operation_that_runs_for_6_days_by_our_clock_is_over_whatever_it_tells(
    told: float | None,
) -> None:
    end = failure(after_poll(ASKING, StillRunning(told), BORN + 2 * RETENTION))
    assert (end.stage, end.code) == ("operation", "never_done")


@pytest.mark.promise("P14")
@pytest.mark.promise("P4")
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    *DENIALS,
                    StillRunning(),
                    outcomes.Garbled(PROBLEM),
                    outcomes.Refused(PROBLEM),
                    outcomes.Unsure(PROBLEM),
                    outcomes.NotSent(PROBLEM),
                    outcomes.Conflict(PROBLEM),
                ]
            ),
            st.floats(0, 100_000),
        ),
        max_size=30,
    )
)
def test_nothing_but_two_denials_past_retention_can_lose_an_operation(
    answers: list[tuple[PollOutcome, float]],
) -> None:
    asking, now, denials = ASKING, BORN, list[float]()
    for outcome, pause in answers:
        now += pause
        if isinstance(outcome, outcomes.NotFound | outcomes.Forbidden):
            denials.append(now)
        got = after_poll(asking, outcome, now)
        if isinstance(got, GiveUpLost):
            assert now - BORN >= RETENTION
            assert isinstance(outcome, outcomes.NotFound | outcomes.Forbidden)
            assert denials[-1] - denials[0] >= 60
        if not isinstance(got, AskAgain):
            return
        assert (got.at is None) == isinstance(outcome, StillRunning)
        assert got.at is None or now < got.at <= now + 60
        asking = got.asking


# When to ask again.


@given(
    st.floats(-1e6, 1e9), st.sampled_from([outcomes.NotSent(PROBLEM), outcomes.Garbled(PROBLEM)])
)
def test_after_an_answer_that_does_not_tell_the_wait_is_half_the_age_a_second_to_a_minute(
    age: float, outcome: PollOutcome
) -> None:
    wait = told(after_poll(ASKING, outcome, BORN + age)) - (BORN + age)
    assert wait == pytest.approx(min(max(age / 2, 1.0), 60.0), abs=1e-6)


@given(st.floats(0, RETENTION - 1))
def test_an_operation_that_still_runs_is_asked_for_when_it_is_likely_to_be_over(
    age: float,
) -> None:
    seen = again(after_poll(ASKING, StillRunning(), BORN + age))
    assert seen == AskAgain(replace(ASKING, heard_at=BORN + age), None)
    assert seen.asking.heard_age == pytest.approx(age)


def test_an_operation_from_the_future_counts_as_born_when_it_was_heard_of() -> None:
    """Our clock has been set back since it was accepted."""
    heard = replace(ASKING, heard_at=BORN - 3600)
    assert (heard.born_at, heard.heard_age) == (BORN - 3600, 0.0)
    assert (ASKING.born_at, ASKING.heard_age) == (BORN, 0.0)


@pytest.mark.parametrize(
    ("created", "finished", "seconds"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:01:02Z", 62.0),
        ("2026-01-01T03:00:00+03:00", "2026-01-01T00:00:00.5Z", 0.5),
        ("2026-01-01T00:00:09Z", "2026-01-01T00:00:00Z", -9.0),
        (None, "2026-01-01T00:00:00Z", None),
        ("2026-01-01T00:00:00Z", None, None),
    ],
)
def test_an_answer_s_stamps_tell_how_long_it_took(
    created: str | None, finished: str | None, seconds: float | None
) -> None:
    answer = replace(ANSWER, created_at=created, finished_at=finished)
    assert told_seconds(answer) == seconds


def test_a_problem_keeps_its_request_id() -> None:
    outcome = outcomes.Failed(Problem("INTERNAL", "boom", "r-8"))
    assert failure(after_poll(ASKING, outcome, BORN)).request_id == "r-8"


# The form of answers


def test_an_answer_without_the_form_asked_for_is_a_failure_with_its_text_and_usage() -> None:
    asking = replace(ASKING, form=fitting({"type": "object"}))
    verdict = after_poll(asking, replace(ANSWER, text="[1]"), BORN + 5)
    assert isinstance(verdict, Conclude)
    assert verdict.usage == USAGE
    assert verdict.end == Failure(
        "answer", "schema", 'at $: [1] is not of type "object"', text="[1]"
    )
    verdict = after_poll(asking, replace(ANSWER, text="{}"), BORN + 5)
    assert isinstance(verdict, Conclude)
    assert verdict.end == replace(ANSWER, text="{}", data=Data({}))


@given(st.lists(st.sampled_from([StillRunning(), NotFound(PROBLEM), outcomes.Unsure(PROBLEM)])))
def test_whatever_is_heard_before_the_form_is_not_forgotten(heard: list[PollOutcome]) -> None:
    asking, now = replace(ASKING, form=AnyObject()), BORN
    for outcome in heard:
        now += 1
        verdict = after_poll(asking, outcome, now)
        assert isinstance(verdict, AskAgain)
        asking = verdict.asking
    verdict = after_poll(asking, replace(ANSWER, text="[]"), now)
    assert isinstance(verdict, Conclude)
    assert isinstance(verdict.end, Failure)
