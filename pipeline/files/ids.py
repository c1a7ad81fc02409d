"""The ids of all rows of an input, however many: exact, in constant memory.

They stand in a temporary file of SQLite's own, which has no name and goes with the process; up to
a few megabytes of them it never touches the disk. A set of digests would be faster, but grows with
the input (60 MB for a million), and would now and then call an id repeated that is not.
"""

import sqlite3
from contextlib import AbstractContextManager

from pipeline.errors import StorageFailed

_MEMORY_KIB = 8192


class Ids(AbstractContextManager["Ids"]):
    """Remembers every id that it is shown."""

    def __init__(self) -> None:
        # No name: a private database that is deleted when it is closed.
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute(f"PRAGMA cache_size = -{_MEMORY_KIB}")
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "temp_store = FILE"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute("CREATE TABLE ids (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def is_new(self, row_id: str) -> bool:
        """Whether the id was not shown before.

        Raises:
            StorageFailed: there is no room for the temporary file.

        """
        try:
            return self._db.execute("INSERT OR IGNORE INTO ids VALUES (?)", (row_id,)).rowcount > 0
        except sqlite3.OperationalError as error:
            raise StorageFailed(
                f"can't keep the rows' ids in a temporary file: {error}.",
                "Make space, or name another folder with TMPDIR.",
            ) from error
