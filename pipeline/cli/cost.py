"""``yagpt-batch cost``: what the rows of outputs used, and what that costs."""

import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.pricing import price_table, prices_option
from pipeline.errors import Exit

if TYPE_CHECKING:
    from pipeline.account import Account
    from pipeline.prices import PriceTable

_EXAMPLES = """What the rows of each OUTPUT used and cost, by model and finish.

\b
  yagpt-batch cost results.jsonl
  yagpt-batch cost night-*.jsonl --csv > costs.csv
  yagpt-batch cost results.jsonl.gz --prices prices.toml --json

The lines are read, with those of the errors file beside them; outputs may be cut, compressed
(.gz, .zst), of an earlier version, or being written. Each answer is priced by the list that was
valid on its day. Doubts are told apart, with the worst that they can have cost: the checkpoint
knows them, or the totals line. Exit code 65: of an output nothing could be read.
"""


@click.command(help=_EXAMPLES)
@click.argument("outputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@prices_option
@click.option("--json", "as_json", is_flag=True, help="The object of a totals line, and more.")
@click.option("--csv", "as_csv", is_flag=True, help="A line for each output, model and finish.")
def cost(*, outputs: tuple[Path, ...], prices: Path | None, as_json: bool, as_csv: bool) -> None:
    from pipeline.account import Account, records, with_outputs  # noqa: PLC0415
    from pipeline.codec import encode  # noqa: PLC0415
    from pipeline.receipts import chosen, receipt  # noqa: PLC0415
    from pipeline.speech import clean, say  # noqa: PLC0415
    from pipeline.totals import no_price  # noqa: PLC0415

    if as_json and as_csv:
        raise click.UsageError("--json and --csv: choose one of them.")
    table = price_table(prices)
    receipts = [receipt(output) for output in chosen(outputs)]
    account = Account([read.bill for read in receipts])
    for remark in (remark for read in receipts for remark in read.remarks):
        say(remark)
    if as_json:
        click.echo(encode(with_outputs(account, table)).decode())
    elif as_csv:
        text = io.StringIO()
        cells = ([_plain(cell) for cell in record] for record in records(account, table))
        csv.writer(text, lineterminator="\n").writerows(cells)
        click.echo(text.getvalue(), nl=False)
    else:
        for line in _lines(account, table):
            click.echo(clean(line))
    unpriced = account.totals.unpriced(table)
    if unpriced:
        say(no_price(unpriced))
    sys.exit(Exit.BAD_DATA if any(read.failed for read in receipts) else Exit.OK)


def _plain(cell: object) -> object:
    """What a spreadsheet would take for a formula, as text: models are named by rows."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@")) else cell


def _lines(account: "Account", prices: "PriceTable") -> Iterator[str]:
    from pipeline.account import table  # noqa: PLC0415
    from pipeline.cli.sheet import aligned  # noqa: PLC0415

    yield from aligned(list(table(account, prices)), left=2)
    yield ""
    yield from _sentences(account, prices)


def _sentences(account: "Account", prices: "PriceTable") -> Iterator[str]:
    from pipeline.totals import in_doubt  # noqa: PLC0415

    lists = account.lists(prices)
    if lists:
        yield f"Prices of {', '.join(lists)}."
    unknown = sum(part.tally.sums.unknown for part in account.parts)
    if unknown:
        yield f"Rows whose usage is not known, and not in these sums: {unknown:,}."
    emulated = account.emulated()
    if emulated:
        yield f"Rows of runs with the emulator: {emulated:,}, not billed but priced all the same."
    doubts, replaced = account.doubts(), account.replaced()
    if doubts:
        yield in_doubt(doubts, account.doubt_cost(prices), prices.currency)
    for output in account.without_doubts():
        yield f"Doubts are not known: {output} has neither its checkpoint beside it nor totals."
    if replaced is not None and replaced.unknown:
        lost = f"{replaced.unknown:,}"
        yield f"Operations paid for and superseded, whose usage is not known: {lost}."
