"""Every documented answer of the service, and some that are not, as outcomes."""

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import codec
from pipeline.api.outcomes import (
    Accepted,
    Answer,
    Conflict,
    Failed,
    Forbidden,
    Garbled,
    Misdirected,
    NotFound,
    Problem,
    Refused,
    StillRunning,
    Throttled,
    Unauthorized,
    Unsure,
    Usage,
)
from pipeline.api.refusals import read_problem
from pipeline.api.wire import (
    read_operation,
    read_poll,
    read_submit,
)
from pipeline.codec import Json
from tests.builders import (
    NOW,
    OPERATION,
    fields,
    operation,
    recorded,
    recorded_bytes,
    refusal,
    response,
)

HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
# Of the recorded operations.
CREATED = datetime.fromisoformat("2024-06-06T12:45:48+00:00")


def submit(status: int, body: bytes = b"", **headers: str) -> object:
    return read_submit(status, headers, body, NOW)


def poll(status: int, body: bytes = b"", **headers: str) -> object:
    return read_poll(OPERATION, status, headers, body, NOW)


def dated(moment: datetime) -> dict[str, str]:
    """The header that says when a reply was sent."""
    return {"date": format_datetime(moment)}


def answer(body: bytes) -> Answer:
    outcome = poll(200, body)
    assert isinstance(outcome, Answer)
    return outcome


def usage(**counts: Json) -> Usage | None:
    return answer(operation(response=response(usage=counts))).usage


# Recorded bodies.


@pytest.mark.parametrize(
    ("name", "operation_id"),
    [
        ("sdk_submit_response", "d7qqr3frkl81js0udlr9"),
        ("docs_rest_submit_response", "d7qi6shlbvo5********"),
    ],
)
def test_a_recorded_submit_is_accepted(name: str, operation_id: str) -> None:
    assert submit(200, recorded_bytes(name)) == Accepted(OPERATION.__class__(operation_id))


@pytest.mark.parametrize(
    ("name", "created_at"),
    [
        ("sdk_operation_pending", "2024-06-06T12:45:48+00:00"),
        ("sdk_submit_response", "2024-06-06T12:45:48+00:00"),
        ("docs_rest_submit_response", "2023-11-30T18:31:32+00:00"),
    ],
)
def test_a_recorded_operation_that_is_not_done_is_running_since(
    name: str, created_at: str
) -> None:
    asked = str(recorded(name)["id"])
    headers = dated(datetime.fromisoformat(created_at) + timedelta(seconds=90))
    assert read_poll(asked, 200, headers, recorded_bytes(name), NOW) == StillRunning(90.0)
    assert read_poll(asked, 200, {}, recorded_bytes(name), NOW) == StillRunning()


def test_the_operation_recorded_by_the_sdk_is_an_answer() -> None:
    got = answer(recorded_bytes("sdk_operation_done"))
    assert got.text is not None
    assert got.text.startswith("**Ping** — это утилита")
    assert got.text.endswith("остаётся неизменным.")
    assert got.finish == "final"
    assert got.tool_calls is None
    assert got.usage == Usage(15, 107, 0, 122)
    assert got.model_version == "07.03.2024"
    assert got.created_at == "2024-06-06T12:45:48Z"
    assert got.finished_at == "2024-06-06T12:45:52Z"
    assert got.response == recorded("sdk_operation_done")["response"]


def test_the_operation_of_the_documentation_is_an_answer() -> None:
    body = recorded_bytes("docs_rest_operation_done")
    got = read_poll("d7qo21o5fj1u********", 200, {}, body, NOW)
    assert isinstance(got, Answer)
    assert got.text == "To be, or not to be, that is the question."
    assert got.usage == Usage(31, 10, 0, 41)
    assert got.model_version == "18.01.2024"


def test_an_operation_that_ended_with_an_error_failed() -> None:
    got = read_operation(recorded("SYNTHETIC_operation_error"), {"x-request-id": "r-1"})
    assert got == Failed(Problem("INTERNAL", "Internal error", "r-1"), "operation", None)


