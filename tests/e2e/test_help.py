"""Help answers at once, because it imports little."""

import json
import subprocess
import sys

import pytest

from tests.e2e.command import Shell

_LOADED = """
import json, sys
from pipeline.cli import main
sys.argv[1:] = json.loads(sys.argv[1])
try:
    main()
except SystemExit as end:
    print(json.dumps([end.code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["-h"],
        ["--version"],
        *([name, "-h"] for name in ("run", "estimate", "check", "status", "audit", "cost")),
        *([name, "-h"] for name in ("retry", "export")),
        *([name, "-h"] for name in ("prices", "emulator")),
        ["run", "--help"],
    ],
    ids=" ".join,
)
def test_help_imports_nothing_that_takes_time(arguments: list[str]) -> None:
    said = subprocess.run(
        [sys.executable, "-c", _LOADED, json.dumps(arguments)],
        capture_output=True,
        check=True,
        text=True,
    )
    code, loaded = json.loads(said.stdout.splitlines()[-1])
    assert code == 0
    slow = {"httpx", "tqdm", "asyncio", "sqlite3", "uvicorn", "aiofiles", "jsonlines", "jwt"}
    slow |= {"cryptography"}
    assert slow.isdisjoint(loaded)


def test_no_argument_shows_the_help_and_is_bad_usage(shell: Shell) -> None:
    done = shell.call()
    assert done.code == 2
    assert "Usage: yagpt-batch" in done.out + done.err


def test_an_unknown_option_names_the_one_that_was_meant(shell: Shell) -> None:
    done = shell.call("run", "in.jsonl", "-o", "out.jsonl", "--max-token", 5)
    assert done.code == 2
    assert "--max-tokens" in done.err
