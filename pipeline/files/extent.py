"""How many rows an input has: counted once, and known while the file is the same. Pure.

The count is noted with the size and time that the file had before it was counted, so a note of
another file, or of one that has grown, tells nothing.
"""

from pipeline.life.facts import Signature


def noted(rows: int, before: Signature) -> str:
    """The note of a count; `before` is what the file was when counting began."""
    return f"{rows} {before.size} {before.mtime_ns}"


def rows_of(note: str | None, now: Signature) -> int | None:
    """How many rows the file has that is like this now; None where that was not noted."""
    rows, _, of_file = (note or "").partition(" ")
    is_same = of_file == f"{now.size} {now.mtime_ns}"
    return int(rows) if is_same and rows.isascii() and rows.isdecimal() else None