def test_the_sync_answer_of_the_documentation_holds_a_response_that_is_read() -> None:
    got = answer(operation(response=recorded("docs_rest_sync_completion")["result"]))
    assert got.text == "Errors will not correct themselves."
    assert got.usage == Usage(32, 8, 0, 40)


def test_a_partial_answer_keeps_the_word_of_the_service() -> None:
    first, _, last = codec.decode(recorded_bytes("sdk_stream_first2_last")), None, None
    assert isinstance(first, list)
    partial, last = answer(operation(response=first[0])), answer(operation(response=first[2]))
    assert partial.finish == "ALTERNATIVE_STATUS_PARTIAL"
    assert last.finish == "final"
    assert last.usage == Usage(26, 317, 0, 343)


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        (
            "docs_http_error_401_flat",
            Unauthorized(
                Problem(
                    "UNAUTHENTICATED",
                    "Token is invalid or has expired.",
                    "e38e71c3-adc6-4584-98a4-b0f103d55f61",
                )
            ),
        ),
        (
            "http_error_401_unknown_api_key",
            Unauthorized(Problem("UNAUTHENTICATED", "Unknown api key '{api_key}'")),
        ),
        (
            "http_error_400_bad_json_flat",
            Refused(
                Problem("INVALID_ARGUMENT", "invalid character '}' looking for beginning of value")
            ),
        ),
    ],
)
def test_a_recorded_error_is_the_same_for_post_and_get(name: str, outcome: object) -> None:
    error = recorded(name)
    status, body = error["status"], codec.encode(error["body"])
    assert isinstance(status, int)
    assert submit(status, body) == outcome
    assert poll(status, body) == outcome


def test_the_recorded_429_names_its_quota_and_number() -> None:
    body = codec.encode(recorded("http_error_429_sync_sessions")["body"])
    for got in submit(429, body), poll(429, body):
        assert isinstance(got, Throttled)
        assert got.throttle.quota == "ai.textGenerationCompletionSessionsCount"
        assert got.throttle.allowed == 1
        assert got.throttle.retry_after is None
        assert got.problem.code == "RESOURCE_EXHAUSTED"


def test_tokens_of_the_recorded_tokenizer_count_as_the_recorded_operation_does() -> None:
    tokens = fields(recorded("sdk_tokenize_completion")["response"])["tokens"]
    assert isinstance(tokens, list)
    got = answer(recorded_bytes("sdk_operation_done")).usage
    assert got is not None
    assert len(tokens) == got.input_tokens


# What the answer to a POST means, status by status.


@pytest.mark.promise("P5")
@pytest.mark.parametrize("status", [408, 499, 500, 502, 503, 504, 505, 520, 599])
@pytest.mark.parametrize("body", [b"", HTML, refusal("words", 14)])
def test_a_post_that_a_gateway_may_have_forwarded_is_unsure(status: int, body: bytes) -> None:
    got = submit(status, body)
    assert isinstance(got, Unsure)
    assert got.outage


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        HTML,
        b"[]",
        b"null",
        b'"d7q"',
        b"{}",
        b'{"id": ""}',
        b'{"id": null}',
        b'{"id": 17}',
        b'{"id": "d7q"',
        b'{"id": "\xff"}',
    ],
)
@pytest.mark.parametrize("status", [200, 201, 204])
def test_a_post_that_succeeded_without_an_id_is_unsure_and_no_outage(
    status: int, body: bytes
) -> None:
    got = submit(status, body, **{"x-request-id": "r-7"})
    assert isinstance(got, Unsure)
    assert not got.outage
    assert got.problem.code == "no_id"
    assert got.problem.request_id == "r-7"


def test_an_id_that_no_checkpoint_can_hold_is_no_id() -> None:
    assert isinstance(submit(200, b'{"id": "\\ud83d"}'), Unsure)


SAME_FOR_BOTH = [
    (400, Refused),
    (402, Refused),
    (405, Refused),
    (413, Refused),
    (418, Refused),
    (422, Refused),
    (401, Unauthorized),
    (403, Forbidden),
    (404, NotFound),
    (409, Conflict),
    (429, Throttled),
    (501, Misdirected),
    (301, Misdirected),
    (302, Misdirected),
    (307, Misdirected),
    (308, Misdirected),
    (101, Misdirected),
    (600, Misdirected),
    (500, Unsure),
    (503, Unsure),
]


