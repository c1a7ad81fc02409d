"""What a shell offers for the value of an option or an argument that its type does not tell."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Suggestion = Callable[
    [click.Context, click.Parameter, str], "list[CompletionItem[str]] | list[str]"
]


def files(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> "list[CompletionItem[str]] | list[str]":
    """The shell's own offer of files."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - for shells only

    return [CompletionItem(incomplete, type="file")]


def values(*known: str) -> Suggestion:
    """Some of these; others may be given as well."""

    def offered(
        _context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[str]:
        return [value for value in known if value.startswith(incomplete)]

    return offered


def models(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> "list[CompletionItem[str]] | list[str]":
    """The models that have a price now."""
    from pipeline.cli.pricing import price_table  # noqa: PLC0415 - it takes time, for shells only

    return [name for name in price_table(None).present.prices if name.startswith(incomplete)]
