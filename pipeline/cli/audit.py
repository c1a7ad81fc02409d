"""``yagpt-batch audit``: whether the files of a run agree."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.moved import input_option
from pipeline.cli.pricing import price_table, prices_option
from pipeline.errors import Exit
from pipeline.wording import so_many

if TYPE_CHECKING:
    from pipeline.results.case import Report

_EXAMPLES = """Prove that the input, the checkpoint, OUTPUT, its errors file and the totals agree.

\b
  yagpt-batch audit results.jsonl
  yagpt-batch audit results.jsonl --quick --json

Nothing is changed, and a run may go on meanwhile. Every disagreement is told with its file and
line, on standard output; then the exit code is 65. Every line of every file is read.

--quick does not read the files whole. It compares lengths, times, the last line of each file, and
the counts and sums inside the checkpoint. It does not see a byte that was changed in the middle of
a file, unless its time tells, nor a changed number of a row that is done.
"""


@click.command(help=_EXAMPLES)
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--quick", is_flag=True, help="Do not read the files whole.")
@input_option()
@prices_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def audit(
    *, output: Path, quick: bool, given_input: Path | None, prices: Path | None, as_json: bool
) -> None:
    from pipeline.cli.answer import tell  # noqa: PLC0415
    from pipeline.codec import encode  # noqa: PLC0415
    from pipeline.files.paths import Paths  # noqa: PLC0415
    from pipeline.results.audit import audit as audited  # noqa: PLC0415

    report = audited(Paths(output), price_table(prices), given_input=given_input, quick=quick)
    if as_json:
        click.echo(encode(_as_json(report)).decode())
    else:
        tell(_lines(output, report, quick=quick))
    sys.exit(Exit.OK if report.agrees else Exit.BAD_DATA)


def _rows(report: "Report") -> dict[str, int | None]:
    return {
        "input": report.in_input,
        **report.outcomes,
        "pending": report.pending,
        "not_begun": report.not_begun,
    }


def _as_json(report: "Report") -> dict[str, object]:
    return {
        "agrees": report.agrees,
        "rows": _rows(report),
        "findings": report.findings,
        "more_findings": report.more,
        "remarks": report.remarks,
    }


def _counted(report: "Report") -> str:
    counts = [
        *zip(report.outcomes.values(), ("ok", "failed", "held in doubt"), strict=True),
        (report.pending, "pending"),
        *([] if report.not_begun is None else [(report.not_begun, "not begun")]),
    ]
    told = ", ".join(f"{count:,} {what}" for count, what in counts)
    return (
        told
        if report.in_input is None
        else f"{so_many(report.in_input, 'row')} in the input: {told}"
    )


def _lines(output: Path, report: "Report", *, quick: bool) -> Iterator[str]:
    yield from report.findings
    if report.more:
        yield f"… and {report.more:,} more."
    yield from (f"Remark: {remark}" for remark in report.remarks)
    if report.outcomes:
        yield _counted(report)
    count = report.count
    if count:
        yield f"{output}: {so_many(count, 'disagreement')}"
    else:
        yield f"{output}: all agrees{', as far as --quick looks' if quick else ''}"
