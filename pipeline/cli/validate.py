"""``yagpt-batch validate``: every bad line, before the first request."""

import sys
from typing import Any

import click

from pipeline.cli.config import show_settings
from pipeline.cli.options import limit_option, request_options, saying_options
from pipeline.cli.suggestions import files

_EXAMPLES = """Read all of INPUT as run reads it, and tell every line that can't be sent, and why.

\b
  yagpt-batch validate prompts.jsonl
  yagpt-batch validate data.jsonl --template 'Translate to {language}: {text}' --all
  zcat prompts.jsonl.gz | yagpt-batch validate -

INPUT is what run takes, or - for standard input. Nothing is sent, and no credential is needed. The
first 20 bad lines are shown and the others counted; with any, the exit code is 65.
"""


@click.command(help=_EXAMPLES)
@click.argument("input_path", metavar="INPUT", shell_complete=files)
@click.option("--all", "show_all", is_flag=True, help="Show every bad line, not the first 20.")
@request_options
@limit_option
@saying_options
@click.pass_context
def validate(context: click.Context, /, **options: Any) -> None:
    from pipeline.cli.validating import execute  # noqa: PLC0415
    from pipeline.terminal.speech import say  # noqa: PLC0415

    if options["verbose"]:
        for setting in show_settings(context):
            say(setting)
    sys.exit(execute(options))
