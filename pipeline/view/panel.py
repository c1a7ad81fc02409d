"""How facts stand on a terminal: as many to a line as it has room for. Pure."""

from collections.abc import Iterable, Sequence

from pipeline.terminal.screen import columns_of, wrapped

_BETWEEN = " · "


def laid_out(groups: Iterable[Sequence[str]], width: int) -> list[str]:
    """Lines of at most `width` columns; a line holds phrases of one group, in their order.

    A phrase that is too long goes on in the next line; only a word longer than a line is cut.
    """
    return [line for group in groups for line in _lines(group, max(width, 1))]


def _lines(group: Sequence[str], width: int) -> list[str]:
    lines: list[str] = []
    for phrase in group:
        if lines and columns_of(lines[-1] + _BETWEEN + phrase) <= width:
            lines[-1] += _BETWEEN + phrase
        else:
            lines += wrapped(phrase, width)
    return lines
