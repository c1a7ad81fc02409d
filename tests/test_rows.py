"""A line becomes a row with its request: settings, ids, models, what is kept, what it can cost."""

from dataclasses import replace
from typing import Any

import pytest

from pipeline.codec import decode, encode
from pipeline.input.form import AnyObject, Form, fitting, request_fields
from pipeline.input.rows import BadRow, Recipe, Row, is_blank, model_uri, parse_row
from pipeline.input.template import Template

RECIPE = Recipe(model="yandexgpt-lite", folder="b1g")
BOM = b"\xef\xbb\xbf"


def read(given: object, recipe: Recipe = RECIPE, *, line: int = 1) -> Row | BadRow:
    return parse_row(line, given if isinstance(given, bytes) else encode(given), recipe)


def good(given: object, recipe: Recipe = RECIPE, *, line: int = 1) -> Row:
    row = read(given, recipe, line=line)
    assert isinstance(row, Row), row
    return row


def bad(given: object, recipe: Recipe = RECIPE, *, line: int = 1) -> BadRow:
    row = read(given, recipe, line=line)
    assert isinstance(row, BadRow), row
    return row


def body(given: object, recipe: Recipe = RECIPE) -> Any:
    return decode(good(given, recipe).body)


def options(given: object, recipe: Recipe = RECIPE) -> Any:
    return body(given, recipe)["completionOptions"]


def messages(given: object, recipe: Recipe = RECIPE) -> Any:
    return body(given, recipe)["messages"]


# The request


def test_a_prompt_becomes_one_message_and_only_what_was_given_is_sent() -> None:
    assert good({"prompt": "Привет"}).body.decode() == (
        '{"modelUri":"gpt://b1g/yandexgpt-lite","completionOptions":{"stream":false},'
        '"messages":[{"role":"user","text":"Привет"}]}'
    )


def test_the_keys_of_a_request_stand_in_the_order_of_the_documentation() -> None:
    row = {"json_schema": {}, "temperature": 0, "max_tokens": 9, "prompt": "a", "system": "b"}
    sent = body(row)
    assert list(sent) == ["modelUri", "completionOptions", "messages", "jsonSchema"]
    assert list(sent["completionOptions"]) == ["stream", "temperature", "maxTokens"]
    assert sent["messages"][0] == {"role": "system", "text": "b"}
    assert sent["jsonSchema"] == {"schema": {}}


def test_the_commands_settings_fill_what_a_row_leaves_open() -> None:
    recipe = replace(RECIPE, temperature=0.5, max_tokens=100, system="Кратко.")
    assert options({"prompt": "a"}, recipe) == {
        "stream": False,
        "temperature": 0.5,
        "maxTokens": "100",
    }
    assert messages({"prompt": "a"}, recipe)[0] == {"role": "system", "text": "Кратко."}


def test_a_rows_own_settings_win() -> None:
    recipe = replace(RECIPE, temperature=0.5, max_tokens=100, system="Кратко.")
    row = {"prompt": "a", "temperature": 0, "max_tokens": 7, "system": "Подробно."}
    assert options(row, recipe) == {"stream": False, "temperature": 0, "maxTokens": "7"}
    assert messages(row, recipe) == [
        {"role": "system", "text": "Подробно."},
        {"role": "user", "text": "a"},
    ]


def test_null_settings_are_settings_that_were_not_given() -> None:
    names = ("id", "custom_id", "model", "system", "temperature", "max_tokens", "json_schema")
    row = {"prompt": "a", **dict.fromkeys(names)}
    assert read(row) == read({"prompt": "a"})


def test_a_system_message_in_the_row_keeps_the_commands_out() -> None:
    recipe = replace(RECIPE, system="Command.")
    row = {"messages": [{"role": "system", "text": "Row."}, {"role": "user", "text": "a"}]}
    assert messages(row, recipe) == row["messages"]


