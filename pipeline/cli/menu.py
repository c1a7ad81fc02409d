"""The commands by name. One is imported when it is called, so that it costs the others nothing."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class Menu(click.Group):
    """A group that lists its commands by a few words; each is the function of a module's name."""

    def __init__(self, *, offers: Mapping[str, str], **settings: Any) -> None:
        listed = [click.Command(name, short_help=what) for name, what in offers.items()]
        super().__init__(commands=listed, **settings)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, listed, rest = super().resolve_command(ctx, args)
        return name, None if listed is None or name is None else self.served(name), rest

    def served(self, name: str) -> click.Command:
        """The command itself, which `get_command` has the name and the words of."""
        command = getattr(import_module(f"pipeline.cli.{name}"), name)
        assert isinstance(command, click.Command)  # noqa: S101 - by the tests, one of each
        return command

    def all_served(self) -> list[click.Command]:
        return [self.served(name) for name in self.commands]