@pytest.mark.parametrize(("status", "kind"), SAME_FOR_BOTH)
@pytest.mark.parametrize("body", [b"", HTML, refusal("words"), b"[1]", b"\xff", b'{"error": 5}'])
def test_a_refusal_is_read_by_its_status_whatever_its_body(
    status: int, kind: type, body: bytes
) -> None:
    for got in submit(status, body), poll(status, body):
        assert isinstance(got, kind)


def test_a_refusal_that_every_row_would_share_says_so() -> None:
    shared = [
        "invalid model_uri",
        "Failed to parse model URI",
        "Failed to parse modelUri",
        "Specified folder ID 'a' does not match with service account folder ID 'b'",
    ]
    for words in shared:
        assert submit(400, refusal(words)) == Refused(
            Problem("INVALID_ARGUMENT", words), shared=True
        )


@pytest.mark.parametrize(
    "words",
    [
        "Error in session internal_id=1&request_id=2&folder_id=b1g: invalid message role 'x'",
        "number of input tokens must be no more than 8192, got 28498",
        "text length is 349354, which is outside the range (0, 100000]",
        "empty message text",
    ],
)
def test_a_refusal_of_the_row_itself_is_not_shared(words: str) -> None:
    assert submit(400, refusal(words)) == Refused(Problem("INVALID_ARGUMENT", words))


# Error bodies.


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"error": {"grpcCode": 3, "message": "w"}}, "INVALID_ARGUMENT", "w"),
        ({"error": {"code": 7, "message": "w"}}, "PERMISSION_DENIED", "w"),
        ({"error": "w", "code": 3, "message": "w", "details": []}, "INVALID_ARGUMENT", "w"),
        ({"error": "w", "code": 3, "details": []}, "INVALID_ARGUMENT", "w"),
        ({"code": 16, "message": "w", "details": []}, "UNAUTHENTICATED", "w"),
        ({"message": "w"}, "HTTP_400", "w"),
        ({"code": 0, "message": "w"}, "HTTP_400", "w"),
        ({"code": 99, "message": "w"}, "HTTP_400", "w"),
        ({"code": -1, "message": "w"}, "HTTP_400", "w"),
        ({"code": True, "message": "w"}, "HTTP_400", "w"),
        ({"code": "3", "message": "w"}, "HTTP_400", "w"),
        ({"error": "w"}, "HTTP_400", "w"),
    ],
)
def test_each_shape_of_an_error_body_is_read(body: Json, code: str, message: str) -> None:
    assert read_problem(400, {}, codec.encode(body)) == Problem(code, message)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", HTML, b"{}", b'{"error": null}', b'{"message": 5}', b"[]"),
        *(b'{"error": ""}', b'{"error": {"message": " "}}'),
    ],
)
def test_an_error_body_without_words_is_shown_with_its_status(body: bytes) -> None:
    problem = read_problem(502, {"x-request-id": "r-9"}, body)
    assert problem.code == "HTTP_502"
    assert problem.message.startswith("HTTP 502: ")
    assert problem.request_id == "r-9"
    if body:
        assert body.decode()[:20] in problem.message


def test_what_is_shown_of_a_body_is_short() -> None:
    assert len(read_problem(500, {}, b"<p>" * 100_000).message) < 300
    assert len(read_problem(500, {}, refusal("w" * 100_000)).message) < 1100


def test_the_request_id_is_taken_from_the_details_where_no_header_has_it() -> None:
    body = codec.encode(recorded("docs_http_error_401_flat")["body"])
    named = read_problem(401, {}, body).request_id
    assert named == "e38e71c3-adc6-4584-98a4-b0f103d55f61"
    assert read_problem(401, {"x-request-id": "r-1"}, body).request_id == "r-1"


