"""Every way to a credential, over real sockets: found, used, renewed, told of, and kept secret."""

import asyncio
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.auth.credentials import SOURCES
from pipeline.auth.lookup import Places, find
from pipeline.emulator.model import Config
from pipeline.emulator.schedules import Fault
from pipeline.emulator.server import embedded
from pipeline.network.carriers import carrier
from pipeline.network.endpoints import Endpoints
from tests.e2e.command import FOLDER, Emulator, Shell, count_lines, until
from tests.e2e.test_exit_codes import said_well
from tests.emulator_caller import public_half
from tests.proof import tokens

API_KEY, OAUTH = "AQVN-of-the-test-and-nobody-else", "y0_of-the-test-and-nobody-else"
FIRST, SECOND = "t1.first-of-the-test.nobody-else", "t1.second-of-the-test.nobody-else"
NOWHERE = "127.0.0.1:9"
Key = dict[str, str]
Variables = dict[str, Any]


@contextmanager
def serving(key: Key, *faults: str) -> Iterator[Emulator]:
    """An emulator that knows all the test's credentials, and no others."""
    config = Config(
        api_keys=frozenset({API_KEY, "AQVN-without-a-role"}),
        expired=frozenset({"AQVN-expired-key"}),
        forbidden=frozenset({"AQVN-without-a-role"}),
        iam_tokens=frozenset({FIRST, SECOND}),
        oauth_tokens=frozenset({OAUTH}),
        sa_keys=(public_half(key),),
        metadata=True,
        latency_median=0.05,
        latency_sigma=0.1,
        faults=tuple(map(Fault.parse, faults)),
    )
    with embedded(config, None) as url:
        yield Emulator(url)


def program(shell: Shell, name: str, script: str) -> Path:
    """An executable in a folder of its own."""
    path = shell.path("bin") / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return path


def secret_file(shell: Shell, content: str, mode: int = 0o600) -> Path:
    path = shell.path("token")
    path.touch(mode)
    path.chmod(mode)
    path.write_text(content)
    return path


def offered(shell: Shell, source: str, key_file: Path, emulator: Emulator) -> Variables:
    """What the environment holds where a credential comes from this source."""
    match source:
        case "api-key":
            return {"YC_API_KEY": API_KEY}
        case "iam-token" | "token":
            return {f"YC_{source.upper().replace('-', '_')}": FIRST}
        case "iam-token-file":
            return {"YC_IAM_TOKEN_FILE": str(secret_file(shell, f"{FIRST}\n"))}
        case "token-command":
            path = secret_file(shell, json.dumps({"iam_token": FIRST}))
            return {"YC_TOKEN_COMMAND": f"cat '{path}' | cat"}
        case "oauth-token":
            return {"YC_OAUTH_TOKEN": OAUTH}
        case "sa-key-file":
            return {"YC_SA_KEY_FILE": str(key_file)}
        case "metadata":
            return {"YC_METADATA_ADDR": emulator.url.removeprefix("http://")}
        case _:
            # As it is called where a profile is set; a terminal it never gets.
            script = f'test "$1 $2" = "iam create-token" && test ! -t 0 && echo {FIRST}'
            yc = program(shell, "yc", script)
            return {"PATH": f"{yc.parent}:{os.environ['PATH']}"}


def run(shell: Shell, emulator: Emulator, *options: object) -> list[object]:
    rows = shell.path("in.jsonl")
    if not rows.exists():
        shell.write_rows(3)
    call = ["run", rows, "-o", "out.jsonl", "--endpoint", emulator.url]
    return [*call, "--rate", "none", *options]


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_is_found_and_said_and_pays_for_a_run(
    shell: Shell, authorized_key: Key, authorized_key_file: Path, source: str
) -> None:
    with serving(authorized_key) as emulator:
        given = offered(shell, source, authorized_key_file, emulator)
        call = run(shell, emulator, "--folder-id", FOLDER, "-v")
        done = shell.call(*call, "--auth", source, **{"YC_API_KEY": None, **given})
    assert done.code == 0, done.err
    names = {"metadata": "metadata service", "yc": "yc"}
    expected = names.get(source, f"YC_{source.upper().replace('-', '_')}")
    assert f"credential of {expected}" in done.err or f" {expected}" in done.err
    assert count_lines(shell.path("out.jsonl")) == 4


