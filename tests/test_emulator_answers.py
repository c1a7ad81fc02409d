import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.codec import Json, encode
from pipeline.emulator import tokens
from pipeline.emulator.answers import FILTER_MARKER
from pipeline.emulator.schemas import example
from pipeline.input.form import fitting, in_form
from tests.builders import ANSWER
from tests.emulator_caller import FOLDER, SYNC, Caller, recorded, request

HAMLET = "Переведи на английский: «Быть или не быть — вот в чём вопрос»."
PRO = f"gpt://{FOLDER}/yandexgpt"
TOOL = {
    "function": {
        "name": "weather",
        "parameters": {
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}},
            "required": ["city", "days"],
        },
    }
}


def alternative(response: Any) -> tuple[Any, str]:
    (only,) = response["alternatives"]
    return only["message"], only["status"].removeprefix("ALTERNATIVE_STATUS_")


def test_the_recorded_prompt_costs_what_it_did_when_recorded() -> None:
    usage = Caller().answer("ping")["usage"]
    assert (
        usage["inputTextTokens"]
        == recorded("sdk_operation_done.json")["response"]["usage"]["inputTextTokens"]
    )


@given(st.text(max_size=60), st.integers(0, 20))
def test_a_cut_text_is_a_beginning_with_no_more_tokens_than_allowed(text: str, limit: int) -> None:
    beginning = tokens.cut(text, limit)
    assert text.startswith(beginning)
    assert tokens.count(beginning) == min(limit, tokens.count(text))


@given(st.lists(st.tuples(st.sampled_from(["user", "system"]), st.text(max_size=30))))
def test_counting_a_conversation_agrees_with_listing_it(turns: list[tuple[str, str]]) -> None:
    assert tokens.count_conversation(turns) == len(list(tokens.conversation(turns)))


def test_the_same_request_gets_the_same_answer_and_usage() -> None:
    assert Caller(seed=1).answer(HAMLET) == Caller(seed=2).answer(HAMLET)


def test_an_answer_speaks_the_prompt_s_language_quotes_it_and_says_who_speaks() -> None:
    russian, _ = alternative(Caller().answer(HAMLET))
    english, _ = alternative(Caller().answer("To be, or not to be?"))
    assert "эмулятора" in russian["text"]
    assert HAMLET in russian["text"]
    assert "the emulator's" in english["text"]
    assert "To be, or not to be?" in english["text"]


def test_usage_adds_up_and_counts_the_answer_s_own_tokens() -> None:
    response = Caller().answer(HAMLET)
    usage = {name: value for name, value in response["usage"].items() if isinstance(value, str)}
    message, _ = alternative(response)
    assert usage["completionTokens"] == str(tokens.count(message["text"]))
    counts = {name: int(value) for name, value in usage.items()}
    assert counts["totalTokens"] == counts["inputTextTokens"] + counts["completionTokens"]


def test_an_answer_longer_than_max_tokens_is_cut_and_says_so() -> None:
    whole, status = alternative(Caller().answer(HAMLET))
    assert status == "FINAL"
    response = Caller().answer(HAMLET, completionOptions={"maxTokens": "5"})
    part, status = alternative(response)
    assert status == "TRUNCATED_FINAL"
    assert whole["text"].startswith(part["text"])
    assert response["usage"]["completionTokens"] == "5"


def test_an_answer_of_just_max_tokens_is_final() -> None:
    size = Caller().answer(HAMLET)["usage"]["completionTokens"]
    _, status = alternative(Caller().answer(HAMLET, completionOptions={"maxTokens": size}))
    assert status == "FINAL"


def test_the_marker_draws_the_content_filter() -> None:
    message, status = alternative(Caller().answer(f"hello {FILTER_MARKER}"))
    assert status == "CONTENT_FILTER"
    assert message == {"role": "assistant", "text": "I can't discuss this."}


def test_reasoning_costs_tokens_within_the_limit_where_the_model_has_it() -> None:
    def reasoned(uri: str) -> Any:
        options = {"maxTokens": "10", "reasoningOptions": {"mode": "ENABLED_HIDDEN"}}
        return Caller().answer(HAMLET, modelUri=uri, completionOptions=options)["usage"]

    assert reasoned(PRO)["completionTokensDetails"] == {"reasoningTokens": "5"}
    assert reasoned(PRO)["completionTokens"] == "10"
    assert reasoned(f"{PRO}/rc")["completionTokensDetails"] == {"reasoningTokens": "0"}