@pytest.mark.parametrize("details", [None, "x", 5, [], ["x"], [{}], [{"requestId": 5}]])
def test_details_of_another_kind_name_no_request(details: Json) -> None:
    body = codec.encode({"code": 3, "message": "w", "details": details})
    assert read_problem(400, {}, body).request_id is None


# Retry-After and quotas.


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30.0),
        ("Fri, 15 Jan 2027 07:59:00 GMT", 0.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("²", None),
        ("٣", None),
        ("Fri, 99 Jan 2027 08:00:30 GMT", None),
        ("Fri, 15 Jan 99999 08:00:30 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str, seconds: float | None) -> None:
    got = submit(429, refusal("w", 8), **{"retry-after": value})
    assert isinstance(got, Throttled)
    assert got.throttle.retry_after == seconds


@given(st.text() | st.from_regex(r"\A[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ .*\Z"))
def test_no_retry_after_can_raise(value: str) -> None:
    got = submit(429, b"", **{"retry-after": value})
    assert isinstance(got, Throttled)
    assert got.throttle.retry_after is None or got.throttle.retry_after >= 0


@pytest.mark.parametrize(
    ("words", "quota", "allowed"),
    [
        (
            "ai.textGenerationCompletionRequestsPerHour.rate rate quota limit exceed: "
            "allowed 100 requests",
            "ai.textGenerationCompletionRequestsPerHour",
            100,
        ),
        (
            "search-api.wordstatRequestsPerHour.rate rate quota limit exceed: allowed 10 requests",
            "search-api.wordstatRequestsPerHour",
            10,
        ),
        ("too many requests", None, None),
        ("a.b.rate allowed " + "9" * 5000 + " requests", "a.b", None),
    ],
)
def test_a_429_names_the_quota_where_it_does(
    words: str, quota: str | None, allowed: int | None
) -> None:
    got = submit(429, refusal(words[:900] + words[-12:] if len(words) > 1000 else words, 8))
    assert isinstance(got, Throttled)
    assert (got.throttle.quota, got.throttle.allowed) == (quota, allowed)


# Operations.


@pytest.mark.parametrize("body", [b"", HTML, b"[]", b"null", b'{"id": "d7', b"\xff", b"5"])
def test_a_200_that_is_no_object_is_garbled(body: bytes) -> None:
    got = poll(200, body, **{"x-request-id": "r-2"})
    assert isinstance(got, Garbled)
    assert got.problem.request_id == "r-2"


@pytest.mark.parametrize("other", ["d7qzzzzzzzzzzzzzzzzz", "", 5, [OPERATION]])
def test_the_answer_of_another_operation_is_garbled(other: Json) -> None:
    assert isinstance(poll(200, operation(id=other)), Garbled)
    assert isinstance(poll(200, codec.encode({"id": other, "done": False})), Garbled)


def test_an_operation_that_does_not_repeat_its_id_is_read() -> None:
    body = recorded("sdk_operation_done")
    del body["id"]
    assert isinstance(poll(200, codec.encode(body)), Answer)


@pytest.mark.parametrize("done", [False, None, 0, 1, "true", "false"])
def test_only_a_true_done_is_done(done: Json) -> None:
    assert poll(200, operation(done=done)) == StillRunning()
    headers = dated(CREATED + timedelta(seconds=5))
    assert poll(200, operation(done=done), **headers) == StillRunning(5.0)


@pytest.mark.parametrize("moment", [None, 5, "yesterday", "2024-06-06T12:45:48", {}])
def test_an_operation_that_does_not_say_when_it_was_created_is_running_all_the_same(
    moment: Json,
) -> None:
    running = operation(done=False, createdAt=moment)
    assert poll(200, running, **dated(CREATED)) == StillRunning()


@pytest.mark.parametrize(
    "date",
    [
        "",
        "soon",
        "5",
        "Thu, 06 Jun 2024 12:45:53",
        "Thu, 06 Jun 2024 12:45:53 -0000",
        "Thu, 99 Jun 2024 12:45:53 GMT",
        "Thu, 06 Jun 99999 12:45:53 GMT",
        "2024-06-06T12:45:53Z",
    ],
)
def test_a_reply_that_does_not_say_when_it_was_sent_tells_no_age(date: str) -> None:
    assert poll(200, operation(done=False), date=date) == StillRunning()


@pytest.mark.promise("P14")
@pytest.mark.parametrize("seconds", [-3600.0, 0.0, 5.0, 300_000.0])
@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=3))])
def test_the_age_of_an_operation_is_told_by_the_service_s_clock_alone(
    seconds: float, zone: timezone
) -> None:
    headers = dated((CREATED + timedelta(seconds=seconds)).astimezone(zone))
    for now in 0.0, NOW, NOW * 2:
        got = read_poll(OPERATION, 200, headers, operation(done=False), now)
        assert got == StillRunning(seconds)