def test_the_users_own_columns_are_not_sent() -> None:
    row = {"prompt": "a", "source": "metro", "tools": "hammer", "body": "b", "request": "text"}
    assert list(body(row)) == ["modelUri", "completionOptions", "messages"]


@pytest.mark.parametrize("given", [1, 1.0, "1", "01"])
def test_a_count_of_tokens_is_a_whole_number_or_its_digits(given: object) -> None:
    row = good({"prompt": "a", "max_tokens": given})
    assert row.output_bound == 1
    assert b'"maxTokens":"1"' in row.body


@pytest.mark.parametrize("given", [0, -1, 2.5, "", "x", "١", "-1", True, [], {}, 2**63, "9" * 30])
def test_any_other_count_is_refused(given: object) -> None:
    failed = bad({"prompt": "a", "max_tokens": given})
    assert failed.code == "bad_field"
    assert failed.message.startswith('"max_tokens" must be a whole number above 0, got ')


@pytest.mark.parametrize("given", [0, 1, 0.3, 1.0, 1e-9])
def test_a_temperature_from_0_to_1_is_sent_as_it_was_given(given: float) -> None:
    assert options({"prompt": "a", "temperature": given})["temperature"] == given


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("7", '"temperature" must be between 0 and 1, got 7'),
        ("-0.1", '"temperature" must be between 0 and 1, got -0.1'),
        ('"0.3"', '"temperature" must be a number between 0 and 1, got "0.3"'),
        ("true", '"temperature" must be a number between 0 and 1, got true'),
        ("[]", '"temperature" must be a number between 0 and 1, got []'),
    ],
)
def test_any_other_temperature_is_refused_in_one_sentence(given: str, said: str) -> None:
    failed = bad(b'{"id":"t","prompt":"a","temperature":%s}' % given.encode(), line=4)
    assert failed == BadRow(line=4, id="t", own_id=True, code="bad_field", message=said)


@pytest.mark.parametrize("name", ["system", "model", "json_schema"])
def test_a_setting_of_the_wrong_type_is_named(name: str) -> None:
    failed = bad({"prompt": "a", name: 5})
    assert failed.code == "bad_field"
    assert failed.message.startswith(f'"{name}" must be ')
    assert failed.message.endswith("got 5")


def test_an_empty_system_text_is_refused() -> None:
    assert bad({"prompt": "a", "system": " "}).code == "empty_text"


# Models


def test_a_row_may_name_its_own_model() -> None:
    row = good({"prompt": "a", "model": "yandexgpt"})
    assert (row.model, row.own_model) == ("yandexgpt", True)
    assert b'"gpt://b1g/yandexgpt"' in row.body


def test_the_model_is_as_asked_for_and_the_request_holds_its_uri() -> None:
    row = good({"prompt": "a"})
    assert (row.model, row.own_model) == ("yandexgpt-lite", False)
    row = good({"prompt": "a"}, replace(RECIPE, model="ds://tuned", folder=None))
    assert row.model == "ds://tuned"
    assert b'"modelUri":"ds://tuned"' in row.body


def test_a_name_needs_the_folder_and_a_uri_does_not() -> None:
    recipe = replace(RECIPE, folder=None)
    failed = bad({"prompt": "a", "model": "yandexgpt"}, recipe)
    assert failed.code == "no_folder"
    assert failed.message == 'The model "yandexgpt" needs a folder: set one with --folder-id'
    assert good({"prompt": "a", "model": "gpt://b1h/yandexgpt/rc"}, recipe).own_model


@pytest.mark.parametrize("given", ["", " ", 5, True, [], "\ud83d"])
def test_a_model_is_a_text_that_is_not_empty(given: object) -> None:
    assert bad({"prompt": "a", "model": given}).code == "bad_field"


def test_a_uri_stays_as_it_is() -> None:
    assert model_uri("gpt://f/m/latest", None) == "gpt://f/m/latest"
    assert model_uri("yandexgpt/rc", "f") == "gpt://f/yandexgpt/rc"
    with pytest.raises(ValueError, match="needs a folder"):
        model_uri("yandexgpt", None)