def test_sources_are_looked_for_in_the_documented_order(
    shell: Shell, authorized_key: Key, authorized_key_file: Path
) -> None:
    with serving(authorized_key) as emulator:
        present: dict[str, str] = {}
        for source in SOURCES:
            present |= offered(shell, source, authorized_key_file, emulator)
        found = []
        for source in SOURCES:
            found.append(found_in(present, emulator.url))
            if source == "metadata":
                present["YC_METADATA_ADDR"] = NOWHERE
            else:
                present.pop(f"YC_{source.upper().replace('-', '_')}", None)
    assert [name.removeprefix("the ").split(" (")[0] for name in found] == [
        "YC_API_KEY",
        "YC_IAM_TOKEN",
        "YC_IAM_TOKEN_FILE",
        "command of YC_TOKEN_COMMAND",
        "YC_OAUTH_TOKEN",
        "YC_SA_KEY_FILE",
        "metadata service",
        "YC_TOKEN",
        "yc",
    ]


def found_in(environment: Mapping[str, str], url: str) -> str:
    """The name of the source that is found in an environment."""
    places = Places(environment, Endpoints.chosen(url, environment), time.time())  # noqa: TID251

    async def look() -> str:
        straight = carrier(1, trust_environment=False)
        try:
            return (await find(places, straight)).source.name
        finally:
            await straight.close()

    return asyncio.run(look())


@pytest.mark.parametrize("source", ["sa-key-file", "metadata", "yc"])
def test_the_folder_is_the_account_s_where_that_can_be_known(
    shell: Shell, authorized_key: Key, authorized_key_file: Path, source: str
) -> None:
    with serving(authorized_key) as emulator:
        given = offered(shell, source, authorized_key_file, emulator)
        if source == "yc":
            program(shell, "yc", f'case "$1" in config) echo {FOLDER};; *) echo {FIRST};; esac')
        done = shell.call(*run(shell, emulator), **{"YC_API_KEY": None, **given})
    assert done.code == 0, done.err


@pytest.mark.promise("P11")
@pytest.mark.parametrize("source", ["jwt", "metadata"])
def test_a_run_outlasts_its_tokens(tmp_path: Path, source: str) -> None:
    told = tokens.outlive(tmp_path, source, life=2, seconds=5)
    assert told.code == 0
    assert [line["status"] for line in told.lines] == ["ok"] * 50
    assert all(line["submits"] == 1 for line in told.lines)
    # A token is renewed after nine tenths of its life.
    assert 2 <= told.renewals(source) <= 6


@pytest.mark.promise("P11")
@pytest.mark.parametrize("source", ["iam-token-file", "token-command", "yc"])
def test_what_can_change_under_the_run_is_read_again_when_its_token_is_refused(
    shell: Shell, authorized_key: Key, authorized_key_file: Path, source: str
) -> None:
    with serving(authorized_key, "revoked:submits@20") as emulator:
        given = offered(shell, source, authorized_key_file, emulator)
        shell.write_rows(40)
        call = run(shell, emulator, "--folder-id", FOLDER)
        with shell.started(*call, **{"YC_API_KEY": None, **given}) as running:
            running.until(lambda: "does not accept it" in running.err)
            if source == "yc":
                program(shell, "yc", f"echo {SECOND}")
            else:
                shell.path("token").write_text(SECOND)
            done = running.wait()
        ledger = emulator.ledger()
    assert done.code == 0, done.err
    assert ledger["submits"] == 40
    lines = [json.loads(line) for line in shell.path("out.jsonl").read_text().splitlines()]
    assert all(line["submits"] == 1 for line in lines[:-1])
    assert "the service accepts the credential again" in done.err


