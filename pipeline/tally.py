"""Sums over finished rows, kept in the checkpoint's own transactions so that they are a fold.

`''` stands for the run's own model and for no finish: in a key NULL is not equal to NULL.
"""

import sqlite3

from pipeline.totals import DoubtTally, Sums, Tally, Totals


def add(db: sqlite3.Connection, line: int, outcome: str, finish: str | None, sums: Sums) -> None:
    """Add to the sums of those that share outcome, model (the row's) and finish."""
    db.execute(
        "INSERT INTO tally SELECT ?, coalesce(model, ''), ?, ?, ?, ?, ?, ?, ?"
        " FROM rows WHERE line = ?"
        " ON CONFLICT DO UPDATE SET rows = rows + excluded.rows,"
        " unknown = unknown + excluded.unknown, input = input + excluded.input,"
        " completion = completion + excluded.completion,"
        " reasoning = reasoning + excluded.reasoning, total = total + excluded.total",
        (
            *(outcome, finish or "", sums.rows, sums.unknown, sums.input_tokens),
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


def read(db: sqlite3.Connection, model: str) -> Totals:
    """All sums; `model` is the run's, for rows that name none."""
    tallies = [
        Tally(outcome, own or model, finish or None, Sums(*sums))
        for outcome, own, finish, *sums in db.execute("SELECT * FROM tally")
    ]
    doubts = [
        DoubtTally(own or model, input_bound, output_bound, count)
        for own, input_bound, output_bound, count in db.execute(
            "SELECT model, input_bound, output_bound, count(*) FROM doubts"
            " GROUP BY model, input_bound, output_bound"
        )
    ]
    return Totals(tallies, doubts)
