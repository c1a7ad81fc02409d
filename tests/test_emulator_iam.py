import hmac
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from pipeline.emulator.keys import AuthorizedKey, NoKeyError
from tests.builders import new_authorized_key
from tests.emulator_caller import (
    FOLDER,
    KEY,
    START,
    SUBMIT,
    TOKENS,
    Caller,
    bearer,
    claimed,
    public_half,
    recorded,
    request,
    shape,
    signed,
)

HOUR = 3600
TOKEN = re.compile(r"t1\.[A-Z0-9a-z_-]+[=]{0,2}\.[A-Z0-9a-z_-]{86}[=]{0,2}")
OAUTH = "yandexPassportOauthToken"
Key = dict[str, str]


@pytest.fixture
def caller(authorized_key: Key) -> Caller:
    return knowing(authorized_key)


def knowing(key: Key, **settings: Any) -> Caller:
    """A caller of a service that knows one authorized key and one OAuth token."""
    known = {"sa_keys": (public_half(key),), "oauth_tokens": frozenset({"y0_known"})}
    return Caller(**(known | settings))


# What is given for a JWT


def test_a_signed_jwt_is_exchanged_for_a_token_of_the_documented_form(
    caller: Caller, authorized_key: Key
) -> None:
    status, said = caller.exchange({"jwt": signed(authorized_key)})
    assert (status, [*said]) == (200, ["iamToken", "expiresAt"])
    assert TOKEN.fullmatch(said["iamToken"])
    assert datetime.fromisoformat(said["expiresAt"]).timestamp() == START + 12 * HOUR
    assert caller.post(request(), headers=bearer(said["iamToken"])).status == 200


def test_each_exchange_gives_another_token_and_the_old_one_stays_good(
    caller: Caller, authorized_key: Key
) -> None:
    tokens = [caller.token({"jwt": signed(authorized_key)}) for _ in range(3)]
    assert len(set(tokens)) == 3
    assert [caller.status(token) for token in tokens] == [404] * 3


def none_signed(key: Key) -> str:
    claims = claimed(key)
    return jwt.encode(claims, "", algorithm="none", headers={"kid": key["id"]})


def public_as_secret(key: Key) -> str:
    head = part({"typ": "JWT", "alg": "HS256", "kid": key["id"]}) + "." + part(claimed(key))
    signature = hmac.digest(key["public_key"].encode(), head.encode(), "sha256")
    return f"{head}.{base64(signature)}"


def rs256(key: Key) -> str:
    private = key["private_key"].partition("\n")[2]
    return jwt.encode(claimed(key), private, algorithm="RS256", headers={"kid": key["id"]})