# Ids


def test_a_row_without_an_id_is_named_by_its_line() -> None:
    row = good({"prompt": "a"}, line=17)
    assert (row.line, row.id, row.own_id) == (17, "line-17", False)


@pytest.mark.parametrize(
    ("given", "is_read_as"),
    [
        (b'"a"', "a"),
        ('"а́😀"'.encode(), "а́😀"),
        (b"7", "7"),
        (b"-0", "0"),
        (b"1.50", "1.5"),
        (b"1e3", "1000.0"),
        (b"123456789012345678901234567890", "123456789012345678901234567890"),
    ],
)
def test_an_id_is_a_string_or_a_number_made_one(given: bytes, is_read_as: str) -> None:
    for name in (b"id", b"custom_id"):
        row = good(b'{"%s": %s, "prompt": "a"}' % (name, given))
        assert (row.id, row.own_id) == (is_read_as, True)


@pytest.mark.parametrize("given", [True, False, [], {}, "", "  ", "\ud83d"])
def test_any_other_id_is_refused_and_the_line_names_the_row(given: object) -> None:
    failed = bad({"id": given, "prompt": "a"}, line=3)
    assert (failed.code, failed.id, failed.own_id) == ("bad_id", "line-3", False)
    assert failed.message.startswith('"id" ')


def test_id_comes_before_custom_id() -> None:
    assert good({"custom_id": "b", "id": "a", "prompt": "p"}).id == "a"
    assert good({"custom_id": "b", "id": None, "prompt": "p"}).id == "b"


def test_a_bad_row_keeps_its_id() -> None:
    failed = bad({"id": "a", "prompt": ""})
    assert (failed.id, failed.own_id) == ("a", True)


# Lines


@pytest.mark.parametrize("line", [b"", b"\r", b" \t", BOM, BOM + b"\r"])
def test_blank_lines_are_known(line: bytes) -> None:
    assert is_blank(line)


@pytest.mark.parametrize("line", [b"{}", b"x", b"\x00", "\u00a0".encode()])
def test_other_lines_are_not_blank(line: bytes) -> None:
    assert not is_blank(line)


def test_a_bom_before_and_a_cr_after_the_row_are_no_part_of_it() -> None:
    plain = b'{"prompt": "a"}'
    assert read(BOM + plain + b"\r") == read(plain)


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ('{"prompt": "да"}'.encode("cp1251"), "not_utf8", "byte 0xe4 at position 12"),
        ("{'prompt': 'да'}".encode(), "not_json", "one whole object on each line"),
        (b'{"prompt": "a"}{"prompt": "b"}', "not_json", "The line is not JSON"),
        (b'{"prompt": NaN}', "not_json", "The line is not JSON"),
        (b'{"prompt": "\\ud83d", "a": Infinity}', "not_json", "Infinity is no JSON number"),
        (b'{"prompt": "a", "a": 1e999}', "not_json", "out of range"),
        (b'["a"]', "not_object", 'must be a JSON object, got ["a"]'),
        (b'"a"', "not_object", 'got "a"'),
        (b"7", "not_object", "got 7"),
        (b"null", "not_object", "got null"),
        (b"[" * 100_000, "too_deep", "too deeply"),
        (b'{"a":' * 100_000, "too_deep", "too deeply"),
    ],
)
def test_a_line_that_is_no_object_says_what_it_is(line: bytes, code: str, said: str) -> None:
    failed = bad(line, line=2)
    assert (failed.line, failed.id, failed.own_id, failed.code) == (2, "line-2", False, code)
    assert said in failed.message


