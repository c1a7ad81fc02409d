"""Whatever answers a call, it is read, it means something, and what is written of it is a line."""

import json
from email.utils import formatdate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import assert_never

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import codec
from pipeline.api.outcomes import Accepted, Answer, Garbled, Refused, Usage
from pipeline.api.refusals import Headers
from pipeline.api.wire import read_poll, read_submit
from pipeline.calls.submitting import Doubt, Fail, Later, Retry, Run, Stop, Verdict, after_submit
from pipeline.codec import Json
from pipeline.errors import RunError
from pipeline.life.item import Running
from pipeline.life.records import Failure, Known, failed_line, result_line
from pipeline.operations.polling import (
    RETENTION,
    AskAgain,
    Asking,
    Conclude,
    GiveUpLost,
    Useless,
    after_poll,
)
from tests.builders import MODEL, NOW, OPERATION, begin_all, fields, place, recorded
from tests.strategies import any_json, nested, with_parts_replaced

_NAMES = [
    *("id", "done", "error", "response", "code", "grpcCode", "message", "details", "requestId"),
    *("alternatives", "status", "text", "toolCallList", "toolCalls", "usage", "inputTextTokens"),
    *("completionTokens", "totalTokens", "completionTokensDetails", "reasoningTokens"),
    *("modelVersion", "createdAt", "modifiedAt"),
]
_RECORDED: list[Json] = [
    *(recorded(name) for name in ("sdk_operation_done", "sdk_operation_pending")),
    *(recorded(name) for name in ("docs_rest_operation_done", "SYNTHETIC_operation_error")),
    *(recorded(name) for name in ("sdk_submit_response", "docs_rest_submit_response")),
    *(
        recorded(name)["body"]
        for name in (
            *("docs_http_error_401_flat", "http_error_400_bad_json_flat"),
            *("http_error_401_unknown_api_key", "http_error_429_sync_sessions"),
        )
    ),
]
# Without its id, so that it is whatever operation was asked for.
_DONE: Json = {"done": True, "response": recorded("sdk_operation_done")["response"]}
_SAID = [
    *("2024-06-06T12:45:48Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),
    *("2024-06-06", "20240606T124548,5Z", "2024-06-06\ud80012:45:48+00:00", "d7q\0", "../..", "%"),
    *("specify model_uri", "a.b.rate rate quota limit exceed: allowed 99999999999999999999 "),
    *("9" * 18, "9" * 19, "9" * 20, "-1", "1.0", "١", "1e3", "ALTERNATIVE_STATUS_FINAL"),
]
values = any_json(_NAMES) | st.sampled_from(_SAID)
statuses = st.sampled_from(
    [200, 201, 204, 301, 400, 401, 403, 404, 408, 409, 413, 422, 429, 499, 500, 501, 503, 504]
) | st.integers(0, 999)
bodies = (
    st.binary()
    | values.map(codec.encode)
    | with_parts_replaced(st.sampled_from(_RECORDED), values).map(codec.encode)
)
moments = st.sampled_from([0.0, NOW, 2.0**31, 253402300799.0]) | st.floats(0, 4e9)
_DATES = [
    *("0", "1", " 120 ", "-5", "1e9", "9" * 400, "٣", "Thu, 01 Jan 1970 00:00:00 GMT"),
    *("Mon, 31 Feb 2026 25:61:61 GMT", "1 Jan 1 0:0 -9999", "Fri, 31 Dec 9999 23:59:59 -2359"),
    *("", ",", "Mon,", "GMT", "1 2 3 4 5 6 7", "Mon, 1 Jan 99999999999999999999 00:00:00 GMT"),
]
times = (
    st.sampled_from(_DATES)
    | moments.map(lambda moment: formatdate(moment, usegmt=True))
    | st.integers().map(str)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"))
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "content-type": st.sampled_from(["application/json", "text/html", "application/grpc"]),
        "retry-after": times,
        "date": times,
        "x-request-id": times,
    },
)
sources = st.binary() | values.map(codec.encode)


def meanings(status: int) -> set[type[Verdict]]:
    """The law: what an answer to a POST of such a status may mean."""
    match status:
        case _ if 200 <= status < 300:
            return {Run, Doubt}
        case 408 | 499:
            return {Doubt}
        case 401 | 429:
            return {Retry}
        case 409:
            return {Later}
        case _ if 400 <= status < 500:
            return {Fail, Stop}
        case 501:
            return {Stop}
        case _ if 500 <= status < 600:
            return {Doubt}
        case _:
            return {Stop}


def read_back(data: bytes) -> dict[str, Json]:
    """A line as any reader reads it."""
    assert b"\n" not in data
    line = codec.decode(data)
    assert json.loads(data.decode()) == line
    return fields(line)


def known(operation_id: str | None = OPERATION, kept: bytes | None = None) -> Known:
    return Known(3, "line-3", MODEL, kept, operation_id, 1)


def check_failure(failure: Failure, usage: Usage | None, source: bytes) -> None:
    line = read_back(failed_line(known(), failure, usage, source, emulator=False))
    assert line["error"] == {
        "stage": failure.stage,
        "code": failure.code,
        "message": failure.message,
        "request_id": failure.request_id,
    }
    assert len(failure.message) < 1200


