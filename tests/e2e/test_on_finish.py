"""`--on-finish`: called at every ordered end, told of it, and of no consequence to it."""

import json
import os
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import UNLIMITED, Shell, count_lines, until
from tests.e2e.hostile import RUDE, Hostile, Say, Silence
from tests.oracle import check

KEEP = "cat > told.json"
_WITH_A_BUG = """
from pipeline.cli import execute, main
async def carry(*_, **__):
    raise ZeroDivisionError
execute.carry = carry
main()
"""


def told(shell: Shell) -> Any:
    return json.loads(shell.path("told.json").read_bytes())


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def read_pids(path: Path) -> list[int]:
    return [int(pid) for pid in path.read_text().split()]


@pytest.mark.parametrize("where", ["flag", "variable", "file"])
def test_a_command_is_told_what_scripts_are_told(
    shell: Shell, service: Hostile, where: str
) -> None:
    rows = shell.write_rows(3)
    call = ["run", rows, "-o", "out.jsonl", *service.options, "--json", "--progress", "none"]
    call += ["--on-finish", KEEP] if where == "flag" else []
    if where == "file":
        shell.path("yagpt-batch.toml").write_text(f'on-finish = "{KEEP}"\n')
    done = shell.call(*call, YAGPT_ON_FINISH=KEEP if where == "variable" else None)
    assert (done.code, done.err) == (0, "")
    assert told(shell) == done.json
    assert done.json["end"] == "complete"
    assert (done.json["folder"], done.json["output"]) == (str(shell.folder), "out.jsonl")


def test_what_it_prints_goes_to_standard_error_and_its_failure_changes_no_exit_code(
    shell: Shell, service: Hostile
) -> None:
    call = ["run", shell.write_rows(2), "-o", "out.jsonl", *service.options, "--json"]
    done = shell.call(*call, "--on-finish", "echo said; exit 7", "--progress", "none")
    assert done.code == 0
    assert done.json["exit"] == 0
    assert done.err == "said\nThe command of --on-finish failed with exit code 7.\n"


def test_a_command_that_does_not_read_is_no_trouble(shell: Shell, service: Hostile) -> None:
    call = ["run", shell.write_rows(2), "-o", "out.jsonl", *service.options]
    done = shell.call(*call, "--on-finish", "exec <&-; true", "--progress", "none")
    assert (done.code, done.err) == (0, "")


def test_it_is_called_when_the_run_s_files_are_free(shell: Shell, service: Hostile) -> None:
    rows = shell.write_rows(3)
    service.fault = lambda number, _: RUDE if number == 2 else None
    again = shlex.join(["retry", "out.jsonl", *service.retry_options])
    done = shell.call(
        *("run", rows, "-o", "out.jsonl", *service.options),
        *("--on-finish", f"{shlex.quote(shell.program)} {again}"),
    )
    assert done.code == 3
    assert len(check(rows, shell.path("out.jsonl")).results) == 3


def test_a_run_that_is_stopped_tells_how_it_goes_on_and_dies_by_the_signal(
    shell: Shell, service: Hostile
) -> None:
    rows, output = shell.write_rows(40), shell.path("out.jsonl")
    call = ["run", rows, "-o", output, *service.options, "--rate", "20/s"]
    with shell.started(*call, "--on-finish", f"{KEEP} # s3cret") as running:
        running.until(lambda: count_lines(output) >= 2)
        running.signal(signal.SIGTERM)
        assert running.wait(15).code == -signal.SIGTERM
    said = told(shell)
    assert (said["exit"], said["end"]) == (143, "signal")
    assert said["left"] == 40 - said["rows"] > 0
    assert "s3cret" not in json.dumps(said)
    program, *again = shlex.split(said["resume"])
    assert program == "yagpt-batch"
    assert shell.call(*again).code == 0


def test_an_end_by_an_error_is_told_with_why(shell: Shell, service: Hostile) -> None:
    service.fault = lambda number, _: Say(403, b'{"message": "no"}') if number > 1 else None
    call = ["run", shell.write_rows(5), "-o", "out.jsonl", *service.options]
    done = shell.call(*call, "--on-finish", KEEP)
    assert done.code == 77
    said = told(shell)
    assert (said["exit"], said["end"]) == (77, "no_permission")
    assert f"yagpt-batch: {said['why']}\n" in done.err