def salted(length: int | Any, digest: hashes.HashAlgorithm, key: Key, **changes: Any) -> str:
    claims = claimed(key, **changes)
    head = part({"typ": "JWT", "alg": "PS256", "kid": key["id"]}) + "." + part(claims)
    private = load_pem_private_key(key["private_key"].partition("\n")[2].encode(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    form = padding.PSS(padding.MGF1(digest), length)
    return f"{head}.{base64(private.sign(head.encode(), form, digest))}"


def somebody_else_s(key: Key) -> str:
    return signed(new_authorized_key() | {"id": key["id"]})


def changed_afterwards(key: Key) -> str:
    head, _, signature = signed(key).split(".")
    return f"{head}.{part(claimed(key, exp=int(START) + 3599))}.{signature}"


def without_kid(key: Key) -> str:
    return jwt.encode(claimed(key), key["private_key"].partition("\n")[2], algorithm="PS256")


def part(value: object) -> str:
    return base64(json.dumps(value).encode())


def base64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


NOW = int(START)


@pytest.mark.parametrize(
    ("made", "status", "says"),
    [
        (none_signed, 401, "JWT algorithm must be PS256"),
        (public_as_secret, 401, "JWT algorithm must be PS256"),
        (rs256, 401, "JWT algorithm must be PS256"),
        (without_kid, 401, "JWT header has no kid"),
        (lambda key: signed(key | {"id": "ajeother"}), 401, "JWT key ID is unknown"),
        (somebody_else_s, 401, "JWT signature is invalid"),
        (changed_afterwards, 401, "JWT signature is invalid"),
        (lambda key: salted(0, hashes.SHA256(), key), 401, "JWT signature is invalid"),
        (
            lambda key: salted(padding.PSS.MAX_LENGTH, hashes.SHA256(), key),
            401,
            "JWT signature is invalid",
        ),
        (lambda key: salted(64, hashes.SHA512(), key), 401, "JWT signature is invalid"),
        (lambda key: signed(key)[:-4], 401, "JWT signature is invalid"),
        (lambda key: signed(key, aud="https://else"), 401, "JWT audience must be https://iam"),
        (lambda key: signed(key, aud=None), 401, "JWT audience must be https://iam"),
        (lambda key: signed(key, iss=key["id"]), 401, "JWT issuer is not the service account"),
        (lambda key: signed(key, iat=None), 401, "JWT has no iat"),
        (lambda key: signed(key, exp=None), 401, "JWT has no exp"),
        (lambda key: signed(key, exp=NOW + 3601), 401, "JWT lifetime must be at most 3600"),
        (lambda key: signed(key, iat=NOW - 10, exp=NOW), 401, "JWT has expired"),
        (
            lambda key: signed(key, iat=NOW + 61, exp=NOW + 90),
            401,
            "JWT is issued in the future",
        ),
        (lambda key: signed(key, exp=10**17), 400, "JWT has exp that is no time in seconds"),
        (lambda key: salted(32, hashes.SHA256(), key)[3:], 400, "JWT is malformed"),
        (lambda _: "one.two", 400, "JWT is malformed"),
        (lambda _: "", 400, "JWT is malformed"),
        (lambda _: "..", 400, "JWT is malformed"),
        (lambda _: "bm8.bm8.bm8", 400, "JWT is malformed"),
        (lambda _: f"{part([])}.{part([])}.bm8", 400, "JWT is malformed"),
        (lambda key: signed(key) + "=", 400, "JWT is malformed"),
        (lambda _: "a" * 8001, 400, "jwt: must be at most 8000 characters long"),
        (lambda _: "a" * 8000, 400, "JWT is malformed"),
    ],
)
def test_a_jwt_that_is_not_as_documented_is_refused_and_told_why(
    made: Callable[[Key], str], status: int, says: str, caller: Caller, authorized_key: Key
) -> None:
    token = made(authorized_key)
    answered, body = caller.exchange({"jwt": token})
    assert answered == status
    assert body["message"].startswith(says)
    assert body["code"] == (16 if status == 401 else 3)
    assert not token or token not in body["message"]


@pytest.mark.parametrize("claims", [{"iat": "1"}, {"exp": True}, {"iat": {}}])
def test_times_that_are_no_numbers_are_malformed(
    claims: dict[str, Any], caller: Caller, authorized_key: Key
) -> None:
    token = salted(32, hashes.SHA256(), authorized_key, **claims)
    status, body = caller.exchange({"jwt": token})
    assert (status, body["message"].endswith("that is no time in seconds")) == (400, True)


def test_one_that_is_signed_by_hand_is_as_good_as_any(caller: Caller, authorized_key: Key) -> None:
    token = salted(32, hashes.SHA256(), authorized_key)
    assert caller.exchange({"jwt": token})[0] == 200


@pytest.mark.parametrize("claims", [{"iat": NOW + 60, "exp": NOW + 61}, {"iat": NOW - 3599}])
def test_a_jwt_is_good_up_to_its_very_limits(
    claims: dict[str, int], caller: Caller, authorized_key: Key
) -> None:
    limits = {"exp": NOW + 1} | claims
    assert caller.exchange({"jwt": signed(authorized_key, **limits)})[0] == 200


@pytest.mark.parametrize(
    ("skew", "says"),
    [(-90.0, "JWT is issued in the future"), (3600.0, "JWT has expired"), (-60.0, None)],
)
def test_it_is_the_service_s_clock_that_a_jwt_and_its_token_are_dated_by(
    skew: float, says: str | None, authorized_key: Key
) -> None:
    caller = knowing(authorized_key, skew=skew)
    _, body = caller.exchange({"jwt": signed(authorized_key)})
    assert body.get("message") == says
    _, given = caller.exchange({OAUTH: "y0_known"})
    assert datetime.fromisoformat(given["expiresAt"]).timestamp() == START + 12 * HOUR + skew


@given(st.text(alphabet="abcAI._-=é{}", max_size=40))
def test_any_text_in_place_of_a_jwt_is_refused_with_a_reason(text: str) -> None:
    status, body = Caller(metadata=True).exchange({"jwt": text})
    assert status in (400, 401)
    assert body["message"].startswith("JWT")


def test_json_that_is_nested_too_deeply_is_malformed(caller: Caller) -> None:
    deep = base64(b"[" * 5000)
    status, body = caller.exchange({"jwt": f"{deep}.{base64(b'{}')}.bm8"})
    assert (status, body["message"]) == (400, "JWT is malformed")


# The call itself


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "One of jwt and yandexPassportOauthToken must be set"),
        ({"jwt": None}, "One of jwt"),
        ({"jwt": "a.b.c", OAUTH: "y0_known"}, f"{OAUTH}: jwt is already set"),
        ({"jwt": 5}, "invalid value for field jwt"),
        ({"token": "y0_known"}, 'unknown field "token"'),
        ([], "body: expected an object"),
        (b"{", "not JSON"),
        ({OAUTH: "y0_" + "a" * 3998}, f"{OAUTH}: must be at most 4000 characters long"),
    ],
)
def test_a_body_that_is_no_exchange_is_refused_in_the_flat_shape(
    body: object, says: str, caller: Caller
) -> None:
    status, said = caller.exchange(body)
    assert (status, said["code"]) == (400, 3)
    assert says in said["message"]
    assert shape(said) == shape(recorded("docs_http_error_401_flat.json")["body"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", TOKENS, 501),
        ("POST", "/iam/v1/tokens/", 404),
        ("POST", "/iam/v1/apiKeys", 404),
        ("POST", "/iam/v1/serviceAccounts/aje", 501),
    ],
)
def test_what_iam_does_not_offer_here_gets_a_flat_error(
    method: str, path: str, status: int
) -> None:
    reply = Caller().call(method, path)
    assert reply.status == status
    assert [*json.loads(reply.body)] == ["code", "message", "details"]