def check_answer(answer: Answer, *, raw: bool) -> None:
    line = read_back(result_line(known(), answer, raw=raw, emulator=False))
    assert line["text"] == answer.text
    assert line.get("tool_calls") == answer.tool_calls
    assert line.get("response") == (answer.response if raw else None)


def check_end(error: RunError) -> None:
    assert error.told
    assert error.advice


@pytest.mark.promise("P5")
@settings(max_examples=600)
@given(statuses, headers, bodies, sources, st.booleans(), st.booleans())
def test_whatever_answers_a_post_it_means_what_its_status_may_mean(
    status: int, headers: Headers, body: bytes, source: bytes, own_model: bool, proven: bool
) -> None:
    outcome = read_submit(status, headers, body, NOW)
    verdict = after_submit(outcome, own_model=own_model, proven=proven)
    assert type(verdict) in meanings(status)
    match verdict:
        case Run(operation_id):
            assert operation_id.encode()
        case Fail(failure):
            check_failure(failure, None, source)
        case Stop(error):
            check_end(error)
        case Doubt(problem, outage):
            assert problem.message
            assert outage == (status >= 300)
        case Retry(throttle=throttle):
            assert (throttle is not None) == (status == 429)
        case Later():
            pass
        case _:
            assert_never(verdict)


@pytest.mark.promise("P5")
@given(st.integers(200, 299), bodies)
def test_a_success_is_accepted_if_it_names_an_operation_and_else_a_doubt(
    status: int, body: bytes
) -> None:
    outcome = read_submit(status, {}, body, NOW)
    try:
        value = codec.decode(body)
    except codec.NotJson:
        value = None
    named = value.get("id") if isinstance(value, dict) else None
    if isinstance(outcome, Accepted):
        assert outcome.operation_id == named
    else:
        assert not isinstance(named, str) or not named.strip() or not codec.is_utf8(named)


askings = st.builds(
    Asking,
    line=st.just(3),
    state=st.builds(
        Running,
        operation_id=st.just(OPERATION),
        at=st.sampled_from([NOW, NOW - RETENTION - 90, NOW - 2 * RETENTION]) | moments,
        submits=st.just(1),
        spent=st.just(1),
    ),
    denied_at=st.none() | st.sampled_from([NOW - 30, NOW - 60, NOW - 601]),
    unsure_at=st.none() | st.sampled_from([NOW - 30, NOW - 90_000]),
    useless=st.none()
    | st.builds(Useless, st.just(Garbled), st.integers(1, 4))
    | st.builds(Useless, st.just(Refused), st.integers(1, 2)),
)


@pytest.mark.promise("P4")
@pytest.mark.promise("P16")
@settings(max_examples=600)
@given(askings, statuses, headers, bodies, sources, st.booleans())
def test_whatever_answers_a_poll_the_operation_is_asked_again_or_its_row_has_a_line(
    asking: Asking, status: int, headers: Headers, body: bytes, source: bytes, raw: bool
) -> None:
    outcome = read_poll(OPERATION, status, headers, body, NOW)
    match after_poll(asking, outcome, NOW):
        case AskAgain(seen, at):
            assert (seen.line, seen.state) == (asking.line, asking.state)
            assert at is None or NOW < at <= NOW + 60
        case Conclude(Answer() as answer):
            assert 200 <= status < 300
            check_answer(answer, raw=raw)
        case Conclude(Failure() as failure, usage):
            check_failure(failure, usage, source)
        case GiveUpLost():
            assert status in {403, 404}
            assert NOW - asking.accepted_at >= RETENTION
        case verdict:
            pytest.fail(str(verdict))


@pytest.mark.promise("P16")
@pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"a":', b"}")])
def test_an_answer_nested_to_any_depth_is_read_and_written(pair: tuple[bytes, bytes]) -> None:
    asking = Asking(3, Running(OPERATION, NOW, 1, 1))
    for depth in range(1, 1010):
        calls = b'{"toolCallList":{"toolCalls":' + nested(depth, *pair) + b"}}"
        body = b'{"done":true,"response":{"alternatives":[{"message":' + calls + b"}]}}"
        match after_poll(asking, read_poll(OPERATION, 200, {}, body, NOW), NOW):
            case Conclude(Answer() as answer):
                line = result_line(known(), answer, raw=True, emulator=False)
                assert line.count(pair[0]) >= 2 * depth
            case AskAgain(seen):
                assert seen.useless == Useless(Garbled, 1)
            case verdict:
                pytest.fail(str(verdict))


@pytest.mark.promise("P6")
@settings(max_examples=40, deadline=None)
@given(with_parts_replaced(st.just(_DONE), values), st.booleans())
def test_the_line_of_any_answer_is_adopted_by_the_next_process(body: Json, raw: bool) -> None:
    outcome = read_poll("op-1", 200, {}, codec.encode(body), NOW)
    with TemporaryDirectory() as folder:
        run = place(Path(folder), 1)
        with run.opened() as files:
            begin_all(files)
            row = files.checkpoint.known(1, MODEL)
            assert row is not None
            if isinstance(outcome, Answer):
                files.output.append([result_line(row, outcome, raw=raw, emulator=False)])
        with run.opened() as files:
            is_finished = files.checkpoint.place(1) is not None
    assert is_finished == isinstance(outcome, Answer)
