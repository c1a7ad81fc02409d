"""Sums over finished rows, kept in the checkpoint's own transactions so that they are a fold.

`''` stands for the run's own model, no finish and no day: in a key NULL is not equal to NULL.
"""

import sqlite3
from collections.abc import Sequence

from msgspec.structs import replace

from pipeline.api.outcomes import Usage
from pipeline.codec import encode
from pipeline.life.facts import INTENDED, INTENDED_ANEW, Finish
from pipeline.money.totals import DoubtTally, Sums, Tally, Totals

_Key = tuple[str, str, str, str]
"""Outcome, model, finish and day."""
_DAY = "date(at, 'unixepoch', '+3 hours')"


def add_finished(db: sqlite3.Connection, ends: Sequence[Finish]) -> None:
    """Add rows that are just finished to the sums of those that share their key."""
    models, sums = _own_models(db, [end.line for end in ends]), dict[_Key, Sums]()
    for end in ends:
        is_unknown = end.usage is None and _was_accepted(db, end.line)
        if is_unknown:
            add_unknown(db, end.line)
        key = end.outcome, models.get(end.line, ""), end.finish or "", end.day or ""
        sums[key] = sums.get(key, Sums()) + _of_one(end.usage, is_unknown=is_unknown)
    for key, of_key in sums.items():
        _add(db, key, of_key)


def add_replaced(db: sqlite3.Connection, line: int) -> None:
    """Add a row's former operation, which bought nothing."""
    model = _own_models(db, [line]).get(line, "")
    _add(db, ("replaced", model, "", ""), Sums(rows=1, unknown=1))
    add_unknown(db, line, former=True)


def put_back(db: sqlite3.Connection, line: int, outcome: str, usage: Usage | None) -> None:
    """Take a row out of the sums of its outcome: what its operation used bought nothing."""
    model, was_accepted = _own_models(db, [line]).get(line, ""), _was_accepted(db, line)
    sums = _of_one(usage, is_unknown=usage is None and was_accepted)
    _add(db, (outcome, model, "", ""), -sums)
    if was_accepted:
        _add(db, ("replaced", model, "", ""), sums)


def _add(db: sqlite3.Connection, key: _Key, sums: Sums) -> None:
    db.execute(
        "INSERT INTO tally VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET rows = rows + excluded.rows,"
        " unknown = unknown + excluded.unknown, input = input + excluded.input,"
        " completion = completion + excluded.completion,"
        " reasoning = reasoning + excluded.reasoning, total = total + excluded.total",
        (
            *(*key, sums.rows, sums.unknown, sums.input_tokens),
            *(sums.completion_tokens, sums.reasoning_tokens, sums.total_tokens),
        ),
    )


def _own_models(db: sqlite3.Connection, lines: Sequence[int]) -> dict[int, str]:
    """The models of those rows that name their own: of most runs none."""
    query = (
        "SELECT line, model FROM rows WHERE model IS NOT NULL"
        " AND line IN (SELECT value FROM json_each(?))"
    )
    return dict(db.execute(query, (encode(lines).decode(),)))


def _was_accepted(db: sqlite3.Connection, line: int) -> bool:
    query = "SELECT operation_id IS NOT NULL FROM rows WHERE line = ?"
    return bool(db.execute(query, (line,)).fetchone()[0])


def _of_one(usage: Usage | None, *, is_unknown: bool) -> Sums:
    if usage is None:
        return Sums(rows=1, unknown=int(is_unknown))
    tokens = usage.input_tokens, usage.completion_tokens, usage.reasoning_tokens
    return Sums(1, 0, *tokens, usage.total_tokens)


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


def read_at_end(db: sqlite3.Connection, model: str) -> Totals:
    """The same where no process has the run: as the next one will find it when it takes over.

    It notes a doubt for each row whose POST may have left and has no answer on record; they count
    from the moment at which nobody can bring that answer any more.
    """
    totals = read(db, model)
    left = db.execute(
        f"SELECT model, input_bound, output_bound, {_DAY} AS day, state = ?2, count(*)"  # noqa: S608 - of a constant
        " FROM rows INDEXED BY pending WHERE place IS NULL"
        " AND state IN (SELECT value FROM json_each(?1)) GROUP BY 1, 2, 3, 4, 5",
        (encode(INTENDED).decode(), INTENDED_ANEW),
    )
    tallies, doubts, unknowns = list(totals.tallies), list(totals.doubts), list(totals.unknowns)
    for own, input_bound, output_bound, day, is_superseding, count in left:
        one = DoubtTally(own or model, input_bound, output_bound, count, day)
        doubts.append(one)
        if is_superseding:
            tallies.append(Tally("replaced", own or model, None, Sums(count, count)))
            unknowns.append(replace(one, day=None))
    return Totals(tallies, doubts, unknowns)


def _worst(db: sqlite3.Connection, table: str, model: str) -> list[DoubtTally]:
    return [
        DoubtTally(own or model, input_bound, output_bound, count, day)
        for own, input_bound, output_bound, day, count in db.execute(
            f"SELECT model, input_bound, output_bound, {_DAY} AS day,"  # noqa: S608 - one of two names
            f" count(*) FROM {table} GROUP BY model, input_bound, output_bound, day"
        )
    ]
