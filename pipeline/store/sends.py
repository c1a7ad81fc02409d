"""POSTs of late, kept in the checkpoint for the sliding windows of the next process.

Only those that no window can hold are forgotten, whatever windows the next process has. Here is
also whether any of all POSTs can have been accepted.
"""

import sqlite3
from collections.abc import Sequence

from pipeline.life.facts import Ended, Sent
from pipeline.pacing.rates import LONGEST_WINDOW

_FORGET_EVERY = 1000
_LAST_NUMBER = 2**47 - 1
Send = tuple[int, float, float | None]
"""Number, when it left and when it ended: 0 if it never was sent, None if nobody knows."""


def record(db: sqlite3.Connection, sent: Sequence[Sent], ended: Sequence[Ended]) -> None:
    """Note POSTs that are about to leave, and POSTs that ended."""
    db.executemany("INSERT INTO sends VALUES (?, ?, NULL)", ((s.number, s.at) for s in sent))
    db.executemany(
        "UPDATE sends SET ended = ? WHERE number = ?", ((e.at, e.number) for e in ended)
    )
    for send in sent:
        if send.number % _FORGET_EVERY == 0:
            _forget(db, send.at - 2 * LONGEST_WINDOW)


def _forget(db: sqlite3.Connection, before: float) -> None:
    """Forget the first ones, up to one that is to be kept: the others are not looked at."""
    db.execute(
        "DELETE FROM sends WHERE number < ("
        "SELECT number FROM sends WHERE coalesce(ended, at) >= ? ORDER BY number LIMIT 1)",
        (before,),
    )


def since(db: sqlite3.Connection, moment: float) -> list[Send]:
    """Those that had not ended by `moment`, oldest first; the others are not looked at.

    Raises:
        ValueError: no run writes one of them.

    """
    found = db.execute(
        "SELECT number, at, ended FROM sends WHERE ended > ? OR ended IS NULL ORDER BY number",
        (moment,),
    )
    return [_send(*columns) for columns in found]


def last(db: sqlite3.Connection) -> int:
    """The number of the last one; 0 where there is none.

    Raises:
        ValueError: no run has it.

    """
    found = db.execute("SELECT coalesce(max(number), 0) FROM sends").fetchone()
    return _number(found[0])


def may_have_been_accepted(db: sqlite3.Connection) -> bool:
    """Whether any row was accepted, or can have been: then something is paid for, or may be."""
    found = db.execute(
        "SELECT EXISTS (SELECT 1 FROM sends WHERE ended IS NULL)"
        " OR EXISTS (SELECT 1 FROM doubts) OR EXISTS (SELECT 1 FROM unknowns)"
        " OR EXISTS (SELECT 1 FROM tally WHERE outcome <> 'failed' AND rows <> 0)"
        " OR EXISTS (SELECT 1 FROM rows WHERE submits <> 0 OR spent <> 0"
        " OR operation_id IS NOT NULL OR state NOT IN ('waiting', 'twin', 'unfit', 'failed'))"
    ).fetchone()
    return bool(found[0])


def _send(number: object, at: object, ended: object) -> Send:
    if not isinstance(at, float) or not isinstance(ended, float | None):
        raise ValueError(f"the times of POST {number} are none")  # noqa: TRY004 - of data
    return _number(number), at, ended


def _number(number: object) -> int:
    if not isinstance(number, int) or not 0 <= number <= _LAST_NUMBER:
        raise ValueError(f"POST {number} is none of a run")
    return number
