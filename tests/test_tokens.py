"""What files, commands and services give out as tokens, read."""

import json

import pytest

from pipeline.auth.tokens import AuthorizedKey, BadToken, Token, audience, read_token
from tests.builders import NOW

KEY = {"id": "aje1", "service_account_id": "aje2", "private_key": "-----BEGIN PRIVATE KEY-----"}


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("t1.token\n", Token("t1.token")),
        ("Your token will expire soon.\n\n  t1.token  \n\n", Token("t1.token")),
        ('{"iam_token": "t1.token"}', Token("t1.token")),
        (
            '{\n  "iam_token": "t1.token",\n  "expires_at": "2027-01-15T08:00:20.123456789Z"\n}\n',
            Token("t1.token", NOW + 20.123456),
        ),
        (
            '{"iamToken": "t1.token", "expiresAt": "2027-01-15T11:00:20+03:00"}',
            Token("t1.token", NOW + 20),
        ),
        ('{"access_token": "t1.token", "expires_in": 20}', Token("t1.token", NOW + 20)),
        ('{"iam_token": "t1.token", "expires_at": "soon"}', Token("t1.token")),
        ('{"iam_token": "t1.token", "expires_at": "2027-01-15T08:00:20"}', Token("t1.token")),
        ('{"access_token": "t1.token", "expires_in": true}', Token("t1.token")),
        ('{"iam_token": "t1.token", "expires_at": "0001-01-01T00:00:00Z"}', Token("t1.token")),
        ('{"iam_token": "t1.token", "expires_at": "9999-12-31T23:59:59Z"}', Token("t1.token")),
        ('{"access_token": "t1.token", "expires_in": 1e308}', Token("t1.token")),
        ('A notice.\n{\n"iam_token": "t1.token"\n}\n', Token("t1.token")),
    ],
)
def test_a_token_is_read_bare_or_from_any_of_the_known_forms(text: str, token: Token) -> None:
    assert read_token(text, NOW) == token


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        (" \n\t\n", "is empty"),
        ("{", "neither a token nor JSON"),
        ("{}", "without iam_token"),
        ('{"iam_token": 5}', "without iam_token"),
        ("t1. broken in two", "characters none has"),
        ("<html></html>", "characters none has"),
        ("}", "characters none has"),
        ("t1.токен", "characters none has"),
        ('{"iam_token": "t1.\\u0000"}', "characters none has"),
        ("{\ud800}", "neither a token nor JSON"),
    ],
)
def test_what_holds_no_token_is_told_without_what_it_holds(text: str, why: str) -> None:
    with pytest.raises(BadToken, match=why) as raised:
        read_token(text, NOW)
    assert "t1." not in str(raised.value)


def test_a_key_is_read_from_below_the_line_of_warning() -> None:
    warned = KEY | {"private_key": f"PLEASE DO NOT REMOVE THIS LINE!\n{KEY['private_key']}"}
    key = AuthorizedKey.parse(json.dumps(warned).encode())
    assert key.private_key == KEY["private_key"]
    assert (key.key_id, key.service_account_id, key.folder_id) == ("aje1", "aje2", None)
    assert "PRIVATE" not in repr(key)


def test_a_key_may_name_its_folder() -> None:
    assert AuthorizedKey.parse(json.dumps(KEY | {"folder_id": "b1g"}).encode()).folder_id == "b1g"


@pytest.mark.parametrize("name", KEY)
@pytest.mark.parametrize("value", [None, "", 7])
def test_a_key_without_all_it_needs_says_what_is_missing(name: str, value: object) -> None:
    with pytest.raises(BadToken, match=f'has no "{name}"'):
        AuthorizedKey.parse(json.dumps(KEY | {name: value}).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"-----BEGIN PRIVATE KEY-----", b"\xff"])
def test_what_is_no_json_object_is_no_key(data: bytes) -> None:
    with pytest.raises(BadToken, match="is no JSON object"):
        AuthorizedKey.parse(data)


def test_a_jwt_asks_for_an_hour_and_begins_a_minute_ago() -> None:
    claims = AuthorizedKey("aje1", "aje2", "").claims("iam", NOW + 0.9)
    assert claims == {"iss": "aje2", "aud": "iam", "iat": NOW - 60, "exp": NOW + 3540}


def test_another_installation_is_an_audience_of_its_own() -> None:
    russia = "https://iam.api.cloud.yandex.net/iam/v1/tokens"
    assert audience("iam.api.cloud.yandex.net") == audience("127.0.0.1") == russia
    assert audience("iam.api.yandexcloud.kz") == "https://iam.api.yandexcloud.kz/iam/v1/tokens"