@pytest.mark.parametrize("choice", [{"mode": "REQUIRED"}, {"functionName": "weather"}])
def test_a_demanded_tool_is_called_with_arguments_that_fit(choice: object) -> None:
    response = Caller().answer("Погода в Омске?", tools=[TOOL], toolChoice=choice)
    message, status = alternative(response)
    assert status == "TOOL_CALLS"
    (call,) = message["toolCallList"]["toolCalls"]
    assert call["functionCall"] == {
        "name": "weather",
        "arguments": {"city": "Погода в Омске?", "days": 3},
    }
    assert "text" not in message
    assert int(response["usage"]["completionTokens"]) > 0


def test_a_tool_that_has_answered_is_not_called_again() -> None:
    result = {"functionResult": {"name": "weather", "content": "+5"}}
    messages = [
        {"role": "user", "text": "Погода?"},
        {"role": "user", "toolResultList": {"toolResults": [result]}},
    ]
    choice = {"mode": "REQUIRED"}
    response = Caller().answer(messages=messages, tools=[TOOL], toolChoice=choice)
    assert alternative(response)[1] == "FINAL"


def test_json_is_an_object_that_shows_the_prompt() -> None:
    message, _ = alternative(Caller().answer(HAMLET, jsonObject=True))
    assert json.loads(message["text"]) == {"emulator": True, "prompt": HAMLET}


SCHEMAS: list[tuple[dict[str, Any], object]] = [
    ({"type": "string"}, "ping"),
    ({"type": "string", "minLength": 6}, "ping.."),
    ({"type": "string", "maxLength": 2}, "pi"),
    ({"type": "string", "format": "date"}, "2025-01-01"),
    ({"enum": ["yes", "no"]}, "yes"),
    ({"const": 7}, 7),
    ({"type": ["null", "integer"], "minimum": 10}, 10),
    ({"type": "integer", "exclusiveMinimum": 3, "multipleOf": 5}, 5),
    ({"type": "number", "maximum": 0.25}, 0.25),
    ({"type": "boolean"}, True),
    ({"type": "null"}, None),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
    ({"type": "array", "items": {"type": "integer"}, "maxItems": 0}, []),
    ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, 1),
    ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "boolean"}}}, True),
    (
        {
            "allOf": [
                {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
                {"properties": {"b": {"type": "boolean"}}, "required": ["b"]},
            ]
        },
        {"a": 1, "b": True},
    ),
    (
        {
            "type": "object",
            "properties": {"inner": {"properties": {"n": {"type": "integer"}}}},
            "required": ["inner", "free"],
        },
        {"inner": {"n": 1}, "free": "ping"},
    ),
]


@pytest.mark.parametrize(("schema", "value"), SCHEMAS)
def test_json_fits_the_schema(schema: dict[str, Any], value: object) -> None:
    message, _ = alternative(Caller().answer("ping", jsonSchema={"schema": schema}))
    assert json.loads(message["text"]) == value


def test_a_schema_that_holds_itself_comes_to_an_end() -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "next": {"$ref": "#"}},
        "required": ["name"],
    }
    message, _ = alternative(Caller().answer("ping", jsonSchema={"schema": schema}))
    assert json.loads(message["text"])["next"]["next"]["name"] == "ping"


def test_a_lone_surrogate_comes_back_as_it_came() -> None:
    reply = Caller().post(json.dumps(request("\ud83d?")).encode(), SYNC)
    text = json.loads(reply.body)["result"]["alternatives"][0]["message"]["text"]
    assert "\ud83d?" in text


_BOUNDS = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted)
_LEAVES: st.SearchStrategy[Json] = st.one_of(
    *(st.just({"type": name}) for name in ("string", "integer", "number", "boolean", "null")),
    _BOUNDS.map(lambda b: {"type": "string", "minLength": b[0], "maxLength": b[1]}),
    _BOUNDS.map(lambda b: {"type": "integer", "minimum": b[0] - 15, "maximum": b[1] - 15}),
    st.lists(st.text(max_size=3), min_size=1, max_size=3).map(lambda words: {"enum": words}),
)


def _larger(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    of_fields = st.dictionaries(st.text(max_size=3), inner, max_size=3)
    return st.one_of(
        st.builds(
            lambda item, least: {"type": "array", "items": item, "minItems": least},
            *(inner, st.integers(0, 3)),
        ),
        of_fields.map(
            lambda fields: {
                "type": "object",
                "properties": fields,
                "required": list(fields),
                "additionalProperties": False,
            }
        ),
        st.lists(inner, min_size=1, max_size=2).map(lambda branches: {"anyOf": branches}),
    )


@given(st.recursive(_LEAVES, _larger, max_leaves=8))
def test_what_it_writes_fits_any_schema_of_usual_parts(schema: dict[str, Json]) -> None:
    said = replace(ANSWER, text=encode(example(schema, "Вопрос")).decode())
    assert isinstance(in_form(fitting(schema), said), type(ANSWER))
