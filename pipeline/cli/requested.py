"""One call of `estimate`, resolved, and the rows that it is about."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pipeline.checks.preflight import Report, look_at
from pipeline.cli.access import Access
from pipeline.cli.given import input_of, lines_of, name_of
from pipeline.cli.kinds import AUTO, chosen_rates
from pipeline.cli.pricing import price_table
from pipeline.cli.recipe import recipe_of
from pipeline.emulator import FOLDER
from pipeline.files.ids import Ids
from pipeline.input.rows import Recipe, Row, is_blank
from pipeline.money.prices import PriceTable
from pipeline.pacing.rates import Rate
from pipeline.settings import DEFAULT_POLL_RATES, DEFAULT_RATES


@dataclass(frozen=True, slots=True)
class Request:
    """One call of `estimate`, resolved. `input` None is standard input, `access` None offline."""

    input: Path | None
    recipe: Recipe
    dedupe: bool
    limit: int | None
    rates: tuple[Rate, ...]
    poll_rates: tuple[Rate, ...]
    access: Access | None
    data_logging: bool
    prices: PriceTable
    exact: bool
    like: Path | None
    canary: int | None
    confidence: float
    seed: int
    verbose: int
    as_json: bool

    @classmethod
    def of(cls, options: Mapping[str, Any], environment: Mapping[str, str]) -> "Request":
        """Check what can be checked before anything is opened.

        Raises:
            click.UsageError: options contradict each other.
            RunError: there is no credential, or no folder for the model.

        """
        _check(options)
        access = None if options["offline"] else Access.of(options, environment)
        # Offline nobody is asked, and any folder will do.
        folder = options["folder_id"] or FOLDER if access is None else access.folder
        return cls(
            input=input_of(options),
            recipe=recipe_of(options, folder),
            dedupe=options["dedupe"],
            limit=options["limit"],
            rates=_rates(options["rate"]),
            poll_rates=chosen_rates(options["poll_rate"], DEFAULT_POLL_RATES),
            access=access,
            data_logging=not options["no_data_logging"],
            prices=price_table(options["prices"]),
            exact=options["exact"],
            like=options["like"],
            canary=options["canary"],
            confidence=options["confidence"],
            seed=options["seed"],
            verbose=options["verbose"],
            as_json=options["as_json"],
        )

    @property
    def name(self) -> Path:
        return name_of(self.input)


def _check(options: Mapping[str, Any]) -> None:
    for one, other in (("offline", "exact"), ("offline", "canary"), ("like", "canary")):
        if options[one] and options[other]:
            raise click.UsageError(f"--{one} and --{other}: give one of them.")
    if options["exact"] and options["input_path"] == "-":
        raise click.UsageError("--exact reads the rows twice: name a file.")


def _rates(given: tuple[Any, ...]) -> tuple[Rate, ...]:
    """What `auto` finds out, nobody knows before."""
    return DEFAULT_RATES if AUTO in given else chosen_rates(given, DEFAULT_RATES)


def rows_of(request: Request, report: Report) -> Iterator[tuple[Row, bytes]]:
    """Every row that would be sent with its line. Blocks."""
    with lines_of(request.input) as lines, Ids() as seen:
        for line in lines:
            if is_blank(line.data):
                continue
            if request.limit is not None and line.next.rows > request.limit:
                return
            row = look_at(line, request.recipe, report, seen)
            if row is not None and (not request.dedupe or report.requests.meet(row.body)):
                yield row, line.data
