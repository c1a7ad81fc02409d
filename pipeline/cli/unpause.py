"""``yagpt-batch unpause``: the end of a pause."""

import sys
from pathlib import Path

import click

_EXAMPLES = """Let the paused run of OUTPUT submit rows again.

\b
  yagpt-batch unpause results.jsonl

Places in the quota that were used before the pause still count for as long as they would have.
"""


@click.command(help=_EXAMPLES)
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object; times in UTC.")
def unpause(*, output: Path, as_json: bool) -> None:
    from pipeline.cli.steered import unpause as ask  # noqa: PLC0415

    sys.exit(ask(output, as_json=as_json))
