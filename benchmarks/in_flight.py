"""How much memory an operation takes that is waited for.

    python -m benchmarks.in_flight [--operations 130000]

All have been asked for once, and a budget holds money for each: so many are under way in a queue
of 26 hours. It prints the bytes of one.
"""

import tracemalloc
from decimal import Decimal

import click

from pipeline.cli.pricing import price_table
from pipeline.life.item import Running
from pipeline.money.spending import Spending
from pipeline.money.totals import Totals
from pipeline.operations.agenda import Agenda
from pipeline.operations.polling import Asking

_BEGAN = 1_800_000_000.0


@click.command(help=__doc__)
@click.option("--operations", default=130_000, show_default=True)
def main(operations: int) -> None:
    agenda = Agenda()
    spending = Spending(price_table(None), "yandexgpt-lite", Totals((), ()), Decimal(10**9))
    tracemalloc.start()
    for line in range(1_000_000, 1_000_000 + operations):
        at = _BEGAN + line
        spending.reserve(line, spending.worst(None, 100 + line % 900, 500, at))
        running = Running(f"d7q{line:017x}", at, 1, 1)
        agenda.put(Asking(line, running, None, heard_at=at + 30.0), None)
    size, _ = tracemalloc.get_traced_memory()
    print(round(size / operations))


if __name__ == "__main__":
    main()
