"""What a shell offers while a command is being typed: by click's own machinery, and by shells."""

import os
import pty
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from pipeline.auth.credentials import SOURCES
from pipeline.cli import commands
from tests.e2e.command import PROGRAM, Shell
from tests.e2e.test_help import loaded_by, slow_modules

SHELLS = ("bash", "zsh", "fish")


def offered(*words: str) -> list[str]:
    """What is offered for the last word; files as click tells a shell of them."""
    machinery = BashComplete(commands, {}, "yagpt-batch", "_YAGPT_BATCH_COMPLETE")
    *before, incomplete = words
    found = machinery.get_completions(before, incomplete)
    return [item.value if item.type == "plain" else f"({item.type})" for item in found]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_commands_are_offered_in_the_order_of_the_help() -> None:
    assert offered("") == list(commands.commands)
    assert offered("re") == ["render", "retry", "report"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "--conc"], ["--concurrency"]),
        (
            ["run", "in.jsonl", "-o", "out.jsonl", "--on-"],
            ["--on-doubt", "--on-lost", "--on-finish"],
        ),
        (["run", "--on-doubt", ""], ["resubmit", "fail"]),
        (["run", "--on-doubt", "f"], ["fail"]),
        (["run", "--on-doubt=f"], ["fail"]),
        (["run", "--model", "yandexgpt/"], ["yandexgpt/latest", "yandexgpt/rc"]),
        (["run", "--auth", ""], list(SOURCES)),
        (["run", "--rate", ""], ["10/s", "5000/h", "auto", "none"]),
        (["retry", "out.jsonl", "--stage", "do"], ["doubt"]),
        (["completion", ""], list(SHELLS)),
        (["run", ""], ["(file)"]),
        (["run", "in.jsonl", "-o", ""], ["(file)"]),
        (["estimate", "--json-schema", ""], ["(file)"]),
        (["status", ""], ["(file)"]),
        (["export", "out.jsonl", "-o", ""], ["(file)"]),
    ],
    ids=" ".join,
)
def test_what_fits_is_offered(words: list[str], expected: list[str]) -> None:
    assert offered(*words) == expected


@pytest.mark.parametrize("name", commands.commands)
def test_every_command_offers_its_options_and_something_for_its_arguments(name: str) -> None:
    assert "--help" in offered(name, "--")
    if name not in {"check", "prices", "emulator"}:
        assert offered(name, "") != []


def test_what_is_wrong_so_far_is_no_reason_to_offer_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("yagpt-batch.toml").write_text("this is no TOML")
    monkeypatch.setenv("YAGPT_NO_SUCH_THING", "1")
    assert offered("run", "--temperature", "7", "--json-schema", "none.json", "--conc") == [
        "--concurrency"
    ]


@pytest.mark.parametrize("words", ["yagpt-batch ", "yagpt-batch run --"])
def test_to_offer_something_imports_nothing_that_takes_time(
    monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setenv("_YAGPT_BATCH_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - (not words.endswith(" "))))
    assert slow_modules() & loaded_by() == set()


@pytest.mark.parametrize("name", SHELLS)
def test_the_script_is_one_that_the_shell_can_read(shell: Shell, name: str) -> None:
    done = shell.call("completion", name)
    assert (done.code, done.err) == (0, "")
    assert f"_YAGPT_BATCH_COMPLETE={name}_complete" in done.out
    if shutil.which(name) is None:
        pytest.skip(f"there is no {name} here")
    shell.path("script").write_text(done.out)
    subprocess.run([name, "-n", shell.path("script")], check=True, capture_output=True)


def test_a_shell_that_is_not_known_is_bad_usage(shell: Shell) -> None:
    done = shell.call("completion", "tcsh")
    assert done.code == 2
    assert "SHELL: 'tcsh' is none of bash, zsh, fish" in done.err


class Terminal:
    """An interactive bash, of which we see what a person would."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._seen = ""

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def until(self, text: str, seconds: float = 20.0) -> None:
        """Return once that is shown; what was shown before it no longer counts."""
        deadline = time.perf_counter() + seconds
        while text not in self._seen:
            left = deadline - time.perf_counter()
            assert left > 0, f"{text!r} is not shown, but: {self._seen!r}"
            if select.select([self._master], [], [], left)[0]:
                self._seen += os.read(self._master, 4096).decode(errors="replace")
        self._seen = self._seen.partition(text)[2]


@contextmanager
def interactive_bash(shell: Shell) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    places = f"{Path(PROGRAM).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        ["/bin/bash", "--norc", "--noprofile", "-i"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=shell.folder,
        env=shell.environment(
            {"PATH": places, "TERM": "dumb", "PS1": "$ ", "INPUTRC": "/dev/null"}
        ),
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(master)
    finally:
        process.kill()
        process.wait()
        os.close(master)


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="there is no bash here")
def test_a_real_bash_completes_as_it_is_typed(shell: Shell) -> None:
    shell.path("eine Datei.jsonl").touch()
    with interactive_bash(shell) as terminal:
        # What is typed is shown as well: the sum is only shown by what is done.
        terminal.type('eval "$(yagpt-batch completion bash)"; echo loaded-$((40 + 2))\n')
        terminal.until("loaded-42")
        words = [
            ("yagpt-batch ret\t", "retry "),
            ("yagpt-batch run --conc\t", "--concurrency "),
            ("yagpt-batch run --model yandexgpt/r\t", "yandexgpt/rc "),
            ("yagpt-batch run --on-doubt f\t", "fail "),
            ("yagpt-batch run ei\t", "eine\\ Datei.jsonl "),
        ]
        for number, (typed, completed) in enumerate(words):
            terminal.type(typed)
            terminal.until(completed)
            terminal.type(f"\x15echo next-$(({number} + 40))\n")
            terminal.until(f"next-{number + 40}")
