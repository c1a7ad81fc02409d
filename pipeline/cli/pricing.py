"""Which prices a command goes by: the package's, or those of a file of the user's."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipeline.cli.config import DEFAULT_FILE, setting

if TYPE_CHECKING:
    from pipeline.money.prices import PriceTable

_Command = TypeVar("_Command", bound=Callable[..., Any])
_NAME = "--prices"
# Beside the package's modules: importlib.resources would find it too, and take 7 ms more.
_SHIPPED = Path(__file__).parent.parent / "money" / "prices.toml"


def prices_option(command: _Command) -> _Command:
    """`--prices FILE`: a flag beats YAGPT_PRICES, which beats the settings file."""
    return click.option(
        _NAME,
        type=click.Path(path_type=Path),
        envvar="YAGPT_PRICES",
        show_envvar=True,
        metavar="FILE",
        callback=_by_settings,
        help="Prices of your own, in the form that `prices --toml` shows.",
    )(command)


def _by_settings(
    _context: click.Context, _parameter: click.Parameter, given: Path | None
) -> Path | None:
    """Take the settings file's word, for commands that read no other word of it."""
    if given is not None:
        return given
    found = setting(_NAME.removeprefix("--"))
    if found is not None and not isinstance(found, str):
        raise click.UsageError(f'{DEFAULT_FILE}: "prices" must be the name of a file.')
    return None if found is None else Path(found)


def price_table(path: Path | None) -> "PriceTable":
    """The prices of a file, or those of the package.

    Raises:
        click.UsageError: the file can't be read, or there is something wrong with it.

    """
    from pipeline.clock import Clock  # noqa: PLC0415
    from pipeline.day import day_at  # noqa: PLC0415
    from pipeline.money.tariff import BadTariff, read_tariff  # noqa: PLC0415

    try:
        return read_tariff(tariff_text(path)).as_of(day_at(Clock().now()))
    except BadTariff as error:
        raise click.UsageError("\n".join(f"{path}: {fault}" for fault in error.faults)) from None


def tariff_text(path: Path | None) -> str:
    """The text of the file that prices come from.

    Raises:
        click.UsageError: it can't be read.

    """
    if path is None:
        return _SHIPPED.read_text("utf-8")
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise click.UsageError(f"{path}: it is not UTF-8.") from None
    except OSError as error:
        raise click.UsageError(f"{path}: can't be read: {error.strerror}.") from None
