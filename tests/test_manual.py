"""The manual page is what the program's help says, and groff takes none of it for its own."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from pipeline.cli import commands, manual
from pipeline.errors import Exit

PAGE = Path(__file__).parent.parent / "docs" / "yagpt-batch.1"
_HOSTILE = """\
.SH Not a heading
'quoted' and "quoted", `ticked`, ~/x^2, a\\nb -- dash, ½ ☕ {…}

\b
  .TP is no request here
  'nor this'
  two  spaces   stay
"""


def printed(*words: str, page: str = "", **environment: str) -> str:
    """What a formatter of pages makes of one; it has nothing to warn of."""
    if shutil.which(words[0]) is None:
        pytest.skip(f"there is no {words[0]} here")
    done = subprocess.run(
        words,
        input=page,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environment},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


def shown(page: str) -> str:
    """What a reader sees of a page, each paragraph as one line."""
    return printed("groff", "-man", "-ww", "-Tutf8", "-P-cbou", "-rLL=10000n", page=page)


def test_the_page_is_what_make_man_would_write() -> None:
    assert manual.page() == PAGE.read_text(encoding="ascii"), "call make man"


def test_every_command_option_and_exit_code_is_told() -> None:
    told = manual.page().replace(r"\-", "-")
    for command in commands.all_served():
        assert f'.SS "yagpt-batch {command.name} ' in told
        part = told.partition(f'.SS "yagpt-batch {command.name} ')[2].partition("\n.S")[0]
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert max(parameter.opts, key=len) in part, (command.name, parameter.name)
    listed = told.partition(".SH EXIT STATUS")[2].partition(".SH")[0]
    codes = {int(code) for code in re.findall(r"^\\f.(\d+)\\fR$", listed, re.MULTILINE)}
    assert codes == {*map(int, Exit), 129, 130, 143}


def test_groff_has_nothing_to_warn_of_and_examples_stand_as_written() -> None:
    text = shown(manual.page())
    assert "yagpt-batch run prompts.jsonl -o results.jsonl --emulator     # try it" in text
    assert "echo 'eval \"$(yagpt-batch completion bash)\"' >> ~/.bashrc" in text


def test_mandoc_has_nothing_to_warn_of() -> None:
    said = printed("mandoc", "-Tlint", "-Wwarning", str(PAGE))
    # The page of a version has no date.
    assert [line for line in said.splitlines() if "missing date" not in line] == []


def test_man_shows_the_page() -> None:
    text = printed("man", "-l", "--warnings", str(PAGE), MANWIDTH="100")
    assert "Send every row of INPUT and write every answer to OUTPUT." in text


def test_what_a_help_text_holds_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "help", _HOSTILE)
    text = shown(manual.page())
    for line in _HOSTILE.replace("\b\n", "").splitlines():
        assert line in text