# OAuth tokens


def test_an_oauth_token_that_is_known_is_exchanged(caller: Caller) -> None:
    token = caller.token({OAUTH: "y0_known"})
    assert TOKEN.fullmatch(token)
    assert caller.status(token) == 404


def test_one_that_is_not_known_is_refused_and_repeated_as_api_keys_are(caller: Caller) -> None:
    status, body = caller.exchange({OAUTH: "y0_typed-wrong"})
    assert (status, body["code"]) == (401, 16)
    assert body["message"] == "Unknown OAuth token 'y0_typed-wrong'"


@pytest.mark.parametrize(("token", "status"), [("y0_any", 200), ("y3_any", 200), ("t1.any", 401)])
def test_without_any_credential_any_oauth_token_will_do_that_looks_like_one(
    token: str, status: int
) -> None:
    assert Caller().exchange({OAUTH: token})[0] == status


def test_without_any_credential_no_jwt_can_be_verified(authorized_key: Key) -> None:
    status, body = Caller().exchange({"jwt": signed(authorized_key)})
    assert (status, body["message"]) == (401, "JWT key ID is unknown")


# Who is let in with what


@pytest.mark.parametrize(
    "settings",
    [
        {"api_keys": frozenset({"k"})},
        {"iam_tokens": frozenset({"t1.listed"})},
        {"oauth_tokens": frozenset({"y0_known"})},
        {"metadata": True},
        {"sa_keys": (AuthorizedKey("a", "b", "c"),)},
    ],
)
def test_as_soon_as_any_credential_is_named_no_other_will_do(settings: dict[str, Any]) -> None:
    caller = Caller(**settings)
    assert caller.status("t1.any") == 401
    assert caller.post(request(), headers=KEY).status == 401
    assert caller.exchange({OAUTH: "y0_any"})[0] == 401


def test_an_oauth_token_does_not_do_in_place_of_what_it_is_exchanged_for() -> None:
    assert Caller().status("y0_any") == 401


def test_an_api_key_that_has_expired_is_told_so() -> None:
    caller = Caller(api_keys=frozenset({"secret", "other"}), expired=frozenset({"secret"}))
    status, body = caller.refusal(request(), headers=KEY)
    assert (status, body["error"]["message"]) == (401, "The apikey has expired")
    assert caller.poll("d7q", at=START)["message"] == "The apikey has expired"
    other = {"authorization": "Api-Key other"}
    assert caller.post(request(), headers=other).status == 200


