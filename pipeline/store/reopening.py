"""What a retry changes in the checkpoint: rows that had an error line are pending again.

All of it is one transaction of the checkpoint's. What a row's last operation used moves to the
sums of what bought nothing; its doubts stay where they are. Once a retry was made, its table stays
and says what was known of each row then, so that sums and submits can be proved.
"""

import sqlite3
from collections.abc import Sequence
from importlib.resources import files as package_files

from pipeline.api.outcomes import Usage
from pipeline.life.facts import RETRIES, REWRITTEN, Begin, columns_of
from pipeline.store import tally
from pipeline.store.retrial import Reopening
from pipeline.store.row_ids import RowIds


def write(db: sqlite3.Connection, retry: Reopening, ids: RowIds) -> int:
    """Write it, in the transaction that is open; return how many rows still can't be sent."""
    db.execute(package_files("pipeline.store").joinpath("retried.sql").read_text("utf-8"))
    for line, usage in retry.usages.items():
        _put_back(db, line, usage, retry.at)
    db.execute("DELETE FROM tally WHERE rows = 0")
    for shift in retry.shifts:
        db.execute(
            "UPDATE rows SET offset = offset + ? WHERE line BETWEEN ? AND ?",
            (shift.by, shift.first, shift.last),
        )
    unfit = _read_anew(db, retry.reread, ids)
    db.executemany(
        "UPDATE rows SET place = ? WHERE line = ?",
        ((offset, line) for line, offset in retry.places),
    )
    if retry.cursor is not None:
        _note(db, "cursor", retry.cursor.text)
    found = db.execute("SELECT value FROM meta WHERE key = ?", (RETRIES,)).fetchone()
    _note(db, RETRIES, str(1 + int(found[0] if found else 0)))
    _note(db, REWRITTEN, "1")
    return unfit


def _note(db: sqlite3.Connection, name: str, value: str) -> None:
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def _put_back(db: sqlite3.Connection, line: int, usage: Usage | None, at: float) -> None:
    (outcome,) = db.execute("SELECT state FROM rows WHERE line = ?", (line,)).fetchone()
    tally.put_back(db, line, outcome, usage)
    db.execute(
        "INSERT INTO retried SELECT line, ?, model, submits, operation_id, ?, ?, ?, ?"
        " FROM rows WHERE line = ?",
        (at, *_tokens(usage), line),
    )
    db.execute(
        "UPDATE rows SET state = 'waiting', at = NULL, spent = 0, operation_id = NULL,"
        " place = NULL, place_size = NULL, place_seal = NULL WHERE line = ?",
        (line,),
    )


def _tokens(usage: Usage | None) -> tuple[int | None, int | None, int | None, int | None]:
    if usage is None:
        return None, None, None, None
    return (
        *(usage.input_tokens, usage.completion_tokens),
        *(usage.reasoning_tokens, usage.total_tokens),
    )


def _read_anew(db: sqlite3.Connection, rows: Sequence[Begin], ids: RowIds) -> int:
    """Write rows as they are begun; they may have exchanged their ids."""
    unfit = 0
    db.executemany("UPDATE rows SET id = NULL WHERE line = ?", ((row.line,) for row in rows))
    for row in rows:
        is_free = ids.is_free(row.line, row.own_id)
        state = row.state if is_free else None
        unfit += state is None
        name, *_ = columns_of(state)
        db.execute(
            "UPDATE rows SET offset = ?, size = ?, seal = ?, id = ?, model = ?, kept = ?,"
            " input_bound = ?, output_bound = ?, state = ? WHERE line = ?",
            (
                *(row.span.offset, row.span.size, row.span.seal),
                *(row.own_id if is_free else None, row.model, row.kept),
                *(row.input_bound, row.output_bound, name, row.line),
            ),
        )
    return unfit