SENTENCES: dict[str, tuple[Variables, int, str]] = {
    "a wrong key": (
        {"YC_API_KEY": "AQVN-a-wrong-key-of-nobody"},
        77,
        "YC_API_KEY: the service does not accept it: Unknown api key '***'. "
        "Check that it is a service account's whole API key",
    ),
    "an expired key": (
        {"YC_API_KEY": "AQVN-expired-key"},
        77,
        "The apikey has expired. Check that it is a service account's whole API key, not expired",
    ),
    "a missing role": (
        {"YC_API_KEY": "AQVN-without-a-role"},
        77,
        "Check that the account has the role ai.languageModels.user on the folder",
    ),
    "a wrong folder": (
        {"YC_FOLDER_ID": "b1gsomebodyelses0000"},
        78,
        f"Set --folder-id {FOLDER}, or use a credential of the folder that you meant",
    ),
    "an unknown model": (
        {"YAGPT_MODEL": "yandexgpt-9"},
        78,
        "Check --model: a name such as yandexgpt-lite or yandexgpt, or a gpt:// URI",
    ),
    "a token in the key's place": (
        {"YC_API_KEY": FIRST},
        77,
        "It looks like what belongs in YC_IAM_TOKEN: set that instead.",
    ),
    "no file": (
        {"YC_API_KEY": None, "YC_SA_KEY_FILE": "missing.json"},
        77,
        "YC_SA_KEY_FILE (missing.json): missing.json: No such file or directory. Make a new one",
    ),
    "a file that is no key": (
        {"YC_API_KEY": None, "YC_SA_KEY_FILE": "/dev/null"},
        77,
        "/dev/null: it is no ordinary file. Make a new one with `yc iam key create",
    ),
    "an empty token file": (
        {"YC_API_KEY": None, "YC_IAM_TOKEN_FILE": "/dev/null"},
        77,
        "/dev/null: it is no ordinary file. Check the path and its mode.",
    ),
    "a command that fails": (
        {"YC_API_KEY": None, "YC_TOKEN_COMMAND": "echo no profile >&2; exit 3"},
        77,
        "the command of YC_TOKEN_COMMAND: fails with exit code 3: no profile. Run the command",
    ),
    "a command that prints nothing": (
        {"YC_API_KEY": None, "YC_TOKEN_COMMAND": "true"},
        77,
        "what it prints is empty",
    ),
    "a wrong OAuth token": (
        {"YC_API_KEY": None, "YC_OAUTH_TOKEN": "y0_somebody-else-s-own-token"},
        77,
        "Get a new OAuth token, and check that its account has access to the folder.",
    ),
}


@pytest.mark.promise("P18")
@pytest.mark.parametrize(("given", "code", "words"), SENTENCES.values(), ids=SENTENCES.keys())
def test_what_is_wrong_ends_in_a_sentence_to_act_on(
    shell: Shell, authorized_key: Key, given: Variables, code: int, words: str
) -> None:
    variables: Variables = {"YC_API_KEY": API_KEY, "YC_FOLDER_ID": FOLDER, **given}
    with serving(authorized_key) as emulator:
        done = shell.call(*run(shell, emulator), **variables)
    assert said_well(done, code), done.err
    assert words in done.err
    for value in filter(None, given.values()):
        if value.startswith(("AQVN", "y0_", "t1.")):
            assert value not in done.err + done.out


@pytest.mark.parametrize("what", ["a wrong key", "a missing role", "a wrong folder", "no file"])
def test_check_ends_as_the_run_would(shell: Shell, authorized_key: Key, what: str) -> None:
    given, code, words = SENTENCES[what]
    variables: Variables = {"YC_API_KEY": API_KEY, "YC_FOLDER_ID": FOLDER, **given}
    with serving(authorized_key) as emulator:
        done = shell.call("check", "--endpoint", emulator.url, **variables)
    assert done.code == code
    failed = [line for line in done.out.splitlines() if line.startswith("FAILED")]
    assert words.rpartition(". ")[2] in failed[0]


