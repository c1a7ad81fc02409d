"""The settings file: a key is the long name of an option of `run` or `estimate`."""

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from pipeline.cli.kinds import DurationKind, MomentKind
from pipeline.cli.menu import Menu
from pipeline.cli.texts import Given, read_text
from pipeline.cli.variables import check_variables
from pipeline.clock import local_day_and_time

DEFAULT_FILE = Path("yagpt-batch.toml")
FILE_READ = "yagpt-batch settings file"
FLAGS_ONLY = {"--config", "--fresh", "--help", "--input", "--stage", "--code", "--dry-run"}


def load_config(context: click.Context, _parameter: click.Parameter, given: Path | None) -> None:
    """Make the file's values the defaults of all options; flags and environment still win.

    Raises:
        click.UsageError: the file is no TOML, or a key of it or a variable names no option.

    """
    if context.resilient_parsing:
        # A shell asks what could come next: not to be told what is wrong so far.
        return
    check_variables(context, os.environ)
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
        if name.startswith("--") and name not in FLAGS_ONLY
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
        return tomllib.loads(read_text(str(path), _refuse))
    except tomllib.TOMLDecodeError as error:
        raise click.UsageError(f"{path} is not TOML: {error}.") from None


def _refuse(why: str) -> NoReturn:
    raise click.UsageError(f"the settings file: {why}")


def _check_known(keys: Iterable[str], options: Collection[str], path: Path) -> None:
    for key in keys:
        if key not in options:
            from pipeline.cli.meant import meant  # noqa: PLC0415 - at mistakes only

            raise click.UsageError(f'{path}: "{key}" is no setting{meant(key, options)}')


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
        told = [parameter.opts[-1], _shown(value, parameter.type)]
        if value is True:
            told.pop()
        yield f"{' '.join(told)}, from {origin_of(context, parameter)}"


def _shown(value: Any, kind: object) -> str:
    """As it is written."""
    match value:
        case float() if isinstance(kind, DurationKind):
            return kind.written(value)
        case float() if isinstance(kind, MomentKind):
            return local_day_and_time(value).replace(" ", "T")
        case Given():
            return value.told
        case tuple():
            return " ".join(map(str, value))
        case _:
            return str(value)


def told_of(context: click.Context, name: str) -> str:
    """An option that is set, by its parameter's name, as who set it finds it."""
    parameter = next(one for one in context.command.params if one.name == name)
    return f"{parameter.opts[-1]} (from {origin_of(context, parameter)})"


def origin_of(context: click.Context, parameter: click.Parameter) -> str:
    """Where a value comes from: the name of a variable, of a file, or the command line."""
    match context.get_parameter_source(parameter.name or ""):
        case ParameterSource.ENVIRONMENT:
            given = parameter.envvar or ""
            names = [given] if isinstance(given, str) else given
            return next((name for name in names if os.environ.get(name)), "the environment")
        case ParameterSource.DEFAULT_MAP:
            return str(context.meta[FILE_READ])
        case _:
            return "the command line"
