"""The command line: one file per command, and what all of them share."""

import sys

import click

from pipeline import __version__
from pipeline.cli.emulator import emulator
from pipeline.cli.run import run
from pipeline.errors import Exit, RunError

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
commands.add_command(emulator)


def main() -> None:
    """Run the command line; an end that was foreseen is a sentence, not a traceback."""
    try:
        commands(prog_name="yagpt-batch")
    except RunError as error:
        show_error(error)
        sys.exit(error.exit_code)
    except Exception:  # noqa: BLE001 - the outermost frame: a bug is shown whole, as exit 1
        sys.excepthook(*sys.exc_info())
        click.echo("yagpt-batch: this is a bug; nothing on disk is lost.", err=True)
        sys.exit(Exit.UNEXPECTED)


def show_error(error: RunError) -> None:
    """What happened and what to do, with nothing in it that could drive a terminal."""
    sentence = f"yagpt-batch: {error} {error.advice}".rstrip()
    click.echo(
        "".join(c if c.isprintable() or c == " " else ascii(c)[1:-1] for c in sentence), err=True
    )