@given(st.text() | st.from_regex(r"\A[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ .*\Z"))
def test_no_date_can_raise(value: str) -> None:
    for created in "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59":
        running = operation(done=False, createdAt=created)
        assert isinstance(poll(200, running, date=value), StillRunning)


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2024-06-06T12:45:48Z"]
)
def test_any_time_with_a_zone_is_a_moment(moment: str) -> None:
    outcome = poll(200, operation(done=False, createdAt=moment), **dated(CREATED))
    age = (CREATED - datetime.fromisoformat(moment)).total_seconds()
    assert outcome == StillRunning(age)


def test_a_missing_done_is_still_running() -> None:
    assert poll(200, b"{}") == StillRunning()


def test_an_error_before_done_is_still_running() -> None:
    error: Json = {"code": 13, "message": "Internal error"}
    assert poll(200, codec.encode({"id": OPERATION, "error": error})) == StillRunning()


@pytest.mark.parametrize("error", [None, {}, {"code": 0}, {"code": "0"}, {"code": None}, "words"])
def test_an_error_with_code_0_is_none(error: Json) -> None:
    assert isinstance(poll(200, operation(error=error)), Answer)


@pytest.mark.parametrize("answerless", [{}, {"error": None}, {"error": {"code": 0}}])
@pytest.mark.parametrize("given_response", [None, [], "text", 5])
def test_done_with_neither_error_nor_response_is_a_failure(
    answerless: dict[str, Json], given_response: Json
) -> None:
    got = poll(200, operation(**{**answerless, "response": given_response}))
    what = "the operation is done, with neither a response nor an error"
    assert got == Failed(Problem("no_answer", what))


@pytest.mark.parametrize("code", [None, 0, "0"])
def test_done_with_neither_says_the_error_s_words_if_there_are_any(code: Json) -> None:
    what = "the operation is done, with neither a response nor an error"
    cases: list[tuple[Json, str]] = [
        ("cancelled by hand", f"{what}: cancelled by hand"),
        ("", what),
        (5, what),
        ("w" * 5000, f"{what}: {'w' * 5000}"[:1000] + "…"),
    ]
    for words, message in cases:
        error: Json = {"code": code, "message": words}
        got = poll(200, operation(response=None, error=error), **{"x-request-id": "r-6"})
        assert got == Failed(Problem("no_answer", message, "r-6"))


def test_done_with_both_is_a_failure_whose_usage_is_kept() -> None:
    error: Json = {"code": 4, "message": "too slow", "details": [{"requestId": "r-5"}]}
    got = poll(200, operation(error=error))
    assert got == Failed(
        Problem("DEADLINE_EXCEEDED", "too slow", "r-5"), "operation", Usage(15, 107, 0, 122)
    )


@pytest.mark.parametrize(
    ("code", "named"),
    [
        (1, "CANCELLED"),
        (16, "UNAUTHENTICATED"),
        (17, "code_17"),
        (-3, "code_-3"),
        ("13", "code_13"),
    ],
)
def test_an_error_without_words_keeps_its_code(code: Json, named: str) -> None:
    got = poll(200, operation(error={"code": code}, response=None))
    assert isinstance(got, Failed)
    assert got.problem == Problem(named, "the operation failed")


