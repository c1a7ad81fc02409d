"""``yagpt-batch export``: all results in the order of the input, in one file."""

import shlex
from pathlib import Path

import click

from pipeline.cli.moved import input_option

_EXAMPLES = """Write the results of OUTPUT's run to FILE, in the order of the input.

\b
  yagpt-batch export results.jsonl -o results.csv
  yagpt-batch export results.jsonl -o sorted.jsonl.zst --keep city --keep date

FILE ends in .jsonl or .csv, perhaps followed by .gz or .zst, or in .parquet, which needs
pip install '.[parquet]' in a copy of the repository. Rows that failed are among the others, with
their error, unless --ok-only is given; rows that are not finished are left out and counted. The
run's files are only read, and it may go on meanwhile.

CSV and Parquet have a column for each part of a result, then for each kept field, as JSON where it
is no text. Cells are what the service wrote: one that begins with = or + is a formula to a
spreadsheet program that opens CSV.
"""


@click.command(help=_EXAMPLES, short_help="results in the order of the input: JSONL, CSV, Parquet")
@click.argument("output", type=click.Path(path_type=Path))
@click.option(
    *("-o", "--to", "--output", "path"),
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write; its ending says what.",
)
@click.option(
    "--keep",
    multiple=True,
    metavar="FIELD",
    help="Copy this field of the input, beside those that the run kept.",
)
@click.option("--ok-only", is_flag=True, help="Leave out rows that failed or are held in doubt.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@input_option("; read for --keep only")
def export(
    *,
    output: Path,
    path: Path,
    keep: tuple[str, ...],
    ok_only: bool,
    force: bool,
    given_input: Path | None,
) -> None:
    from pipeline.cli.answer import tell  # noqa: PLC0415
    from pipeline.files.paths import Paths  # noqa: PLC0415
    from pipeline.results.export import Export  # noqa: PLC0415
    from pipeline.results.sheets import opener  # noqa: PLC0415
    from pipeline.terminal.signals import cleanly  # noqa: PLC0415
    from pipeline.terminal.speech import say  # noqa: PLC0415
    from pipeline.wording import so_many  # noqa: PLC0415

    opened, paths = opener(path), Paths(output)
    if opened is None:
        raise click.UsageError(
            f"-o {path}: name a .jsonl or .csv file, perhaps with .gz or .zst, or a .parquet file."
        )
    if path.exists() and not force:
        raise click.UsageError(f"-o {path} is there already: --force replaces it.")
    with cleanly():
        export = Export(paths, keep, failed=not ok_only, input=given_input)
        exported = export.write(path, opened)
    failed = f", {exported.failed:,} of them failed" if exported.failed else ""
    tell([f"{so_many(exported.rows, 'row')}{failed}: {path}"])
    if exported.unfinished:
        say(f"Rows that are not finished, and left out: {exported.unfinished:,}.")
    lacking = [name for name in keep if name in exported.lacking]
    if lacking and exported.rows:
        names = ", ".join(dict.fromkeys(lacking))
        say(f"No exported row has what --keep names: {names}.{_one_by_one(lacking)}")


def _one_by_one(lacking: list[str]) -> str:
    """What may be meant by a name with commas in it."""
    several = next((name.split(",") for name in lacking if "," in name), [])
    options = " ".join(f"--keep {shlex.quote(name.strip())}" for name in several if name.strip())
    return f" One name for each field: {options}" if options else ""
