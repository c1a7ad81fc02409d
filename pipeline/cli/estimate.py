"""``yagpt-batch estimate``: tokens, roubles and hours, before anything is spent."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from pipeline.cli.config import show_settings
from pipeline.cli.options import (
    dedupe_option,
    host_options,
    limit_option,
    logging_option,
    option,
    rate_options,
    request_options,
    run_prices_option,
    saying_options,
)
from pipeline.cli.suggestions import files

_EXAMPLES = """Tell what a run of INPUT will cost and how long it will take.

Nothing is spent but by --canary, whose rows a run asks again.

\b
  yagpt-batch estimate prompts.jsonl --max-tokens 500
  yagpt-batch estimate prompts.jsonl --like results.jsonl   # answers as long as earlier ones
  yagpt-batch estimate prompts.jsonl --canary 300           # 300 rows are asked, and paid for
  zcat prompts.jsonl.gz | yagpt-batch estimate - --offline

INPUT is what run takes, or - for standard input. Input tokens are counted by the service's free
tokenizer, on a sample large enough for an interval of about 1 %. How long answers will be,
nobody can count: without --like or --canary the result is a range, from a token each to the limit.
"""


@click.command(help=_EXAMPLES)
@click.argument("input_path", metavar="INPUT", shell_complete=files)
@request_options
@run_prices_option
@dedupe_option
@limit_option
@option("--exact", is_flag=True, help="Have the tokenizer count every row, 50 a second.")
@option("--offline", is_flag=True, help="Guess from characters: rough, and needs no credential.")
@option(
    "--like",
    type=click.Path(path_type=Path),
    metavar="RESULTS",
    help="Answers will be as long as those in this output of an earlier run.",
)
@option(
    "--canary",
    type=click.IntRange(30),
    metavar="N",
    help="Really ask N rows, and pay for them; their answers are kept beside INPUT.",
)
@option(
    "--confidence",
    type=click.FloatRange(0.5, 0.999),
    default=0.95,
    show_default=True,
    help="How often intervals are to hold the truth.",
)
@option("--seed", type=int, default=0, show_default=True, help="Of the sample.")
@host_options
@rate_options
@logging_option
@saying_options
@click.pass_context
def estimate(context: click.Context, /, **options: Any) -> None:
    from pipeline.cli.forecasting import execute  # noqa: PLC0415
    from pipeline.cli.requested import Request  # noqa: PLC0415
    from pipeline.terminal.speech import say  # noqa: PLC0415

    request = Request.of(options, os.environ)
    if options["verbose"]:
        for setting in show_settings(context):
            say(setting)
    sys.exit(execute(context, request))
