"""Option values that are texts: given as they are, or as ``@file``, which names a file of one."""

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import click

_FILE = "@"


class Given(str):
    """A text that was given, no longer to be taken for a file's name; `told` names it in brief."""

    __slots__ = ("told",)

    told: str

    def __new__(cls, text: str, told: str | None = None) -> "Given":
        given = super().__new__(cls, text)
        given.told = text if told is None else told
        return given


class TextKind(click.ParamType):  # type: ignore[type-arg] # not generic in older clicks
    """A text, or ``@file``; ``@@`` begins a text that begins with ``@``."""

    name = "text|@file"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Given:
        if isinstance(value, Given):
            return value
        text = str(value)
        if not text.startswith(_FILE):
            return self.checked(Given(text), param, ctx)
        text = text.removeprefix(_FILE)
        if text.startswith(_FILE):
            return self.checked(Given(text), param, ctx)
        return self.checked(self._read(text, param, ctx), param, ctx)

    def checked(
        self,
        text: Given,
        param: click.Parameter | None,  # noqa: ARG002 - for those that check more
        ctx: click.Context | None,  # noqa: ARG002
    ) -> Given:
        """The text, if it is one of this kind."""
        return text

    def _read(self, name: str, param: click.Parameter | None, ctx: click.Context | None) -> Given:
        if not name:
            self.fail(
                f"{_FILE} names no file: write {_FILE}FILE, or {_FILE * 2} for the sign.",
                param,
                ctx,
            )
        hint = f" (A text that itself begins with {_FILE} has two.)"
        text = read_text(name, lambda why: self.fail(why, param, ctx), hint)
        text = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
        if not text or text.isspace():
            self.fail(f"{name} is empty: there is nothing to send.", param, ctx)
        return Given(text, f"{_FILE}{name} ({len(text):,} characters)")


def typed(text: str) -> str:
    """A text as `TextKind` takes it from a command line."""
    return f"{_FILE}{text}" if text.startswith(_FILE) else text


def read_text(name: str, refuse: Callable[[str], NoReturn], hint: str = "") -> str:
    """The text of a file in UTF-8, without a BOM; `refuse` hears what keeps it from being read."""
    try:
        # Not read_text, which would make LF of CR LF in the middle as well.
        return Path(name).expanduser().read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"byte {error.object[error.start]:#04x} at position {error.start}"
        refuse(f"{name} is not UTF-8 ({where}): save it as UTF-8.")
    except (OSError, RuntimeError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        refuse(f"can't read {name}: {why}.{hint}")


class CommandKind(click.ParamType):  # type: ignore[type-arg] # as above
    """A command for a shell; what it holds is not shown again, for it may be a secret."""

    name = "command"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Given:
        if isinstance(value, Given):
            return value
        command = str(value)
        if not command or command.isspace():
            self.fail("the command is empty.", param, ctx)
        return Given(command, f"({len(command):,} characters)")


class SchemaKind(click.ParamType):  # type: ignore[type-arg] # as above
    """The file of a JSON Schema, or the schema itself, which begins with a brace."""

    name = "file"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Given:
        if isinstance(value, Given):
            return value
        from pipeline.codec import NotJson, decode  # noqa: PLC0415 - as below
        from pipeline.input.form import BadSchema, fitting  # noqa: PLC0415

        text = name = str(value)
        if text.startswith("{"):
            name = "the text"
        else:
            text = read_text(name, lambda why: self.fail(why, param, ctx))
        try:
            schema = decode(text.encode("utf-8", "surrogateescape"))
            return Given(fitting(schema).schema.decode(), str(value))
        except NotJson as error:
            self.fail(f"{name} is {error}.", param, ctx)
        except BadSchema as error:
            self.fail(f"{name} is no JSON Schema that can be used: {error}.", param, ctx)


class TemplateKind(TextKind):
    """A text with fields in braces."""

    def checked(
        self, text: Given, param: click.Parameter | None, ctx: click.Context | None
    ) -> Given:
        from pipeline.input.template import Template  # noqa: PLC0415 - help must not wait for it

        try:
            Template.parse(text)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
        return text
