"""Commands and files that hand out tokens."""

import asyncio
import os
from pathlib import Path

import pytest

from pipeline import local_tokens
from pipeline.credentials import NoCredentialError
from pipeline.local_tokens import Yc, output_of

ENVIRONMENT = {"PATH": os.environ["PATH"], "GREETING": "hello"}


def printed(script: str) -> str:
    return asyncio.run(output_of(["/bin/sh", "-c", script], ENVIRONMENT, "See."))


def failure(script: str) -> NoCredentialError:
    with pytest.raises(NoCredentialError) as raised:
        printed(script)
    return raised.value


def test_a_command_sees_the_environment_that_was_given_and_no_terminal() -> None:
    assert printed('test -t 0 || echo "$GREETING ${HOME-nowhere}"; cat') == "hello nowhere\n"


def test_a_command_that_fails_is_told_with_the_last_it_said() -> None:
    error = failure("echo warming up >&2; echo no network >&2; exit 3")
    assert str(error) == "fails with exit code 3: no network"
    assert error.advice == "See."


@pytest.mark.promise("P18")
def test_what_a_failing_command_says_is_told_without_secrets() -> None:
    secret = "t1.9euelZqNyJ2Mi5qXzJuLnZvN.abcdefghijklmnopqrstuvwxyz"  # noqa: S105 - made up
    assert str(failure(f"echo token={secret} >&2; exit 1")).endswith(": token=***")


def test_a_command_that_is_not_there_is_told() -> None:
    with pytest.raises(NoCredentialError, match="can't be started: No such file"):
        asyncio.run(output_of(["/nowhere/at-all"], ENVIRONMENT, "See."))


def test_a_command_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_tokens, "_COMMAND_TIMEOUT", 0.5)
    path = tmp_path / "pids"
    error = failure(f"sleep 60 & echo $$ $! > {path}; wait")
    assert "does not end within 0.5 s" in str(error)
    assert not [pid for pid in path.read_text().split() if is_running(int(pid))]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_yc_is_found_on_the_path_and_where_its_installer_puts_it(tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    assert Yc.found(environment) is None
    for folder in "yandex-cloud/bin", "bin":
        program = tmp_path / folder / "yc"
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o700)
        found = Yc.found(environment)
        assert found is not None
        assert found.program == str(program)


def test_yc_is_asked_for_the_profile_that_is_set(tmp_path: Path) -> None:
    program = tmp_path / "yc"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\necho b1gfolder\n')
    program.chmod(0o700)
    yc = Yc(str(program), ENVIRONMENT | {"YC_PROFILE": "night"})
    assert asyncio.run(yc.folder(None, 0.0)) == "b1gfolder"  # type: ignore[arg-type] # unused
    assert (tmp_path / "words").read_text().split() == [
        *("config", "get", "folder-id", "--profile", "night")
    ]
