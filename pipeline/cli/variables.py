"""The environment variables that mean something to this program."""

from collections.abc import Iterator, Mapping
from dataclasses import fields

import click

from pipeline.cli.meant import meant
from pipeline.credentials import SOURCES
from pipeline.endpoints import Endpoints

PREFIX = "YAGPT_"


def check_variables(context: click.Context, environment: Mapping[str, str]) -> None:
    """Look for a mistyped variable, which would be a setting that goes without effect.

    Raises:
        click.UsageError: a name that begins with YAGPT_ and is none of ours.

    """
    ours = set(known(context))
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in ours:
            what = f"the environment has {name}, which is no variable of yagpt-batch"
            raise click.UsageError(f"{what}{meant(name, ours)}")


def known(context: click.Context) -> Iterator[str]:
    """Every variable of any command, and those that are no options."""
    group = context.parent.command if context.parent else context.command
    commands = group.commands.values() if isinstance(group, click.Group) else (group,)
    for command in commands:
        for parameter in command.params:
            named = parameter.envvar or ()
            yield from [named] if isinstance(named, str) else named
    for source in SOURCES:
        yield PREFIX + source.upper().replace("-", "_")
    for field in fields(Endpoints):
        yield f"{PREFIX}{field.name.upper()}_URL"
