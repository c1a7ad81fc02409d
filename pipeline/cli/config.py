"""The settings file: a key is the long name of an option of `run` or `estimate`."""

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from pipeline.cli.menu import Menu

DEFAULT_FILE = Path("yagpt-batch.toml")
FILE_READ = "yagpt-batch settings file"
_FLAGS_ONLY = {"--config", "--fresh", "--help", "--input", "--stage", "--code", "--dry-run"}


def load_config(context: click.Context, _parameter: click.Parameter, given: Path | None) -> None:
    """Make the file's values the defaults of all options; flags and environment still win.

    Raises:
        click.UsageError: the file is no TOML, or has a key that names no option.

    """
    path = given or DEFAULT_FILE
    if given is None and not path.is_file():
        return
    values = _read(path)
    own = _options(context.command)
    others = [key for key in values if key not in own]
    if others:
        _check_known(others, _options_of_all(context), path)
    context.default_map = {
        option.name: _value(values[key], option) for key, option in own.items() if key in values
    }
    context.meta[FILE_READ] = path


def _options(command: click.Command) -> dict[str, click.Option]:
    return {
        name.removeprefix("--"): parameter
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in parameter.opts
        if name.startswith("--") and name not in _FLAGS_ONLY
    }


def _options_of_all(context: click.Context) -> dict[str, click.Option]:
    """Those of every command that reads the file: one file serves them all."""
    group = context.parent.command if context.parent else None
    commands = group.all_served() if isinstance(group, Menu) else ()
    found: dict[str, click.Option] = {}
    for command in commands:
        if any(parameter.callback is load_config for parameter in command.params):
            found |= _options(command)
    return found | _options(context.command)


def setting(key: str) -> Any:
    """What ./yagpt-batch.toml says of one thing, for commands that read nothing else of it.

    Raises:
        click.UsageError: the file is no TOML.

    """
    return _read(DEFAULT_FILE).get(key) if DEFAULT_FILE.is_file() else None


def _read(path: Path) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - where there is no file, it is not read

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise click.UsageError(f"{path}: {error}") from None


def _check_known(keys: Iterable[str], options: Collection[str], path: Path) -> None:
    from difflib import get_close_matches  # noqa: PLC0415 - of use once in a while only

    for key in keys:
        if key not in options:
            close = get_close_matches(key, options, n=1)
            hint = f'; did you mean "{close[0]}"?' if close else ""
            raise click.UsageError(f'{path}: "{key}" is no setting{hint}')


def _value(value: Any, option: click.Option) -> Any:
    """TOML's values as the strings that a command line would have."""
    if option.multiple:
        return [str(item) for item in (value if isinstance(value, list) else [value])]
    return value if isinstance(value, bool) else str(value)


def show_settings(context: click.Context) -> Iterator[str]:
    """Each setting that is not a default, and where it comes from."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is None or source.name == "DEFAULT" or not isinstance(parameter, click.Option):
            continue
        value = context.params.get(parameter.name or "")
        if value is None:
            continue
        shown = " ".join(map(str, value)) if isinstance(value, tuple) else value
        yield f"{parameter.opts[-1]} {shown}, from {_origin(context, parameter, source)}"


def _origin(context: click.Context, option: click.Option, source: ParameterSource) -> str:
    match source:
        case ParameterSource.ENVIRONMENT:
            given = option.envvar or ""
            names = [given] if isinstance(given, str) else given
            return next((name for name in names if os.environ.get(name)), "the environment")
        case ParameterSource.DEFAULT_MAP:
            return str(context.meta[FILE_READ])
        case _:
            return "the command line"
