"""Every shape that a line may have, and what becomes of its messages and options."""

from dataclasses import replace
from typing import Any

import pytest

from pipeline.codec import encode
from pipeline.input.template import Template
from tests.test_rows import RECIPE, bad, body, good, messages, options

ASK = [{"role": "user", "text": "a"}]


# Messages


def test_messages_are_sent_as_they_are() -> None:
    talk = [
        {"role": "system", "text": "s"},
        {"role": "user", "text": "u"},
        {"role": "assistant", "text": "a"},
        {"role": "user", "text": "v"},
    ]
    assert messages({"messages": talk}) == talk


def test_content_as_openai_writes_it_becomes_text() -> None:
    parts = [{"type": "text", "text": "при"}, {"type": "text", "text": "вет"}]
    talk = [
        {"role": "developer", "content": "d", "name": "x"},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": "c", "refusal": None, "tool_calls": None},
    ]
    assert messages({"messages": talk}) == [
        {"role": "system", "text": "d"},
        {"role": "user", "text": "привет"},
        {"role": "assistant", "text": "c"},
    ]


def test_null_fields_of_a_message_are_left_out_and_unknown_ones_pass() -> None:
    talk = [{"role": "user", "text": "a", "content": None, "toolCallList": None, "new": 1}]
    assert messages({"messages": talk}) == [{"role": "user", "text": "a", "new": 1}]


def test_the_apis_own_tool_messages_pass() -> None:
    calls = {"toolCalls": [{"functionCall": {"name": "f", "arguments": {"x": 1}}}]}
    results = {"toolResults": [{"functionResult": {"name": "f", "content": "2"}}]}
    talk = [
        *ASK,
        {"role": "assistant", "toolCallList": calls},
        {"role": "assistant", "toolResultList": results},
    ]
    assert messages({"messages": talk}) == talk


@pytest.mark.parametrize(
    ("talk", "code", "said"),
    [
        ([], "no_prompt", '"messages" is empty'),
        ("hi", "bad_field", '"messages" must be a list of messages, got "hi"'),
        ({"role": "user"}, "bad_field", '"messages" must be a list of messages'),
        (["hi"], "bad_field", '"messages[0]" must be an object, got "hi"'),
        ([*ASK, {"text": "a"}], "unknown_role", '"messages[1].role" must be "system", "user"'),
        ([{"role": "robot", "text": "a"}], "unknown_role", 'got "robot"'),
        ([{"role": "User", "text": "a"}], "unknown_role", 'got "User"'),
        ([{"role": [], "text": "a"}], "unknown_role", "got []"),
        ([{"role": "user"}], "bad_field", '"messages[0]" has neither "text" nor "content"'),
        ([{"role": "user", "text": ""}], "empty_text", '"messages[0].text" is empty'),
        ([{"role": "user", "text": 5}], "bad_field", '"messages[0].text" must be a string, got 5'),
        ([{"role": "user", "content": []}], "empty_text", '"messages[0].content" is empty'),
        ([{"role": "user", "content": {}}], "bad_field", '"messages[0].content" must be a string'),
        ([{"role": "user", "content": ["a"]}], "bad_field", '"messages[0].content[0]"'),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}],
            "bad_field",
            'a part of type "text" (the API takes no others), got {"type":"image_url"',
        ),
        ([{"role": "user", "content": [{"type": "text", "text": 1}]}], "bad_field", "[0].content"),
        ([{"role": "user", "text": "a", "content": "b"}], "bad_field", '"text" and "content"'),
        ([{"role": "assistant", "toolCallList": []}], "bad_field", "toolCallList"),
    ],
)
def test_messages_that_cannot_be_sent_are_named(talk: object, code: str, said: str) -> None:
    failed = bad({"id": "x", "messages": talk})
    assert (failed.id, failed.code) == ("x", code)
    assert said in failed.message


def test_dataset_lines_are_messages_under_another_name() -> None:
    assert messages({"request": ASK, "system": "s"}) == [{"role": "system", "text": "s"}, *ASK]
    assert bad({"request": "text"}).message.startswith('"request" must be a list of messages')


# OpenAI's tool messages


