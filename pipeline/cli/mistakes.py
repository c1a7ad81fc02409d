"""What is wrong with a call, in sentences that name what was meant and where a value came from."""

from collections.abc import Iterator

import click

from pipeline.cli.config import origin_of
from pipeline.cli.meant import meant


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
            return f"{_where(ctx, parameter)}: {error.message}"
        case _:
            return error.format_message()


def _option_meant(error: click.NoSuchOption) -> str:
    params = () if error.ctx is None else error.ctx.command.params
    known = [name for param in params for name in (*param.opts, *param.secondary_opts)]
    return meant(error.option_name, known)


def _name(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Argument):
        return parameter.make_metavar(click.Context(click.Command(None)))
    return max(parameter.opts, key=len)


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