def test_what_was_got_is_shortened_and_stays_on_one_line() -> None:
    failed = bad({"prompt": ["длинно\n\x1b[31m" * 10_000]})
    assert len(failed.message) < 120
    assert failed.message.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "Ёлка, й и й: precomposed and combining",
        "👩‍👩‍👧‍👦 🇷🇺 é́́",
        "\u2028\u2029\x00\x7f\x85\ufeff",
        "я" * 100_000,
        "half \ud83d of a pair",
        'кавычки " и \\ и {скобки}',
    ],
)
def test_a_text_reaches_the_request_unchanged(text: str) -> None:
    row = {"prompt": text, "system": text}
    assert [message["text"] for message in messages(row)] == [text, text]


# What is kept


def test_nothing_is_kept_unless_asked_for() -> None:
    assert good({"prompt": "a", "source": "b"}).kept is None


def test_kept_fields_are_copied_and_missing_ones_are_null() -> None:
    recipe = replace(RECIPE, keep=("source", "prompt", "gone", "id"))
    kept = good({"id": 7, "prompt": "п", "source": [1, {"a": None}]}, recipe).kept
    assert kept == '{"source":[1,{"a":null}],"prompt":"п","gone":null,"id":7}'.encode()


# What a row can cost


@pytest.mark.parametrize("text", ["a", "я" * 1000, "\n" * 50 + "a", "half \ud83d"])
def test_the_bound_of_the_input_is_above_its_bytes(text: str) -> None:
    row = good({"prompt": text, "system": "Система"})
    texts = len(text.encode("utf-8", "surrogatepass")) + len("Система".encode())
    assert texts + 2 * 64 <= row.input_bound


def test_the_bound_counts_tools_and_schema() -> None:
    schema = {"type": "object", "description": "х" * 500}
    plain = good({"prompt": "a"})
    assert good({"prompt": "a", "json_schema": schema}).input_bound > plain.input_bound + 1000


def test_the_bound_of_the_output_is_the_limit_that_is_sent() -> None:
    assert good({"prompt": "a"}).output_bound is None
    assert good({"prompt": "a"}, replace(RECIPE, max_tokens=5)).output_bound == 5
    assert good({"prompt": "a", "max_tokens": 6}, replace(RECIPE, max_tokens=5)).output_bound == 6


# Templates


def filled(template: str, row: object) -> Any:
    return messages(row, replace(RECIPE, template=Template.parse(template)))[-1]["text"]


def test_a_template_takes_fields_by_name() -> None:
    row = {"language": "German", "text": "Съешь {булок}", "prompt": "not this"}
    assert filled("Translate to {language}: {text}", row) == "Translate to German: Съешь {булок}"


def test_a_field_may_stand_twice_and_be_named_in_any_script() -> None:
    row = {"исходный текст": "а", "a-b": "c"}
    assert filled("{исходный текст}{a-b}{исходный текст}", row) == "аcа"


@pytest.mark.parametrize(
    ("value", "text"),
    [(7, "7"), (1.5, "1.5"), (True, "true"), (["я", 1], '["я",1]'), ({"a": None}, '{"a":null}')],
)
def test_values_that_are_no_strings_go_in_as_json(value: object, text: str) -> None:
    assert filled("<{v}>", {"v": value}) == f"<{text}>"


def test_doubled_braces_are_braces() -> None:
    assert filled('Answer as {{"a": "{v}"}}', {"v": "x"}) == 'Answer as {"a": "x"}'


def test_an_empty_field_is_empty_as_long_as_something_is_said() -> None:
    assert filled("Continue: {v}", {"v": ""}) == "Continue: "
    failed = bad({"v": " "}, replace(RECIPE, template=Template.parse("{v}")))
    assert failed.code == "empty_text"


def test_a_missing_field_is_the_rows_error_and_names_those_that_are_there() -> None:
    recipe = replace(RECIPE, template=Template.parse("{text}"))
    failed = bad({"id": "a", "txt": "b"}, recipe)
    assert (failed.id, failed.code) == ("a", "missing_field")
    assert '"text"' in failed.message
    assert '(its fields: "id", "txt")' in failed.message
    assert bad({}, recipe).message.endswith("(its fields: none)")


