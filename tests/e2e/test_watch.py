"""`status --watch` looks until the run has ended, on a terminal in place, and disturbs nobody."""

import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.command import PROGRAM, Running, Shell, count_lines
from tests.e2e.hostile import Hostile, Silence

OFTEN = ("--watch", "0.2")


class Terminal:
    """What a process writes to one."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.sent = ""

    def read(self) -> str:
        """All that was sent up to now and a moment on; the end of the process ends it."""
        with suppress(OSError):
            self.sent += os.read(self._fd, 65_536).decode()
        return self.sent

    def read_all(self) -> str:
        while True:
            try:
                more = os.read(self._fd, 65_536)
            except OSError:
                return self.sent
            if not more:
                return self.sent
            self.sent += more.decode()


@contextmanager
def on_terminal(
    shell: Shell, columns: int, *arguments: object
) -> Iterator[tuple[Terminal, subprocess.Popen[bytes]]]:
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [PROGRAM, *map(str, arguments)],
        cwd=shell.folder,
        env=shell.environment({"TERM": "xterm"}),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
    )
    os.close(theirs)
    try:
        yield Terminal(ours), process
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@contextmanager
def running(shell: Shell, service: Hostile, count: int = 40) -> Iterator[tuple[Path, Running]]:
    """A run that goes on for as long as the service does not relent."""
    rows, output = shell.write_rows(count), shell.path("out.jsonl")
    service.fault = lambda number, _: Silence() if number > 20 else None
    with shell.started("run", rows, "-o", output, *service.options) as run:
        run.until(lambda: count_lines(output) == 20)
        yield output, run
        assert run.wait().code == 0


def test_a_line_of_json_comes_with_each_look_until_the_run_has_ended(
    shell: Shell, service: Hostile
) -> None:
    with (
        running(shell, service) as (output, _),
        shell.started("status", output, "--json", *OFTEN) as watching,
    ):
        watching.until(lambda: watching.out.count("\n") >= 3)
        service.relent()
        watched = watching.wait()
    assert (watched.code, watched.err) == (0, "")
    looks = [json.loads(line) for line in watched.out.splitlines()]
    assert {look["state"] for look in looks[:-1]} == {"running"}
    assert looks[-1]["state"] == "finished"
    done = [look["rows"]["done"] for look in looks]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (20, 40)
    moments = [look["at"] for look in looks]
    assert moments == sorted(moments)


def test_without_a_terminal_each_look_is_a_block(shell: Shell, service: Hostile) -> None:
    with (
        running(shell, service) as (output, _),
        shell.started("status", output, *OFTEN) as watching,
    ):
        watching.until(lambda: watching.out.count("\n\n") >= 3)
        service.relent()
        watched = watching.wait()
    blocks = watched.out.split("\n\n")
    assert all(block.startswith(f"{output}: running, ") for block in blocks[:-1])
    assert f"{output}: finished, 40 of 40 rows done." in blocks[-1]
    assert "\x1b" not in watched.out


def test_on_a_narrow_terminal_looks_are_drawn_in_place_and_fit(
    shell: Shell, service: Hostile
) -> None:
    with (
        running(shell, service) as (output, _),
        on_terminal(shell, 30, "status", output.name, *OFTEN) as (terminal, process),
    ):
        while terminal.read().count("\x1b[H") < 3:
            assert process.poll() is None
        service.relent()
        sent = terminal.read_all()
        assert process.wait() == 0
    assert sent.count("\x1b[2J") == 1
    assert sent.startswith("\x1b[2J\x1b[H")
    looks = sent.split("\x1b[H")[1:]
    for look in looks:
        lines = re.sub("\x1b\\[[0-9]*[KJ]", "", look).replace("\r", "").split("\n")
        assert max(map(len, lines)) < 30
        assert len(lines) <= 24
    assert looks[0].startswith("out.jsonl: running,")
    assert looks[-1].startswith("out.jsonl: finished,")


@pytest.mark.promise("P10")
def test_ctrl_c_ends_the_watching_by_the_signal_and_not_the_run(
    shell: Shell, service: Hostile
) -> None:
    with (
        running(shell, service) as (output, _),
        on_terminal(shell, 80, "status", output, *OFTEN) as (terminal, process),
    ):
        while "Ctrl-C leaves it alone" not in terminal.read():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == -signal.SIGINT
        service.relent()


def test_a_reader_that_goes_away_ends_it(shell: Shell, service: Hostile) -> None:
    with running(shell, service) as (output, run):
        process = subprocess.Popen(
            [PROGRAM, "status", str(output), "--json", *OFTEN],
            env=shell.environment({}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.wait(20) == 0
        assert process.stderr.read() == b""
        process.stderr.close()
        assert not run.has_ended
        service.relent()


def test_where_nothing_goes_on_one_look_is_all(shell: Shell, service: Hostile) -> None:
    rows, output = shell.write_rows(3), shell.path("out.jsonl")
    assert shell.call("run", rows, "-o", output, *service.options).code == 0
    once = shell.call("status", output).out
    assert shell.call("status", output, "--watch").out == once
    wrong = shell.call("status", "--watch", output)
    assert wrong.code == 2
    assert "OUTPUT goes before it" in wrong.err
    assert shell.call("status", output, "--watch", "0").code == 2
    assert shell.call("status", shell.path("none.jsonl"), "--watch").code == 65
