"""The ids of a run's rows, each of which stands once: those that rows bring, and ``line-N``.

A row that brings none is known by its line, and stands in the checkpoint without an id.
"""

import re
import sqlite3

_LINE_ID = re.compile(r"line-([1-9]\d{0,17})")
_SOME_LINE_ID = "SELECT 1 FROM rows WHERE id >= 'line-' AND id < 'line.' LIMIT 1"


class RowIds:
    """Whose each id is, by the rows of an open checkpoint; its errors are for the caller."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        # Hardly any run has a row that brings an id of this form: then a row without one is free.
        self._some_bring_line_ids = db.execute(_SOME_LINE_ID).fetchone() is not None

    def is_free(self, line: int, own_id: str | None) -> bool:
        """Whether no other row has the id of this one, which is about to be written if so."""
        if own_id is None and not self._some_bring_line_ids:
            return True
        row_id = f"line-{line}" if own_id is None else own_id
        if self._db.execute("SELECT 1 FROM rows WHERE id = ?", (row_id,)).fetchone():
            return False
        if own_id is None or not own_id.startswith("line-"):
            return True
        self._some_bring_line_ids = True
        return self._is_no_line_of_another(line, own_id)

    def _is_no_line_of_another(self, line: int, own_id: str) -> bool:
        named = _LINE_ID.fullmatch(own_id)
        if named is None or int(named[1]) == line:
            return True
        unnamed = "SELECT 1 FROM rows WHERE line = ? AND id IS NULL"
        return self._db.execute(unnamed, (int(named[1]),)).fetchone() is None
