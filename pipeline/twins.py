"""Rows that ask the same, kept in the checkpoint: found by digest, however many there are.

A row that another one is sent for is a twin. Each group has one sender; who that is changes only
where it failed, or where a retry put it back.
"""

import sqlite3
from collections.abc import Iterable, Sequence

from pipeline.codec import encode
from pipeline.facts import Finish
from pipeline.sameness import Group


def has_tables(db: sqlite3.Connection) -> bool:
    """Whether the run looks for rows that ask the same."""
    found = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'requests'").fetchone()
    return found is not None


def ask(db: sqlite3.Connection, line: int, digest: bytes) -> None:
    """Make a waiting row the sender of its request; a twin where another is that did not fail.

    Also where one did, and some wait already: which of them is sent next is being decided.
    """
    found = db.execute(
        "SELECT number, requests.line, rows.line IS NOT NULL AND (place IS NULL OR state = 'ok')"
        " OR EXISTS (SELECT 1 FROM twins WHERE request = number AND same_as IS NULL)"
        " FROM requests LEFT JOIN rows ON rows.line = requests.line WHERE digest = ?",
        (digest,),
    ).fetchone()
    if found is None:
        db.execute("INSERT INTO requests (digest, line) VALUES (?, ?)", (digest, line))
        return
    number, sender, has_others = found
    if not has_others:
        db.execute("UPDATE requests SET line = ? WHERE number = ?", (line, number))
    elif sender != line:
        db.execute("INSERT INTO twins VALUES (?, ?, NULL)", (line, number))
        db.execute("UPDATE rows SET state = 'twin' WHERE line = ?", (line,))


def choose(db: sqlite3.Connection, line: int, group: int) -> None:
    """Make a twin the sender."""
    db.execute("DELETE FROM twins WHERE line = ?", (line,))
    db.execute("UPDATE requests SET line = ? WHERE number = ?", (line, group))


def finish(db: sqlite3.Connection, ends: Sequence[Finish]) -> None:
    """Note whose answer rows have that another was sent for."""
    db.executemany(
        "UPDATE twins SET same_as = ? WHERE line = ?",
        [(end.same_as, end.line) for end in ends if end.same_as is not None],
    )


def release(db: sqlite3.Connection, lines: Iterable[int]) -> None:
    """Let rows that are put back be no senders: each may ask something else now."""
    if has_tables(db):
        db.executemany("UPDATE requests SET line = NULL WHERE line = ?", ((n,) for n in lines))


def sender_of(db: sqlite3.Connection, line: int) -> int | None:
    """The row that is sent for a twin without a line; None where it is no such twin."""
    if not has_tables(db):
        return None
    found = db.execute(
        "SELECT requests.line FROM twins JOIN requests ON number = request"
        " WHERE twins.line = ? AND same_as IS NULL",
        (line,),
    ).fetchone()
    return None if found is None else found[0]


def group(db: sqlite3.Connection, number: int, most: int) -> Group | None:
    """A group with the first of its twins that have no line."""
    found = db.execute(
        "SELECT requests.line, iif(place IS NULL, NULL, state)"
        " FROM requests LEFT JOIN rows ON rows.line = requests.line WHERE number = ?",
        (number,),
    ).fetchone()
    if found is None:
        return None
    waiting = db.execute(
        "SELECT line FROM twins WHERE request = ? AND same_as IS NULL ORDER BY line LIMIT ?",
        (number, most),
    )
    sender, outcome = found
    return Group(number, sender, outcome, [line for (line,) in waiting])


def groups_of_senders(db: sqlite3.Connection, senders: Sequence[int]) -> list[int]:
    """The groups with open twins that these rows are sent for."""
    return _numbers(
        db,
        "SELECT number FROM requests WHERE line IN (SELECT value FROM json_each(?)) AND EXISTS"
        " (SELECT 1 FROM twins WHERE request = number AND same_as IS NULL)",
        senders,
    )


def groups_of_twins(db: sqlite3.Connection, lines: Sequence[int]) -> list[int]:
    """The groups of these rows whose sender is over already."""
    return _numbers(
        db,
        "SELECT DISTINCT number FROM twins JOIN requests ON number = request"
        " JOIN rows ON rows.line = requests.line"
        " WHERE twins.line IN (SELECT value FROM json_each(?)) AND place IS NOT NULL",
        lines,
    )


def groups_left(db: sqlite3.Connection) -> list[int]:
    """The groups with open twins that nobody is under way for; only open twins are looked at."""
    if not has_tables(db):
        return []
    found = db.execute(
        "SELECT number FROM (SELECT DISTINCT request FROM twins INDEXED BY open_twins"
        " WHERE same_as IS NULL) JOIN requests ON number = request"
        " LEFT JOIN rows ON rows.line = requests.line"
        " WHERE rows.line IS NULL OR place IS NOT NULL"
    )
    return [number for (number,) in found]


def _numbers(db: sqlite3.Connection, query: str, lines: Sequence[int]) -> list[int]:
    return [number for (number,) in db.execute(query, (encode(lines).decode(),))]
