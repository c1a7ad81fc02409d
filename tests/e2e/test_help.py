"""Commands begin at once, because they import little: never timed, but seen by what is loaded."""

import subprocess
import sys

import pytest

from pipeline.cli import commands
from tests.e2e.command import FOLDER, Shell

_LOADED = """
import os, sys
from pipeline.cli import main
os._exit = lambda code: print(code, *sys.modules)
main()
"""
_FIRST_CALL = """
import os, sys
from pipeline.network.{module} import {name} as carrier
made = []
make = carrier.__init__
def count(self, *given, **options):
    made.append(self)
    make(self, *given, **options)
async def tell(self, method, url, *rest):
    print(len(made), method, *sys.modules, flush=True)
    os._exit(0)
carrier.__init__, carrier.send = count, tell
from pipeline.cli import main
main()
"""
_COMMANDS = (
    *("run", "validate", "render", "estimate", "status", "retry", "audit", "export", "cost"),
    *("report", "check", "pause", "unpause", "change"),
    *("prices", "emulator", "completion"),
)
_SLOW = {
    *("asyncio", "httpx", "ssl", "sqlite3", "jinja2", "uvicorn", "aiofiles", "jsonlines", "tqdm"),
    *("jwt", "cryptography", "msgspec", "logging", "json", "importlib.resources"),
    *("importlib.metadata", "tempfile", "random", "secrets", "tomllib", "traceback"),
    *("jsonschema_rs", "pipeline.cli.meant", "pipeline.cli.mistakes"),
}


def loaded_by(*arguments: str) -> set[str]:
    """The modules that a call has imported by its end, which must be a good one."""
    said = subprocess.run(
        [sys.executable, "-c", _LOADED, *arguments],
        capture_output=True,
        check=True,
        text=True,
    )
    code, *loaded = said.stdout.splitlines()[-1].split(" ")
    assert code == "0"
    return set(loaded)


def slow_modules() -> set[str]:
    """What nobody is to wait for who only asks what there is."""
    return _SLOW


def _ours(loaded: set[str]) -> set[str]:
    return {name for name in loaded if name.partition(".")[0] == "pipeline"}


@pytest.mark.parametrize("argument", ["--help", "-h", "--version"])
def test_the_list_of_commands_imports_none_of_them(argument: str) -> None:
    loaded = loaded_by(argument)
    assert _ours(loaded) == {
        *("pipeline", "pipeline.cli", "pipeline.cli.menu", "pipeline.errors"),
        *("pipeline.terminal", "pipeline.terminal.speech"),
    }
    assert _SLOW & loaded == set()


@pytest.mark.parametrize("command", _COMMANDS)
def test_help_for_a_command_imports_nothing_that_takes_time(command: str) -> None:
    loaded = loaded_by(command, "--help")
    assert _SLOW & loaded == set()
    commands_loaded = {f"pipeline.cli.{name}" for name in _COMMANDS} & loaded
    assert commands_loaded == {f"pipeline.cli.{command}"}


def test_status_imports_neither_what_calls_nor_what_reads_the_input(shell: Shell) -> None:
    shell.write_rows(1)
    assert shell.call("run", "in.jsonl", "-o", "out.jsonl", "--emulator").code == 0
    loaded = loaded_by("status", str(shell.path("out.jsonl")))
    assert loaded >= {"sqlite3", "pipeline.outside.snapshot"}
    needed = {"msgspec", "json", "tomllib"}
    assert (_SLOW - needed - {"sqlite3"} | {"statistics", "pipeline.ending.eta"}) & loaded == set()


@pytest.mark.parametrize(
    ("http", "name", "others"),
    [
        ("httptools", "HttptoolsCarrier", {"httpx", "aiohttp"}),
        ("httpx", "HttpxCarrier", {"httptools"}),
    ],
)
def test_a_run_s_first_call_waits_for_one_client_and_nothing_that_others_need(
    shell: Shell, http: str, name: str, others: set[str]
) -> None:
    shell.write_rows(1)
    program = _FIRST_CALL.replace("{module}", f"{http}_carrier").replace("{name}", name)
    said = subprocess.run(
        [
            *(sys.executable, "-c", program, "run", "in.jsonl", "-o", "out.jsonl"),
            *("--endpoint", "http://127.0.0.1:9", "--folder-id", FOLDER, "--progress", "none"),
            *("--http", http),
        ],
        cwd=shell.folder,
        env=shell.environment({}),
        capture_output=True,
        check=True,
        text=True,
    )
    clients, method, *loaded = said.stdout.split()
    assert (clients, method) == ("1", "POST")
    unneeded = {"uvicorn", "jsonlines", "tqdm", "jwt", "cryptography", "jsonschema_rs", *others}
    assert unneeded & set(loaded) == set()
    assert {name for name in loaded if name.startswith("pipeline.emulator.")} == set()
    assert {f"pipeline.cli.{name}" for name in _COMMANDS} & set(loaded) == {"pipeline.cli.run"}


def test_every_command_is_listed_with_what_its_module_holds() -> None:
    assert {command.name for command in commands.all_served()} == set(_COMMANDS)
    assert set(commands.commands) == set(_COMMANDS)


def test_no_argument_shows_the_help_and_is_bad_usage(shell: Shell) -> None:
    done = shell.call()
    assert done.code == 2
    assert "Usage: yagpt-batch" in done.out + done.err


def test_an_unknown_option_names_the_one_that_was_meant(shell: Shell) -> None:
    done = shell.call("run", "in.jsonl", "-o", "out.jsonl", "--max-token", 5)
    assert done.code == 2
    assert "--max-tokens" in done.err
