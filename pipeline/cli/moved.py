"""Where the input is, for commands that find it by the checkpoint unless it was moved."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def input_option(more: str = "") -> Callable[[_Command], _Command]:
    """`--input FILE`, as `given_input`; `more` is what the help says of it beside."""
    return click.option(
        "--input",
        "given_input",
        type=click.Path(path_type=Path),
        help=f"The input, where it is not where it was{more}.",
    )
