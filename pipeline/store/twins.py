"""Rows that ask the same, kept in the checkpoint: found by digest, however many there are.

A row that another one is sent for is a twin. Each group has one sender; who that is changes only
where it failed, or where a retry put it back. `Twins` is for the run; what stands below it, for
whoever looks from outside.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.codec import encode
from pipeline.input.sameness import Group
from pipeline.life.facts import Finish

if TYPE_CHECKING:
    # For whoever looks from outside it would be 10 ms in vain.
    from pipeline.store.database import Database

# Beside a row: whose answer it has or waits for, and what it asks.
COLUMNS = (
    ", (SELECT coalesce(same_as, requests.line) FROM twins JOIN requests ON number = request"
    " WHERE twins.line = rows.line),"
    " coalesce((SELECT digest FROM twins JOIN requests ON number = request"
    " WHERE twins.line = rows.line), (SELECT digest FROM requests WHERE line = rows.line))"
)
# The same of a run without these tables.
NO_COLUMNS = ", NULL, NULL"
# A twin waits, or has the answer of its group's sender, which has an operation; nobody else does.
_ODD = (
    "SELECT rows.line FROM rows LEFT JOIN twins ON twins.line = rows.line"
    " LEFT JOIN requests ON number = request LEFT JOIN rows AS sent ON sent.line = requests.line"
    " WHERE twins.line IS NULL AND (rows.state = 'twin'"
    " OR rows.state = 'ok' AND rows.operation_id IS NULL)"
    " OR twins.line IS NOT NULL AND NOT coalesce(iif(same_as IS NULL,"
    " number AND rows.state = 'twin' AND rows.place IS NULL,"
    " rows.state = 'ok' AND rows.operation_id IS NULL AND same_as = requests.line"
    " AND sent.state = 'ok' AND sent.operation_id IS NOT NULL), 0)"
    " UNION ALL SELECT line FROM twins WHERE line NOT IN (SELECT line FROM rows)"
)


class Twins:
    """The tables of a run that sends the same request once; any other has none of them."""

    def __init__(self, database: "Database") -> None:
        self._database = database
        self._db = database.connection
        self._failures = database.failures
        with self._failures("read"):
            found = "SELECT 1 FROM sqlite_master WHERE name = 'requests'"
            self._kept = self._db.execute(found).fetchone() is not None

    def keep(self) -> None:
        """Be one of a run that sends the same request once."""
        with self._failures("write"):
            self._database.keep_twins()
        self._kept = True

    # Written in the transaction that is open.

    def ask(self, line: int, digest: bytes) -> None:
        """Make a waiting row the sender of its request; a twin where another is that did not fail.

        Also where one did, and some wait already: which of them is sent next is being decided.
        """
        found = self._db.execute(
            "SELECT number, requests.line,"
            " rows.line IS NOT NULL AND (place IS NULL OR state = 'ok')"
            " OR EXISTS (SELECT 1 FROM twins WHERE request = number AND same_as IS NULL)"
            " FROM requests LEFT JOIN rows ON rows.line = requests.line WHERE digest = ?",
            (digest,),
        ).fetchone()
        if found is None:
            self._db.execute("INSERT INTO requests (digest, line) VALUES (?, ?)", (digest, line))
            return
        number, sender, has_others = found
        if not has_others:
            self._db.execute("UPDATE requests SET line = ? WHERE number = ?", (line, number))
        elif sender != line:
            self._db.execute("INSERT INTO twins VALUES (?, ?, NULL)", (line, number))
            self._db.execute("UPDATE rows SET state = 'twin' WHERE line = ?", (line,))

    def choose(self, line: int, group: int) -> None:
        """Make a twin the sender."""
        self._db.execute("DELETE FROM twins WHERE line = ?", (line,))
        self._db.execute("UPDATE requests SET line = ? WHERE number = ?", (line, group))

    def finish(self, ends: Sequence[Finish]) -> None:
        """Note whose answer rows have that another was sent for."""
        if self._kept:
            self._db.executemany(
                "UPDATE twins SET same_as = ? WHERE line = ?",
                [(end.same_as, end.line) for end in ends if end.same_as is not None],
            )

    def release(self, lines: Iterable[int]) -> None:
        """Let rows that are put back be no senders: each may ask something else now."""
        if self._kept:
            self._db.executemany(
                "UPDATE requests SET line = NULL WHERE line = ?", ((line,) for line in lines)
            )

    def answered(self) -> int:
        """How many rows have the answer of another."""
        if not self._kept:
            return 0
        with self._failures("read"):
            query = "SELECT count(*) FROM twins WHERE same_as IS NOT NULL"
            return int(self._db.execute(query).fetchone()[0])

    # Who waits for whom.

    def sender_of(self, line: int) -> int | None:
        """The row that is sent for a twin without a line; None where it is no such twin."""
        if not self._kept:
            return None
        with self._failures("read"):
            found = self._db.execute(
                "SELECT requests.line FROM twins JOIN requests ON number = request"
                " WHERE twins.line = ? AND same_as IS NULL",
                (line,),
            ).fetchone()
        return None if found is None else found[0]

    def group(self, number: int, most: int) -> Group | None:
        """A group with the first of its twins that have no line, so many at most."""
        with self._failures("read"):
            found = self._db.execute(
                "SELECT requests.line, iif(place IS NULL, NULL, state)"
                " FROM requests LEFT JOIN rows ON rows.line = requests.line WHERE number = ?",
                (number,),
            ).fetchone()
            if found is None:
                return None
            waiting = self._db.execute(
                "SELECT line FROM twins WHERE request = ? AND same_as IS NULL"
                " ORDER BY line LIMIT ?",
                (number, most),
            )
            sender, outcome = found
            return Group(number, sender, outcome, [line for (line,) in waiting])

    def groups_of_senders(self, senders: Sequence[int]) -> list[int]:
        """The groups with open twins that these rows are sent for."""
        return self._numbers(
            "SELECT number FROM requests WHERE line IN (SELECT value FROM json_each(?)) AND EXISTS"
            " (SELECT 1 FROM twins WHERE request = number AND same_as IS NULL)",
            encode(senders).decode(),
        )

    def groups_of_twins(self, lines: Sequence[int]) -> list[int]:
        """The groups of these rows whose sender is over already."""
        return self._numbers(
            "SELECT DISTINCT number FROM twins JOIN requests ON number = request"
            " JOIN rows ON rows.line = requests.line"
            " WHERE twins.line IN (SELECT value FROM json_each(?)) AND place IS NOT NULL",
            encode(lines).decode(),
        )

    def groups_left(self) -> list[int]:
        """The groups with open twins that nobody is under way for. Only open twins are read."""
        if not self._kept:
            return []
        return self._numbers(
            "SELECT number FROM (SELECT DISTINCT request FROM twins INDEXED BY open_twins"
            " WHERE same_as IS NULL) JOIN requests ON number = request"
            " LEFT JOIN rows ON rows.line = requests.line"
            " WHERE rows.line IS NULL OR place IS NOT NULL"
        )

    def _numbers(self, query: str, *parameters: str) -> list[int]:
        with self._failures("read"):
            return [number for (number,) in self._db.execute(query, parameters)]


def odd(db: sqlite3.Connection) -> Iterator[int]:
    """Rows that wait for another, or have its answer, where that can't be so."""
    yield from (line for (line,) in db.execute(_ODD))