def called(call_id: str, name: str, arguments: object) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def test_openai_tool_calls_and_results_become_the_apis() -> None:
    calls = [called("1", "f", '{"x": "я"}'), called("2", "g", "")]
    talk = [
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "2", "content": "two"},
        {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "one"}]},
        {"role": "user", "content": "v"},
        {"role": "tool", "tool_call_id": "1", "content": "again"},
    ]
    sent = messages({"messages": talk})
    assert sent[1] == {
        "role": "assistant",
        "toolCallList": {
            "toolCalls": [
                {"functionCall": {"name": "f", "arguments": {"x": "я"}}},
                {"functionCall": {"name": "g", "arguments": {}}},
            ]
        },
    }
    results = [
        {"functionResult": {"name": "g", "content": "two"}},
        {"functionResult": {"name": "f", "content": "one"}},
    ]
    assert sent[2] == {"role": "assistant", "toolResultList": {"toolResults": results}}
    assert [next(iter(reversed(message))) for message in sent[3:]] == ["text", "toolResultList"]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"role": "tool", "tool_call_id": "9", "content": "x"}, "the id of an earlier tool call"),
        ({"role": "tool", "content": "x"}, "the id of an earlier tool call, got null"),
        (
            {"role": "tool", "tool_call_id": "1"},
            '"messages[1].content" must be a string, got null',
        ),
        ({"role": "assistant", "tool_calls": "x"}, '"messages[1].tool_calls" must be a list'),
        (
            {"role": "assistant", "tool_calls": [1]},
            '"messages[1].tool_calls[0]" must be an object',
        ),
        ({"role": "assistant", "tool_calls": [{}]}, 'tool_calls[0].function" must be an object'),
        ({"role": "assistant", "content": "x", "tool_calls": [1]}, "one or the other"),
        ({"role": "assistant", "tool_calls": [called("1", "f", "{")]}, "is not JSON"),
        ({"role": "assistant", "tool_calls": [called("1", "f", "[]")]}, "must be an object"),
        ({"role": "assistant", "tool_calls": [called("1", "f", "\ud83d")]}, "is not JSON"),
        ({"role": "assistant", "tool_calls": [called("1", "", "{}")]}, "function.name"),
    ],
)
def test_tool_messages_that_cannot_be_turned_are_refused(
    message: dict[str, Any], said: str
) -> None:
    before = {"role": "assistant", "tool_calls": [called("1", "f", {})]}
    failed = bad({"messages": [before, message]})
    assert failed.code in {"bad_field", "empty_text"}
    assert said in failed.message


# Which shape


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ({}, "none"),
        ({"question": "a", "тема": 1}, '"question", "тема"'),
        ({"prompt": None, "request": None, "a": 0}, '"a"'),
        ({"body": {}}, '"body"'),
        (dict.fromkeys("abcdefghij", 1), '"a", "b", "c", "d", "e", "f", "g", "h"'),
    ],
)
def test_a_line_with_nothing_to_ask_names_the_fields_that_it_has(
    line: dict[str, Any], names: str
) -> None:
    failed = bad(line)
    assert failed.code == "no_prompt"
    assert f"(its fields: {names})" in failed.message


def test_two_things_to_ask_are_one_too_many() -> None:
    failed = bad({"prompt": "a", "messages": ASK})
    assert failed.code == "two_prompts"
    assert failed.message == 'The line has "prompt" and "messages": keep one of them'
    assert bad({"request": ASK, "messages": ASK}).code == "two_prompts"


@pytest.mark.parametrize("prompt", [5, True, ["a"], {"text": "a"}])
def test_a_prompt_is_a_string(prompt: object) -> None:
    assert bad({"prompt": prompt}).message.startswith('"prompt" must be a string, got ')


@pytest.mark.parametrize("prompt", ["", " ", "\n\t\u00a0"])
def test_a_prompt_is_not_empty(prompt: str) -> None:
    assert bad({"prompt": prompt}).code == "empty_text"


# Request bodies

BODY = {
    "modelUri": "gpt://f/m/rc",
    "completionOptions": {
        "stream": False,
        "temperature": 0.1,
        "maxTokens": "2000",
        "reasoningOptions": {"mode": "DISABLED"},
    },
    "messages": ASK,
    "tools": [{"function": {"name": "f"}}],
    "somethingNew": {"deep": [None]},
    "temperature": 5,
    "parallelToolCalls": False,
}


def test_a_request_body_is_sent_byte_for_byte() -> None:
    row = good(BODY)
    assert row.body == encode(BODY)
    assert (row.model, row.own_model, row.output_bound) == ("gpt://f/m/rc", True, 2000)


