"""What is left to do once every row has its line: users must find it, and see what it came to."""

from pipeline.codec import encode
from pipeline.files import extent
from pipeline.life.facts import COUNTED, LIMIT, ROWS, Signature
from pipeline.money.prices import PriceTable
from pipeline.resuming.recovery import Files
from pipeline.settings import Settings


def complete(files: Files, settings: Settings, prices: PriceTable) -> None:
    """Say that all is counted, and write totals; once more, it changes nothing.

    Raises:
        RunError: the disk fails.

    """
    rows = files.checkpoint.cursor().rows
    limit = str(rows) if _has_more(files, settings) else ""
    files.checkpoint.set_meta({ROWS: str(rows), LIMIT: limit})
    if settings.totals:
        _write_totals(files, settings.recipe.model, prices)


def _has_more(files: Files, settings: Settings) -> bool:
    """Whether a limit left rows out; what stands behind the last one is not read."""
    cursor, now = files.checkpoint.cursor(), files.source.signature()
    rows = extent.rows_of(files.checkpoint.meta(COUNTED), now)
    if settings.limit is None or cursor.rows < settings.limit:
        return False
    if rows is not None:
        return rows > cursor.rows
    return files.source.is_compressed or cursor.offset < now.size


def _write_totals(files: Files, model: str, prices: PriceTable) -> None:
    output, checkpoint = files.output, files.checkpoint
    line = encode({"totals": checkpoint.totals(model).to_json(prices)})
    if output.last() == line:
        return
    known = checkpoint.signature("output")
    output.append_last(line)
    size = 0 if known is None else known.size
    checkpoint.record([], {"output": Signature(size, output.signature().mtime_ns)})
