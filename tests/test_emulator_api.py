import hashlib
import json
import re
from itertools import pairwise
from typing import Any

import pytest

from pipeline.emulator.model import Config
from tests.emulator_caller import (
    FOLDER,
    KEY,
    START,
    SUBMIT,
    SYNC,
    URI,
    Caller,
    recorded,
    request,
    shape,
)

DAY = 86_400
TOKENIZE = "/foundationModels/v1/tokenize"
TOKENIZE_COMPLETION = "/foundationModels/v1/tokenizeCompletion"
BEARER = {"authorization": "Bearer t1.token"}


def test_a_submit_is_answered_as_documented() -> None:
    answer = json.loads(Caller().post(request()).body)
    documented = recorded("docs_rest_submit_response.json")
    assert shape(answer) == shape(documented)
    assert (answer["done"], answer["metadata"]) == (False, None)
    assert answer["description"] == documented["description"]


def test_a_pending_operation_looks_like_the_submit_s_answer() -> None:
    caller = Caller()
    submitted = json.loads(caller.post(request()).body)
    assert caller.poll(submitted["id"], at=START + 4.9) == submitted
    assert [*recorded("sdk_operation_pending.json")] == [*submitted][:5]


def test_a_finished_operation_is_printed_as_documented() -> None:
    caller = Caller()
    operation = caller.poll(caller.submit(), at=START + 5)
    documented = recorded("docs_rest_operation_done.json")
    # The documentation's example is older than this part of the usage.
    documented["response"]["usage"] = newer_usage()
    assert shape(operation) == shape(documented)
    assert operation["response"]["@type"] == documented["response"]["@type"]
    assert operation["done"] is True
    assert (operation["createdAt"], operation["modifiedAt"]) == (
        "2027-01-15T08:00:00Z",
        "2027-01-15T08:00:05Z",
    )


def test_the_synchronous_answer_is_printed_as_documented() -> None:
    answer = json.loads(Caller().post(request(), SYNC).body)
    assert shape(answer) == shape(recorded("docs_rest_sync_completion.json"))


def test_a_stream_is_lines_of_growing_text_as_recorded() -> None:
    body = request(completionOptions={"stream": True})
    lines = [json.loads(line) for line in Caller().post(body, SYNC).body.split(b"\n")]
    parts = recorded("sdk_stream_first2_last.json")
    for part in parts:
        part["usage"] = newer_usage()
    assert {str(shape(line)) for line in lines} == {str(shape({"result": part})) for part in parts}
    alternatives = [line["result"]["alternatives"][0] for line in lines]
    texts = [alternative["message"]["text"] for alternative in alternatives]
    assert all(len(one) < len(two) and two.startswith(one) for one, two in pairwise(texts))
    statuses = [
        alternative["status"].removeprefix("ALTERNATIVE_STATUS_") for alternative in alternatives
    ]
    assert statuses == ["PARTIAL"] * (len(lines) - 1) + ["FINAL"]


def test_a_conversation_is_taken_apart_as_recorded() -> None:
    exchange = recorded("sdk_tokenize_completion.json")
    folder = exchange["request"]["modelUri"].split("/")[2]
    answer = json.loads(Caller(folder=folder).post(exchange["request"], TOKENIZE_COMPLETION).body)
    assert shape(answer) == shape(exchange["response"])
    assert texts(answer) == texts(exchange["response"])


def test_a_text_is_taken_apart_without_the_conversation_s_frame() -> None:
    answer = json.loads(Caller().post({"modelUri": URI, "text": "Быть? Да"}, TOKENIZE).body)
    assert texts(answer) == ["▁Быть", "?", "▁Да"]
    assert all(re.fullmatch(r"\d+", token["id"]) for token in answer["tokens"])


def test_over_quota_is_said_as_quoted_by_users() -> None:
    caller = Caller()
    replies = [caller.post(request()) for _ in range(11)]
    quoted = recorded("http_error_429_sync_sessions.json")
    assert replies[-1].status == quoted["status"]
    error = json.loads(replies[-1].body)
    assert shape(error) == shape(quoted["body"])
    pattern = re.compile(r"([\w.-]+)\.(rate|count)\b.*?allowed (\d+) requests")
    match = pattern.fullmatch(error["error"].pop("message"))
    assert match is not None
    assert match.groups() == ("ai.textGenerationAsyncCompletionRequestsPerSecond", "rate", "10")
    del quoted["body"]["error"]["message"]
    assert error == quoted["body"]


def test_an_unknown_api_key_is_refused_as_quoted_by_users() -> None:
    quoted = recorded("http_error_401_unknown_api_key.json")
    caller = Caller(api_keys=frozenset({"other"}))
    status, body = caller.refusal(request(), headers={"authorization": "Api-Key {api_key}"})
    assert (status, body) == (quoted["status"], quoted["body"])