def test_a_request_body_gives_up_its_id_and_never_streams() -> None:
    line = {
        "id": "a",
        "custom_id": "b",
        **BODY,
        "completionOptions": {"stream": True, "maxTokens": 7},
    }
    assert good(line).id == "a"
    sent = body(line)
    assert "id" not in sent
    assert "custom_id" not in sent
    assert sent["completionOptions"] == {"stream": False, "maxTokens": "7"}


def test_the_command_fills_what_a_request_body_leaves_open() -> None:
    recipe = replace(RECIPE, system="s", temperature=0.5, max_tokens=9)
    line = {"completionOptions": {"reasoningOptions": {}, "temperature": None}, "messages": ASK}
    assert body(line, recipe) == {
        "modelUri": "gpt://b1g/yandexgpt-lite",
        "completionOptions": {
            "stream": False,
            "temperature": 0.5,
            "maxTokens": "9",
            "reasoningOptions": {},
        },
        "messages": [{"role": "system", "text": "s"}, *ASK],
    }
    assert not good({"modelUri": None, "completionOptions": None, "messages": ASK}).own_model


@pytest.mark.parametrize(
    "key", ["tools", "jsonObject", "jsonSchema", "parallelToolCalls", "toolChoice"]
)
def test_a_key_of_the_api_beside_messages_makes_a_request_body(key: str) -> None:
    value = {"schema": {"any": 1}}
    sent = body({"messages": ASK, key: value, "new": 2})
    assert (sent[key], sent["new"]) == (value, 2)


def test_settings_beside_such_a_key_are_settings_and_are_not_sent_as_they_are() -> None:
    line = {"messages": ASK, "jsonObject": True, "temperature": 0, "max_tokens": 3, "model": "m"}
    sent = body(line)
    assert list(sent) == ["modelUri", "completionOptions", "messages", "jsonObject"]
    assert sent["modelUri"] == "gpt://b1g/m"
    assert sent["completionOptions"] == {"stream": False, "temperature": 0, "maxTokens": "3"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"messages": None}, 'has "modelUri" and "completionOptions", so it is a request body'),
        ({"messages": []}, '"messages" is empty'),
        ({"modelUri": 5}, '"modelUri" must be a text'),
        ({"modelUri": ""}, '"modelUri" must be a text'),
        ({"completionOptions": []}, '"completionOptions" must be an object, got []'),
        ({"completionOptions": {"temperature": 2}}, '"completionOptions.temperature" must be'),
        ({"completionOptions": {"maxTokens": "many"}}, '"completionOptions.maxTokens" must be'),
        ({"completionOptions": {"max_tokens": 9}}, '"max_tokens": write "maxTokens"'),
        ({"completion_options": {}}, '"completion_options": write "completionOptions"'),
    ],
)
def test_known_fields_of_a_request_body_are_checked(changes: dict[str, Any], said: str) -> None:
    assert said in bad({**BODY, **changes}).message


# OpenAI batch lines


def openai(**fields: Any) -> dict[str, Any]:
    given = {"model": "gpt-4o", "messages": [{"role": "user", "content": "a"}], **fields}
    return {"custom_id": "c", "method": "POST", "url": "/v1/chat/completions", "body": given}


def test_an_openai_line_keeps_its_id_and_loses_its_model() -> None:
    row = good(openai(top_p=0.5, n=1, stream=True, seed=3))
    assert (row.id, row.model, row.own_model) == ("c", "yandexgpt-lite", False)
    assert row.body == good({"messages": ASK}).body


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_openai_options_with_a_counterpart_are_sent(name: str) -> None:
    recipe = replace(RECIPE, temperature=0.5, max_tokens=1)
    assert options(openai(temperature=0, **{name: 8}), recipe) == {
        "stream": False,
        "temperature": 0,
        "maxTokens": "8",
    }


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {"type": "json_object"}}, {"jsonObject": True}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"a": 1}}}},
            {"jsonSchema": {"schema": {"a": 1}}},
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "strict": True}}]},
            {"tools": [{"function": {"name": "f", "strict": True}}]},
        ),
        ({"tool_choice": "none"}, {"toolChoice": {"mode": "NONE"}}),
        ({"tool_choice": "auto"}, {"toolChoice": {"mode": "AUTO"}}),
        ({"tool_choice": "required"}, {"toolChoice": {"mode": "REQUIRED"}}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"toolChoice": {"functionName": "f"}},
        ),
        ({"parallel_tool_calls": False}, {"parallelToolCalls": False}),
        (dict.fromkeys(["tools", "tool_choice", "response_format", "parallel_tool_calls"]), {}),
    ],
)
def test_openai_formats_and_tools_are_turned(given: dict[str, Any], sent: dict[str, Any]) -> None:
    request = body(openai(**given))
    assert {key: request[key] for key in list(request)[3:]} == sent


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"temperature": 1.4}, '"body.temperature" must be between 0 and 1, got 1.4'),
        ({"max_tokens": 0}, '"body.max_tokens" must be'),
        ({"max_completion_tokens": "x"}, '"body.max_completion_tokens" must be'),
        ({"messages": None}, '"body.messages" is missing'),
        ({"response_format": "json"}, '"body.response_format" must be an object'),
        ({"response_format": {"type": "xml"}}, 'got "xml"'),
        ({"response_format": {"type": "json_schema"}}, "json_schema"),
        ({"tools": {}}, '"body.tools" must be a list'),
        ({"tools": [{"type": "web_search"}]}, '"body.tools[0].function" must be an object'),
        ({"tool_choice": "perhaps"}, '"body.tool_choice" must be'),
        ({"tool_choice": []}, '"body.tool_choice" must be'),
    ],
)
def test_openai_fields_that_cannot_be_turned_are_named(given: dict[str, Any], said: str) -> None:
    failed = bad(openai(**given))
    assert failed.id == "c"
    assert said in failed.message


