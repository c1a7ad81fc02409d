"""``yagpt-batch render``: what would be sent."""

import sys
from typing import Any

import click

from pipeline.cli.config import show_settings
from pipeline.cli.options import config_options, request_options
from pipeline.cli.suggestions import files

_EXAMPLES = """Print the requests of rows, exactly as run would send them: JSON, one a line.

\b
  yagpt-batch render prompts.jsonl --limit 1 --pretty
  yagpt-batch render data.jsonl --template @prompt.txt --line 17

INPUT is what run takes, or - for standard input. Nothing is sent, and no credential is needed.
Rows that can't be sent are told on standard error; where there are no others, the exit code is 65.
"""


@click.command(help=_EXAMPLES)
@click.argument("input_path", metavar="INPUT", shell_complete=files)
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="So many rows, the first that can be sent.",
)
@click.option("--line", type=click.IntRange(1), help="The row on this line instead.")
@click.option("--pretty", is_flag=True, help="Indented, on many lines.")
@request_options
@config_options
@click.pass_context
def render(context: click.Context, /, **options: Any) -> None:
    from pipeline.cli.rendering import execute  # noqa: PLC0415
    from pipeline.terminal.speech import say  # noqa: PLC0415

    if options["verbose"]:
        for setting in show_settings(context):
            say(setting)
    sys.exit(execute(options))
