import json
import re
from typing import Any

import pytest

from pipeline.emulator.api import Reply
from tests.emulator_caller import FOLDER, START, Caller, bearer, request

ROOT = "/computeMetadata/v1/instance"
TOKEN = f"{ROOT}/service-accounts/default/token"
FOLDER_ID = f"{ROOT}/vendor/folder-id"
FLAVOR = {"metadata-flavor": "Google"}
HOUR = 3600


def asked(caller: Caller, path: str = TOKEN, *, at: float = START) -> Reply:
    return caller.call("GET", path, at=at, headers=FLAVOR)


def given(caller: Caller, at: float = START) -> Any:
    reply = asked(caller, at=at)
    assert reply.status == 200, reply.body
    return json.loads(reply.body)


def test_a_token_is_given_for_the_asking_as_documented() -> None:
    caller = Caller(metadata=True)
    said = given(caller)
    assert [*said] == ["access_token", "expires_in", "token_type"]
    assert re.fullmatch(r"t1\.[A-Z0-9a-z_-]+\.[A-Z0-9a-z_-]{86}", said["access_token"])
    assert (said["expires_in"], said["token_type"]) == (12 * HOUR, "Bearer")
    assert caller.post(request(), headers=bearer(said["access_token"])).status == 200


def test_the_same_token_is_given_until_a_tenth_of_its_life_is_left() -> None:
    caller = Caller(metadata=True, token_life=100.0)
    first = given(caller)
    again = given(caller, START + 89.5)
    assert again == first | {"expires_in": 10}
    second = given(caller, START + 90)
    assert second["access_token"] != first["access_token"]
    assert second["expires_in"] == 100
    seen = [caller.status(said["access_token"], at=START + 99) for said in (first, second)]
    assert seen == [404, 404]
    assert caller.status(first["access_token"], at=START + 100) == 401


def test_a_token_that_was_revoked_is_not_given_again() -> None:
    caller = Caller(metadata=True)
    first = given(caller)["access_token"]
    caller.service.issued.revoke_all()
    second = given(caller)["access_token"]
    assert [caller.status(token) for token in (first, second)] == [401, 404]


def test_the_folder_is_told_as_plain_text() -> None:
    reply = asked(Caller(metadata=True), FOLDER_ID)
    assert (reply.status, reply.body) == (200, FOLDER.encode())
    assert reply.headers["content-type"] == "text/plain"


@pytest.mark.parametrize("path", [TOKEN, FOLDER_ID])
@pytest.mark.parametrize("headers", [{}, {"metadata-flavor": "google"}])
def test_without_its_header_a_call_is_refused_in_plain_text(
    path: str, headers: dict[str, str]
) -> None:
    reply = Caller(metadata=True).call("GET", path, headers=headers)
    assert (reply.status, reply.headers["content-type"]) == (403, "text/plain")
    assert reply.body == b"Missing Metadata-Flavor:Google header.\n"


@pytest.mark.parametrize("path", [TOKEN, FOLDER_ID])
def test_there_is_none_unless_it_is_asked_for(path: str) -> None:
    reply = asked(Caller(), path)
    assert (reply.status, reply.body) == (404, b"Not Found\n")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", f"{ROOT}/id", 404), ("GET", f"{TOKEN}/", 404), ("POST", TOKEN, 501)],
)
def test_it_knows_nothing_else(method: str, path: str, status: int) -> None:
    reply = Caller(metadata=True).call(method, path, headers=FLAVOR)
    assert reply.status == status


def test_its_account_can_lack_the_role_and_look_itself_up() -> None:
    caller = Caller(metadata=True, forbidden=frozenset({"metadata"}))
    own = bearer(given(caller)["access_token"])
    assert caller.post(request(), headers=own).status == 403
    account = caller.call(
        "GET", f"/iam/v1/serviceAccounts/{caller.service.created_by}", headers=own
    )
    assert json.loads(account.body)["folderId"] == FOLDER


def test_the_ledger_counts_a_token_once_however_often_it_is_given() -> None:
    caller = Caller(metadata=True)
    for second in range(5):
        asked(caller, at=START + second)
        asked(caller, FOLDER_ID)
    caller.call("GET", TOKEN, headers={})
    ledger = caller.ledger()
    assert ledger["tokens"] == {"issued": {"metadata": 1}, "refused": {"403": 1}}
    assert ledger["token_times"] == {"metadata": [START]}
