"""``yagpt-batch retry``: failed rows and rows held in doubt, sent again."""

import sys
from pathlib import Path
from typing import Any

import click

from pipeline.cli.moved import input_option
from pipeline.cli.options import (
    course_options,
    finish_option,
    no_totals_option,
    rate_options,
    real_host_options,
    run_prices_option,
    saying_options,
)

_STAGES = ("input", "submit", "operation", "answer", "lost", "doubt")

_EXAMPLES = """Send rows of OUTPUT's run again that failed, or are held in doubt.

\b
  yagpt-batch retry results.jsonl
  yagpt-batch retry results.jsonl --stage doubt --stage lost
  yagpt-batch retry results.jsonl --code RESOURCE_EXHAUSTED --dry-run

Their lines are taken out of the errors file, and the run goes on as run does, with the input and
the settings that it was begun with. What was paid for them stays paid for and counted. Attempts
begin afresh. A row that the service never accepted may be mended in the input first, in its own
line; an input failure whose line is as it was fails again.

A run that is not finished goes on, with rows that it had not begun; no row is begun that it had
not expected. Where --stage or --code name no row that failed, nothing is sent. After an end of any
kind run goes on, too; the command is printed. Other options are those of run.
"""


@click.command(help=_EXAMPLES, short_help="failed and held rows again")
@click.argument("output", type=click.Path(path_type=Path))
# No variables and no keys: what is paid for again is chosen by hand.
@click.option(
    "--stage", multiple=True, type=click.Choice(_STAGES), help="Only rows that failed there."
)
@click.option("--code", multiple=True, help="Only rows that failed with this code.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Say how many rows of which stage and code; no more. As JSON with --json.",
)
@input_option()
@no_totals_option
@run_prices_option
@real_host_options
@rate_options
@course_options
@finish_option
@saying_options
@click.pass_context
def retry(context: click.Context, /, **options: Any) -> None:
    from pipeline.cli.retrying import execute  # noqa: PLC0415

    sys.exit(execute(context, options))
