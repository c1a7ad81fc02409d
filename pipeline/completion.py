"""What is left to do once every row has its line: users must find it, and see what it came to."""

from pipeline.codec import encode
from pipeline.facts import ROWS, Signature
from pipeline.prices import PriceTable
from pipeline.recovery import Files
from pipeline.settings import Settings


def complete(files: Files, settings: Settings, prices: PriceTable) -> None:
    """Say that all is counted, and write totals; once more, it changes nothing.

    Raises:
        RunError: the disk fails.

    """
    files.checkpoint.set_meta({ROWS: str(files.checkpoint.cursor().rows)})
    if settings.totals:
        _write_totals(files, settings.recipe.model, prices)


def _write_totals(files: Files, model: str, prices: PriceTable) -> None:
    output, checkpoint = files.output, files.checkpoint
    line = encode({"totals": checkpoint.totals(model).to_json(prices)})
    if output.last() == line:
        return
    known = checkpoint.signature("output")
    output.append_last(line)
    size = 0 if known is None else known.size
    checkpoint.record([], {"output": Signature(size, output.signature().mtime_ns)})
