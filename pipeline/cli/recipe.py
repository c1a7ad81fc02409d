"""What a command says of every row, as the core takes it."""

from collections.abc import Mapping
from typing import Any

import click

from pipeline.codec import decode
from pipeline.input.form import AnyObject, Form, fitting
from pipeline.input.rows import Recipe
from pipeline.input.template import Template


def recipe_of(options: Mapping[str, Any], folder: str | None) -> Recipe:
    """The recipe; `options` has those of `request_options`, and keep where results are written.

    An empty system text is none: so a flag can take back what the settings file says.

    Raises:
        click.UsageError: options contradict each other.

    """
    template: str | None = options["template"]
    return Recipe(
        model=options["model"],
        folder=folder,
        system=None if not options["system"] else str(options["system"]),
        template=None if template is None else Template.parse(template),
        temperature=options["temperature"],
        max_tokens=options["max_tokens"],
        keep=tuple(options.get("keep", ())),
        form=_form(options.get("json_schema"), any_object=options.get("json_object", False)),
    )


def _form(schema: str | None, *, any_object: bool) -> Form | None:
    if schema is None:
        return AnyObject() if any_object else None
    if any_object:
        raise click.UsageError("--json-object and --json-schema: give one of them.")
    return fitting(decode(schema.encode()))