def test_a_null_field_is_a_missing_one() -> None:
    failed = bad({"v": None}, replace(RECIPE, template=Template.parse("{v}")))
    assert failed.code == "missing_field"
    assert failed.message.endswith("is null")


@pytest.mark.parametrize("line", [b'{"a\\nb": null}', b"{}"])
def test_a_field_whose_name_has_a_line_end_is_named_in_one_line(line: bytes) -> None:
    recipe = Recipe("yandexgpt-lite", "b1g", template=Template.parse("{a\nb}"))
    row = parse_row(1, line, recipe)
    assert isinstance(row, BadRow)
    assert r'"a\nb"' in row.message
    assert "\n" not in row.message


def test_with_a_template_every_line_is_fields_and_only_the_id_is_read() -> None:
    recipe = replace(RECIPE, template=Template.parse("{prompt}!"), system="S", max_tokens=5)
    row = {"custom_id": 3, "prompt": "a", "model": 5, "temperature": 9, "system": [], "body": {}}
    read_row = good(row, recipe)
    assert (read_row.id, read_row.own_model, read_row.output_bound) == ("3", False, 5)
    assert messages(row, recipe) == [
        {"role": "system", "text": "S"},
        {"role": "user", "text": "a!"},
    ]


@pytest.mark.parametrize(
    "template",
    ["{}", "{ a }", "{a.b}", "{a[0]}", "{a!r}", "{a:>10}", '{"a"}', "{a", "a}", "{a}}"],
)
def test_a_template_that_is_not_plain_is_refused_with_a_way_out(template: str) -> None:
    with pytest.raises(ValueError, match=r"write (\{\{|\}\})"):
        Template.parse(template)


@pytest.mark.parametrize("template", ["", "Hello", "{{text}}"])
def test_a_template_without_a_field_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="names no field"):
        Template.parse(template)


# The form of answers

SCHEMA = {"type": "object"}


@pytest.mark.parametrize(
    ("row", "own"),
    [
        ({"prompt": "a", "json_schema": SCHEMA}, fitting({"type": "object"})),
        ({"messages": [{"role": "user", "text": "a"}], "jsonObject": True}, AnyObject()),
        (
            {"modelUri": "gpt://f/m", "messages": [{"role": "user", "text": "a"}]}
            | {"jsonSchema": {"schema": SCHEMA}},
            fitting({"type": "object"}),
        ),
        (
            {
                "custom_id": "x",
                "body": {"messages": [{"role": "user", "content": "a"}]}
                | {"response_format": {"type": "json_object"}},
            },
            AnyObject(),
        ),
    ],
)
def test_a_rows_own_form_wins_over_the_commands_in_any_shape(row: object, own: Form) -> None:
    for recipe in (RECIPE, replace(RECIPE, form=fitting({"type": "array"}))):
        read_row = good(row, recipe)
        assert (read_row.form, read_row.own_form) == (own, True)
        sent = {k: v for k, v in body(row, recipe).items() if k.startswith("json")}
        assert sent == request_fields(own)


def test_the_commands_form_is_asked_for_where_a_row_names_none() -> None:
    form = fitting({"type": "array"})
    row = good({"prompt": "a", "json_schema": None}, replace(RECIPE, form=form))
    assert (row.form, row.own_form) == (form, False)
    assert body({"prompt": "a"}, replace(RECIPE, form=form))["jsonSchema"] == {
        "schema": {"type": "array"}
    }
    assert body({"prompt": "a"}, replace(RECIPE, form=AnyObject()))["jsonObject"] is True
    assert row.input_bound > good({"prompt": "a"}).input_bound
    plain = good({"prompt": "a"})
    assert (plain.form, plain.own_form) == (None, False)


def test_a_schema_that_is_none_is_the_rows_own_error() -> None:
    failed = bad({"prompt": "a", "id": "x", "json_schema": {"type": "strng"}})
    assert (failed.id, failed.code) == ("x", "bad_schema")
    assert failed.message == (
        "The row's JSON schema can't be used: at $.type: \"strng\" is no type"
    )