def test_a_bug_is_told_as_one(shell: Shell, service: Hostile) -> None:
    call = ["run", shell.write_rows(1), "-o", "out.jsonl", *service.options, "--on-finish", KEEP]
    done = subprocess.run(
        [sys.executable, "-c", _WITH_A_BUG, *map(str, call)],
        cwd=shell.folder,
        env=shell.environment({}),
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    said = told(shell)
    assert (said["exit"], said["end"], said["next"]) == (1, "unexpected", [])
    assert said["why"] == "a bug; nothing on disk is lost"


@pytest.mark.parametrize("more", [["--temperature", "7"], ["--on-finish", " "], ["--budget", "5"]])
def test_a_run_that_could_not_begin_calls_nothing(
    shell: Shell, service: Hostile, more: list[str]
) -> None:
    call = ["run", shell.write_rows(1), "-o", "out.jsonl", *service.options]
    assert shell.call(*call, "--on-finish", KEEP, *more).code == 2
    assert not shell.path("told.json").exists()


def test_a_run_that_another_process_has_calls_nothing(shell: Shell, service: Hostile) -> None:
    service.fault = lambda *_: Silence()
    call = ["run", shell.write_rows(1), "-o", "out.jsonl", *service.options]
    with shell.started(*call) as running:
        running.until(lambda: len(service.submits) == 1)
        assert shell.call(*call, "--on-finish", KEEP).code == 75
        running.kill()
    assert not shell.path("told.json").exists()


def test_a_retry_calls_it_too(shell: Shell, service: Hostile) -> None:
    service.fault = lambda number, _: RUDE if number == 2 else None
    call = ["run", shell.write_rows(3), "-o", "out.jsonl", *service.options]
    assert shell.call(*call).code == 3
    retry = ["retry", "out.jsonl", "--endpoint", service.url, *UNLIMITED, "--on-finish", KEEP]
    assert shell.call(*retry).code == 0
    assert (told(shell)["ok"], told(shell)["exit"]) == (3, 0)


@pytest.mark.promise("P10")
@pytest.mark.parametrize("stubborn", [False, True])
def test_a_signal_ends_the_command_with_all_it_started(
    shell: Shell, service: Hostile, *, stubborn: bool
) -> None:
    pids = shell.path("pids")
    trap = "trap '' TERM; " if stubborn else ""
    command = f"{trap}sleep 600 & echo $! $$ > pids.new; mv pids.new pids; wait; wait"
    call = ["run", shell.write_rows(1), "-o", "out.jsonl", *service.options]
    with shell.started(*call, "--on-finish", command) as running:
        running.until(pids.exists)
        running.signal(signal.SIGINT)
        if stubborn:
            # The one that is asked nicely has a while; the next signal takes that away.
            assert not any(has_ended(pid) for pid in read_pids(pids))
            running.signal(signal.SIGINT)
        assert running.wait(10).code == -signal.SIGINT
    try:
        until(lambda: all(has_ended(pid) for pid in read_pids(pids)))
    finally:
        for pid in filter(lambda pid: not has_ended(pid), read_pids(pids)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_it_has_the_user_s_environment_and_no_file_of_ours(shell: Shell, service: Hostile) -> None:
    call = ["run", shell.write_rows(1), "-o", "out.jsonl", *service.options]
    command = "env > env; ls /proc/self/fd > fds"
    assert shell.call(*call, "--on-finish", command, MINE="1").code == 0
    given = shell.environment({"MINE": "1"})
    names = {line.partition("=")[0] for line in shell.path("env").read_text().splitlines()}
    # What a shell sets for itself.
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == set(given)
    # Its own standard streams, and the folder that is being listed.
    assert len(shell.path("fds").read_text().split()) == 4


def test_verbose_says_where_the_command_comes_from_and_not_what_it_is(
    shell: Shell, service: Hostile
) -> None:
    call = ["run", shell.write_rows(1), "-o", "out.jsonl", *service.options, "-v"]
    done = shell.call(*call, YAGPT_ON_FINISH="true s3cret")
    assert done.code == 0
    assert "--on-finish (11 characters), from YAGPT_ON_FINISH" in done.err
    assert "s3cret" not in done.err


def test_the_terminal_is_not_the_command_s(shell: Shell, service: Hostile) -> None:
    call = ["run", shell.write_rows(1), "-o", "out.jsonl", *service.options]
    assert shell.call(*call, "--on-finish", "cut -d' ' -f6 /proc/$$/stat > sid").code == 0
    assert int(shell.path("sid").read_text()) != os.getsid(0)