@pytest.mark.parametrize(
    "alternatives",
    [None, [], {}, "x", [None], ["x"], [{}], [{"message": None}], [{"message": "x"}]],
)
def test_a_response_without_a_message_is_a_failed_answer_that_was_paid(
    alternatives: Json,
) -> None:
    got = poll(200, operation(response=response(alternatives=alternatives)))
    assert isinstance(got, Failed)
    assert (got.stage, got.problem.code) == ("answer", "no_alternative")
    assert got.usage == Usage(15, 107, 0, 122)


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ("ALTERNATIVE_STATUS_FINAL", "final"),
        ("ALTERNATIVE_STATUS_TRUNCATED_FINAL", "truncated"),
        ("ALTERNATIVE_STATUS_CONTENT_FILTER", "content_filter"),
        ("ALTERNATIVE_STATUS_TOOL_CALLS", "tool_calls"),
        ("ALTERNATIVE_STATUS_PARTIAL", "ALTERNATIVE_STATUS_PARTIAL"),
        ("ALTERNATIVE_STATUS_NEW", "ALTERNATIVE_STATUS_NEW"),
        ("НОВОЕ", "НОВОЕ"),
        ("\ud83d", "'\\ud83d'"),
        ("НОВОЕ \udfff", r"'\u041d\u041e\u0412\u041e\u0415 \udfff'"),
        (None, "ALTERNATIVE_STATUS_UNSPECIFIED"),
        (3, "ALTERNATIVE_STATUS_UNSPECIFIED"),
    ],
)
def test_how_an_answer_finished_is_said_in_one_word(status: Json, word: str) -> None:
    alternative: Json = {"message": {"role": "assistant", "text": "t"}, "status": status}
    assert answer(operation(response=response(alternatives=[alternative]))).finish == word


@pytest.mark.parametrize("text", [5, 0, 1.5, True, False, [], ["a"], {}, {"text": "a"}])
def test_a_text_that_is_none_is_a_failed_answer_that_was_paid(text: Json) -> None:
    alternative: Json = {"message": {"role": "assistant", "text": text}}
    got = poll(200, operation(response=response(alternatives=[alternative])))
    assert isinstance(got, Failed)
    assert (got.stage, got.problem.code) == ("answer", "bad_text")
    assert got.usage == Usage(15, 107, 0, 122)


@pytest.mark.parametrize("message", [{}, {"text": None}])
def test_an_answer_without_a_text_is_an_answer(message: dict[str, Json]) -> None:
    named: dict[str, Json] = {"role": "assistant"}
    alternative: Json = {"message": named | message}
    assert answer(operation(response=response(alternatives=[alternative]))).text is None


def test_an_answer_of_tool_calls_has_no_text() -> None:
    calls: Json = [{"functionCall": {"name": "f", "arguments": {"n": 1.0}}}]
    message: Json = {"role": "assistant", "toolCallList": {"toolCalls": calls}}
    alternative: Json = {"message": message, "status": "ALTERNATIVE_STATUS_TOOL_CALLS"}
    got = answer(operation(response=response(alternatives=[alternative])))
    assert got.text is None
    assert got.tool_calls == calls
    assert got.finish == "tool_calls"


@pytest.mark.promise("P16")
@pytest.mark.parametrize(
    "text", ["", "\u2028\u2029", "a\x00b", "\ud83d", "😀", "\ufeff", "я" * 100_000, "\r\n\t"]
)
def test_a_text_is_taken_over_character_by_character(text: str) -> None:
    alternative: Json = {"message": {"role": "assistant", "text": text}}
    got = answer(operation(response=response(alternatives=[alternative])))
    assert got.text == text


@pytest.mark.parametrize(
    "moment",
    [None, 5, "", "yesterday", "2024-13-01T00:00:00Z", "2024-06-06", "2024-06-06T12:45:48"],
)
def test_a_time_that_is_none_or_has_no_zone_is_unknown(moment: Json) -> None:
    got = answer(operation(createdAt=moment, modifiedAt=moment, response=response()))
    assert got.created_at is None
    assert got.finished_at is None