def test_a_key_that_iam_does_not_know_is_told_in_iam_s_words(
    shell: Shell, authorized_key: Key, authorized_key_file: Path
) -> None:
    authorized_key_file.write_text(json.dumps(authorized_key | {"id": "ajeanother0000000000"}))
    variables: Variables = {"YC_API_KEY": None, "YC_SA_KEY_FILE": str(authorized_key_file)}
    with serving(authorized_key) as emulator:
        done = shell.call(*run(shell, emulator, "--folder-id", FOLDER), **variables)
    assert said_well(done, 77), done.err
    assert "IAM says: JWT key ID is unknown. Make a new one with `yc iam key create" in done.err


def test_a_machine_without_any_credential_is_told_how_to_get_one(shell: Shell) -> None:
    done = shell.call("check", "--folder-id", FOLDER, YC_API_KEY=None)
    assert done.code == 77
    assert "Set YC_API_KEY" in done.out


def test_check_says_all_that_a_run_needs_and_pays_for_nothing(
    shell: Shell, authorized_key: Key
) -> None:
    options = ["--folder-id", FOLDER, "--rate", "3/s", "--rate", "70/h"]
    with serving(authorized_key) as emulator:
        options += ["--endpoint", emulator.url]
        done = shell.call("check", *options, YC_API_KEY=API_KEY)
        as_json = shell.call("check", *options, "--json", YC_API_KEY=API_KEY).json
        unknown = shell.call("check", *options, "--model", "gpt-oss-120b", YC_API_KEY=API_KEY)
        ledger = emulator.ledger()
    assert done.code == 0
    assert done.out.splitlines() == [
        "ok      credential of YC_API_KEY: found",
        f"ok      model gpt://{FOLDER}/yandexgpt-lite: the tokenizer answers for it",
        f"ok      operations at {emulator.url}: there, and denies an operation that can't exist",
        "ok      asynchronous mode of yandexgpt-lite: known to work",
        "ok      quotas that a run keeps to: submits 3/s and 70/h; polls 50/s",
    ]
    assert [one["ok"] for one in as_json["checks"]] == [True] * 5
    assert as_json["exit"] == 0
    assert unknown.code == 78
    assert "gpt-oss-120b is not known to work in asynchronous mode" in unknown.out
    assert ledger["submits"] == 0


@pytest.mark.parametrize(
    ("hosts", "code", "words"),
    [
        ({"YAGPT_LLM_URL": f"http://{NOWHERE}"}, 69, "the text generation service can't be"),
        ({"YAGPT_OPERATIONS_URL": f"http://{NOWHERE}"}, 69, "the operation service can't be"),
    ],
)
def test_check_tells_which_host_is_away(
    shell: Shell, authorized_key: Key, hosts: Variables, code: int, words: str
) -> None:
    with serving(authorized_key) as emulator:
        call = ["check", "--endpoint", emulator.url, "--folder-id", FOLDER]
        done = shell.call(*call, YC_API_KEY=API_KEY, **hosts)
    assert done.code == code
    assert words in done.out
    assert done.out.count("FAILED") == 1


def test_an_iam_that_is_away_at_the_start_is_waited_for_within_patience(
    shell: Shell, authorized_key: Key, authorized_key_file: Path
) -> None:
    variables: Variables = {"YC_API_KEY": None, "YC_SA_KEY_FILE": str(authorized_key_file)}
    with serving(authorized_key) as emulator:
        call = run(shell, emulator, "--folder-id", FOLDER, "--patience", "2s")
        done = shell.call(*call, YAGPT_IAM_URL=f"http://{NOWHERE}", **variables)
    assert said_well(done, 77), done.err
    assert "can't be reached" in done.err
    assert "asking again" in done.err


