import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.emulator.api import Reply
from pipeline.emulator.deliveries import Cut, Delivery, Drip, Misstated, Reset, Sent, Silence
from pipeline.emulator.faults import Unreliable
from pipeline.emulator.model import Accepted
from pipeline.emulator.schedules import (
    NOT_TAKEN,
    OPERATIONS,
    TAKEN,
    TOKENS,
    Always,
    Calls,
    Fault,
    NotTaken,
    OfOperation,
    OfTokens,
    Span,
    Taken,
)
from tests.emulator_caller import KEY, START, SUBMIT, URI, Caller, bearer, request

IAM = "/iam/v1/tokens"
METADATA = "/computeMetadata/v1/instance/service-accounts/default/token"
TOKENIZE = "/foundationModels/v1/tokenize"
MINUTE, HOUR, DAY = 60, 3600, 86_400
BEARER = {"authorization": "Bearer t1.token"}


class Misled(Caller):
    """A caller of a service with faults, which started at `START`."""

    def __init__(
        self, *texts: str, accepted: list[Accepted] | None = None, **settings: Any
    ) -> None:
        super().__init__(
            iter(accepted or ()), **({"submit_rates": (), "poll_rates": ()} | settings)
        )
        faults = [Fault.parse(text) for text in texts]
        self.unreliable = Unreliable(self.api, faults, self.service.config.seed, START)

    def deliver(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        at: float = START,
        headers: Mapping[str, str] = KEY,
    ) -> Delivery:
        raw = b"" if body is None else json.dumps(body).encode()
        return self.unreliable.respond(method, path, headers, raw, at)

    def call(self, method: str, path: str, body: object = b"", **how: Any) -> Reply:
        """Call where a reply is to arrive, whatever it says."""
        delivery = self.deliver(method, path, body or None, **how)
        assert isinstance(delivery, Sent)
        return delivery.reply

    def try_submit(self, *, at: float = START) -> Delivery:
        return self.deliver("POST", SUBMIT, request(), at=at)

    def try_poll(self, operation_id: str = "d7q", *, at: float = START) -> Delivery:
        return self.deliver("GET", f"/operations/{operation_id}", at=at)

    def strikes(self, count: int, *, of: str = "submits") -> list[int]:
        """Make calls that a fault may turn into resets; give the numbers of those that it did."""
        calls = {"submits": self.try_submit, "polls": self.try_poll}[of]
        return [n for n in range(1, count + 1) if calls() == Reset(None)]

    def ledger(self) -> Any:
        return json.loads(self.call("GET", "/emulator/ledger").body)


# The grammar


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("hang", Fault(Taken("hang", "all"))),
        (" hang:all ", Fault(Taken("hang", "all"))),
        ("502:polls=0.5", Fault(NotTaken("502", "polls"), rate=0.5)),
        ("502@60s+1h", Fault(NotTaken("502", "all"), Span(60, HOUR))),
        ("502@0s+1.5m", Fault(NotTaken("502", "all"), Span(0, 90))),
        ("502@10m+", Fault(NotTaken("502", "all"), Span(600, float("inf")))),
        ("drip:submits@5=1", Fault(Taken("drip", "submits"), Calls(5, 5))),
        ("429-date:polls@3-7=1e-2", Fault(NotTaken("429-date", "polls"), Calls(3, 7), 0.01)),
        ("404-once=0", Fault(OfOperation("404-once"), Always(), 0)),
        ("502:iam", Fault(NotTaken("502", "iam"))),
        ("revoked:polls@3", Fault(OfTokens("revoked", "polls"), Calls(3, 3))),
        ("never-done@1d+2d", Fault(OfOperation("never-done"), Span(DAY, 2 * DAY))),
    ],
)
def test_a_fault_is_read_as_it_is_written(text: str, fault: Fault) -> None:
    assert Fault.parse(text) == fault


