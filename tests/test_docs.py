"""What the documents say of the program is so."""

import re
from pathlib import Path

import click
import pytest

from pipeline.cli.estimate import estimate
from pipeline.cli.run import run

_ROOT = Path(__file__).parent.parent
_DESIGN = (_ROOT / "docs" / "design.md").read_text(encoding="utf-8")


def test_every_module_has_its_package_in_the_design() -> None:
    table = _DESIGN.partition("| package |")[2].partition("\n\n")[0]
    rows = (line.split("|")[1:3] for line in table.splitlines()[2:])
    told = {
        package.strip(" `"): set(re.findall(r"`([a-z_]+)", modules)) for package, modules in rows
    }
    own = _ROOT / "pipeline"
    packages = {path.parent.name: path.parent for path in own.glob("*/__init__.py")} | {
        "in none": own
    }
    assert set(told) == set(packages)
    for package in set(told) - {"cli", "emulator"}:
        modules = {path.stem for path in packages[package].glob("*.py")}
        assert told[package] == modules - {"__init__", "__main__"}, package


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
