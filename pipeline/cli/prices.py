"""``yagpt-batch prices``: what tokens cost, since when, and who says so."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.pricing import price_table, prices_option, tariff_text

if TYPE_CHECKING:
    from pipeline.codec import Json
    from pipeline.money.prices import Price, PriceList, PriceTable

_EXAMPLES = """Show the prices that costs are computed with, how old they are, and their source.

\b
  yagpt-batch prices
  yagpt-batch prices --on 2024-06-01
  yagpt-batch prices --toml > prices.toml     # change it, then say --prices prices.toml

Prices are for 1,000 tokens of the asynchronous mode. Each answer is priced by the list that was
valid on its day in Moscow.
"""


@click.command(help=_EXAMPLES)
@prices_option
@click.option("--on", "day", type=click.DateTime(["%Y-%m-%d"]), help="The list of this day.")
@click.option("--json", "as_json", is_flag=True, help="All lists, as one JSON object.")
@click.option("--toml", "as_toml", is_flag=True, help="The file itself, to be changed.")
def prices(*, prices: Path | None, day: object, as_json: bool, as_toml: bool) -> None:
    from pipeline.clock import Clock  # noqa: PLC0415
    from pipeline.codec import encode  # noqa: PLC0415
    from pipeline.day import day_at  # noqa: PLC0415

    table, today = price_table(prices), day_at(Clock().now())
    chosen = today if day is None else str(day)[:10]
    if as_toml:
        click.echo(tariff_text(prices), nl=False)
    elif as_json:
        click.echo(encode(_as_json(table, today)).decode())
    else:
        _tell(table, chosen, today)


def _as_json(table: "PriceTable", today: str) -> "dict[str, Json]":
    from pipeline.day import days_between  # noqa: PLC0415

    return {
        "date": table.date,
        "age_days": days_between(table.date, today),
        "lists": [
            {
                "valid_from": listed.since,
                "mode": "async",
                "currency": of.currency,
                "vat_included": listed.vat_included,
                "source": listed.source,
                "prices": [_price(model, price) for model, price in listed.prices.items()],
            }
            for of in (table, *table.also)
            for listed in of.lists
        ],
    }


def _price(model: str, price: "Price") -> "dict[str, Json]":
    units = price.units
    return {
        "model": model,
        "input": str(price.input),
        "output": str(price.output),
        "input_units": None if units is None else str(units.input),
        "output_units": None if units is None else str(units.output),
    }


def _tell(table: "PriceTable", chosen: str, today: str) -> None:
    from pipeline.cli.answer import tell, tell_table  # noqa: PLC0415

    shown = table.list_on(chosen)
    if shown is None:
        tell([f"No prices are known of {chosen}: the first list is of {table.lists[0].since}."])
        return
    age = _age(shown.since, today)
    tell([f"For 1,000 tokens in asynchronous mode, since {shown.since} ({age}):", ""])
    dollars = [(other.currency, other.list_on(chosen)) for other in table.also]
    lists = [(table.currency, shown), *((name, found) for name, found in dollars if found)]
    tell_table(_cells(lists), left=1)
    tell(["", *_below(table, shown, lists)])


def _below(
    table: "PriceTable", shown: "PriceList", lists: "list[tuple[str, PriceList]]"
) -> Iterator[str]:
    for currency, listed in lists:
        vat = "VAT included" if listed.vat_included else "without VAT"
        yield f"{currency}: {vat}. {listed.source}"
    others = [known.since for known in table.lists if known is not shown]
    if others:
        yield f"Other lists are of {', '.join(others)}: --on DAY shows the one of a day."


def _age(since: str, today: str) -> str:
    from pipeline.day import days_between  # noqa: PLC0415

    days = days_between(since, today)
    if days < 0:
        return f"in {-days:,} days" if days < -1 else "tomorrow"
    return {0: "today", 1: "yesterday"}.get(days, f"{days:,} days ago")


def _cells(lists: "list[tuple[str, PriceList]]") -> list[list[str]]:
    """A line for each price of the first list, with all models that have it."""
    _, first = lists[0]
    heads = [f"{currency} {way}" for currency, _ in lists for way in ("in", "out")]
    models: dict[Price, list[str]] = {}
    for model, price in first.prices.items():
        models.setdefault(price, []).append(model)
    rows = [["model", *heads, "units in", "units out"]]
    for price, names in models.items():
        found = [listed.prices.get(names[0]) for _, listed in lists]
        amounts = [part for known in found for part in _amounts(known)]
        units = price.units
        told = ["", ""] if units is None else [f"{units.input:f}", f"{units.output:f}"]
        rows.append([", ".join(names), *amounts, *told])
    return rows


def _amounts(price: "Price | None") -> tuple[str, str]:
    return ("", "") if price is None else (f"{price.input:f}", f"{price.output:f}")
