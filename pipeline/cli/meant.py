"""What somebody meant who mistyped a name."""

import difflib
from collections.abc import Iterable


def meant(given: str, known: Iterable[str]) -> str:
    """A question that names what comes nearest, if anything comes near."""
    folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(given.casefold(), folded, n=1)
    return f". Did you mean {folded[close[0]]}?" if close else "."
