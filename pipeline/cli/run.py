"""``yagpt-batch run``: options in, one run, messages and an exit code out.

What costs time to import is imported inside the command, so that ``--help`` answers at once.
"""

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from pipeline.cli.config import DEFAULT_FILE, load_config, show_settings
from pipeline.cli.kinds import DurationKind, RateKind, SubmitRateKind

_Command = TypeVar("_Command", bound=Callable[..., Any])

_EXAMPLES = """Send every row of INPUT and write every answer to OUTPUT. The same command resumes.

\b
  yagpt-batch run prompts.jsonl -o results.jsonl
  yagpt-batch run questions.jsonl.gz -o answers.jsonl --model yandexgpt/rc --max-tokens 500

INPUT is .jsonl, .jsonl.gz or .jsonl.zst. OUTPUT gets a line per finished row; rows that failed
for good go to OUTPUT's name with .errors.jsonl. The credential is YC_API_KEY or YC_IAM_TOKEN.
Every option has a YAGPT_ variable and a key in yagpt-batch.toml; a flag beats both.
"""


def _option(
    *names: str, also: str | None = None, **settings: Any
) -> Callable[[_Command], _Command]:
    """An option with its environment variable: YAGPT_ and its long name."""
    variable = "YAGPT_" + names[-1].removeprefix("--").upper().replace("-", "_")
    variables = [variable, also] if also else variable
    return click.option(*names, envvar=variables, show_envvar=True, **settings)


@click.command(help=_EXAMPLES, short_help="send a file of rows; the same command resumes")
@click.argument("input_path", metavar="INPUT")
@_option("-o", "--output", required=True, help="Where results go; names the run's other files.")
@_option("--model", default="yandexgpt-lite", show_default=True, help="A name or a gpt:// URI.")
@_option("--folder-id", also="YC_FOLDER_ID", help="The folder that pays.")
@_option("--system", help="What the model is told before each prompt.")
@_option("--template", help="Makes a prompt of a row's fields: 'Translate to {language}: {text}'.")
@_option("--temperature", type=click.FloatRange(0, 1), help="Sent only if given.")
@_option("--max-tokens", type=click.IntRange(1), help="Of an answer; sent only if given.")
@_option("--keep", multiple=True, metavar="FIELD", help="Copy this input field into results.")
@_option("--raw", is_flag=True, help="Add the API's response to each result.")
@_option("--limit", type=click.IntRange(1), help="Take only the first N rows of the input.")
@_option("--no-totals", is_flag=True, help="Leave out the last line with the totals.")
@_option(
    "--prices",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Prices of your own, in the form that `prices --toml` shows.",
)
# No variable and no key: what always starts afresh never resumes.
@click.option("--fresh", is_flag=True, help="Start anew; old files are moved aside. A flag only.")
@_option("--emulator", is_flag=True, help="Use the embedded stand-in: no account, no money.")
@_option("--endpoint", metavar="URL", help="One base URL for all services.")
@_option(
    "--rate",
    type=SubmitRateKind(),
    multiple=True,
    help="Submits: 10/s and 5000/h by default; auto finds out more; or none.",
)
@_option("--poll-rate", type=RateKind(), multiple=True, help="Polls: 50/s by default; or none.")
@_option(
    "--no-shared-quota", is_flag=True, help="Ignore what other runs here take of these rates."
)
@_option(
    "--concurrency",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="POSTs in flight: so many rows can be in doubt after a crash.",
)
@_option(
    "--max-in-flight", type=click.IntRange(1), help="Operations at once; no limit by default."
)
@_option(
    "--attempts",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="How often a row may be submitted.",
)
@_option(
    "--on-doubt",
    type=click.Choice(["resubmit", "fail"]),
    default="resubmit",
    show_default=True,
    help="Rows that may have been accepted.",
)
@_option(
    "--on-lost",
    type=click.Choice(["resubmit", "fail"]),
    default="resubmit",
    show_default=True,
    help="Rows whose operation the service has forgotten.",
)
@_option(
    "--patience",
    type=DurationKind(),
    default="12h",
    show_default=True,
    help="How long an outage may last.",
)
@_option("--no-data-logging", is_flag=True, help="Ask the service not to log requests.")
@_option(
    "--progress",
    type=click.Choice(["auto", "bar", "plain", "json", "none"]),
    default="auto",
    show_default=True,
    help="What to show on standard error.",
)
@_option("--log-file", type=click.Path(path_type=Path), help="Append events as JSON lines.")
@click.option(
    "-v",
    "--verbose",
    count=True,
    envvar="YAGPT_VERBOSE",
    show_envvar=True,
    help="Say more; -vv says everything.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    envvar="YAGPT_JSON",
    show_envvar=True,
    help="The summary as one JSON object.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=load_config,
    help=f"Settings file instead of ./{DEFAULT_FILE}.",
)
@click.pass_context
def run(context: click.Context, /, **options: Any) -> None:
    from pipeline.signals import Signals  # noqa: PLC0415
    from pipeline.speech import say  # noqa: PLC0415

    signals = Signals()
    from pipeline.cli.execute import Call, execute  # noqa: PLC0415

    call = Call.of(options, os.environ)
    if options["verbose"]:
        for setting in show_settings(context):
            say(setting)
    code = execute(call, signals, resume_command=_this_command())
    sys.exit(code)


def _this_command() -> str:
    """What continues this run: the command as it was called, but for starting afresh."""
    words = [word for word in sys.argv[1:] if word != "--fresh"]
    return shlex.join(["yagpt-batch", *words])
