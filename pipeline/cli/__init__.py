"""The command line: one file per command, and what all of them share."""

import signal
import sys
import traceback

import click

from pipeline import __version__
from pipeline.cli.audit import audit
from pipeline.cli.check import check
from pipeline.cli.cost import cost
from pipeline.cli.emulator import emulator
from pipeline.cli.estimate import estimate
from pipeline.cli.export import export
from pipeline.cli.prices import prices
from pipeline.cli.retry import retry
from pipeline.cli.run import run
from pipeline.cli.status import status
from pipeline.errors import Exit, RunError
from pipeline.speech import SPEECH, say

_EXAMPLES = """Send a file of prompts to YandexGPT, get a file of answers, paid for once.

\b
  yagpt-batch run prompts.jsonl -o results.jsonl      # run it again, and it resumes
  yagpt-batch run prompts.jsonl -o results.jsonl --emulator     # try it without an account
"""


_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 99}


@click.group(help=_EXAMPLES, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="yagpt-batch")
def commands() -> None: ...


commands.add_command(run)
commands.add_command(retry)
commands.add_command(estimate)
commands.add_command(status)
commands.add_command(audit)
commands.add_command(export)
commands.add_command(check)
commands.add_command(cost)
commands.add_command(prices)
commands.add_command(emulator)


def main() -> None:
    """Run the command line; an end that was foreseen is a sentence, not a traceback."""
    # Until a command listens for it, Ctrl-C ends the process as it ends any other.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        commands(prog_name="yagpt-batch")
    except RunError as error:
        say(f"yagpt-batch: {error.told}")
        sys.exit(error.exit_code)
    except Exception:  # noqa: BLE001 - the outermost frame: a bug is shown whole, as exit 1
        SPEECH.write(traceback.format_exc())
        say("yagpt-batch: this is a bug; nothing on disk is lost.")
        sys.exit(Exit.UNEXPECTED)
