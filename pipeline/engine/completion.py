"""What is left to do once every row has its line: users must find it, and see what it came to."""

from contextlib import suppress

from pipeline.codec import encode
from pipeline.errors import BadData
from pipeline.files import extent
from pipeline.files.alteration import Growth
from pipeline.life.facts import COUNTED, LIMIT, ROWS, Note, Signature
from pipeline.money.prices import PriceTable
from pipeline.outside.bystander import signature_of
from pipeline.outside.growth import growth_of, stands, with_next
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
    if grown(files) in {"appended", "unknown"}:
        _note_taken(files)
    if settings.totals:
        _write_totals(files, settings.recipe.model, prices)


def grown(files: Files) -> Growth | None:
    """How the input has changed since its size was noted, as `status` tells it."""
    checkpoint, path = files.checkpoint, files.source.path
    now, known = signature_of(path), checkpoint.signature("input")
    if now is None or known is None or now.size == known.size:
        return None
    last = checkpoint.last_begun()
    span = None if last is None else last[1]
    return growth_of(path, now.size, known.size, span, checkpoint.cursor())


def _note_taken(files: Files) -> None:
    """Note how far an input that has grown was taken, if all its rows were.

    Its time stays the old one, so that the next start compares every line.
    """
    checkpoint, source = files.checkpoint, files.source
    now, known, last = source.signature(), checkpoint.signature("input"), checkpoint.last_begun()
    if known is None or last is None or now != signature_of(source.path):
        return
    cursor = checkpoint.cursor()
    with suppress(BadData):
        (data,) = source.fetch([with_next(last[1])])
        if stands(data, last[1], cursor) and source.count_rows(cursor) == cursor.rows:
            size = Signature(now.size, known.mtime_ns)
            checkpoint.record([Note(COUNTED, extent.noted(cursor.rows, now))], {"input": size})


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
