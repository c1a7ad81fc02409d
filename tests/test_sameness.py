"""Which rows ask the same, and what becomes of those that wait."""

import json
from typing import Any

import pytest

from pipeline.input.rows import Recipe, Row, parse_row
from pipeline.input.sameness import Answer, Choose, Group, Requests, digest_of, due

RECIPE = Recipe("yandexgpt-lite", "b1g")
AT_ZERO = Recipe("yandexgpt-lite", "b1g", temperature=0.0)


def digest(recipe: Recipe = RECIPE, **row: Any) -> bytes | None:
    parsed = parse_row(1, json.dumps(row).encode(), recipe)
    assert isinstance(parsed, Row)
    return digest_of(parsed.body)


ASKED = digest(prompt="a", temperature=0)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "a", "temperature": 0.0},
        {"prompt": "a", "temperature": 0, "id": "x", "city": "Pskov"},
        {"messages": [{"role": "user", "text": "a"}], "temperature": -0.0},
        {"messages": [{"role": "user", "content": "a"}], "temperature": 0},
        {"prompt": "a", "temperature": 0, "model": "gpt://b1g/yandexgpt-lite"},
        {
            "custom_id": "7",
            "body": {"messages": [{"role": "user", "content": "a"}], "temperature": 0},
        },
        {"status": "failed", "input": {"prompt": "a", "temperature": 0}},
    ],
)
@pytest.mark.promise("P20")
def test_rows_ask_the_same_whatever_their_shape_and_whosever_they_are(row: Any) -> None:
    assert ASKED is not None
    assert digest(**row) == ASKED


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "a "},
        {"prompt": "A"},
        {"prompt": "a", "system": "s"},
        {"prompt": "a", "max_tokens": 9},
        {"prompt": "a", "model": "yandexgpt"},
        {"prompt": "a", "json_schema": {"type": "object"}},
        {"messages": [{"role": "system", "text": "a"}, {"role": "user", "text": "a"}]},
    ],
)
@pytest.mark.promise("P20")
def test_whatever_differs_in_the_request_makes_it_another(row: Any) -> None:
    other = digest(**row, temperature=0)
    assert other is not None
    assert other != ASKED


@pytest.mark.parametrize("temperature", [None, 0.1, 1, 1e-300])
@pytest.mark.promise("P20")
def test_a_row_that_does_not_say_0_asks_for_itself(temperature: float | None) -> None:
    assert digest(prompt="a", temperature=temperature) is None


@pytest.mark.promise("P20")
def test_the_temperature_is_the_commands_where_the_row_has_none() -> None:
    assert digest(AT_ZERO, prompt="a") == ASKED
    assert digest(AT_ZERO, prompt="a", temperature=0.3) is None


def test_the_keys_of_a_schema_in_another_order_are_another_schema() -> None:
    one, other = (
        digest(prompt="a", temperature=0, json_schema={"properties": {key: {} for key in names}})
        for names in ("xy", "yx")
    )
    assert one != other


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"completionOptions": 0}'])
def test_what_is_no_request_asks_nothing(body: bytes) -> None:
    assert digest_of(body) is None


@pytest.mark.parametrize(
    ("group", "then"),
    [
        (Group(1, 4, None, [5, 6]), None),
        (Group(1, 4, "ok", []), None),
        (Group(1, None, None, []), None),
        (Group(1, 4, "ok", [5, 6]), Answer(4, [5, 6])),
        (Group(1, 4, "failed", [5, 6]), Choose(5)),
        (Group(1, 4, "held", [5, 6]), Choose(5)),
        (Group(1, None, None, [5]), Choose(5)),
    ],
)
def test_twins_wait_are_answered_or_the_first_of_them_is_sent(
    group: Group, then: Answer | Choose | None
) -> None:
    assert due(group) == then


def test_requests_are_counted_by_what_they_ask_at_temperature_0() -> None:
    requests = Requests()
    warm = b'{"completionOptions":{"temperature":0.3},"messages":[]}'
    assert [requests.meet(warm), requests.meet(warm)] == [True, True]
    assert (requests.same, requests.is_without) == (0, True)
    cold = [
        b'{"completionOptions":{"temperature":%s},"messages":[]}' % zero for zero in (b"0", b"0.0")
    ]
    assert [requests.meet(body) for body in (*cold, cold[0])] == [True, False, False]
    assert (requests.same, requests.is_without) == (2, False)
