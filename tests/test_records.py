"""The lines that scripts outside the project read: keys, their order, and every character."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.api.outcomes import Answer, Data, Usage
from pipeline.codec import Json, decode
from pipeline.life.records import Failure, Known, failed_line, original, result_line, usage_object

KNOWN = Known(17, "line-17", "yandexgpt-lite", None, "d7q", 1)
ANSWER = Answer(
    text="Текст",
    finish="final",
    tool_calls=None,
    usage=Usage(31, 10, 0, 41),
    model_version="18.01.2024",
    created_at="2026-11-20T23:10:01Z",
    finished_at="2026-11-20T23:10:09Z",
    response={"alternatives": [], "n": "1"},
)
UNKNOWN = Answer(None, "ALTERNATIVE_STATUS_UNSPECIFIED", None, None, None, None, None, {})
FAILURE = Failure("operation", "INTERNAL", "boom", "r-1")


def line(
    answer: Answer, known: Known = KNOWN, *, raw: bool = False, emulator: bool = False
) -> str:
    return result_line(known, answer, raw=raw, emulator=emulator).decode()


def failed(known: Known, failure: Failure, usage: Usage | None, source: bytes) -> str:
    return failed_line(known, failure, usage, source, emulator=False).decode()


def answer_with(text: str | None) -> Answer:
    return Answer(text, "final", None, None, None, None, None, {})


def test_a_result_line_is_exactly_what_is_promised() -> None:
    assert line(ANSWER) == (
        '{"line":17,"id":"line-17","status":"ok","text":"Текст","finish":"final",'
        '"usage":{"input_tokens":31,"completion_tokens":10,"reasoning_tokens":0,'
        '"total_tokens":41},"model":"yandexgpt-lite","model_version":"18.01.2024",'
        '"operation_id":"d7q","created_at":"2026-11-20T23:10:01Z",'
        '"finished_at":"2026-11-20T23:10:09Z","submits":1}'
    )


@pytest.mark.promise("P15")
def test_what_is_unknown_is_null() -> None:
    assert line(UNKNOWN) == (
        '{"line":17,"id":"line-17","status":"ok","text":null,'
        '"finish":"ALTERNATIVE_STATUS_UNSPECIFIED","usage":null,"model":"yandexgpt-lite",'
        '"model_version":null,"operation_id":"d7q","created_at":null,"finished_at":null,'
        '"submits":1}'
    )


def test_what_was_asked_for_beside_follows_in_a_fixed_order() -> None:
    known = Known(17, "a", "m", '{"язык":"fr","n":null}'.encode(), "d7q", 2)
    calls: Json = [{"functionCall": {"name": "f", "arguments": {}}}]
    answer = Answer(None, "tool_calls", calls, None, None, None, None, {"x": "1"})
    assert line(answer, known, raw=True, emulator=True).endswith(
        '"submits":2,"tool_calls":[{"functionCall":{"name":"f","arguments":{}}}],'
        '"kept":{"язык":"fr","n":null},"response":{"x":"1"},"emulator":true}'
    )


def test_a_failed_line_is_exactly_what_is_promised() -> None:
    assert failed(KNOWN, FAILURE, Usage(1, 2, 3, 6), '{"prompt": "Что?"}'.encode()) == (
        '{"line":17,"id":"line-17","status":"failed","error":{"stage":"operation",'
        '"code":"INTERNAL","message":"boom","request_id":"r-1"},"operation_id":"d7q",'
        '"usage":{"input_tokens":1,"completion_tokens":2,"reasoning_tokens":3,'
        '"total_tokens":6},"input":{"prompt":"Что?"}}'
    )


def test_a_failed_line_leaves_out_what_there_is_not() -> None:
    known = Known(2, "x", "m", None, None, 0)
    assert failed(known, Failure("input", "not_json", "why"), None, b"{oops") == (
        '{"line":2,"id":"x","status":"failed","error":{"stage":"input","code":"not_json",'
        '"message":"why","request_id":null},"input":"{oops"}'
    )


def test_a_failed_line_of_the_emulator_says_so_at_its_end() -> None:
    data = failed_line(KNOWN, FAILURE, None, b"{}", emulator=True)
    assert data.endswith(b'"input":{},"emulator":true}')


@pytest.mark.promise("P16")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "\u2028\u2029\x85",
        "a\x00b",
        "😀",
        "\ufeff",
        '"\\/',
        "\r\n\t\x1f",
        "\ud83d",
        "\udc00\ud83d",
    ],
)
def test_a_text_is_read_back_as_the_service_said_it(text: str) -> None:
    written = result_line(KNOWN, answer_with(text), raw=False, emulator=False)
    assert json.loads(written)["text"] == text
    assert written.splitlines() == [written]


@pytest.mark.promise("P16")
def test_32_000_tokens_are_one_line() -> None:
    text = "слово " * 32_000
    assert json.loads(line(answer_with(text)))["text"] == text


@pytest.mark.promise("P16")
def test_a_lone_surrogate_stays_escaped_beside_cyrillic_that_does_not() -> None:
    assert '"text":"т\\ud83dт"' in line(answer_with("т\ud83dт"))


@pytest.mark.promise("P2")
@given(st.text(st.characters()), st.text(), st.binary())
def test_no_text_and_no_source_can_break_a_line(text: str, message: str, source: bytes) -> None:
    written = [
        result_line(KNOWN, answer_with(text), raw=False, emulator=False),
        failed_line(KNOWN, Failure("submit", "c", message), None, source, emulator=False),
    ]
    for data in written:
        assert b"\n" not in data
        value = decode(data)
        assert isinstance(value, dict)
        assert data.startswith(b'{"line":17,')


@pytest.mark.parametrize(
    ("source", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b'{"a": 1}\r', {"a": 1}),
        (b'\xef\xbb\xbf{"a": 1}\r', {"a": 1}),
        (b"[1, 2]", [1, 2]),
        (b"null", None),
        (b'"text"', "text"),
        (b"{oops", "{oops"),
        (b"{oops\r", "{oops"),
        (b"\xef\xbb\xbf{oops", "{oops"),
        ("просто".encode(), "просто"),
        (b"\xff\xfe", "\udcff\udcfe"),
        (rb'{"a": "\ud83d"}', {"a": "\ud83d"}),
        (b'{"a": 1e999}', '{"a": 1e999}'),
    ],
)
def test_the_row_is_shown_as_json_or_as_the_string_that_it_is(source: bytes, value: Json) -> None:
    assert original(source) == value


@given(st.binary())
def test_bytes_that_are_no_json_can_be_had_back(source: bytes) -> None:
    shown = original(source)
    if isinstance(shown, str) and not source.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b'"'):
        text = source.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\r")
        assert shown.encode("utf-8", "surrogateescape") == text


def test_usage_is_shown_whole_or_not_at_all() -> None:
    assert usage_object(None) is None
    assert usage_object(Usage(1, 2, 3, 6)) == {
        "input_tokens": 1,
        "completion_tokens": 2,
        "reasoning_tokens": 3,
        "total_tokens": 6,
    }


def test_data_stands_beside_the_text_that_it_was_read_from() -> None:
    values: list[Json] = [{"a": [1, "б"]}, None]
    for value in values:
        answer = replace(ANSWER, data=Data(value))
        line = decode(result_line(KNOWN, answer, raw=False, emulator=False))
        assert isinstance(line, dict)
        assert line["data"] == value
    line = decode(result_line(KNOWN, ANSWER, raw=False, emulator=False))
    assert isinstance(line, dict)
    assert "data" not in line


def test_what_an_answer_said_that_is_none_is_kept() -> None:
    failure = Failure("answer", "schema", "at $: no", text="[]")
    line = decode(failed_line(KNOWN, failure, ANSWER.usage, b"{}", emulator=False))
    assert isinstance(line, dict)
    assert list(line) == [
        "line",
        "id",
        "status",
        "error",
        "operation_id",
        "usage",
        "text",
        "input",
    ]
    assert line["text"] == "[]"
