"""How facts stand on a terminal: as many to a line as it has room for. Pure."""

import textwrap
from collections.abc import Iterable, Sequence

_BETWEEN = " · "


def laid_out(groups: Iterable[Sequence[str]], width: int) -> list[str]:
    """Lines of at most `width` characters; a line holds phrases of one group, in their order.

    A phrase that is too long goes on in the next line; only a word longer than a line is cut.
    """
    return [line for group in groups for line in _lines(group, max(width, 1))]


def _lines(group: Sequence[str], width: int) -> list[str]:
    lines: list[str] = []
    for phrase in group:
        if lines and len(lines[-1]) + len(_BETWEEN) + len(phrase) <= width:
            lines[-1] += _BETWEEN + phrase
        else:
            lines += textwrap.wrap(phrase, width, break_on_hyphens=False)
    return lines
