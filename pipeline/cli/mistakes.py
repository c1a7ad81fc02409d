"""What is wrong with a call, in sentences that name what was meant and where a value came from."""

import re
from collections.abc import Iterator

import click

from pipeline.cli.config import origin_of
from pipeline.cli.meant import meant

# As click writes it.
_REFUSED = re.compile(r"(?P<told>(['\"])(?P<given>.*)\2) (is not|does not match) .*", re.DOTALL)
_WITH_A_UNIT = re.compile(r"[\d.,]+\s*[^\d\s.,]+")


def sentences(error: click.ClickException) -> Iterator[str]:
    """What to tell: what is wrong, and where to read more."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if isinstance(error, click.MissingParameter) and context is not None:
        yield context.get_usage()
    first, *others = _told(error).splitlines()
    yield f"yagpt-batch: {first}"
    yield from others
    if context is not None:
        yield f"More: {context.command_path} --help"


def _told(error: click.ClickException) -> str:
    match error:
        case click.NoSuchOption():
            return f"there is no option {error.option_name}{_option_meant(error)}"
        case click.MissingParameter(param=click.Parameter() as missing):
            return f"{_name(missing)} is missing."
        case click.BadParameter(param=click.Parameter() as parameter, ctx=click.Context() as ctx):
            return f"{_where(ctx, parameter)}: {_refusal(parameter, error.message)}"
        case _:
            return error.format_message()


def _refusal(parameter: click.Parameter, message: str) -> str:
    """Why a value is refused, with what is wanted where click does not say it."""
    found = _REFUSED.fullmatch(message)
    if found is None:
        return message
    told, given, kind = found["told"], found["given"], parameter.type
    match kind:
        case click.Choice():
            known = [str(choice) for choice in kind.choices]
            return f"{told} is none of {', '.join(known)}{meant(given, known)}"
        case click.DateTime():
            return f"{told} is no day: write 2026-11-22."
        case click.types.IntParamType() | click.types.FloatParamType():
            number = "whole number" if isinstance(kind, click.types.IntParamType) else "number"
            bare = ", without a unit" if _WITH_A_UNIT.fullmatch(given) else ""
            what = f"{parameter.metavar} as one" if parameter.metavar else "one"
            return f"{told} is no {number}: write {what}{_range(kind)}{bare}."
        case _:
            return message


def _range(kind: object) -> str:
    if not isinstance(kind, click.IntRange | click.FloatRange) or kind.min is None:
        return ""
    return f" of at least {kind.min}" if kind.max is None else f" from {kind.min} to {kind.max}"


def _option_meant(error: click.NoSuchOption) -> str:
    params = () if error.ctx is None else error.ctx.command.params
    known = [name for param in params for name in (*param.opts, *param.secondary_opts)]
    return meant(error.option_name, known)


def _name(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Argument):
        return parameter.make_metavar(click.Context(click.Command(None)))
    # As README writes it: what has more than one long name goes by the short one.
    is_renamed = len(parameter.opts) > 2
    return min(parameter.opts, key=len) if is_renamed else max(parameter.opts, key=len)


def _where(context: click.Context, parameter: click.Parameter) -> str:
    """A variable's name, a settings file's and the key in it, or the option as it is typed."""
    name = _name(parameter)
    origin = origin_of(context, parameter)
    match context.get_parameter_source(parameter.name or ""):
        case click.core.ParameterSource.ENVIRONMENT:
            return origin
        case click.core.ParameterSource.DEFAULT_MAP:
            return f"{origin}: {name.removeprefix('--')}"
        case _:
            return name
