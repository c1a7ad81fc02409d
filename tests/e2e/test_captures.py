"""What a person sees while a run goes on: kept as pictures, and taken anew of the real command."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.view.drawing import WIPE
from tests.e2e.command import FOLDER, PROGRAM, Emulator, Running, Shell
from tests.e2e.hostile import Hostile, Silence
from tests.e2e.terminal import CAPTURES, expect, terminal
from tests.screen import Screen

_FAULTS = ("fails@2", "never-done@3-5", "500-after:submits@6")


def _needs(*tools: str) -> pytest.MarkDecorator:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return pytest.mark.skipif(bool(missing), reason=f"there is no {', '.join(missing)}")


def _rows(shell: Shell, count: int) -> str:
    """In a file that is named alike wherever the test runs."""
    path = shell.write_rows(count)
    with path.open("a") as file:
        file.write("no row\n")
    return path.name


@pytest.fixture
def troubled(shell: Shell) -> Iterator[tuple[Emulator, Running]]:
    """A service with which a run comes to a stand, with rows of all kinds."""
    faults = [word for fault in _FAULTS for word in ("--fault", fault)]
    quotas = ("--rate", "none", "--poll-rate", "none", "--latency", 0.02)
    with shell.started("emulator", "--port", 0, *quotas, *faults) as running:
        running.until(lambda: "Serving on " in running.out)
        yield Emulator(running.out.split()[-1]), running


def _see(name: str, picture: str) -> None:
    """What stands above the first trouble has scrolled away, in some terminals."""
    expect(name, picture, after="? line 6")


@_needs("tmux")
def test_a_terminal_that_is_resized_shows_one_panel_and_every_word(
    shell: Shell, troubled: tuple[Emulator, Running]
) -> None:
    service, server = troubled
    settings = ["--concurrency", "1", "--on-doubt", "fail", "--rate", "none"]
    command = [PROGRAM, "run", _rows(shell, 12), "-o", "out.jsonl", *settings]
    # Its port would take more room at one time than at another.
    environment = shell.environment({"YAGPT_ENDPOINT": service.url, "YAGPT_FOLDER_ID": FOLDER})
    with terminal(command, shell.folder, environment, 80) as shown:
        facts = ("13 submitted", "3 in flight", "7 ok", "2 failed", "1 held", "1 in doubt")
        _see("tmux-80", shown.until(*facts, columns=80))
        shown.resize(40)
        _see("tmux-80-then-40", shown.until(*facts, columns=40))
        server.kill()
        _see("tmux-40-away", shown.until("waiting for the service", columns=40))
        shown.resize(80)
        _see("tmux-80-again", shown.until("waiting for the service", columns=80))
        shown.press("C-c")
        _see("tmux-80-stopped", shown.wait("It ended with 130."))


@_needs("tmux", "bash")
def test_a_shell_that_stops_a_run_has_its_prompt_below_the_panel(
    shell: Shell, service: Hostile
) -> None:
    service.fault = lambda *_: Silence()
    environment = shell.environment({"PS1": "READY "})
    with terminal(["bash", "--norc", "-i"], shell.folder, environment, 80) as shown:
        shown.enter(shlex.join([PROGRAM, *map(str, _call(shell, service)[1:])]))
        shown.wait("0 in flight")
        shown.press("C-z")
        bar, facts, *_ = shown.wait("Stopped").partition("% |")[2].splitlines()
        assert bar.endswith("| 0/13 rows")
        assert facts == "0 submitted · 0 in flight · 0 ok · 0 failed"
        assert shown.wait("READY").rstrip().endswith("READY")
        shown.enter("clear; echo on; fg")
        shown.wait(f"on\n{PROGRAM}")
        assert shown.wait("0 in flight").count("% |") == 1


def _call(shell: Shell, service: Hostile) -> list[str]:
    """Twelve rows and a bad one, within two seconds."""
    rows = _rows(shell, 12)
    return [PROGRAM, "run", rows, "-o", "out.jsonl", *service.options, "--rate", "8/s"]


def _typescript(shell: Shell, command: list[str], **variables: str) -> str:
    """What a command wrote to a terminal of its own, which does not know how wide it is."""
    script = ["script", "--quiet", "--return", "--command", shlex.join(command), "/dev/null"]
    done = subprocess.run(
        script,
        cwd=shell.folder,
        env=shell.environment(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    return done.stdout.decode()


@_needs("script")
def test_what_a_terminal_got_ends_as_one_last_picture(shell: Shell, service: Hostile) -> None:
    written = _typescript(shell, _call(shell, service), TERM="xterm")
    assert written.count(WIPE) > 3
    expect("script", Screen(80, folds=True).feed(written).text)


@_needs("script")
def test_a_dumb_terminal_gets_lines(shell: Shell, service: Hostile) -> None:
    written = _typescript(shell, _call(shell, service), TERM="dumb")
    assert "\x1b" not in written
    expect("lines", written.replace("\r\n", "\n"))


@_needs("script", "nohup")
def test_nohup_keeps_lines(shell: Shell, service: Hostile) -> None:
    written = _typescript(shell, ["nohup", *_call(shell, service)], TERM="xterm")
    assert "nohup.out" in written
    expect("lines", shell.path("nohup.out").read_text(encoding="utf-8"))


def test_a_pipe_gets_lines(shell: Shell, service: Hostile) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" 2>&1 | cat', "sh", *_call(shell, service)],
        cwd=shell.folder,
        env=shell.environment({"TERM": "xterm"}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=True,
    )
    expect("lines", done.stdout.decode())


def test_every_capture_is_looked_at() -> None:
    """Those that no test asks for any more are to be removed."""
    asked = re.findall(
        r'(?:expect|_see)\(\s*"([^"]+)"', Path(__file__).read_text(encoding="utf-8")
    )
    assert {f"{name}.txt" for name in asked} == {path.name for path in CAPTURES.iterdir()}
