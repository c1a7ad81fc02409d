"""From the answer to a POST to what becomes of its row, as the table of the promises says."""

import pytest

from pipeline.api import outcomes
from pipeline.api.outcomes import Problem
from pipeline.api.wire import read_submit
from pipeline.calls.submitting import Doubt, Fail, Later, Retry, Run, Stop, Verdict, after_submit
from pipeline.codec import encode
from pipeline.errors import BadSettings, NoPermission, RunError
from pipeline.pacing.gate import Throttle
from tests.builders import NOW, OPERATION, PROBLEM, recorded, recorded_bytes, refusal

HTML = b"<html>the balancer's page</html>"


def verdict(
    status: int, body: bytes = b"", *, own_model: bool = False, proven: bool = False
) -> Verdict:
    outcome = read_submit(status, {}, body, NOW)
    return after_submit(outcome, own_model=own_model, proven=proven)


def stopped(verdict: Verdict) -> RunError:
    assert isinstance(verdict, Stop)
    return verdict.error


def test_a_200_with_an_id_runs() -> None:
    for own_model in True, False:
        got = verdict(200, recorded_bytes("sdk_submit_response"), own_model=own_model)
        assert got == Run(OPERATION)


@pytest.mark.promise("P5")
@pytest.mark.parametrize("body", [b"", b"{}", b"not JSON", HTML])
def test_a_200_without_an_id_is_a_doubt_but_no_outage(body: bytes) -> None:
    got = verdict(200, body)
    assert isinstance(got, Doubt)
    assert not got.outage


@pytest.mark.promise("P5")
@pytest.mark.promise("P12")
@pytest.mark.parametrize("status", [408, 499, 500, 502, 503, 504, 507, 520, 599])
@pytest.mark.parametrize("own_model", [True, False])
@pytest.mark.parametrize("body", [b"", HTML, refusal("words", 14)])
def test_a_failure_of_the_host_is_a_doubt_that_feeds_the_outage_detector(
    status: int, own_model: bool, body: bytes
) -> None:
    got = verdict(status, body, own_model=own_model)
    assert isinstance(got, Doubt)
    assert got.outage


@pytest.mark.promise("P5")
@pytest.mark.promise("P12")
def test_what_was_not_sent_goes_back_uncounted() -> None:
    got = after_submit(outcomes.NotSent(PROBLEM), own_model=False)
    assert got == Retry(PROBLEM, sent=False)


@pytest.mark.promise("P5")
@pytest.mark.parametrize("outage", [True, False])
def test_what_was_sent_without_an_answer_is_a_doubt(outage: bool) -> None:
    assert after_submit(outcomes.Unsure(PROBLEM, outage), own_model=True) == Doubt(PROBLEM, outage)


@pytest.mark.parametrize("status", [400, 402, 405, 410, 413, 415, 418, 422, 431])
@pytest.mark.parametrize("own_model", [True, False])
@pytest.mark.parametrize("body", [b"", HTML, refusal("empty message text")])
def test_a_refused_row_fails_for_good(status: int, own_model: bool, body: bytes) -> None:
    got = verdict(status, body, own_model=own_model)
    assert isinstance(got, Fail)
    assert got.failure.stage == "submit"


def test_a_failure_has_the_service_s_own_words_and_request_id() -> None:
    headers = {"x-request-id": "r-3"}
    outcome = read_submit(400, headers, refusal("invalid message role 'x'"), NOW)
    got = after_submit(outcome, own_model=False)
    assert isinstance(got, Fail)
    assert got.failure.code == "INVALID_ARGUMENT"
    assert got.failure.message == "invalid message role 'x'"
    assert got.failure.request_id == "r-3"


@pytest.mark.parametrize("words", ["invalid model_uri", "Specified folder ID 'a' does not match"])
def test_a_refusal_that_all_rows_share_stops_the_run(words: str) -> None:
    error = stopped(verdict(400, refusal(words)))
    assert isinstance(error, BadSettings)
    assert words in str(error)
    assert isinstance(verdict(400, refusal(words), own_model=True), Fail)


@pytest.mark.parametrize("words", ["invalid model_uri", "Specified folder ID 'a' does not match"])
def test_once_a_row_was_accepted_no_400_is_about_what_all_rows_share(words: str) -> None:
    got = verdict(400, refusal(words), proven=True)
    assert isinstance(got, Fail)
    assert (got.failure.stage, got.failure.message) == ("submit", words)


def test_that_rows_were_accepted_excuses_no_other_refusal() -> None:
    for status in 403, 404, 501, 307:
        assert isinstance(verdict(status, refusal("words"), proven=True), Stop)


@pytest.mark.promise("P11")
@pytest.mark.parametrize("own_model", [True, False])
def test_a_refused_credential_costs_its_row_nothing(own_model: bool) -> None:
    body = encode(recorded("docs_http_error_401_flat")["body"])
    retried = verdict(401, body, own_model=own_model)
    assert isinstance(retried, Retry)
    assert retried.sent
    assert "Token is invalid or has expired." in retried.problem.message


@pytest.mark.parametrize("body", [b"", HTML, refusal("Permission denied", 7)])
def test_a_403_ends_the_run_unless_the_row_names_its_own_model(body: bytes) -> None:
    error = stopped(verdict(403, body))
    assert isinstance(error, NoPermission)
    assert "role" in error.advice
    assert "billing" in error.advice
    assert isinstance(verdict(403, body, own_model=True), Fail)


@pytest.mark.parametrize("body", [b"", HTML, refusal("model not found", 5)])
def test_a_404_ends_the_run_unless_the_row_names_its_own_model(body: bytes) -> None:
    assert isinstance(stopped(verdict(404, body)), BadSettings)
    assert isinstance(verdict(404, body, own_model=True), Fail)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 501])
@pytest.mark.parametrize("own_model", [True, False])
def test_a_host_that_points_elsewhere_or_does_not_offer_it_ends_the_run(
    status: int, own_model: bool
) -> None:
    assert isinstance(stopped(verdict(status, own_model=own_model)), BadSettings)


@pytest.mark.parametrize("own_model", [True, False])
@pytest.mark.parametrize("proven", [True, False])
def test_a_row_that_draws_a_409_waits_by_itself(own_model: bool, proven: bool) -> None:
    got = verdict(409, refusal("aborted", 10), own_model=own_model, proven=proven)
    assert got == Later(Problem("ABORTED", "aborted"))


@pytest.mark.promise("P13")
@pytest.mark.parametrize("own_model", [True, False])
def test_a_429_closes_the_gate_and_names_the_quota(own_model: bool) -> None:
    body = encode(recorded("http_error_429_sync_sessions")["body"])
    got = verdict(429, body, own_model=own_model)
    assert isinstance(got, Retry)
    assert got.sent
    assert got.throttle == Throttle(None, "ai.textGenerationCompletionSessionsCount", 1)
    assert "ai.textGenerationCompletionSessionsCount" in got.problem.message


@pytest.mark.promise("P5")
@pytest.mark.parametrize("own_model", [True, False])
def test_no_status_can_say_both_that_money_was_spent_and_that_it_was_not(own_model: bool) -> None:
    for status in range(100, 700):
        got = verdict(status, recorded_bytes("sdk_submit_response"), own_model=own_model)
        assert isinstance(got, Run) == (200 <= status < 300)
        unsure = status in {408, 499} or (500 <= status < 600 and status != 501)
        assert isinstance(got, Doubt) == unsure
