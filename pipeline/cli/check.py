"""``yagpt-batch check``: whether credential, folder, model and hosts answer."""

import os
import sys
from typing import Any

import click

from pipeline.cli.options import (
    host_options,
    model_options,
    rate_options,
    run_prices_option,
    saying_options,
)

_EXAMPLES = """Try credential, folder, model and hosts with a cheap call each. Nothing is paid for.

\b
  yagpt-batch check
  yagpt-batch check --model yandexgpt/rc --auth sa-key-file

Prints a line for each thing tried: what it was, what came of it, and what to do if it failed.
Exit code 0 if a run could begin; 77 for the credential, the role or billing, 78 for folder, model
or hosts, 69 for a host that can't be reached.
"""


@click.command(help=_EXAMPLES)
@model_options
@host_options
@rate_options
@run_prices_option
@saying_options
def check(**options: Any) -> None:
    from pipeline.cli.examine import examine  # noqa: PLC0415

    sys.exit(examine(options, os.environ))
