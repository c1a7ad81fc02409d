"""A command after the run: bounded, announced, and gone when it is not wanted any more."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import sequel
from pipeline.terminal import signals


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    sentences: list[str] = []
    monkeypatch.setattr(sequel, "say", sentences.append)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield sentences
    # Who listened before listens again.
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_a_command_that_takes_long_is_announced_and_ended_in_the_end(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequel, "_SILENT", 0.2)
    monkeypatch.setattr(sequel, "_LONGEST", 0.4)
    sequel.follow("sleep 600 & exec sleep 600", b"{}\n")
    assert said == [
        "Waiting for the command of --on-finish, an hour at most (Ctrl-C ends it).",
        "The command of --on-finish did not end within 0 h and was ended.",
    ]


def test_what_it_left_in_the_background_is_left_alone(said: list[str], tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    sequel.follow(f"sleep 600 & echo $! > {pids}", b"{}\n")
    os.kill(int(pids.read_text()), signal.SIGKILL)
    assert said == []


@pytest.mark.parametrize(
    ("command", "trouble"),
    [
        ("exit 3", "failed with exit code 3"),
        ("no-such-command-here 2> /dev/null", "failed with exit code 127"),
        ("kill -9 $$", "was ended by SIGKILL"),
        ("echo a\0b", "can't be started: embedded null byte"),
    ],
)
def test_what_went_wrong_is_one_sentence(said: list[str], command: str, trouble: str) -> None:
    sequel.follow(command, b"{}\n")
    assert said == [f"The command of --on-finish {trouble}."]


def test_more_than_a_pipe_holds_is_told_to_the_end(said: list[str], tmp_path: Path) -> None:
    told = b"x" * 1_000_000
    sequel.follow(f"cat > {tmp_path}/told", told)
    assert (tmp_path / "told").read_bytes() == told
    sequel.follow("head -c 1 > /dev/null", told)
    assert said == []


class _Died(BaseException):
    """In the place of death by a signal."""


def test_a_signal_that_comes_while_it_is_started_leaves_nothing_behind(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = list[subprocess.Popen[bytes]]()

    class Interrupted(subprocess.Popen[bytes]):
        def _execute_child(self, *args: Any) -> None:
            super()._execute_child(*args)  # type: ignore[misc] # of no public interface
            started.append(self)
            signal.raise_signal(signal.SIGTERM)

    def die(number: int) -> None:
        assert number == signal.SIGTERM
        raise _Died

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    monkeypatch.setattr(signals, "die_by", die)
    with pytest.raises(_Died):
        sequel.follow("exec sleep 600", b"{}\n")
    (process,) = started
    assert process.returncode == -signal.SIGTERM
    assert process.stdin is not None
    process.stdin.close()
    assert said == []
