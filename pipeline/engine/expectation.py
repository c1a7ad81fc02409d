"""How many rows a run is to come to: noted by an earlier process, seen at the start, or counted.

Counting reads what is left of the input, so it is done beside the first requests, and again where
rows are appended while the run goes on.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from pipeline.engine.course import Course
from pipeline.errors import BadData
from pipeline.files import extent
from pipeline.life.facts import COUNTED, Note
from pipeline.resuming.recovery import Files

_LOOKS_APART = 5.0
# Somebody may append a row a second.
_TOLD_APART = 60.0


def counted(files: Files) -> int | None:
    """How many rows the whole input has, where that is noted."""
    return extent.rows_of(files.checkpoint.meta(COUNTED), files.source.signature())


def within(limit: int | None, rows: int, begun: int) -> int:
    """How many of the rows are to be sent; those begun are, whatever the limit is by now."""
    return max(rows if limit is None else min(rows, limit), begun)


async def follow(files: Files, course: Course, say: Callable[[str], None]) -> None:
    """Learn how many rows there are, where that was not seen at the start, and are appended."""
    source, told_at = files.source, float("-inf")
    size = source.signature().size
    if course.counts.total is None:
        await _count(files, course)
    expected = course.counts.total or 0
    while not course.intake.exhausted:
        await course.growth.wait(_LOOKS_APART)
        before, size = size, source.signature().size
        if size != before or course.counts.total != expected:
            # Half of what is appended may be there.
            with suppress(BadData):
                await _count(files, course)
        total, now = course.counts.total or 0, course.clock.now()
        if total > expected and now - told_at >= _TOLD_APART:
            told_at = now
            say(f"Rows were appended to {source.path}: they are taken up, too, {total:,} in all.")
        expected = total


async def _count(files: Files, course: Course) -> None:
    source, before = files.source, files.source.signature()
    loop = asyncio.get_running_loop()
    rows = await loop.run_in_executor(None, source.count_rows, course.cursor)
    course.recorder.post(Note(COUNTED, extent.noted(rows, before)))
    # Behind the end of an input that was read, nobody looks any more.
    if not course.intake.exhausted:
        course.expect(within(course.intake.limit, rows, course.cursor.rows))
