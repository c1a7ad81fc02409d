"""What a command says of every row, as the core takes it."""

from collections.abc import Mapping
from typing import Any

import click

from pipeline.emulator.model import Config
from pipeline.rows import Recipe, Template

ANY_FOLDER = Config().folder
"""Stands in a request's model URI where nobody will be asked."""


def recipe_of(options: Mapping[str, Any], folder: str | None) -> Recipe:
    """The recipe; `options` has those of `request_options`, and keep where results are written.

    Raises:
        click.UsageError: a template that is none.

    """
    return Recipe(
        model=options["model"],
        folder=folder,
        system=options["system"],
        template=_template(options["template"]),
        temperature=options["temperature"],
        max_tokens=options["max_tokens"],
        keep=tuple(options.get("keep", ())),
    )


def _template(text: str | None) -> Template | None:
    if text is None:
        return None
    try:
        return Template.parse(text)
    except ValueError as error:
        raise click.UsageError(f"--template: {error}.") from None
