"""Tokens asked for and used over real sockets, and the options of the command that say whose."""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import click
import httpx
import pytest

from pipeline.cli.staged import KeyFileKind
from pipeline.emulator.model import Config
from pipeline.emulator.schedules import Fault
from pipeline.emulator.server import embedded
from tests.emulator_caller import SUBMIT, TOKENS, bearer, public_half, request, signed

METADATA = "/computeMetadata/v1/instance/service-accounts/default/token"
OAUTH = "yandexPassportOauthToken"
Key = dict[str, str]


@contextmanager
def serving(config: Config) -> Iterator[httpx.Client]:
    with embedded(config, None) as url, connected(url) as client:
        yield client


@contextmanager
def commanded(*options: object) -> Iterator[httpx.Client]:
    command = [sys.executable, "-m", "pipeline", "emulator", "--port", "0", *map(str, options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        with connected(served.stdout.readline().split()[-1]) as client:
            yield client
        served.terminate()


def connected(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=10, trust_env=False)


def submitted(client: httpx.Client, authorization: str) -> int:
    headers = {"authorization": authorization}
    return client.post(SUBMIT, json=request(), headers=headers).status_code


def exchanged(client: httpx.Client, **body: str) -> str:
    token: str = client.post(TOKENS, json=body).raise_for_status().json()["iamToken"]
    return token


def just_now() -> float:
    return time.time()  # noqa: TID251 - a server in another thread reads the same clock


def test_a_key_s_jwt_a_token_and_a_submit_travel_through_sockets(authorized_key: Key) -> None:
    with serving(Config(sa_keys=(public_half(authorized_key),))) as client:
        token = exchanged(client, jwt=signed(authorized_key, just_now()))
        assert submitted(client, f"Bearer {token}") == 200
        account = authorized_key["service_account_id"]
        shown = client.get(f"/iam/v1/serviceAccounts/{account}", headers=bearer(token))
        assert shown.json()["folderId"] == Config().folder


def test_a_machine_s_token_is_had_through_a_socket() -> None:
    with serving(Config(metadata=True)) as client:
        given = client.get(METADATA, headers={"Metadata-Flavor": "Google"}).json()
        assert submitted(client, f"Bearer {given['access_token']}") == 200
        assert client.get(METADATA).text == "Missing Metadata-Flavor:Google header.\n"


def test_many_calls_in_flight_find_their_token_refused_until_they_have_another() -> None:
    faults = (Fault.parse("revoked:polls@1"),)
    with serving(Config(oauth_tokens=frozenset({"y0_x"}), faults=faults)) as client:
        old = exchanged(client, **{OAUTH: "y0_x"})

        def polled(token: str) -> int:
            return client.get("/operations/d7q", headers=bearer(token)).status_code

        with ThreadPoolExecutor(20) as pool:
            assert set(pool.map(polled, [old] * 40)) == {401}
            assert set(pool.map(polled, [exchanged(client, **{OAUTH: "y0_x"})] * 40)) == {404}


def test_the_command_s_options_say_which_credentials_there_are(
    authorized_key: Key, authorized_key_file: Path
) -> None:
    options = ["--sa-key", authorized_key_file, "--api-key", "good", "--api-key", "poor"]
    options += ["--iam-token", "t1.listed", "--oauth-token", "y0_x", "--metadata"]
    options += ["--expired-key", "old", "--forbidden", "poor", "--forbidden", "metadata"]
    with commanded(*options) as client:
        machine = client.get(METADATA, headers={"Metadata-Flavor": "Google"}).json()
        credentials = {
            "Api-Key good": 200,
            "Bearer t1.listed": 200,
            f"Bearer {exchanged(client, jwt=signed(authorized_key, just_now()))}": 200,
            f"Bearer {exchanged(client, **{OAUTH: 'y0_x'})}": 200,
            "Api-Key poor": 403,
            f"Bearer {machine['access_token']}": 403,
            "Api-Key old": 401,
            "Api-Key other": 401,
            "Bearer t1.other": 401,
        }
        assert {each: submitted(client, each) for each in credentials} == credentials
        assert client.post(TOKENS, json={OAUTH: "y0_other"}).status_code == 401


def test_the_command_revokes_tokens_and_lets_calls_for_tokens_fail() -> None:
    with commanded("--fault", "502:iam@1", "--fault", "revoked:submits@2") as client:
        assert client.post(TOKENS, json={OAUTH: "y0_x"}).status_code == 502
        token = exchanged(client, **{OAUTH: "y0_x"})
        assert [submitted(client, f"Bearer {token}") for _ in range(2)] == [200, 401]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, r"key.json can't be read: No such file or directory\."),
        ("AQVN", r"key.json is no authorized key: it is not JSON .*; name the file that"),
        ("{}", r"key.json is no authorized key: it has no id; name the file that"),
        ("[]", r"key.json is no authorized key: it holds no JSON object; name"),
    ],
)
def test_a_file_that_is_no_key_is_named_with_what_is_wrong(
    content: str | None, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(click.BadParameter, match=says):
        KeyFileKind().convert(str(path), None, None)


def test_the_key_file_of_the_tests_is_as_private_as_a_real_one(authorized_key_file: Path) -> None:
    assert authorized_key_file.stat().st_mode & 0o777 == 0o600
    assert KeyFileKind().convert(str(authorized_key_file), None, None).id.startswith("aje")