@pytest.mark.parametrize("given", ["jwt", OAUTH])
def test_tokens_of_an_identity_without_the_role_are_given_and_forbidden(
    given: str, authorized_key: Key
) -> None:
    lacking = frozenset({authorized_key["id"], "y0_known"})
    caller = knowing(authorized_key, forbidden=lacking)
    body = {"jwt": signed(authorized_key), OAUTH: "y0_known"}[given]
    token = caller.token({given: body})
    status, refused = caller.refusal(request(), headers=bearer(token))
    assert (status, refused["error"]["grpcCode"]) == (403, 7)
    assert caller.status(token) == 403
    assert caller.status(token, at=START + 13 * HOUR) == 401


def test_what_is_named_as_forbidden_need_not_be_named_as_known(authorized_key: Key) -> None:
    caller = knowing(authorized_key, forbidden=frozenset({"secret", "t1.listed", "y1_lacking"}))
    assert caller.post(request(), headers=KEY).status == 403
    assert caller.status("t1.listed") == 403
    assert caller.status(caller.token({OAUTH: "y1_lacking"})) == 403


def test_a_token_s_folder_is_its_account_s_own(caller: Caller, authorized_key: Key) -> None:
    own = bearer(caller.token({"jwt": signed(authorized_key)}))
    told = (
        f"Specified folder ID 'b1gother' does not match with service account folder ID '{FOLDER}'"
    )
    by_header = caller.refusal(request(), headers=own | {"x-folder-id": "b1gother"})
    by_model = caller.refusal(request(modelUri="gpt://b1gother/yandexgpt-lite"), headers=own)
    for status, body in (by_header, by_model):
        assert status == 400
        assert body["error"]["message"].endswith(told)


# How long a token is good


def test_a_token_lives_from_when_it_was_issued_not_from_its_first_use(
    authorized_key: Key,
) -> None:
    caller = knowing(authorized_key, token_life=60.0)
    _, said = caller.exchange({"jwt": signed(authorized_key)})
    assert datetime.fromisoformat(said["expiresAt"]).timestamp() == START + 60
    token = said["iamToken"]
    times = (50, 59.9, 60, 61)
    assert [caller.status(token, at=START + time) for time in times] == [404, 404, 401, 401]
    refused = caller.poll("d7q", at=START + 60, headers=bearer(token))
    assert refused["message"] == "Token is invalid or has expired."


def test_a_token_is_good_for_twelve_hours_where_tokens_live_for_ever() -> None:
    caller = Caller()
    token = caller.token({OAUTH: "y0_any"})
    statuses = [caller.status(token, at=START + 12 * HOUR + by) for by in (-0.1, 0)]
    assert statuses == [404, 401]
    assert [caller.status("t1.any", at=START + days) for days in (0, 9e6)] == [404, 404]


def test_a_newer_token_does_not_end_the_older_one_s_life_nor_lengthen_it() -> None:
    caller = Caller(token_life=60.0)
    old = caller.token({OAUTH: "y0_any"})
    new = caller.token({OAUTH: "y0_any"}, at=START + 50)
    seen = [[caller.status(token, at=START + at) for token in (old, new)] for at in (59, 60, 110)]
    assert seen == [[404, 404], [401, 404], [401, 401]]


def test_all_tokens_so_far_can_be_revoked_at_once() -> None:
    caller = Caller()
    issued, used = caller.token({OAUTH: "y0_any"}), "t1.accepted"
    assert caller.status(used) == 404
    caller.service.issued.revoke_all()
    assert [caller.status(token) for token in (issued, used)] == [401, 401]
    fresh = caller.token({OAUTH: "y0_any"})
    assert [caller.status(token) for token in (fresh, "t1.never-used-before")] == [404, 404]
    assert caller.post(request(), headers=KEY).status == 200


# Service accounts


def asked(caller: Caller, account: str, headers: Mapping[str, str]) -> tuple[int, Any]:
    reply = caller.call("GET", f"/iam/v1/serviceAccounts/{account}", headers=headers)
    return reply.status, json.loads(reply.body)


def test_an_account_can_look_itself_up(caller: Caller, authorized_key: Key) -> None:
    own, account = caller.token({"jwt": signed(authorized_key)}), "ajeaccount0000000000"
    status, body = asked(caller, account, bearer(own))
    assert (status, [*body]) == (200, ["id", "folderId", "createdAt", "name"])
    assert (body["id"], body["folderId"]) == (account, FOLDER)


