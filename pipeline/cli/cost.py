"""``yagpt-batch cost``: what the rows of outputs used, and what that costs."""

import csv
import io
import sys
from pathlib import Path

import click

from pipeline.cli.pricing import price_table, prices_option
from pipeline.errors import Exit

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
    from pipeline.cli.answer import tell, tell_table  # noqa: PLC0415
    from pipeline.codec import encode  # noqa: PLC0415
    from pipeline.money.account import Account, records, sentences, with_outputs  # noqa: PLC0415
    from pipeline.money.account import table as cells  # noqa: PLC0415
    from pipeline.money.totals import no_price  # noqa: PLC0415
    from pipeline.results.receipts import chosen, receipt  # noqa: PLC0415
    from pipeline.terminal.speech import say  # noqa: PLC0415

    if as_json and as_csv:
        raise click.UsageError("--json and --csv: choose one of them.")
    table = price_table(prices)
    receipts = [receipt(output) for output in chosen(outputs)]
    account = Account([read.bill for read in receipts])
    for read in receipts:
        for remark in read.remarks:
            say(remark)
        if read.trouble is not None:
            say(f"yagpt-batch: {read.trouble.told}")
    has_failed = any(read.trouble is not None for read in receipts)
    if as_json:
        click.echo(encode(with_outputs(account, table)).decode())
    elif as_csv:
        text = io.StringIO()
        lines = ([_plain(cell) for cell in record] for record in records(account, table))
        csv.writer(text, lineterminator="\n").writerows(lines)
        click.echo(text.getvalue(), nl=False)
    elif account.parts or not has_failed:
        tell_table(list(cells(account, table)), left=2)
        tell(["", *sentences(account, table)])
    unpriced = account.totals.unpriced(table)
    if unpriced:
        say(no_price(unpriced))
    sys.exit(Exit.BAD_DATA if has_failed else Exit.OK)


def _plain(cell: object) -> object:
    """What a spreadsheet would take for a formula, as text: models are named by rows."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@")) else cell
