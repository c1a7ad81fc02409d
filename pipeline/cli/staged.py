"""Kinds of option values that set the emulator's stage: faults, keys and a clock that is off."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.kinds import DurationKind
from pipeline.emulator.schedules import Fault

if TYPE_CHECKING:
    from pipeline.emulator.keys import AuthorizedKey


class OffsetKind(DurationKind):
    """A duration that may be negative."""

    name = "[-]duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        is_behind = isinstance(value, str) and value.startswith("-")
        try:
            ahead = super().convert(str(value)[1:] if is_behind else value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is no duration: write 90s or 10m, or -90s.", param, ctx)
        return -ahead if is_behind else ahead


class FaultKind(click.ParamType):  # type: ignore[type-arg] # as above
    """What the emulator is to do wrong, and when."""

    name = "fault"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Fault:
        if isinstance(value, Fault):
            return value
        try:
            return Fault.parse(str(value))
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


class KeyFileKind(click.ParamType):  # type: ignore[type-arg] # as above
    """The file of an authorized key, of which the public half is kept."""

    name = "file"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> "AuthorizedKey":
        from pipeline.emulator.keys import AuthorizedKey, NoKeyError  # noqa: PLC0415

        if isinstance(value, AuthorizedKey):
            return value
        try:
            return AuthorizedKey.parse(Path(str(value)).read_bytes())
        except OSError as error:
            self.fail(f"{value} can't be read: {error.strerror}.", param, ctx)
        except NoKeyError as error:
            self.fail(
                f"{value} is no authorized key: {error}; name the file that "
                "`yc iam key create --output` wrote.",
                param,
                ctx,
            )