def test_nobody_else_can_and_what_is_not_there_is_not_found(
    caller: Caller, authorized_key: Key
) -> None:
    account = authorized_key["service_account_id"]
    users = caller.token({OAUTH: "y0_known"})
    own = caller.token({"jwt": signed(authorized_key)})
    replies = [
        asked(caller, account, bearer(users)),
        asked(caller, caller.service.created_by, bearer(own)),
        asked(caller, "ajenobody", bearer(own)),
        asked(caller, account, bearer("t1.unknown")),
        asked(caller, account, {}),
        asked(caller, account, KEY),
        asked(caller, account, {"authorization": f"Api-Key {own}"}),
    ]
    assert [status for status, _ in replies] == [403, 403, 404, 401, 401, 401, 401]
    assert [body["code"] for _, body in replies] == [7, 7, 5, 16, 16, 16, 16]


# The ledger


def test_the_ledger_tells_of_tokens_how_many_and_when_and_never_which(
    caller: Caller, authorized_key: Key
) -> None:
    tokens = [caller.token({"jwt": signed(authorized_key)}, at=START + n) for n in (0, 5)]
    tokens.append(caller.token({OAUTH: "y0_known"}, at=START + 7))
    caller.exchange({OAUTH: "y0_wrong"})
    caller.exchange({})
    caller.exchange({})
    asked(caller, "ajenobody", {})
    ledger = caller.ledger()
    assert ledger["tokens"] == {"issued": {"jwt": 2, "oauth": 1}, "refused": {"401": 1, "400": 2}}
    assert ledger["token_times"] == {"jwt": [START, START + 5], "oauth": [START + 7]}
    assert ledger["refused_others"] == {"401": 1}
    assert ledger["submits"] == 0
    shown = json.dumps(ledger)
    secrets = [*tokens, "y0_", "Bearer", "BEGIN"]
    assert not [secret for secret in secrets if secret in shown]


def test_a_token_s_own_text_is_not_in_what_python_shows_of_it(caller: Caller) -> None:
    token = caller.token({OAUTH: "y0_known"})
    issued = caller.service.issued.get(token)
    assert issued is not None
    assert token not in repr(issued)
    assert "y0_known" not in repr(issued)


# Authorized keys


def test_of_an_authorized_key_the_public_half_is_kept(authorized_key: Key) -> None:
    key = AuthorizedKey.parse(json.dumps(authorized_key).encode())
    assert (key.id, key.service_account_id) == (
        authorized_key["id"],
        authorized_key["service_account_id"],
    )
    assert "PRIVATE" not in repr(key)


def elliptic() -> str:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"id": ""}, "it has no id"),
        ({"service_account_id": None}, "it has no service_account_id"),
        ({"public_key": 5}, "it has no public_key"),
        ({"public_key": "AQVN"}, "its public_key is no public key in PEM"),
        ({"public_key": "-----BEGIN PUBLIC KEY-----\nx\n"}, "its public_key can't be read"),
        ({"public_key": elliptic()}, "its public_key is not RSA's"),
    ],
)
def test_what_is_no_authorized_key_is_told_why(
    changes: dict[str, Any], says: str, authorized_key: Key
) -> None:
    with pytest.raises(NoKeyError, match=f"^{says}$"):
        AuthorizedKey.parse(json.dumps(authorized_key | changes).encode())


def test_a_private_key_alone_is_none(authorized_key: Key) -> None:
    private = authorized_key["private_key"].partition("\n")[2]
    with pytest.raises(NoKeyError, match="it is not JSON"):
        AuthorizedKey.parse(private.encode())
    with pytest.raises(NoKeyError, match="its public_key is no public key in PEM"):
        AuthorizedKey.parse(json.dumps(authorized_key | {"public_key": private}).encode())


def test_a_submit_with_an_issued_token_needs_no_other_credential(
    caller: Caller, authorized_key: Key
) -> None:
    own = bearer(caller.token({"jwt": signed(authorized_key)}))
    reply = caller.post(request(), SUBMIT, headers=own)
    operation_id = json.loads(reply.body)["id"]
    assert caller.poll(operation_id, at=START + 60, headers=own)["done"] is True
