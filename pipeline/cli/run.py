"""``yagpt-batch run``: options in, one run, messages and an exit code out.

What costs time to import is imported inside the command, so that ``--help`` answers at once.
"""

import os
import sys
from typing import Any

import click

from pipeline.cli.config import show_settings
from pipeline.cli.options import (
    course_options,
    dedupe_option,
    finish_option,
    host_options,
    limit_option,
    no_totals_option,
    option,
    rate_options,
    request_options,
    run_prices_option,
    saying_options,
)
from pipeline.cli.suggestions import files

_EXAMPLES = """Send every row of INPUT and write every answer to OUTPUT. The same command resumes.

\b
  yagpt-batch run prompts.jsonl -o results.jsonl
  yagpt-batch run questions.jsonl.gz -o answers.jsonl --model yandexgpt/rc --max-tokens 500

INPUT is .jsonl, .jsonl.gz or .jsonl.zst. OUTPUT gets a line per finished row; rows that failed
for good go to OUTPUT's name with .errors.jsonl. Every option has a YAGPT_ variable and a key in
yagpt-batch.toml; a flag beats both.

The credential is the first that there is of the variables YC_API_KEY, YC_IAM_TOKEN,
YC_IAM_TOKEN_FILE, YC_TOKEN_COMMAND, YC_OAUTH_TOKEN and YC_SA_KEY_FILE, the metadata service of a
cloud machine, YC_TOKEN, and the yc command; --auth picks one. Try it with yagpt-batch check.
"""


@click.command(help=_EXAMPLES)
@click.argument("input_path", metavar="INPUT", shell_complete=files)
@option(
    *("-o", "--output"),
    required=True,
    shell_complete=files,
    help="Where results go; names the run's other files.",
)
@request_options
@option("--keep", multiple=True, metavar="FIELD", help="Copy this input field into results.")
@option("--raw", is_flag=True, help="Add the API's response to each result.")
@dedupe_option
@limit_option
@no_totals_option
@run_prices_option
# No variable and no key: what always starts afresh never resumes.
@click.option("--fresh", is_flag=True, help="Start anew; old files are moved aside. A flag only.")
@host_options
@rate_options
@course_options
@finish_option
@saying_options
@click.pass_context
def run(context: click.Context, /, **options: Any) -> None:
    from pipeline.cli.call import Call  # noqa: PLC0415
    from pipeline.cli.execute import execute  # noqa: PLC0415
    from pipeline.terminal.signals import Signals  # noqa: PLC0415
    from pipeline.terminal.speech import say  # noqa: PLC0415

    call = Call.of(options, os.environ)
    # Up to here there is nothing to be put in order: a signal ends it as it ends anything.
    signals = Signals()
    if options["verbose"]:
        for setting in show_settings(context):
            say(setting)
    sys.exit(execute(call, signals, _this_command()))


def _this_command() -> list[str]:
    """What continues this run: the command as it was called, but for starting afresh."""
    return ["yagpt-batch", *(word for word in sys.argv[1:] if word != "--fresh")]
