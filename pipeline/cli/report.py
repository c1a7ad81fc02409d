"""``yagpt-batch report``: one page about a run, for people."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline import __version__
from pipeline.cli.pricing import price_table, prices_option
from pipeline.wording import so_many

if TYPE_CHECKING:
    from pipeline.files.paths import Paths
    from pipeline.money.prices import PriceTable
    from pipeline.outside.snapshot import Snapshot
    from pipeline.report.background import Background
    from pipeline.report.page import Page

# Found beside the package's modules, as prices are.
_TEMPLATE = Path(__file__).parent.parent / "report" / "page.html"
_EXAMPLES = """Write one HTML page about the run of OUTPUT, while it goes on or not.

\b
  yagpt-batch report results.jsonl -o report.html

Shows throughput against quota, latency, tokens and cost, errors, and the slowest and costliest
rows. The page is one file that loads nothing from elsewhere. The run is not disturbed. What can't
be read is told and not counted; exit code 65: nothing could be read, or it is no output of ours.
"""


@click.command(help=_EXAMPLES)
@click.argument("output", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "page_path",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where the page goes; what was there is replaced.",
)
@prices_option
def report(*, output: Path, page_path: Path, prices: Path | None) -> None:
    from pipeline.cli.answer import tell  # noqa: PLC0415
    from pipeline.clock import Clock, zone_at  # noqa: PLC0415
    from pipeline.money.account import Account  # noqa: PLC0415
    from pipeline.report.chronicle import Chronicle  # noqa: PLC0415
    from pipeline.report.page import Report, page  # noqa: PLC0415
    from pipeline.report.plots import Zone  # noqa: PLC0415
    from pipeline.results.receipts import no_output, paths_of, receipt  # noqa: PLC0415
    from pipeline.terminal.speech import say  # noqa: PLC0415

    paths, table, now = paths_of(output), price_table(prices), Clock().now()
    known, inputs = _looked(paths, table, now)
    _check_place(page_path, [output, *paths.all(), *inputs])
    chronicle = Chronicle(table, "" if known is None else str(known.settings.get("model", "")))
    read = receipt(output, chronicle.see)
    account = Account([read.bill])
    rows = account.totals.rows()
    if read.trouble is not None:
        raise read.trouble
    if not rows and known is None:
        raise no_output(output)
    zone = Zone(zone_at(now if chronicle.last is None else chronicle.last))
    made = page(Report(output.name, account, chronicle, known, table, zone, now, read.remarks))
    _write(page_path, rendered(made))
    for remark in read.remarks:
        say(remark)
    tell([f"{so_many(rows, 'row')} told in {click.format_filename(page_path)}"])


def _check_place(page_path: Path, own: Iterable[Path]) -> None:
    if any(page_path.resolve() == path.resolve() for path in own):
        raise click.UsageError(f"-o {page_path}: that is a file of the run itself.")
    if page_path.exists() and not page_path.is_file():
        raise click.UsageError(f"-o {page_path}: name a plain file.")


def _looked(
    paths: "Paths", prices: "PriceTable", now: float
) -> tuple["Background | None", list[Path]]:
    """What the checkpoint tells, and where the input may be; nothing where it can't be read."""
    from pipeline.errors import BadData, StorageFailed  # noqa: PLC0415
    from pipeline.outside.bystander import is_running  # noqa: PLC0415
    from pipeline.outside.snapshot import looked_at  # noqa: PLC0415

    try:
        running = paths.output.is_file() and is_running(paths.output)
        return looked_at(
            paths.checkpoint,
            lambda seen: (
                _background(paths, seen, prices, now, running=running),
                seen.input_paths(paths.output),
            ),
        )
    except (BadData, StorageFailed):
        # Whoever reads the lines tells why, where there is a checkpoint at all.
        return None, []


def _background(
    paths: "Paths", seen: "Snapshot", prices: "PriceTable", now: float, *, running: bool
) -> "Background":
    from pipeline.clock import local_day_and_time  # noqa: PLC0415
    from pipeline.ending import prospect  # noqa: PLC0415
    from pipeline.outside.observation import standing_of  # noqa: PLC0415
    from pipeline.report.background import Background  # noqa: PLC0415
    from pipeline.report.buckets import Buckets  # noqa: PLC0415

    standing = standing_of(paths, seen, prices, now, running=running)
    sends, first, since = Buckets(), None, None
    for second, count, number in seen.sends():
        sends.add(second, count)
        first = number if first is None else min(first, number)
        since = second if since is None else min(since, second)
    in_sight = standing.eta if running else None
    return Background(
        settings=seen.settings(),
        rates=seen.rates(),
        state="finished" if standing.complete and not running else standing.state,
        changed=standing.of_input(str(paths.output)),
        resume="" if standing.resume is None else str(standing.resume.step),
        expected=standing.expected,
        ends="" if in_sight is None else prospect.sentence(in_sight, local_day_and_time),
        sends=sends,
        since=None if first == 1 else since,
    )


def rendered(made: "Page") -> str:
    """The page as HTML; every word in it is cleaned and escaped, whoever wrote it."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415
    from markupsafe import Markup  # noqa: PLC0415

    from pipeline.terminal.speech import clean  # noqa: PLC0415

    def cleaned(value: object) -> object:
        return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = Environment(autoescape=True, finalize=cleaned, undefined=StrictUndefined)
    environment.filters["share"] = lambda share: round(share, 3)
    template = environment.from_string(_TEMPLATE.read_text("utf-8"))
    return template.render(page=made, version=__version__)


def _write(path: Path, text: str) -> None:
    """Whole or not at all: whoever looks at the page meanwhile sees the one before."""
    from pipeline.files.paths import unwritable  # noqa: PLC0415

    replacement = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        replacement.write_text(text, encoding="utf-8")
        replacement.replace(path)
    except OSError as error:
        with suppress(OSError):
            replacement.unlink(missing_ok=True)
        advice = "Make space, or name another file with -o."
        raise unwritable("write", path, error, advice) from error
