"""Kinds of option values that click does not know, and more than one command does."""

import re
from collections.abc import Collection
from decimal import Decimal
from typing import Literal

import click

from pipeline.auth.credentials import SOURCES
from pipeline.clock import Clock, moment_of
from pipeline.pacing.rates import NONE, Rate

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_AMOUNT = re.compile(r"\d{1,12}(?:\.\d{1,6})?", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class RateKind(click.ParamType):  # type: ignore[type-arg] # not generic in older clicks
    """``10/s``, ``5000/h``, ``100/20s``, or ``none`` for no limit at all."""

    name = "N/time"
    words: tuple[str, ...] = (NONE,)

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Rate | None:
        if isinstance(value, Rate):
            return value
        if value == NONE:
            return None
        try:
            return Rate.parse(str(value))
        except ValueError as error:
            self.fail(f"{error}, or {' or '.join(self.words)}.", param, ctx)


AUTO = "auto"
_LIFTED = Literal["none"]


class SubmitRateKind(RateKind):
    """A rate, or ``auto`` for as much as the service turns out to allow."""

    name = "N/time|auto"
    words = (AUTO, NONE)

    def convert(  # type: ignore[override] # one value more
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Rate | str | None:
        return AUTO if value == AUTO else super().convert(value, param, ctx)


class AuthKind(click.ParamType):  # type: ignore[type-arg] # as above
    """The name of a source of credentials: ``sa-key-file``, or as its variable, YC_SA_KEY_FILE."""

    name = "|".join(SOURCES)

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        name = str(value).strip().lower().replace("_", "-")
        short = name.removeprefix("yagpt-").removeprefix("yc-")
        if short not in SOURCES:
            from pipeline.cli.meant import meant  # noqa: PLC0415 - at mistakes only

            known = f"{', '.join(SOURCES)}{meant(short, SOURCES)}"
            self.fail(f"{value!r} is none of {known}", param, ctx)
        return short


class DurationKind(click.ParamType):  # type: ignore[type-arg] # as above
    """``90s``, ``12h`` or ``3d``, in seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        match = _DURATION.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no duration: write 90s, 10m, 12h or 3d.", param, ctx)
        return float(match[1]) * _SECONDS[match[2]]

    @staticmethod
    def written(seconds: float) -> str:
        """As people write it: in the largest unit of which it is a whole number."""
        units = (unit for unit, each in reversed(_SECONDS.items()) if seconds % each == 0)
        unit = next(units, "s")
        return f"{seconds / _SECONDS[unit]:g}{unit}"


class MoneyKind(click.ParamType):  # type: ignore[type-arg] # as above
    """An amount of roubles."""

    name = "RUB"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        if isinstance(value, Decimal):
            return value
        text = str(value).strip()
        if not _AMOUNT.fullmatch(text) or not Decimal(text):
            hint = " A budget is lifted by a large one." if value == NONE else ""
            self.fail(f"{value!r} is no amount: write 100 or 99.50.{hint}", param, ctx)
        return Decimal(text)


class MomentKind(click.ParamType):  # type: ignore[type-arg] # as above
    """``07:30``, the next time that a clock here shows it, or an ISO time; ``none`` for no end."""

    name = "time|none"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | _LIFTED:
        if isinstance(value, float):
            return value
        if value == NONE:
            return NONE
        try:
            return moment_of(str(value).strip(), Clock().now())
        except ValueError:
            why = f"{value!r} is no time: write 07:30, 2026-11-22T07:30, or none."
            self.fail(why, param, ctx)


class CountKind(click.ParamType):  # type: ignore[type-arg] # as above
    """A number from 1 on, or ``none`` for any."""

    name = "N|none"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | _LIFTED:
        if value == NONE:
            return NONE
        try:
            count = int(str(value))
        except ValueError:
            count = 0
        if count < 1:
            self.fail(f"{value!r} is no number from 1 on, nor none.", param, ctx)
        return count


def is_auto(given: Collection[Rate | str | None]) -> bool:
    """Whether the rate of submits is to be found out.

    Raises:
        click.UsageError: and other rates beside that.

    """
    if AUTO in given and len(given) > 1:
        raise click.UsageError("--rate auto stands alone: it finds out all windows by itself.")
    return AUTO in given


def chosen_rates(given: tuple[Rate | None, ...], default: tuple[Rate, ...]) -> tuple[Rate, ...]:
    """Any rate given replaces all defaults; ``none`` lifts the limit."""
    return tuple(rate for rate in given if rate is not None) if given else default
