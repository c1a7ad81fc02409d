"""What the documents say of the program is so."""

import re
from pathlib import Path

import click
import pytest

from pipeline.cli import commands
from pipeline.cli.estimate import estimate
from pipeline.cli.run import run
from pipeline.errors import Exit

_ROOT = Path(__file__).parent.parent
_README = (_ROOT / "README.md").read_text(encoding="utf-8")
_DESIGN = (_ROOT / "docs" / "design.md").read_text(encoding="utf-8")


def _options() -> set[str]:
    return {name for command in commands.all_served() for p in command.params for name in p.opts}


def test_every_option_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", _README))
    assert named - _options() == set()


def test_every_exit_code_stands_in_the_readme() -> None:
    table = _README.partition("## Exit codes")[2].partition("\n## ")[0]
    named = {
        int(code)
        for code in re.findall(r"\b\d+\b", "".join(re.findall(r"^\|[^|]*", table, re.MULTILINE)))
    }
    assert {int(code) for code in Exit} - {int(Exit.UNEXPECTED)} <= named


def test_every_module_has_its_room_in_the_design() -> None:
    rooms = _DESIGN.partition("| room |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z_]+)", rooms))
    modules = {path.stem for path in (_ROOT / "pipeline").glob("*.py")} - {"__init__", "__main__"}
    assert modules - named == set()
    assert named - modules - {"cli", "emulator", "prices", "checkpoint"} == set()


@pytest.mark.parametrize("command", [run, estimate], ids=["run", "estimate"])
def test_every_option_has_a_variable_or_says_that_it_is_a_flag_only(
    command: click.Command,
) -> None:
    flags_only = {"--fresh", "--json", "--verbose", "--config"}
    for parameter in command.params:
        if parameter.param_type_name == "option" and not flags_only & set(parameter.opts):
            variables = (
                [parameter.envvar] if isinstance(parameter.envvar, str) else parameter.envvar
            )
            assert variables is not None, parameter.name
            assert variables[0] == "YAGPT_" + str(parameter.name).upper()
