"""Whether an input still holds what a run began from it, as far as one look at one line tells.

That takes no longer for a larger file. What was changed in the middle, and has its length, is not
seen: a start of the run compares every line.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import tee
from pathlib import Path

from msgspec.structs import replace

from pipeline.errors import RunError
from pipeline.files.alteration import Growth
from pipeline.files.output import seal
from pipeline.files.source import Source
from pipeline.life.facts import Cursor, Span

# What may stand behind a line: one that was the end of its file may have got CR and LF since.
_ENDS = (b"", b"\n", b"\r")


def with_next(span: Span) -> Span:
    """A line and one byte more: a line that was only made longer begins as it did."""
    return replace(span, size=span.size + 1)


def stands(data: bytes, span: Span, cursor: Cursor) -> bool:
    """Whether a line is what it was, by its bytes and the one behind them.

    Reading goes on at `cursor`: between CR and LF it would take the LF for a line of its own.
    """
    end = data[span.size :]
    is_divided = end == b"\r" and cursor.offset == span.offset + span.size + 1
    return seal(data[: span.size]) == span.seal and end in _ENDS and not is_divided


def changed_lines(
    begun: Iterable[tuple[int, Span]], source: Source, cursor: Cursor
) -> Iterator[tuple[int, Span]]:
    """Those of the rows begun whose lines are not what they were, in order; reads all of them."""
    rows, places = tee(begun)
    fetched = source.fetch(with_next(span) for _, span in places)
    for (line, span), data in zip(rows, fetched, strict=False):
        if not stands(data, span, cursor):
            yield line, span


def growth_of(path: Path, size: int, known: int, last: Span | None, cursor: Cursor) -> Growth:
    """What became of an input that has another size than the one known; `last` row was begun."""
    if last is None:
        return "appended"
    try:
        with closing(Source(path)) as source:
            if source.is_compressed:
                return "unknown"
            (data,) = source.fetch([with_next(last)])
    except RunError:
        return "unknown"
    return "appended" if size > known and stands(data, last, cursor) else "changed"
