"""The environment variables that mean something to this program."""

from collections.abc import Collection, Iterable, Iterator, Mapping

import click

from pipeline.cli.menu import Menu

PREFIX = "YAGPT_"


def check_variables(context: click.Context, environment: Mapping[str, str]) -> None:
    """Look for a mistyped variable, which would be a setting that goes without effect.

    Raises:
        click.UsageError: a name that begins with YAGPT_ and is none of ours.

    """
    others = {name for name in environment if name.startswith(PREFIX)} - set(_of(context.command))
    others -= set(_no_options()) if others else set()
    # Those of other commands are looked for only if there are any: it means importing them all.
    if others:
        _check(sorted(others), set(known(context)))


def known(context: click.Context) -> Iterator[str]:
    """Every variable of any command, and those that are no options."""
    group = context.parent.command if context.parent else context.command
    for command in group.all_served() if isinstance(group, Menu) else (group,):
        yield from _of(command)
    yield from _no_options()


def _no_options() -> Iterator[str]:
    from dataclasses import fields  # noqa: PLC0415 - help must not wait for it, nor for these

    from pipeline.auth.credentials import SOURCES  # noqa: PLC0415
    from pipeline.network.endpoints import Endpoints  # noqa: PLC0415

    for source in SOURCES:
        yield PREFIX + source.upper().replace("-", "_")
    for field in fields(Endpoints):
        yield f"{PREFIX}{field.name.upper()}_URL"


def _of(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        named = parameter.envvar or ()
        yield from [named] if isinstance(named, str) else named


def _check(names: Iterable[str], ours: Collection[str]) -> None:
    for name in names:
        if name not in ours:
            from pipeline.cli.meant import meant  # noqa: PLC0415 - at mistakes only

            what = f"the environment has {name}, which is no variable of yagpt-batch"
            raise click.UsageError(f"{what}{meant(name, ours)}")
