"""The command line: one file per command, and what all of them share."""

import os
import signal
import sys
from contextlib import suppress

import click

from pipeline import __version__
from pipeline.cli.menu import Menu
from pipeline.errors import Exit, RunError
from pipeline.terminal.speech import SPEECH, say

_EXAMPLES = """Send a file of prompts to YandexGPT, get a file of answers, paid for once.

\b
  yagpt-batch run prompts.jsonl -o results.jsonl      # run it again, and it resumes
  yagpt-batch run prompts.jsonl -o results.jsonl --emulator     # try it without an account
"""

# In the order of their use, which is that of the help.
_OFFERS = {
    "run": "send a file of rows; the same command resumes",
    "validate": "every bad line, before the first request",
    "render": "the requests of a few rows, as they would be sent",
    "estimate": "tokens, roubles and hours before anything is spent",
    "status": "where a run stands, while it goes on or not",
    "pause": "submit nothing for a while; what was submitted is fetched",
    "unpause": "let a paused run go on",
    "change": "rates, budget and other limits of a run that goes on",
    "retry": "failed and held rows again",
    "audit": "whether the files of a run agree",
    "export": "results in the order of the input: JSONL, CSV, Parquet",
    "cost": "what outputs used and cost, by model and finish",
    "report": "one HTML page: throughput, latency, cost, errors",
    "check": "whether credential, folder, model and hosts answer",
    "prices": "what tokens cost, since when, and who says so",
    "emulator": "the API on this machine",
    "completion": "what makes bash, zsh or fish complete all this",
}

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 99}


@click.group(cls=Menu, offers=_OFFERS, help=_EXAMPLES, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="yagpt-batch")
def commands() -> None: ...


def main() -> None:
    """Run the command line; an end that was foreseen is a sentence, not a traceback."""
    # Until a command listens for it, Ctrl-C ends the process as it ends any other.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _open_streams()
    code = _called()
    if sys.stdout is not None:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
    # Not by taking the interpreter apart: a library's thread that comes for its lock in that
    # moment aborts the process, and with it the exit code.
    os._exit(code)


def _open_streams() -> None:
    """Let no file or connection take the number of a standard stream that is closed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # It takes the lowest number that is free.
            os.open(os.devnull, os.O_RDWR)


def _called() -> int:
    """The exit code of the command that was called."""
    try:
        return commands.main(prog_name="yagpt-batch", standalone_mode=False) or Exit.OK
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except click.exceptions.NoArgsIsHelpError as error:
        SPEECH.write(f"{error.format_message()}\n")
        return error.exit_code
    except click.ClickException as error:
        from pipeline.cli.mistakes import sentences  # noqa: PLC0415 - at mistakes only

        for sentence in sentences(error):
            say(sentence)
        return error.exit_code
    except RunError as error:
        say(f"yagpt-batch: {error.told}")
        return error.exit_code
    except Exception:  # noqa: BLE001 - the outermost frame: a bug is shown whole, as exit 1
        from traceback import format_exc  # noqa: PLC0415 - it takes time, and is hardly ever shown

        SPEECH.write(format_exc())
        say("yagpt-batch: this is a bug; nothing on disk is lost.")
        return Exit.UNEXPECTED