@pytest.mark.parametrize(
    "moment",
    [
        "2024-06-06T12:45:48Z",
        "2024-06-06T12:45:48.1Z",
        "2024-06-06T12:45:48.123456Z",
        "2024-06-06T12:45:48.123456789Z",
    ],
)
def test_a_time_is_kept_as_the_service_wrote_it(moment: str) -> None:
    assert answer(operation(createdAt=moment)).created_at == moment


# Usage.


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (
            {"inputTextTokens": "31", "completionTokens": "10", "totalTokens": "41"},
            (31, 10, 0, 41),
        ),
        ({"inputTextTokens": 31, "completionTokens": 10, "totalTokens": 41}, (31, 10, 0, 41)),
        ({"inputTextTokens": "31", "completionTokens": "10"}, (31, 10, 0, 41)),
        ({"inputTextTokens": "31", "totalTokens": "31"}, (31, 0, 0, 31)),
        (
            {"inputTextTokens": "1099511627775", "totalTokens": "1099511627775"},
            (2**40 - 1, 0, 0, 2**40 - 1),
        ),
        (
            {"inputTextTokens": "1", "completionTokensDetails": {"reasoningTokens": "7"}},
            (1, 0, 7, 1),
        ),
        ({"inputTextTokens": "1", "completionTokensDetails": {}}, (1, 0, 0, 1)),
        ({"inputTextTokens": "1", "completionTokensDetails": None}, (1, 0, 0, 1)),
    ],
)
def test_usage_is_read_in_every_form_that_proto_json_has(
    counts: dict[str, Json], expected: tuple[int, int, int, int]
) -> None:
    assert usage(**counts) == Usage(*expected)


SENSELESS: list[Json] = [
    *(-1, "-1", "+1", " 1", "1.0", 1.5, "x", "", True, [], {}, "٣"),
    *(2**40, "9223372036854775807", "9223372036854775808", "9" * 19, "9" * 20, "9" * 5000, 10**30),
]


@pytest.mark.promise("P15")
@pytest.mark.parametrize("count", SENSELESS)
@pytest.mark.parametrize("name", ["inputTextTokens", "completionTokens", "totalTokens"])
def test_usage_that_makes_no_sense_is_unknown_not_zero(name: str, count: Json) -> None:
    counts: dict[str, Json] = {"inputTextTokens": "1", "completionTokens": "2"}
    assert usage(**{**counts, name: count}) is None


@pytest.mark.promise("P15")
@pytest.mark.parametrize("count", SENSELESS)
def test_reasoning_tokens_that_make_no_sense_make_the_usage_unknown(count: Json) -> None:
    assert usage(inputTextTokens="1", completionTokensDetails={"reasoningTokens": count}) is None


@pytest.mark.promise("P15")
@pytest.mark.parametrize("given_usage", [None, {}, [], "x", 5])
def test_usage_that_is_missing_is_unknown_not_zero(given_usage: Json) -> None:
    assert answer(operation(response=response(usage=given_usage))).usage is None


@pytest.mark.promise("P15")
def test_a_total_that_is_null_is_the_sum_as_one_that_is_absent() -> None:
    counts: dict[str, Json] = {"inputTextTokens": "31", "completionTokens": "10"}
    assert usage(**counts, totalTokens=None) == usage(**counts)


# Whatever comes.

JSON_VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "done", "error", "response", "code", "message", "usage"])
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.integers(100, 700), st.binary() | JSON_VALUES.map(codec.encode))
def test_no_answer_makes_the_reading_of_it_raise(status: int, body: bytes) -> None:
    submit(status, body)
    poll(status, body)


@given(st.dictionaries(st.sampled_from(["error", "response", "done", "createdAt"]), JSON_VALUES))
def test_no_operation_makes_the_reading_of_it_raise(changes: dict[str, Json]) -> None:
    poll(200, operation(**changes))
    poll(200, operation(response=response(**changes)))


@pytest.mark.promise("P5")
@given(st.integers(100, 700), st.binary() | JSON_VALUES.map(codec.encode))
def test_a_post_is_accepted_only_with_success_and_an_id(status: int, body: bytes) -> None:
    if isinstance(submit(status, body), Accepted):
        assert 200 <= status < 300
        assert b"id" in body
