"""Words in columns, and below one another where a terminal has no room for them side by side."""

from collections.abc import Iterator, Sequence

from pipeline.terminal.screen import columns_of, wrapped
from pipeline.view.panel import laid_out

Rows = Sequence[Sequence[str]]
"""A head, and rows of as many cells each."""
_INDENT = "  "
_NOTHING = frozenset({"", "0"})


def tabled(rows: Rows, left: int, width: int | None) -> list[str]:
    """Rows as lines of so many columns at most, which None does not limit.

    The first `left` columns are words, the others numbers. Where they do not fit, those that say
    nothing are left out; where that is not enough, each row stands by itself with its facts below.
    """
    lines = list(_aligned(rows, left))
    if width is None or _fit(lines, width):
        return lines
    telling = _telling(rows, left)
    lines = list(_aligned(telling, left))
    return lines if _fit(lines, width) else list(_listed(telling, left, width))


def _fit(lines: Sequence[str], width: int) -> bool:
    return all(columns_of(line) <= width for line in lines)


def _telling(rows: Rows, left: int) -> Rows:
    """Without the numbers that no row has."""
    _, *body = rows
    told = [
        place < left or not _NOTHING.issuperset(column)
        for place, column in enumerate(zip(*body, strict=True))
    ]
    return [[cell for cell, is_told in zip(row, told, strict=True) if is_told] for row in rows]


def _aligned(rows: Rows, left: int) -> Iterator[str]:
    """Words begin together in their columns, numbers end."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _listed(rows: Rows, left: int, width: int) -> Iterator[str]:
    head, *body = rows
    for row in body:
        yield from wrapped(", ".join(filter(None, row[:left])), width, _INDENT)
        pairs = zip(head[left:], row[left:], strict=True)
        facts = [f"{name} {cell}" for name, cell in pairs if cell]
        yield from (_INDENT + line for line in laid_out([facts], width - len(_INDENT)))
