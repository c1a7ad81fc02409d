"""Commands and files that hand out tokens."""

import asyncio
import os
from pathlib import Path

import pytest

from pipeline.auth.commands import CommandError, output_of
from pipeline.auth.credentials import NoCredentialError
from pipeline.auth.local_tokens import TokenCommand, TokenFile, Yc
from tests.builders import NOW
from tests.e2e.command import until

ENVIRONMENT = {"PATH": os.environ["PATH"], "GREETING": "hello"}


def printed(script: str) -> str:
    return asyncio.run(output_of(["/bin/sh", "-c", script], ENVIRONMENT, 60))


def failure(script: str, limit: float = 60) -> CommandError:
    with pytest.raises(CommandError) as raised:
        asyncio.run(output_of(["/bin/sh", "-c", script], ENVIRONMENT, limit))
    return raised.value


def test_a_command_sees_the_environment_that_was_given_and_no_terminal() -> None:
    assert printed('test -t 0 || echo "$GREETING ${HOME-nowhere}"; cat') == "hello nowhere\n"


def test_a_command_that_fails_is_told_with_the_last_it_said() -> None:
    error = failure("echo warming up >&2; echo no network >&2; exit 3")
    assert str(error) == "fails with exit code 3: no network"


@pytest.mark.promise("P18")
def test_what_a_failing_command_says_is_told_without_secrets() -> None:
    secret = "t1.9euelZqNyJ2Mi5qXzJuLnZvN.abcdefghijklmnopqrstuvwxyz"  # noqa: S105 - made up
    command = TokenCommand("x", ["sh", "-c", f"echo token={secret} >&2; exit 1"], ENVIRONMENT)
    with pytest.raises(NoCredentialError) as raised:
        asyncio.run(command.fresh(None, NOW))  # type: ignore[arg-type] # unused
    assert str(raised.value).endswith(": token=***")


def test_a_command_that_is_not_there_is_told() -> None:
    with pytest.raises(CommandError, match="can't be started: No such file"):
        asyncio.run(output_of(["/nowhere/at-all"], ENVIRONMENT, 60))


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("sleep 60 & echo $$ $! > {}; wait", "does not end within 0.5 s"),
        ("echo $$ > {}; exec sleep 60", "does not end within 0.5 s"),
        ("echo $$ > {}; exec yes", "prints more than 64 KiB"),
        ("echo $$ > {}; yes | head -c 100000000; sleep 60", "prints more than 64 KiB"),
    ],
)
def test_a_command_that_goes_on_is_ended_with_all_that_it_started(
    tmp_path: Path, script: str, why: str
) -> None:
    path = tmp_path / "pids"
    assert why in str(failure(script.format(path), 0.5))
    until(lambda: not [pid for pid in path.read_text().split() if is_running(int(pid))])


@pytest.mark.parametrize("apart", ["", "setsid "])
def test_what_a_command_leaves_behind_holds_nobody_up(tmp_path: Path, apart: str) -> None:
    """Its output is still open when the command is over."""
    path = tmp_path / "pid"
    assert printed(f"{apart}sleep 3 & echo $! > {path}; echo t1.token") == "t1.token\n"
    if not apart:
        until(lambda: not is_running(int(path.read_text())))


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


def test_a_file_that_is_just_being_written_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.touch()

    async def read() -> str:
        asyncio.get_running_loop().call_later(0.2, path.write_text, "t1.token")
        return (await TokenFile("x", path).fresh(None, NOW)).secret  # type: ignore[arg-type] # unused

    assert asyncio.run(read()) == "t1.token"


@pytest.mark.parametrize("kind", ["pipe", "folder", "large"])
def test_what_is_no_small_file_is_told_and_holds_nothing_up(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "token"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case _:
            path.write_bytes(b"t" * 70_000)
    with pytest.raises(NoCredentialError, match=r"ordinary file|too large|directory"):
        asyncio.run(TokenFile("x", path).fresh(None, NOW))  # type: ignore[arg-type] # unused
