"""``yagpt-batch change``: other limits for a run that goes on."""

import sys
from typing import Any

import click

from pipeline.cli.options import (
    budget_option,
    by_hand,
    finish_by_option,
    max_in_flight_option,
    rate_options,
)

_EXAMPLES = """Change limits of the run of OUTPUT while it goes on, from any shell.

\b
  yagpt-batch change results.jsonl --rate 2500/h --rate 10/s
  yagpt-batch change results.jsonl --budget 500

Values are written as for run; what is not given stays as it is, and no variable or settings file
is asked. Any --rate replaces all rates of submits. Places in the quota that were used before
still count. none lifts a limit, but no budget: that is lifted by a large one. A change holds for
the process that has the run now: the next one goes by its own options.
"""


@click.command(help=_EXAMPLES)
@click.argument("output", type=click.Path())
@by_hand(rate_options, budget_option, finish_by_option, max_in_flight_option)
@click.option("--json", "as_json", is_flag=True, help="One JSON object; times in UTC.")
def change(**options: Any) -> None:
    from pipeline.cli.steered import change as ask  # noqa: PLC0415

    sys.exit(ask(options))
