"""Every command of README.md is called as it stands there, and ends and speaks as is said there.

All of them in one folder, in their order, as a newcomer would. The service of the folder's account
is an emulator on this machine whose second, third and fourth operations fail, once.
"""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.command import FOLDER, PROGRAM, Shell, count_lines
from tests.readme import README, ROOT, Shown, commands_in

_KILLED, *_BLOCKS = commands_in(README)
# Needs a run that goes on.
_STEERED = next(block for block in _BLOCKS if block[0].line.startswith("yagpt-batch pause"))
_COMMANDS = [shown for block in _BLOCKS if block is not _STEERED for shown in block]
_NOT_CALLED = {
    "pip install '.[fast]'": "asks a package index",
    "export YC_API_KEY=... YC_FOLDER_ID=b1g...": "the credential is made up here",
}
_CALLED = [shown for shown in _COMMANDS if shown.line not in _NOT_CALLED]
_SERVED = "yagpt-batch emulator --port 8080"
_SERVED_AT = "http://127.0.0.1:8080"
# As many as by default, but faster.
_QUICK_RATES, _QUICK_POLLS = "100/s 5000/h", "500/s"

Ended = dict[str, tuple[int, str]]


class Folder:
    """Where the commands are called, and what they find there."""

    def __init__(self, shell: Shell, stack: ExitStack) -> None:
        self._shell, self._stack = shell, stack
        shutil.copytree(ROOT / "samples", shell.path("samples"))
        faults = "--fault", "fails@2-4"
        service = shell.emulator(
            "--latency", 0.1, "--rate", "none", "--poll-rate", "none", *faults
        )
        self._variables: dict[str, str | None] = {
            "YAGPT_ENDPOINT": stack.enter_context(service).url,
            "YAGPT_RATE": _QUICK_RATES,
            "YAGPT_POLL_RATE": _QUICK_POLLS,
            # No more than `--like` needs.
            "YAGPT_LIMIT": "30",
            "YC_FOLDER_ID": FOLDER,
        }
        self._served: str | None = None

    def call(self, line: str) -> tuple[int, str]:
        """How a line of shell ends, and all that it says."""
        if line == _SERVED:
            return self._serve()
        environment = self._shell.environment(self._variables)
        environment["PATH"] = f"{Path(PROGRAM).parent}:{environment['PATH']}"
        done = subprocess.run(
            ["/bin/sh", "-c", line.replace(_SERVED_AT, self._served or "")],
            check=False,
            cwd=self._shell.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=60,
        )
        return done.returncode, done.stdout

    def _serve(self) -> tuple[int, str]:
        """Serve as the line says, but on a port that is free, until all is over."""
        self._served = self._stack.enter_context(self._shell.emulator("--latency", 0.1)).url
        return 0, self._served


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ended]:
    with ExitStack() as stack:
        folder = Folder(Shell(tmp_path_factory.mktemp("readme")), stack)
        yield {shown.line: folder.call(shown.line) for shown in _CALLED}


def _masked(line: str) -> str:
    """What stays the same of a line from call to call."""
    without_hosts = re.sub(r"https?://[\w.:-]+", "URL", line)
    return " ".join(re.sub(r"\d[\d.,:-]*", "#", without_hosts).split())


def test_no_command_is_shown_twice_and_nothing_is_left_uncalled_that_could_be() -> None:
    lines = [shown.line for shown in (*_COMMANDS, *_STEERED)]
    assert len(lines) == len(set(lines))
    assert set(_NOT_CALLED) <= set(lines)
    assert not any(line.startswith("yagpt-batch") for line in _NOT_CALLED)


@pytest.mark.parametrize("shown", _CALLED, ids=lambda shown: shown.line)
def test_a_command_ends_and_speaks_as_the_readme_says(shown: Shown, ended: Ended) -> None:
    code, said = ended[shown.line]
    assert code == shown.code, said
    missing = {_masked(line) for line in shown.said} - {_masked(x) for x in said.splitlines()}
    assert missing == set(), said


@pytest.mark.promise("P4")
def test_the_run_that_is_killed_on_the_first_screen_goes_on_as_it_shows(shell: Shell) -> None:
    first, again = _KILLED
    assert first.line == again.line
    # Fewer than there, for the embedded service keeps to its quota.
    shell.write_rows(15, "prompts.jsonl")
    call, output = first.line.split()[1:], shell.path("results.jsonl")
    with shell.started(*call) as running:
        running.until(lambda: count_lines(output) > 0)
        running.signal(signal.SIGKILL)
        assert running.wait().code == -signal.SIGKILL
    done = shell.call(*call)
    assert done.code == 0
    said = "\n".join(_masked(line) for line in (done.err + done.out).splitlines())
    told = [_masked(line) for line in again.said if "█" not in line]
    assert len(told) > 3
    assert [line for line in told if line not in said] == []


def test_a_run_is_steered_from_another_shell_as_is_shown(shell: Shell) -> None:
    shell.write_rows(20)
    call = ["run", "in.jsonl", "-o", "results.jsonl", "--max-tokens", 50, "--budget", 5]
    with (
        shell.emulator("--latency", 0.1, "--rate", "none") as service,
        shell.started(*call, *service.options, "--rate", "2/s") as running,
    ):
        running.until(lambda: count_lines(shell.path("results.jsonl")) > 0)
        for shown in _STEERED:
            done = shell.call(*shown.line.split()[1:])
            assert done.code == shown.code, done.err
        assert running.wait().code == 0
    # Of it `change` said something that came true.
    assert "2500/h" in running.err or "2,500 an hour" in running.err
