"""The commands by name. One is imported when it is called, so that it costs the others nothing."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class Menu(click.Group):
    """A group that lists its commands by a few words; each is the function of a module's name.

    They stand in the order in which they are offered.
    """

    def __init__(self, *, offers: Mapping[str, str], **settings: Any) -> None:
        listed = [click.Command(name, short_help=what) for name, what in offers.items()]
        super().__init__(commands=listed, **settings)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands and not args[0].startswith("-"):
            self._refuse(ctx, args[0])
        name, listed, rest = super().resolve_command(ctx, args)
        return name, None if listed is None or name is None else self.served(name), rest

    def _refuse(self, ctx: click.Context, name: str) -> None:
        if ctx.resilient_parsing:
            return
        from pipeline.cli.meant import meant  # noqa: PLC0415 - at mistakes only

        raise click.UsageError(f'there is no command "{name}"{meant(name, self.commands)}', ctx)

    def served(self, name: str) -> click.Command:
        """The command itself, which `get_command` has the name and the words of."""
        command = getattr(import_module(f"pipeline.cli.{name}"), name)
        assert isinstance(command, click.Command)  # noqa: S101 - by the tests, one of each
        return command

    def all_served(self) -> list[click.Command]:
        return [self.served(name) for name in self.commands]
