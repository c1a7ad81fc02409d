"""Option values that are texts: given as they are, or as ``@file``, which names a file of one."""

from pathlib import Path

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
        try:
            # Not read_text, which would make LF of CR LF in the middle as well.
            text = Path(name).expanduser().read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            where = f"byte {error.object[error.start]:#04x} at position {error.start}"
            self.fail(f"{name} is not UTF-8 ({where}): save it as UTF-8.", param, ctx)
        except (OSError, RuntimeError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            self.fail(
                f"can't read {name}: {why}. (A text that itself begins with {_FILE} has two.)",
                param,
                ctx,
            )
        text = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
        if not text or text.isspace():
            self.fail(f"{name} is empty: there is nothing to send.", param, ctx)
        return Given(text, f"{_FILE}{name} ({len(text):,} characters)")


class TemplateKind(TextKind):
    """A text with fields in braces."""

    def checked(
        self, text: Given, param: click.Parameter | None, ctx: click.Context | None
    ) -> Given:
        from pipeline.rows import Template  # noqa: PLC0415 - help must not wait for it

        try:
            Template.parse(text)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
        return text