def test_a_body_that_is_no_json_is_refused_as_quoted_by_users() -> None:
    quoted = recorded("http_error_400_bad_json_flat.json")
    status, body = Caller().refusal(b"{]")
    assert status == quoted["status"]
    assert shape(body) == shape(quoted["body"])


def test_the_operation_service_refuses_a_token_as_documented() -> None:
    documented = recorded("docs_http_error_401_flat.json")
    reply = Caller().call("GET", "/operations/d7q", headers={})
    body = json.loads(reply.body)
    assert reply.status == documented["status"]
    assert shape(body) == shape(documented["body"])
    assert body["message"] == documented["body"]["message"]
    assert body["details"][0]["requestId"] == reply.headers["x-request-id"]


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Api-Key",
        "Api-Key ",
        "secret",
        "Basic secret",
        "Bearer AQVNkey",
        "Api-Key t1.token",
        "bearer t1.token",
    ],
)
def test_a_credential_that_is_missing_or_misplaced_is_unauthenticated(
    authorization: str | None,
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    status, body = Caller().refusal(request(), headers=headers)
    assert (status, body["error"]["grpcCode"]) == (401, 16)
    assert body["error"]["httpStatus"] == "Unauthorized"


def test_credentials_are_known_by_their_own_scheme_only() -> None:
    caller = Caller(api_keys=frozenset({"k"}), iam_tokens=frozenset({"t1.t"}))
    allowed = ["Api-Key k", "Bearer t1.t", "Bearer k", "Api-Key t1.t", "Api-Key other"]
    statuses = [
        caller.post(request(), headers={"authorization": value}).status for value in allowed
    ]
    assert statuses == [200, 200, 401, 401, 401]


def test_a_credential_without_the_role_is_forbidden_everywhere() -> None:
    caller = Caller(forbidden=frozenset({"t1.token"}))
    operation_id = caller.submit()
    status, body = caller.refusal(b"{]", headers=BEARER)
    assert (status, body["error"]["grpcCode"]) == (403, 7)
    assert caller.poll(operation_id, at=START, headers=BEARER)["code"] == 7


def test_a_folder_header_must_name_the_account_s_own_folder() -> None:
    assert Caller().post(request(), headers=KEY | {"x-folder-id": FOLDER}).status == 200
    status, body = Caller().refusal(request(), headers=KEY | {"x-folder-id": "b1gother"})
    assert status == 400
    assert body["error"]["message"] == (
        f"Specified folder ID 'b1gother' does not match with service account folder ID '{FOLDER}'"
    )


def test_every_reply_can_be_traced_and_repeats_the_caller_s_id() -> None:
    caller = Caller()
    mine = KEY | {"x-client-request-id": "mine"}
    replies = [caller.post(request(), headers=mine), caller.call("GET", "/nowhere", headers=mine)]
    for reply in replies:
        assert reply.headers["x-client-request-id"] == "mine"
        assert reply.headers["server"] == "ycalb"
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["x-server-trace-id"].endswith(":1")
    assert len({reply.headers["x-request-id"] for reply in replies}) == 2
    assert "x-client-request-id" not in caller.post(request()).headers


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, 5),
        ("POST", "/foundationModels/v1/completionBatch", 404, 5),
        ("POST", "/v1/completionAsync", 404, 5),
        ("GET", "/operations/d7q:stop", 404, 5),
        ("GET", "/operations/d7q:", 404, 5),
        ("GET", SUBMIT, 501, 12),
        ("DELETE", "/operations/d7q", 501, 12),
        ("POST", "/operations/d7q", 501, 12),
    ],
)
def test_a_path_or_method_that_is_not_offered_gets_a_flat_error(
    method: str, path: str, status: int, code: int
) -> None:
    reply = Caller().call(method, path)
    body = json.loads(reply.body)
    assert (reply.status, body["code"]) == (status, code)
    assert [*body] == ["code", "message", "details"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_operation_can_t_be_cancelled_and_goes_on(method: str) -> None:
    caller = Caller()
    operation_id = caller.submit()
    reply = caller.call(method, f"/operations/{operation_id}:cancel")
    assert (reply.status, json.loads(reply.body)["code"]) == (400, 9)
    assert caller.poll(operation_id, at=START + 60)["done"] is True
    assert caller.call(method, "/operations/d7qforeign:cancel").status == 404


def test_a_foreign_operation_is_not_found() -> None:
    reply = Caller().call("GET", "/operations/d7q00000000000000000")
    assert (reply.status, json.loads(reply.body)["code"]) == (404, 5)


def test_an_operation_is_forgotten_three_days_after_its_creation() -> None:
    caller = Caller()
    operation_id = caller.submit()
    assert caller.poll(operation_id, at=START + 3 * DAY - 0.001)["done"] is True
    assert caller.poll(operation_id, at=START + 3 * DAY)["code"] == 5


def test_an_operation_that_is_fetched_twice_gives_the_same_answer_and_bill() -> None:
    caller = Caller()
    operation_id = caller.submit("Быть или не быть?")
    first = caller.poll(operation_id, at=START + 10)
    assert caller.poll(operation_id, at=START + 1000) == first
    entry = caller.ledger()["operations"][0]
    usage = first["response"]["usage"]
    assert str(entry["usage"]["total_tokens"]) == usage["totalTokens"]
    assert str(entry["usage"]["input_tokens"]) == usage["inputTextTokens"]


def test_latency_spreads_around_its_median_and_follows_from_the_seed() -> None:
    def latencies(seed: int) -> list[float]:
        caller = Caller(seed=seed, latency_median=10.0, latency_sigma=0.5, submit_rates=())
        for _ in range(1000):
            caller.submit()
        entries = caller.ledger()["operations"]
        return sorted(entry["finishes_at"] - entry["at"] for entry in entries)

    one = latencies(1)
    assert one == latencies(1) != latencies(2)
    assert 9.5 < one[500] < 10.5
    # One standard deviation of the logarithm: e to the power of ±0.5, times the median.
    assert 5.6 < one[159] < 6.6
    assert 15.0 < one[841] < 18.0


def test_operation_ids_look_like_the_service_s_and_follow_from_the_seed() -> None:
    def ids(seed: int) -> list[str]:
        caller = Caller(seed=seed, submit_rates=())
        return [caller.submit() for _ in range(200)]

    assert ids(3) == ids(3) != ids(4)
    assert len(set(ids(3))) == 200
    assert all(re.fullmatch(r"d7q[0-9a-v]{17}", name) for name in ids(3))


def test_two_submits_of_one_body_are_two_operations() -> None:
    caller = Caller()
    assert caller.submit() != caller.submit()
    assert caller.ledger()["submits"] == 2


def test_a_repeated_poll_is_counted() -> None:
    caller = Caller()
    operation_id = caller.submit()
    for second in (1, 2, 9):
        caller.poll(operation_id, at=START + second)
    ledger = caller.ledger()
    assert ledger["operations"][0]["polls"] == 3
    assert (ledger["polls"], ledger["operations_polled"]) == (3, 1)
    assert ledger["poll_times"] == [START + 1, START + 2, START + 9]


def test_the_ledger_tells_what_was_asked_and_by_whom() -> None:
    caller = Caller()
    body = json.dumps(request("Привет")).encode()
    caller.post(body, at=START + 0.25, headers=KEY | {"x-client-request-id": "mine"})
    (entry,) = caller.ledger()["operations"]
    assert entry["digest"] == hashlib.sha256(body).hexdigest()
    assert (entry["at"], entry["client_request_id"]) == (START + 0.25, "mine")
    assert caller.ledger()["submit_times"] == [START + 0.25]


def test_the_ledger_counts_refusals_by_status() -> None:
    caller = Caller(api_keys=frozenset({"secret"}))
    caller.post(request(), headers={"authorization": "Api-Key wrong"})
    caller.post(request(""))
    for _ in range(12):
        caller.post(request())
    caller.poll("d7qforeign", at=START)
    caller.post({"text": "x"}, TOKENIZE)
    ledger = caller.ledger()
    assert ledger["refused_submits"] == {"401": 1, "400": 1, "429": 2}
    assert ledger["refused_polls"] == {"404": 1}
    assert ledger["refused_others"] == {"400": 1}
    assert ledger["submits"] == len(ledger["operations"]) == 10


def test_the_ledger_s_summary_leaves_out_lists_and_its_usage_is_their_sum() -> None:
    caller = Caller()
    for text in ("ping", "Быть или не быть?"):
        caller.submit(text)
    whole = caller.ledger()
    summary = json.loads(caller.call("GET", "/emulator/ledger?summary=1").body)
    assert whole == whole | summary
    assert not {"operations", "submit_times", "poll_times"} & summary.keys()
    billed = [entry["usage"]["total_tokens"] for entry in whole["operations"]]
    assert summary["usage"]["total_tokens"] == sum(billed)


def test_the_tokenizer_has_a_quota_and_costs_nothing() -> None:
    caller = Caller()
    statuses = [caller.post(request(), TOKENIZE_COMPLETION).status for _ in range(51)]
    assert statuses == [200] * 50 + [429]
    ledger = caller.ledger()
    assert (ledger["tokenizer_calls"], ledger["usage"]["total_tokens"]) == (50, 0)


def test_a_pace_just_within_the_hour_draws_no_violation() -> None:
    caller = Caller()
    body = json.dumps(request()).encode()
    config = Config()
    for n in range(5200):
        assert caller.post(body, at=START + n * 0.72).status == 200
    assert caller.service.violations == {}
    for rate in config.submit_rates:
        times = caller.service.submit_times
        pairs = zip(times, times[rate.limit :], strict=False)
        assert all(later - first >= rate.seconds for first, later in pairs)


def newer_usage() -> Any:
    return recorded("docs_rest_sync_completion.json")["result"]["usage"]


def texts(answer: Any) -> list[str]:
    return [token["text"] for token in answer["tokens"]]
