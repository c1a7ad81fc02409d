"""Whatever stands in a line, it becomes a row or a bad row, and a row's request is a request."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.codec import Json, NotJson, decode, encode
from pipeline.input.rows import BadRow, Recipe, Row, parse_row
from pipeline.input.template import Template
from pipeline.life.records import Failure, Known, failed_line
from tests.strategies import any_json, nested, texts, with_parts_replaced

NAMES = [
    *("id", "custom_id", "prompt", "system", "model", "temperature", "max_tokens", "json_schema"),
    *("messages", "request", "body", "status", "input", "modelUri", "completionOptions"),
    *("tools", "jsonObject", "jsonSchema", "toolChoice", "parallelToolCalls", "maxTokens"),
    *("role", "text", "content", "toolCallList", "toolResultList", "tool_calls", "tool_call_id"),
    *("function", "name", "arguments", "type", "schema", "response_format", "tool_choice"),
]
WORDS = ["user", "system", "assistant", "developer", "tool", "failed", "function", "text", "{}"]
RECIPES = [
    Recipe("yandexgpt-lite", "b1g"),
    Recipe("yandexgpt-lite", None, system="s", keep=("id", "text")),
    Recipe("gpt://f/m", None, temperature=1, max_tokens=5),
    Recipe("yandexgpt", "b1g", template=Template.parse("{text}: {id}")),
]
_SAMPLES = Path(__file__).parent.parent / "samples"
# A row of every shape, and every kind of field that a shape has.
SHAPES: list[Json] = [
    *(
        decode(line)
        for path in sorted(_SAMPLES.glob("shape-*.jsonl"))
        for line in path.read_bytes().splitlines()
        if line.strip()
    ),
    {
        "custom_id": "a",
        "body": {
            "messages": [
                {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
                {"role": "user", "content": "What is the weather in Kazan and in Omsk?"},
                {
                    "role": "assistant",
                    "tool_calls": [
                        {"id": "1", "function": {"name": "weather", "arguments": '{"in":"Kazan"}'}}
                    ],
                },
                {"role": "tool", "tool_call_id": "1", "content": "rain"},
            ],
            "tools": [{"type": "function", "function": {"name": "weather", "parameters": {}}}],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
            "parallel_tool_calls": False,
            "response_format": {"type": "json_schema", "json_schema": {"schema": {}}},
            "temperature": 0.5,
            "max_completion_tokens": 20,
        },
    },
    {
        "modelUri": "gpt://b1g/yandexgpt",
        "completionOptions": {"temperature": 0, "maxTokens": "9", "reasoningOptions": {}},
        "messages": [
            {"role": "system", "text": "s"},
            {"role": "assistant", "toolCallList": {"toolCalls": []}},
            {"role": "user", "toolResultList": {"toolResults": []}},
        ],
        "tools": [],
        "jsonSchema": {"schema": {}},
    },
]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES) | texts, inner, max_size=5)
    ),
    max_leaves=20,
)
objects = st.dictionaries(st.sampled_from(NAMES) | texts, values, max_size=8)
message = st.fixed_dictionaries(
    {"role": st.sampled_from(WORDS)},
    optional={"text": texts, "content": texts | values, "tool_calls": values, "name": texts},
)
likely = st.fixed_dictionaries(
    {},
    optional={
        "id": scalars,
        "prompt": texts,
        "system": texts,
        "model": texts,
        "temperature": st.floats(0, 1) | scalars,
        "max_tokens": st.integers(1) | scalars,
        "messages": st.lists(message, max_size=3),
        "completionOptions": objects,
        "tools": values,
    },
)


def check(data: bytes, recipe: Recipe) -> None:
    row = parse_row(3, data, recipe)
    row.id.encode()
    assert row.own_id or row.id == "line-3"
    if isinstance(row, BadRow):
        assert row.code.isidentifier()
        assert row.message.encode()
        assert "\n" not in row.message
        return
    check_request(row, recipe)


def check_request(row: Row, recipe: Recipe) -> None:
    sent: Any = decode(row.body)
    assert list(sent)[:3] == ["modelUri", "completionOptions", "messages"]
    assert "://" in sent["modelUri"]
    assert sent["modelUri"].endswith(row.model)
    assert sent["completionOptions"]["stream"] is False
    assert sent["completionOptions"].get("maxTokens") == (
        None if row.output_bound is None else str(row.output_bound)
    )
    assert 0 <= sent["completionOptions"].get("temperature", 0) <= 1
    assert sent["messages"]
    assert all(m["role"] in {"system", "user", "assistant"} for m in sent["messages"])
    assert row.input_bound > len(encode(sent["messages"]))
    assert (row.kept is None) == (not recipe.keep)
    assert b"\n" not in row.body


@given(data=st.binary(), recipe=st.sampled_from(RECIPES))
def test_any_bytes_are_a_row_or_a_bad_row(data: bytes, recipe: Recipe) -> None:
    check(data, recipe)


@given(fields=objects | likely, recipe=st.sampled_from(RECIPES))
def test_any_object_is_a_row_or_a_bad_row(fields: dict[str, Any], recipe: Recipe) -> None:
    check(encode(fields), recipe)


@settings(max_examples=400)
@given(
    row=with_parts_replaced(st.sampled_from(SHAPES), any_json(NAMES) | st.sampled_from(WORDS)),
    recipe=st.sampled_from(RECIPES),
)
def test_a_row_of_any_shape_with_anything_in_any_place_is_a_row_or_a_bad_row(
    row: Json, recipe: Recipe
) -> None:
    check(encode(row), recipe)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize(
    "line",
    [
        b'{"prompt":%s}',
        b'{"prompt":"x","id":%s}',
        b'{"prompt":"x","text":%s}',
        b'{"prompt":"x","json_schema":{"a":%s}}',
        b'{"status":"failed","input":{"prompt":"x","text":%s}}',
        b'{"messages":[{"role":"user","text":"x","more":%s}],"tools":%s}',
        b'{"messages":[{"role":"user","text":"x"}],"completionOptions":{"more":%s}}',
        b'{"custom_id":"1","body":{"messages":[{"role":"user","content":"x"}],"response_format":'
        b'{"type":"json_schema","json_schema":{"schema":{"a":%s}}}}}',
    ],
)
def test_a_line_nested_to_any_depth_is_a_row_or_a_bad_row_and_can_be_shown(
    line: bytes, pair: tuple[bytes, bytes], recipe: Recipe
) -> None:
    for depth in [1, *range(200, 900, 100), *range(900, 1010)]:
        data = line.replace(b"%s", nested(depth, *pair))
        row = parse_row(3, data, recipe)
        assert isinstance(row, Row) or row.code.isidentifier()
        known, why = Known(3, row.id, "m", None, None, 0), Failure("input", "c", "w")
        assert b"\n" not in failed_line(known, why, None, data, emulator=False)


@given(fields=objects | likely, cut=st.integers(0, 200), recipe=st.sampled_from(RECIPES))
def test_a_line_that_was_cut_anywhere_is_a_row_or_a_bad_row(
    fields: dict[str, Any], cut: int, recipe: Recipe
) -> None:
    check(encode(fields)[:cut], recipe)


@given(row=objects | likely | texts, recipe=st.sampled_from(RECIPES))
def test_any_failed_row_is_a_row_or_a_bad_row_under_its_id(row: object, recipe: Recipe) -> None:
    data = encode({"id": "line-9", "status": "failed", "input": row})
    check(data, recipe)
    assert parse_row(3, data, recipe).id == "line-9"


@given(text=texts.filter(lambda text: text.strip()))
def test_any_prompt_reaches_the_request_unchanged(text: str) -> None:
    row = parse_row(1, encode({"prompt": text}), RECIPES[0])
    assert isinstance(row, Row)
    sent: Any = decode(row.body)
    assert sent["messages"] == [{"role": "user", "text": text}]


@given(text=texts)
def test_any_template_parses_or_says_why(text: str) -> None:
    try:
        Template.parse(text)
    except ValueError as error:
        assert str(error).startswith(("The template", "{"))  # noqa: PT017 - either way is right


@given(fields=objects, text=texts, cut=st.integers(0, 20))
def test_any_template_over_any_row_makes_a_row_or_a_bad_row(
    fields: dict[str, Any], text: str, cut: int
) -> None:
    slots = "".join(f"{{{name}}}" for name in list(fields)[:3])
    try:
        template = Template.parse(text[:cut] + slots + text[cut:])
    except ValueError:
        return
    assert Template.parse(template.text) == template
    check(encode(fields), Recipe("yandexgpt", "b1g", template=template))


@given(text=texts, value=texts)
def test_doubled_braces_make_any_text_a_template(text: str, value: str) -> None:
    template = Template.parse(text.replace("{", "{{").replace("}", "}}") + "{v}")
    assert template.fill({"v": value}) == text + value


@given(data=st.binary())
def test_what_is_no_json_is_never_a_row(data: bytes) -> None:
    try:
        decode(data)
    except NotJson:
        assert isinstance(parse_row(1, data, RECIPES[0]), BadRow)
