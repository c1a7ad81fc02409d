"""Sums over finished rows, kept in the checkpoint's own transactions so that they are a fold.

`''` stands for the run's own model, no finish and no day: in a key NULL is not equal to NULL.
"""

import sqlite3

from pipeline.day import Day
from pipeline.totals import DoubtTally, Sums, Tally, Totals


def add(
    db: sqlite3.Connection,
    line: int,
    outcome: str,
    sums: Sums,
    *,
    finish: str | None = None,
    day: Day | None = None,
) -> None:
    """Add to the sums of those that share outcome, model (the row's), finish and day."""
    db.execute(
        "INSERT INTO tally SELECT ?, coalesce(model, ''), ?, ?, ?, ?, ?, ?, ?, ?"
        " FROM rows WHERE line = ?"
        " ON CONFLICT DO UPDATE SET rows = rows + excluded.rows,"
        " unknown = unknown + excluded.unknown, input = input + excluded.input,"
        " completion = completion + excluded.completion,"
        " reasoning = reasoning + excluded.reasoning, total = total + excluded.total",
        (
            *(outcome, finish or "", day or "", sums.rows, sums.unknown, sums.input_tokens),
            *(sums.completion_tokens, sums.reasoning_tokens, sums.total_tokens, line),
        ),
    )


def add_doubt(db: sqlite3.Connection, line: int, at: float) -> None:
    """Note a POST whose acceptance can't be known, with the most that it can have cost."""
    db.execute(
        "INSERT INTO doubts SELECT line, ?, model, input_bound, output_bound"
        " FROM rows WHERE line = ?",
        (at, line),
    )


def add_unknown(db: sqlite3.Connection, line: int, *, former: bool = False) -> None:
    """Note an operation whose usage will never be known, with the most that it can have cost.

    `former`: not the row's present one, so that nobody knows when it was accepted.
    """
    db.execute(
        "INSERT INTO unknowns SELECT line, iif(?, NULL, at), model, input_bound, output_bound"
        " FROM rows WHERE line = ?",
        (former, line),
    )


def read(db: sqlite3.Connection, model: str) -> Totals:
    """All sums; `model` is the run's, for rows that name none."""
    tallies = [
        Tally(outcome, own or model, finish or None, Sums(*sums), day or None)
        for outcome, own, finish, day, *sums in db.execute("SELECT * FROM tally")
    ]
    return Totals(tallies, _worst(db, "doubts", model), _worst(db, "unknowns", model))


def _worst(db: sqlite3.Connection, table: str, model: str) -> list[DoubtTally]:
    return [
        DoubtTally(own or model, input_bound, output_bound, count, day)
        for own, input_bound, output_bound, day, count in db.execute(
            "SELECT model, input_bound, output_bound, date(at, 'unixepoch', '+3 hours') AS day,"  # noqa: S608 - one of two names
            f" count(*) FROM {table} GROUP BY model, input_bound, output_bound, day"
        )
    ]