def test_a_body_is_an_object() -> None:
    assert bad({"custom_id": "c", "body": "b"}).message == '"body" must be an object, got "b"'


def test_settings_beside_the_body_hold_where_the_body_says_nothing() -> None:
    line = {**openai(temperature=0.1), "system": "s", "model": "m", "temperature": 1}
    assert good(line).model == "m"
    assert options(line)["temperature"] == 0.1
    assert messages(line)[0] == {"role": "system", "text": "s"}


def test_fields_beside_the_body_are_kept() -> None:
    line = {**openai(), "source": "s"}
    assert good(line, replace(RECIPE, keep=("source", "model"))).kept == (
        b'{"source":"s","model":null}'
    )


# Lines of an errors file


def failed_line(row: object, row_id: object = "line-4") -> dict[str, Any]:
    error = {"stage": "submit", "code": "X", "message": "m", "request_id": None}
    return {"line": 4, "id": row_id, "status": "failed", "error": error, "input": row}


def test_a_failed_row_is_a_row_again_under_its_id() -> None:
    again = good(failed_line({"prompt": "a", "temperature": 0}), line=1)
    assert (again.line, again.id, again.own_id) == (1, "line-4", True)
    assert again.body == good({"prompt": "a", "temperature": 0}).body


def test_the_outer_id_wins_and_the_inner_one_fills_in() -> None:
    assert good(failed_line({"id": "inner", "prompt": "a"})).id == "line-4"
    assert good(failed_line({"id": "inner", "prompt": "a"}, None)).id == "inner"


def test_kept_fields_come_from_the_row_itself() -> None:
    line = {**failed_line({"prompt": "a", "source": "inner"}), "source": "outer"}
    assert good(line, replace(RECIPE, keep=("source",))).kept == b'{"source":"inner"}'


def test_a_failed_row_under_a_template_is_its_fields() -> None:
    recipe = replace(RECIPE, template=Template.parse("Say {word}"))
    assert messages(failed_line({"word": "да"}), recipe)[0]["text"] == "Say да"


def test_a_line_that_was_no_json_is_read_again() -> None:
    assert good(failed_line('\ufeff{"prompt": "mended"}\r')).id == "line-4"


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ('{"prompt": "a', "not_json"),
        (b'{"prompt": "\xe4"}'.decode(errors="surrogateescape"), "not_utf8"),
        ("", "not_json"),
        ("[]", "not_object"),
        ([1], "not_object"),
        (None, "not_object"),
        ({"prompt": ""}, "empty_text"),
        ({"status": "failed", "input": {"prompt": "a"}}, "no_prompt"),
        ('{"status": "failed", "input": {"prompt": "a"}}', "no_prompt"),
    ],
)
def test_a_failed_row_that_is_still_bad_keeps_its_id(row: object, code: str) -> None:
    failed = bad(failed_line(row))
    assert (failed.id, failed.own_id, failed.code) == ("line-4", True, code)


def test_columns_that_look_like_an_errors_file_are_columns() -> None:
    line = {"status": "failed", "input": {"prompt": "no"}, "prompt": "Why did it fail?"}
    assert messages(line)[0]["text"] == "Why did it fail?"
    assert bad({"status": "ok", "input": {"prompt": "a"}}).code == "no_prompt"
