"""What the documents say of the program is so."""

import re
from pathlib import Path

import click
import pytest

from pipeline.cli.estimate import estimate
from pipeline.cli.run import run

_ROOT = Path(__file__).parent.parent
_DESIGN = (_ROOT / "docs" / "design.md").read_text(encoding="utf-8")


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
