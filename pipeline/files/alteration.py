"""What became of an input since its run knew it, and what that means for the next call. Pure."""

import shlex
from typing import Literal

Growth = Literal["appended", "changed", "unknown"]
"""Of an input of another length: rows came behind the others; it is another; either of these."""


def mended(output: str) -> str:
    """What sends lines that were mended."""
    return f"yagpt-batch retry {shlex.quote(output)} --stage input"


def unexpected(growth: Growth | None, rows: int | None, expected: int | None) -> Growth | None:
    """The same, but for rows that the run has counted, and goes on to; it may have read the end.

    `rows` are those that were counted in the input as it is now, if they were.
    """
    are_expected = rows is not None and expected is not None and rows <= expected
    return None if growth == "appended" and are_expected else growth


def told(
    growth: Growth | None, output: str, *, is_complete: bool, is_running: bool = False
) -> str:
    """One sentence; empty where what is told of the run without it is right."""
    match growth:
        case "changed" if is_running:
            return (
                "Its input has changed since it began: once it has ended, `run` refuses it; "
                f"lines that you mended go with `{mended(output)}`."
            )
        case _ if is_running:
            return ""
        case "changed":
            return (
                "Its input has changed since: `run` refuses it; "
                f"lines that you mended go with `{mended(output)}`."
            )
        case "appended" if is_complete:
            return "Rows were appended to its input: the same command goes on."
        case "unknown" if is_complete:
            return (
                "Its input has changed since: where rows were appended, the same command goes on."
            )
        case _:
            return ""
