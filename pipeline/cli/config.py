"""The settings file: a key is the long name of an option of `run`."""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

DEFAULT_FILE = Path("yagpt-batch.toml")


def load_config(context: click.Context, _parameter: click.Parameter, given: Path | None) -> None:
    """Make the file's values the defaults of all options; flags and environment still win.

    Raises:
        click.UsageError: the file is no TOML, or has a key that names no option.

    """
    path = given or DEFAULT_FILE
    if given is None and not path.is_file():
        return
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise click.UsageError(f"{path}: {error}") from None
    names = {
        option.removeprefix("--"): parameter.name
        for parameter in context.command.params
        for option in [*parameter.opts, *parameter.secondary_opts]
        if option.startswith("--") and option not in {"--config", "--fresh", "--help"}
    }
    context.default_map = {_known(key, names, path): _value(v) for key, v in values.items()}


def _known(key: str, names: Mapping[str, str | None], path: Path) -> str:
    name = names.get(key)
    if name is not None:
        return name
    close = difflib.get_close_matches(key, names, n=1)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    raise click.UsageError(f'{path}: "{key}" is no setting{hint}')


def _value(value: Any) -> Any:
    """TOML's numbers as the strings that a command line would have."""
    if isinstance(value, list):
        return [str(item) for item in value]
    return value if isinstance(value, bool) else str(value)
