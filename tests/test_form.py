"""Whether an answer is the JSON that was asked for, and what is said where it is not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.api.outcomes import Answer, Data
from pipeline.codec import Json
from pipeline.input.form import (
    AnyObject,
    BadSchema,
    Form,
    Misfit,
    fitting,
    form_of,
    in_form,
    request_fields,
)
from tests.builders import ANSWER
from tests.strategies import any_json

SCHEMA: Json = {
    "type": "object",
    "properties": {"tags": {"type": "array", "items": {"type": "string"}}, "а б": {"minimum": 0}},
    "required": ["tags"],
    "additionalProperties": False,
}


def judged(text: str | None, form: Form | None = None, finish: str = "final") -> Answer | Misfit:
    return in_form(form or fitting(SCHEMA), replace(ANSWER, text=text, finish=finish))


def data(text: str, form: Form | None = None) -> Json:
    answer = judged(text, form)
    assert isinstance(answer, Answer), answer
    assert answer.text == text
    assert answer.data is not None
    return answer.data.value


@given(any_json(["a"]), st.sampled_from([None, 1]), st.booleans())
def test_any_json_fits_a_schema_that_asks_for_nothing_and_objects_are_objects(
    value: Json, indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert data(text, fitting({})) == value
    assert isinstance(judged(text, AnyObject()), Answer) == isinstance(value, dict)


@pytest.mark.parametrize(
    "text",
    [
        '{"tags": ["а"]}',
        ' \n{"tags":["а"]}\n ',
        '```json\n{"tags": ["а"]}\n```',
        '\n```\n{"tags":\r\n["а"]}```\n',
        '```JSON  \r\n{"tags": ["а"]}\r\n```  ',
    ],
)
def test_an_answer_may_stand_in_one_fence_and_its_text_stays_what_it_is(text: str) -> None:
    assert data(text) == {"tags": ["а"]}


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (None, "not_json", "the answer is empty"),
        (" \n", "not_json", "the answer is empty"),
        ('{"tags": [', "not_json", "the answer is not JSON (it ends too early)"),
        ('Вот: {"tags": []}', "not_json", "the answer is not JSON (invalid character at byte 0)"),
        ('{"tags": []} Готово.', "not_json", "the answer is not JSON (trailing characters"),
        ('```json\n{"tags": []}', "not_json", "the answer is not JSON (invalid character"),
        ("```json\n{}\n```\n```\n{}\n```", "not_json", "the answer is not JSON"),
        ("```", "not_json", "the answer is not JSON"),
        ("[" * 5000 + "]" * 5000, "not_json", "the answer is nested too deeply to be read"),
        ("[]", "schema", 'at $: [] is not of type "object"'),
        ("{}", "schema", 'at $: "tags" is a required property'),
        ('{"tags": ["а", 5]}', "schema", 'at $.tags[1]: 5 is not of type "string"'),
        ('{"tags": [], "а б": -1}', "schema", 'at $["а б"]: -1 is less than the minimum of 0'),
        ('{"tags": [], "x": 1}', "schema", "at $: Additional properties are not allowed ('x'"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(
    text: str | None, code: str, message: str
) -> None:
    misfit = judged(text)
    assert isinstance(misfit, Misfit)
    assert (misfit.code, misfit.message[: len(message)]) == (code, message)


def test_a_long_value_is_not_repeated_whole() -> None:
    misfit = judged(
        json.dumps({"tags": ["а" * 10_000, 5, "б" * 10_000]}), fitting({"type": "null"})
    )
    assert isinstance(misfit, Misfit)
    assert len(misfit.message) < 400
    other = judged(json.dumps(["а" * 10_000]), AnyObject())
    assert isinstance(other, Misfit)
    assert (other.code, len(other.message) < 400) == ("not_object", True)


def test_what_was_cut_off_or_filtered_does_not_fit_even_where_it_would() -> None:
    for finish in ("truncated", "content_filter"):
        misfit = judged('{"tags": []}', finish=finish)
        assert isinstance(misfit, Misfit)
        assert misfit.code == finish


def test_a_call_of_a_tool_is_left_alone_and_so_is_an_answer_of_no_form() -> None:
    called = replace(ANSWER, text=None, finish="tool_calls", tool_calls=[])
    assert in_form(fitting(SCHEMA), called) is called
    assert in_form(None, ANSWER) is ANSWER


def test_half_a_character_is_a_character_to_a_schema_and_stays_half() -> None:
    assert data('{"tags": ["\ud83d"]}') == {"tags": ["\ud83d"]}
    assert data('{"tags": ["\\ud83d"]}') == {"tags": ["\ud83d"]}
    misfit = judged('{"tags": ["\\ud83d", 5]}')
    assert isinstance(misfit, Misfit)
    assert misfit.message.startswith("at $.tags[1]")


def test_null_is_data() -> None:
    answer = judged("null", fitting({"type": "null"}))
    assert isinstance(answer, Answer)
    assert answer.data == Data(None)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "strng"}, 'at $.type: "strng" is no type'),
        ({"properties": {"a": {"minimum": "5"}}}, 'at $.properties.a.minimum: "5" is not of type'),
        ({"$ref": "#/$defs/none"}, "Pointer '/$defs/none' does not exist"),
        ({"$ref": "https://example.com/s"}, "https://example.com/s is not fetched: put it under"),
        ({"pattern": "("}, 'at $.pattern: "(" is not a "regex"'),
        ({"$schema": "urn:none"}, "Unknown meta-schema: 'urn:none'"),
        ([], '"jsonSchema" must hold an object under "schema"'),
        (None, '"jsonSchema" must hold an object under "schema"'),
    ],
)
def test_a_schema_that_is_none_is_told_with_its_place(schema: Json, why: str) -> None:
    with pytest.raises(BadSchema) as raised:
        form_of({"jsonSchema": {"schema": schema}})
    assert why in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("form", [None, AnyObject(), fitting(SCHEMA), fitting({})])
def test_a_request_asks_for_the_form_that_its_answer_is_held_to(form: Form | None) -> None:
    assert form_of(request_fields(form)) == form


def test_a_request_may_ask_for_neither() -> None:
    assert form_of({"jsonObject": False, "jsonSchema": None, "tools": []}) is None


def test_rows_with_the_same_schema_hold_one_and_the_same() -> None:
    assert fitting({"type": "object"}) is fitting({"type": "object"})


def test_a_schema_in_a_file_must_be_an_object_too() -> None:
    with pytest.raises(BadSchema, match="must be a JSON object"):
        fitting([])