def test_status_tells_of_a_credential_that_is_missing_and_since_when(
    shell: Shell, authorized_key: Key, authorized_key_file: Path
) -> None:
    variables: Variables = {"YC_API_KEY": None, "YC_SA_KEY_FILE": str(authorized_key_file)}
    variables["YAGPT_IAM_URL"] = f"http://{NOWHERE}"
    with serving(authorized_key) as emulator:
        call = run(shell, emulator, "--folder-id", FOLDER)
        with shell.started(*call, **variables) as running:
            running.until(lambda: "asking again" in running.err)
            until(lambda: "Outage" in shell.call("status", "out.jsonl").out)
            told = shell.call("status", "out.jsonl").out
    assert f"Outage: the credential (YC_SA_KEY_FILE ({authorized_key_file})) is away since" in told


def test_a_secret_that_others_can_read_is_warned_of(
    shell: Shell, authorized_key: Key, authorized_key_file: Path
) -> None:
    authorized_key_file.chmod(0o644)
    variables: Variables = {"YC_API_KEY": None, "YC_SA_KEY_FILE": str(authorized_key_file)}
    with serving(authorized_key) as emulator:
        done = shell.call(*run(shell, emulator, "--folder-id", FOLDER), **variables)
    assert done.code == 0
    assert f"chmod 600 {authorized_key_file}" in done.err


def test_a_token_that_can_t_be_renewed_is_told_with_the_hour_it_ends(
    shell: Shell, authorized_key: Key
) -> None:
    with serving(authorized_key) as emulator:
        call = run(shell, emulator, "--folder-id", FOLDER)
        done = shell.call(*call, YC_API_KEY=None, YC_IAM_TOKEN=FIRST)
    assert done.code == 0
    assert "The token of YC_IAM_TOKEN can't be renewed and ends by 20" in done.err


@pytest.mark.promise("P18")
@pytest.mark.parametrize("source", ["oauth-token", "sa-key-file", "token-command"])
def test_a_secret_stands_in_no_file_no_word_and_no_argument_list(
    shell: Shell, authorized_key: Key, authorized_key_file: Path, source: str
) -> None:
    faults = "revoked:submits@8", "500:submits@12-13", "401:polls@5-6"
    with serving(authorized_key, *faults) as emulator:
        given = offered(shell, source, authorized_key_file, emulator)
        if source == "token-command":
            given["YC_TOKEN_COMMAND"] += f"; cat /proc/$$/cmdline >> '{shell.path('asked')}'"
        shell.write_rows(30)
        call = run(shell, emulator, "--folder-id", FOLDER, "-vv", "--log-file", "log", "--raw")
        arguments = set[bytes]()
        with shell.started(*call, **{"YC_API_KEY": None, **given}) as running:

            def look() -> bool:
                arguments.update(commands_of(running.pid))
                if "does not accept it" in running.err and source == "token-command":
                    shell.path("token").write_text(SECOND)
                return running.has_ended

            until(look, 60)
            done = running.wait()
    assert done.code == 0, done.err
    assert arguments
    # A command lives for a moment: it tells itself as what it was called.
    assert shell.path("asked").exists() == (source == "token-command")
    own = {authorized_key_file.name, "token", "in.jsonl"}
    files = [path for path in shell.folder.rglob("*") if path.is_file()]
    seen = [path.read_bytes() for path in files if path.name not in own]
    secrets = (b"t1.", b"y0_", b"PRIVATE KEY", b"eyJ", b"AQVN")
    for said in (*seen, *arguments, done.out.encode(), done.err.encode()):
        assert not [secret for secret in secrets if secret in said]


def commands_of(pid: int) -> set[bytes]:
    """The argument lists of a process and of all that it has started."""
    found = set[bytes]()
    # What a process starts has a higher number than its own.
    for number in (int(name) for name in os.listdir("/proc") if name.isdigit()):  # noqa: PTH208
        if number < pid:
            continue
        path = Path(f"/proc/{number}")
        try:
            parent = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if pid in {parent, number}:
                found.add((path / "cmdline").read_bytes())
        except (OSError, ValueError, IndexError):
            continue
    return found
