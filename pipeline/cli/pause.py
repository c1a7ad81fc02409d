"""``yagpt-batch pause``: no more rows for a while."""

import sys
from pathlib import Path

import click

_EXAMPLES = """Let the run of OUTPUT submit no more rows until it is unpaused, from any shell.

\b
  yagpt-batch pause results.jsonl
  yagpt-batch unpause results.jsonl

What was submitted is paid for, and is fetched all the same. A pause stands until yagpt-batch
unpause takes it back, whatever becomes of the process: a run that is started meanwhile says that
it is paused, and waits. Where none is under way, the next one begins so.
"""


@click.command(help=_EXAMPLES)
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object; times in UTC.")
def pause(*, output: Path, as_json: bool) -> None:
    from pipeline.cli.steered import pause as ask  # noqa: PLC0415

    sys.exit(ask(output, as_json=as_json))