def test_every_kind_of_fault_is_read_by_its_name() -> None:
    for kind in (*NOT_TAKEN, *TAKEN, *OPERATIONS, *TOKENS):
        assert Fault.parse(kind).kind == kind


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "hnag",
            r"'hnag' is no kind of fault; did you mean hang\? Known are reset-before, .*revoked",
        ),
        ("zzzzz", "'zzzzz' is no kind of fault; Known are"),
        ("", "'' is no fault: write KIND"),
        ("hang=1=1", "is no fault: write KIND"),
        ("hang=1@5", "is no fault: write KIND"),
        ("hang:submit", "'submit' is no kind of call: write :submits, :polls, :iam or :all"),
        ("hang:", "'' is no kind of call"),
        ("no-usage:polls", "no-usage befalls operations, not calls: leave :polls out"),
        ("hang@60s", "'60s' is no schedule: write 60s.1h"),
        ("hang@60+60", "is no schedule"),
        ("hang@7-3", "is no schedule"),
        ("hang@0", "is no schedule"),
        ("hang@", "is no schedule"),
        ("hang=", "'' is no rate"),
        ("hang=1.1", "'1.1' is no rate: write a probability from 0 to 1"),
        ("hang=-1", "is no rate"),
        ("hang=nan", "is no rate"),
        ("hang=5%", "is no rate"),
    ],
)
def test_what_is_no_fault_is_told_what_would_be_one(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Fault.parse(text)


@given(st.text(alphabet="ahng5024-:@=+.smd "))
def test_any_text_is_a_fault_or_is_refused(text: str) -> None:
    with suppress(ValueError):
        assert Fault.parse(text).kind in text


# When a fault strikes


def test_without_faults_every_reply_is_sent_as_it_is() -> None:
    misled, plain = Misled(), Caller(submit_rates=(), poll_rates=())
    assert misled.try_submit() == Sent(plain.post(request()))
    assert misled.ledger()["faults"] == {}


def test_a_fault_with_numbers_strikes_these_calls_only() -> None:
    assert Misled("reset-before@5").strikes(9) == [5]
    assert Misled("reset-before:submits@3-7").strikes(9) == [3, 4, 5, 6, 7]


def test_only_calls_that_the_fault_looks_at_are_counted() -> None:
    misled = Misled("reset-before:submits@2")
    assert misled.strikes(5, of="polls") == []
    assert misled.strikes(5, of="submits") == [2]


def test_a_call_counts_for_a_fault_even_where_another_one_strikes() -> None:
    misled = Misled("502@1-3", "reset-before@4")
    assert misled.strikes(9) == [4]


def test_a_fault_with_times_strikes_between_them() -> None:
    misled = Misled("reset-before@60s+1h")
    times = [0, 59.9, 60, 60 + HOUR - 0.1, 60 + HOUR]
    struck = [misled.try_submit(at=START + time) == Reset(None) for time in times]
    assert struck == [False, False, True, True, False]


def test_a_fault_without_an_end_strikes_from_then_on() -> None:
    misled = Misled("reset-before@10m+")
    times = [599, 600, 40 * DAY]
    assert [misled.try_submit(at=START + t) == Reset(None) for t in times] == [False, True, True]


def test_a_rate_is_how_often_it_strikes_and_the_seed_says_when() -> None:
    def struck(seed: int) -> list[int]:
        return Misled("reset-before=0.1", seed=seed).strikes(2000, of="polls")

    assert 140 < len(struck(1)) < 260
    assert struck(1) == struck(1) != struck(2)


def test_two_faults_of_one_kind_are_drawn_apart() -> None:
    misled = Misled("reset-before=0.5", "reset-before=0.5")
    assert 650 < len(misled.strikes(1000, of="polls")) < 850


def test_a_rate_of_nothing_never_strikes_and_one_of_one_always() -> None:
    assert Misled("reset-before=0").strikes(50) == []
    assert len(Misled("reset-before=1").strikes(50)) == 50


def test_the_first_fault_that_applies_is_the_one_that_strikes() -> None:
    misled = Misled("502@2", "reset-before:submits", "500")
    assert misled.strikes(3) == [1, 3]
    assert misled.call("GET", "/operations/d7q").status == 500
    assert misled.ledger()["faults"] == {"reset-before": 2, "502": 1, "500": 1}


def test_the_tokenizer_is_neither_submits_nor_polls_but_one_of_all() -> None:
    body = {"modelUri": URI, "text": "?"}
    spared = Misled("500:submits", "500:polls").call("POST", TOKENIZE, body)
    struck = Misled("500:all").call("POST", TOKENIZE, body)
    assert (spared.status, struck.status) == (200, 500)


def test_calls_for_tokens_are_a_side_of_their_own_and_part_of_all() -> None:
    def struck(fault: str) -> list[bool]:
        misled = Misled(fault, metadata=True, oauth_tokens=frozenset({"y0_x"}))
        exchange = misled.deliver("POST", IAM, {"yandexPassportOauthToken": "y0_x"})
        given = misled.deliver("GET", METADATA, headers={"metadata-flavor": "Google"})
        deliveries = exchange, given, misled.try_submit(), misled.try_poll()
        return [delivery == Reset(None) for delivery in deliveries]

    assert struck("reset-before:iam") == [True, True, False, False]
    assert struck("reset-before:all") == [True] * 4
    assert struck("reset-before") == [True] * 4
    assert struck("reset-before:submits") == [False, False, True, False]
    assert struck("reset-before:polls") == [False, False, False, True]


@pytest.mark.parametrize(("kind", "code"), [("401", 16), ("429", 8), ("500", 13), ("503", 14)])
def test_iam_says_an_error_in_its_flat_shape_and_the_metadata_service_in_words(
    kind: str, code: int
) -> None:
    misled = Misled(f"{kind}:iam", metadata=True)
    exchange = misled.call("POST", IAM, {"yandexPassportOauthToken": "y0_x"})
    given = misled.call("GET", METADATA)
    assert exchange.status == given.status == int(kind)
    assert [*json.loads(exchange.body)] == ["code", "message", "details"]
    assert json.loads(exchange.body)["code"] == code
    assert given.headers["content-type"] == "text/plain"
    assert misled.ledger()["tokens"] == {"issued": {}, "refused": {}}


@pytest.mark.parametrize("kind", TAKEN)
def test_an_exchange_that_is_taken_gives_a_token_whatever_is_seen_of_it(kind: str) -> None:
    misled = Misled(f"{kind}:iam")
    misled.deliver("POST", IAM, {"yandexPassportOauthToken": "y0_x"})
    assert misled.ledger()["tokens"]["issued"] == {"oauth": 1}
    assert misled.ledger()["faults"] == {kind: 1}


def test_an_answer_that_should_hold_a_token_can_lack_it() -> None:
    misled = Misled("no-id:iam", metadata=True, oauth_tokens=frozenset({"y0_x"}))
    exchange = misled.call("POST", IAM, {"yandexPassportOauthToken": "y0_x"})
    given = misled.call("GET", METADATA, headers={"metadata-flavor": "Google"})
    assert [*json.loads(exchange.body)] == ["expiresAt"]
    assert [*json.loads(given.body)] == ["expires_in", "token_type"]


@pytest.mark.parametrize("kind", [*NOT_TAKEN, *TAKEN])
def test_the_ledger_is_never_faulty(kind: str) -> None:
    misled = Misled(kind)
    assert "faults" in misled.ledger()
    assert misled.call("GET", "/emulator/ledger?summary=1").status == 200


@given(st.lists(st.sampled_from([*NOT_TAKEN, *TAKEN, "duplicate-id", "done-at-once"])))
def test_all_that_was_taken_is_handed_out_to_be_kept(kinds: list[str]) -> None:
    misled = Misled(*(f"{kind}=0.3" for kind in kinds), seed=len(kinds))
    deliveries = [misled.try_submit() for _ in range(20)]
    kept = [delivery.accepted for delivery in deliveries if delivery.accepted is not None]
    assert kept == misled.service.ledger.submits
    assert len(misled.ledger()["operations"]) == len(kept)


# Calls that are not taken


@pytest.mark.parametrize("kind", NOT_TAKEN)
def test_a_call_that_is_not_taken_leaves_no_trace_but_the_fault(kind: str) -> None:
    misled = Misled(kind)
    assert misled.try_submit().accepted is None
    ledger = misled.ledger()
    assert (ledger["submits"], ledger["refused_submits"]) == (0, {})
    assert ledger["faults"] == {kind: 1}


def test_before_it_saw_the_call_the_service_hangs_up_or_stays_silent() -> None:
    assert Misled("reset-before").try_submit() == Reset(None)
    assert Misled("hang-before").try_submit() == Silence(None)


@pytest.mark.parametrize(("kind", "code"), [("401", 16), ("429", 8), ("500", 13), ("503", 14)])
def test_an_error_is_said_as_the_one_who_would_have_answered_says_it(kind: str, code: int) -> None:
    misled = Misled(kind)
    refused = misled.call("POST", SUBMIT, request())
    asked = misled.call("GET", "/operations/d7q")
    assert refused.status == asked.status == int(kind)
    assert json.loads(refused.body)["error"]["grpcCode"] == code
    assert json.loads(asked.body)["code"] == code
    assert refused.headers["x-request-id"] != asked.headers["x-request-id"]


@pytest.mark.parametrize("kind", ["502", "504", "502-after", "504-after"])
def test_a_gateway_speaks_html_and_knows_no_request_id(kind: str) -> None:
    reply = Misled(kind).call("POST", SUBMIT, request())
    assert reply.status == int(kind[:3])
    assert reply.headers["content-type"] == "text/html"
    assert reply.body.startswith(b"<html>")
    assert "x-request-id" not in reply.headers


def test_a_429_names_the_quota_of_the_call_and_may_not_say_how_long() -> None:
    misled = Misled("429")
    reply = misled.call("POST", SUBMIT, request())
    assert b"textGenerationAsyncCompletionRequestsPerSecond.rate" in reply.body
    assert "retry-after" not in reply.headers
    assert b"OperationRequestsPerSecond" in misled.call("GET", "/operations/d7q").body


def test_a_429_may_say_how_long_in_seconds_or_as_a_date_of_the_service_s_clock() -> None:
    seconds = Misled("429-seconds").call("POST", SUBMIT, request())
    dated = Misled("429-date", skew=-90.0).call("POST", SUBMIT, request())
    assert seconds.headers["retry-after"] == "2"
    moments = [parsedate_to_datetime(dated.headers[name]) for name in ("date", "retry-after")]
    assert [moment.timestamp() for moment in moments] == [START - 90, START - 88]


def test_a_429_may_say_ten_years_or_garbage() -> None:
    misled = Misled("429-absurd")
    said = {
        misled.call("POST", SUBMIT, request(), at=START + n).headers["retry-after"]
        for n in range(60)
    }
    assert {str(10 * 365 * DAY), "soon", "-1"} <= said


# Calls that are taken all the same


@pytest.mark.parametrize("kind", TAKEN)
def test_a_call_that_is_taken_stands_in_the_ledger_whatever_is_seen_of_it(kind: str) -> None:
    misled = Misled(f"{kind}:submits")
    delivery = misled.try_submit()
    assert delivery.accepted is not None
    operation_id = delivery.accepted.operation_id
    assert [entry["operation_id"] for entry in misled.ledger()["operations"]] == [operation_id]
    assert misled.ledger()["faults"] == {kind: 1}
    assert misled.poll(operation_id, at=START + 60)["done"] is True


@pytest.mark.parametrize("kind", TAKEN)
def test_a_poll_that_is_taken_counts_whatever_is_seen_of_it(kind: str) -> None:
    misled = Misled(f"{kind}:polls")
    misled.try_poll(misled.submit())
    assert (misled.ledger()["polls"], misled.ledger()["operations_polled"]) == (1, 1)


def test_an_invalid_submit_is_not_taken_even_where_the_answer_never_comes() -> None:
    misled = Misled("reset-after")
    assert misled.deliver("POST", SUBMIT, request("")) == Reset(None)
    assert misled.ledger()["refused_submits"] == {"400": 1}


def test_an_answer_is_kept_back_slow_cut_or_of_a_wrong_length() -> None:
    whole = Caller(submit_rates=(), poll_rates=()).post(request())
    half = len(whole.body) // 2
    assert Misled("reset-after").try_submit() == Reset(whole.accepted)
    assert Misled("hang").try_submit() == Silence(whole.accepted)
    assert Misled("drip").try_submit() == Drip(whole)
    assert Misled("truncate").try_submit() == Cut(whole, half)
    assert Misled("length").try_submit() == Misstated(whole, half)


def test_an_answer_may_say_that_it_is_packed_and_not_be() -> None:
    reply = Misled("bad-gzip").call("POST", SUBMIT, request())
    assert reply.headers["content-encoding"] == "gzip"
    assert not reply.body.startswith(b"\x1f\x8b")


def test_a_proxy_s_page_comes_with_status_200() -> None:
    reply = Misled("html").call("POST", SUBMIT, request())
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html")
    assert reply.body.startswith(b"<html>")


def test_an_answer_without_an_id_is_json_otherwise_whole() -> None:
    said = json.loads(Misled("no-id").call("POST", SUBMIT, request()).body)
    assert [*said] == ["description", "createdAt", "createdBy", "modifiedAt", "done", "metadata"]


# Operations


def finished(kind: str) -> Any:
    """The answer to a poll of an operation that is done and suffers from `kind`."""
    misled = Misled(kind)
    operation = misled.poll(misled.submit(), at=START + 60)
    assert operation["done"] is True
    assert misled.ledger()["faults"] == {kind: 1}
    return operation


def test_an_operation_is_never_done() -> None:
    misled = Misled("never-done")
    operation_id = misled.submit()
    assert misled.poll(operation_id, at=START + 2 * DAY)["done"] is False
    assert misled.ledger()["operations"][0]["finishes_at"] is None


def test_an_operation_is_done_in_the_answer_to_its_submit() -> None:
    misled = Misled("done-at-once")
    answer = json.loads(misled.call("POST", SUBMIT, request()).body)
    assert answer["response"]["alternatives"]
    assert misled.poll(answer["id"], at=START) == answer


def test_an_operation_is_done_with_neither_a_response_nor_an_error() -> None:
    assert not {"response", "error"} & finished("neither").keys()


def test_an_operation_is_done_with_both_a_response_and_an_error() -> None:
    operation = finished("both")
    assert operation["error"]["code"] == 13
    assert operation["response"]["alternatives"]


def test_an_operation_is_done_with_an_error() -> None:
    operation = finished("fails")
    assert operation["error"] == {"code": 13, "message": "Internal error", "details": []}
    assert "response" not in operation


def test_a_response_has_no_usage_or_a_huge_one_or_no_alternatives() -> None:
    assert "usage" not in finished("no-usage")["response"]
    assert finished("huge-usage")["response"]["usage"]["inputTextTokens"] == str(10**18)
    assert finished("no-alternatives")["response"]["alternatives"] == []


def test_an_operation_is_done_then_not_done_for_a_minute_then_done() -> None:
    misled = Misled("flips-back")
    operation_id = misled.submit()
    times = [1, 10, 10.5, 69, 70, 80]
    done = [misled.poll(operation_id, at=START + time)["done"] for time in times]
    assert done == [False, True, False, False, True, True]


def test_an_operation_is_forgotten_from_the_first_poll_on() -> None:
    misled = Misled("forgotten")
    operation_id = misled.submit()
    replies = [misled.call("GET", f"/operations/{operation_id}", at=START + t) for t in (1, DAY)]
    assert [reply.status for reply in replies] == [404, 404]
    assert misled.ledger()["submits"] == 1


def test_an_operation_is_denied_once_and_then_found() -> None:
    misled = Misled("404-once")
    operation_id = misled.submit()
    replies = [misled.call("GET", f"/operations/{operation_id}", at=START + t) for t in (1, 2, 9)]
    assert [reply.status for reply in replies] == [404, 200, 200]
    assert misled.ledger()["refused_polls"] == {"404": 1}


def test_a_submit_is_given_the_id_of_an_earlier_operation_and_stands_under_it() -> None:
    misled = Misled("duplicate-id@2-4")
    ids = [misled.submit(f"row {n}") for n in range(5)]
    assert ids[1] == ids[0]
    assert len(set(ids)) == 2
    assert ids[4] not in ids[:4]
    ledger = misled.ledger()
    assert [entry["operation_id"] for entry in ledger["operations"]] == ids
    assert len({entry["digest"] for entry in ledger["operations"]}) == 5
    assert (ledger["submits"], ledger["faults"]) == (5, {"duplicate-id": 3})
    text = misled.poll(ids[1], at=START + 60)["response"]["alternatives"][0]["message"]["text"]
    assert "row 0" in text


def test_the_first_submit_of_all_can_have_no_id_of_an_earlier_one() -> None:
    misled = Misled("duplicate-id")
    assert misled.submit() == misled.submit()
    assert misled.ledger()["faults"] == {"duplicate-id": 1}


def test_what_befalls_operations_can_have_a_rate_a_time_or_numbers() -> None:
    misled = Misled("forgotten@2", "fails@60s+60s", "no-usage=0.5")
    begun = [0, 1, 60, 119, *range(200, 300)]
    ids = [misled.submit(at=START + second) for second in begun]
    polls = [misled.poll(operation_id, at=START + 400) for operation_id in ids]
    assert polls[1]["code"] == 5
    assert ["error" in poll for poll in polls[:4]] == [False, False, True, True]
    without = ["usage" not in poll["response"] for poll in polls[4:]]
    assert 30 < sum(without) < 70


def test_an_operation_suffers_the_same_after_a_restart() -> None:
    kinds = ["fails=0.3", "duplicate-id=0.2", "huge-usage=0.3", "forgotten@3"]
    before = Misled(*kinds)
    ids = [before.submit(f"row {n}") for n in range(40)]
    after = Misled(*kinds, accepted=before.service.ledger.submits)
    late = [caller.poll(name, at=START + HOUR) for caller in (before, after) for name in ids]
    for one, other in zip(late[:40], late[40:], strict=True):
        assert one | {"details": []} == other | {"details": []}
    assert after.ledger()["operations"] == before.ledger()["operations"]
    assert after.submit("next") == before.submit("next")
    assert sum(before.ledger()["faults"].values()) > 10


# The clock, and credentials that die


@pytest.mark.parametrize("skew", [-90.0, 0.0, 300.0])
def test_a_skewed_clock_shows_in_everything_that_is_said_of_time(skew: float) -> None:
    caller = Caller(skew=skew)
    operation_id = caller.submit(at=START)
    reply = caller.call("GET", f"/operations/{operation_id}", at=START + 10)
    operation = json.loads(reply.body)
    assert parsedate_to_datetime(reply.headers["date"]).timestamp() == START + 10 + skew
    assert stamped(operation["createdAt"]) == START + skew
    assert stamped(operation["modifiedAt"]) == START + 5 + skew
    assert caller.ledger()["operations"][0]["at"] == START


def test_a_skewed_clock_leaves_quotas_and_retention_alone() -> None:
    caller = Caller(skew=-90.0, retention=60.0)
    statuses = [caller.post(request()).status for _ in range(11)]
    assert statuses == [200] * 10 + [429]
    assert caller.post(request(), at=START + 1).status == 200
    operation_id = next(iter(caller.service.ledger.accepted))
    assert caller.poll(operation_id, at=START + 59.9)["done"] is True
    assert caller.poll(operation_id, at=START + 60)["code"] == 5


def test_a_token_dies_some_time_after_its_first_use() -> None:
    caller = Caller(token_life=60.0)
    times = [10, 69.9, 70, 71]
    statuses = [caller.post(request(), at=START + time, headers=BEARER).status for time in times]
    assert statuses == [200, 200, 401, 401]
    fresh = {"authorization": "Bearer t1.other"}
    assert caller.post(request(), at=START + 72, headers=fresh).status == 200
    assert caller.post(request(), at=START + DAY, headers=KEY).status == 200


def test_a_token_that_is_refused_does_not_begin_to_live() -> None:
    caller = Caller(token_life=60.0, iam_tokens=frozenset({"t1.token"}))
    wrong = {"authorization": "Bearer t1.wrong"}
    assert caller.post(request(), headers=wrong).status == 401
    assert caller.service.issued.has_died("t1.wrong", START + DAY) is False


def with_token(misled: Misled, token: str, *, at: float = START) -> int:
    return misled.call("GET", "/operations/d7q", at=at, headers=bearer(token)).status


def exchanged(misled: Misled, *, at: float = START) -> str:
    reply = misled.call("POST", IAM, {"yandexPassportOauthToken": "y0_x"}, at=at)
    token: str = json.loads(reply.body)["iamToken"]
    return token


def test_from_some_time_on_all_tokens_from_before_are_refused_and_new_ones_are_not() -> None:
    misled = Misled("revoked@30m+")
    old = exchanged(misled)
    times = [0, 30 * MINUTE - 1, 30 * MINUTE, 30 * MINUTE + 1]
    seen = [with_token(misled, old, at=START + time) for time in times]
    assert seen == [404, 404, 401, 401]
    fresh = exchanged(misled, at=START + 30 * MINUTE + 2)
    seen = [with_token(misled, fresh, at=START + 30 * MINUTE + time) for time in (3, HOUR)]
    assert seen == [404, 404]
    assert with_token(misled, old, at=START + 2 * HOUR) == 401
    assert misled.ledger()["faults"] == {"revoked": 1}


def test_a_call_can_find_that_all_tokens_are_refused_and_so_do_those_in_flight_with_it() -> None:
    misled = Misled("revoked:polls@3-4")
    tokens = [exchanged(misled), "t1.accepted"]
    seen = [with_token(misled, token) for token in tokens * 3]
    assert seen == [404, 404, 401, 401, 401, 401]
    assert with_token(misled, exchanged(misled)) == 404
    assert misled.ledger()["faults"] == {"revoked": 2}


def test_a_token_is_good_that_is_given_by_the_very_call_that_ends_the_others() -> None:
    misled = Misled("revoked:iam@2")
    old, new = exchanged(misled), exchanged(misled)
    assert [with_token(misled, token) for token in (old, new)] == [401, 404]


def test_revoking_leaves_the_call_to_other_faults_and_api_keys_alone() -> None:
    misled = Misled("502@2", "revoked@2", "500@3")
    statuses = [misled.call("POST", SUBMIT, request()).status for _ in range(4)]
    assert statuses == [200, 502, 500, 200]
    assert misled.ledger()["faults"] == {"502": 1, "revoked": 1, "500": 1}


def test_a_stretch_in_which_tokens_are_revoked_can_pass_without_a_call() -> None:
    misled = Misled("revoked@30m+1m")
    old = exchanged(misled)
    assert with_token(misled, old, at=START + HOUR) == 404


def stamped(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


@pytest.mark.parametrize(
    ("kind", "said"),
    [("misfit", r"\[null\]"), ("fenced", r"```json\n(?s:.+)\n```"), ("not-json", "(?s:.+)")],
)
def test_an_answer_is_not_of_the_form_that_was_asked_for(kind: str, said: str) -> None:
    (alternative,) = finished(kind)["response"]["alternatives"]
    assert alternative["status"] == "ALTERNATIVE_STATUS_FINAL"
    assert re.fullmatch(said, alternative["message"]["text"])
    assert finished(kind)["response"]["usage"]["totalTokens"] != "0"
