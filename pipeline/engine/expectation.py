"""How many rows a run is to come to: noted by an earlier process, seen at the start, or counted.

Counting reads the whole input, so it is done beside the first requests, and once.
"""

import asyncio

from pipeline.engine.course import Course
from pipeline.files import extent
from pipeline.life.facts import COUNTED, ROWS, Note
from pipeline.resuming.recovery import Files


def counted(files: Files) -> int | None:
    """How many rows the whole input has, where that is noted."""
    return extent.rows_of(files.checkpoint.meta(COUNTED), files.source.signature())


def within(limit: int | None, rows: int | None, begun: int) -> int | None:
    """How many of the rows are to be sent; those begun are, whatever the limit is by now."""
    return rows if rows is None or limit is None else max(min(rows, limit), begun)


def expect(course: Course, total: int | None) -> None:
    """Let those know who watch, and those who look from outside."""
    course.counts.total = total
    course.recorder.post(Note(ROWS, None if total is None else str(total)))


async def count(files: Files, course: Course, limit: int | None) -> None:
    """Learn how many rows there are, where that was not seen at the start."""
    if course.counts.total is None:
        source, before = files.source, files.source.signature()
        rows = await asyncio.get_running_loop().run_in_executor(None, source.count_rows)
        course.recorder.post(Note(COUNTED, extent.noted(rows, before)))
        expect(course, within(limit, rows, course.counts.finished + course.counts.open))
