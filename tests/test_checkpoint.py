"""What is recorded is there again, whoever opens the checkpoint next."""

import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from pipeline.api.outcomes import Usage
from pipeline.engine.course import superseded
from pipeline.errors import BadData
from pipeline.life.facts import (
    Begin,
    Cursor,
    Doubt,
    Ended,
    Fact,
    Finish,
    Move,
    Pending,
    Sent,
    Signature,
    Span,
)
from pipeline.life.item import Doubted, Doubtful, Gone, Intended, Running, State, Waiting, after
from pipeline.life.records import Known
from pipeline.money.totals import beside
from pipeline.outside.snapshot import looked_at
from pipeline.store.checkpoint import Checkpoint
from pipeline.store.database import Database
from tests.builders import price_table
from tests.scratch import as_version_1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl.checkpoint"


def span(line: int) -> Span:
    return Span(line * 10, 9, line.to_bytes(8, "big"))


WAITING = Waiting()


def begin(
    line: int, own_id: str | None = None, state: State | None = WAITING, **changes: str
) -> Begin:
    cursor = Cursor(line * 10 + 10, line + 1, line)
    kept = b'{"a":1}' if changes.get("kept") else None
    return Begin(line, span(line), cursor, own_id, changes.get("model"), kept, 100, 50, state)


def finish(
    line: int, outcome: str = "ok", usage: Usage | None = None, day: str | None = None
) -> Finish:
    return Finish(line, outcome, "final", usage, Span(line * 100, 99, b"87654321"), day)


def recorded(path: Path, *facts: Fact) -> Checkpoint:
    """A checkpoint to which facts were recorded, closed and opened again."""
    checkpoint = Checkpoint(path)
    checkpoint.record(facts, {})
    checkpoint.close()
    return Checkpoint(path)


def pending(checkpoint: Checkpoint) -> dict[int, State | None]:
    found = {row.line: row.state for row in checkpoint.pending()}
    checkpoint.close()
    return found


def test_a_new_checkpoint_knows_nothing(path: Path) -> None:
    checkpoint = Checkpoint(path)
    assert checkpoint.cursor() == Cursor()
    assert checkpoint.meta("run") is None
    assert checkpoint.signature("output") is None
    assert checkpoint.last_begun() is None
    assert list(checkpoint.pending()) == []
    assert checkpoint.known(1, "m") is None
    assert checkpoint.place(1) is None
    assert checkpoint.last_send() == 0
    assert checkpoint.totals("m").rows() == 0
    checkpoint.close()


@pytest.mark.promise("P18")
def test_a_checkpoint_is_for_its_owner_s_eyes_only(path: Path) -> None:
    Checkpoint(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.promise("P3")
def test_a_commit_is_synced_before_anybody_is_told(path: Path) -> None:
    checkpoint = Checkpoint(path)
    pragma = checkpoint._db.execute  # noqa: SLF001 - what the promise stands on
    assert pragma("PRAGMA journal_mode").fetchone() == ("wal",)
    assert pragma("PRAGMA synchronous").fetchone() == (2,)
    checkpoint.close()


@pytest.mark.promise("P4")
def test_every_state_is_found_again(path: Path) -> None:
    states: dict[int, State | None] = {
        1: Waiting(),
        2: Doubtful(2, 1),
        3: Gone("d7q", 1, 1),
        4: Intended(1.5, Waiting()),
        5: Intended(2.5, Doubtful(2, 1)),
        6: Intended(3.5, Gone("d7r", 1, 1)),
        7: Running("d7s", 4.5, 1, 1),
        8: None,
    }
    checkpoint = recorded(path, *(begin(line, state=state) for line, state in states.items()))
    rows = list(checkpoint.pending())
    first = begin(1)
    bounds = first.input_bound, first.output_bound
    assert rows[0] == Pending(1, span(1), Waiting(), None, *bounds)
    assert pending(checkpoint) == states


@pytest.mark.promise("P4")
def test_the_last_move_counts(path: Path) -> None:
    moves: list[State] = [
        Intended(1.0, Waiting()),
        Running("d7q", 2.0, 1, 1),
        Gone("d7q", 1, 1),
    ]
    checkpoint = recorded(path, begin(1), *(Move(1, state) for state in moves))
    assert pending(checkpoint) == {1: Gone("d7q", 1, 1)}


@pytest.mark.promise("P4")
@pytest.mark.parametrize("end", ["running", "gone", "finished"])
def test_a_row_does_not_run_as_another_row_s_operation(path: Path, end: str) -> None:
    others: dict[str, list[Fact]] = {
        "running": [],
        "gone": [Move(1, Gone("d7q", 1, 1))],
        "finished": [finish(1)],
    }
    first = [begin(1), Move(1, Running("d7q", 1.0, 1, 1)), *others[end]]
    intent = Intended(2.0, Doubtful(1, 1))
    checkpoint = recorded(path, *first, begin(2, state=intent), begin(3))
    moves = [Move(2, Running("d7q", 3.0, 2, 2)), Move(3, Doubtful(1, 1))]
    assert checkpoint.record(moves, {}) == {2}
    found = pending(checkpoint)
    found.pop(1, None)
    assert found == {2: intent, 3: Doubtful(1, 1)}


@pytest.mark.promise("P4")
def test_a_row_may_run_again_as_the_operation_that_it_lost(path: Path) -> None:
    checkpoint = recorded(path, begin(1, state=Gone("d7q", 1, 1)))
    assert checkpoint.record([Move(1, Running("d7q", 2.0, 2, 2))], {}) == set()
    assert pending(checkpoint) == {1: Running("d7q", 2.0, 2, 2)}


def test_a_finished_row_is_not_pending_and_has_a_place(path: Path) -> None:
    checkpoint = recorded(path, begin(1), begin(2), finish(1))
    assert checkpoint.place(1) == Span(100, 99, b"87654321")
    assert checkpoint.place(2) is None
    assert pending(checkpoint) == {2: Waiting()}


def test_pending_rows_come_in_order_of_the_input(path: Path) -> None:
    # By the names of their states they would stand the other way round.
    states: list[State] = [WAITING, Running("b", 1.0, 1, 1), Gone("a", 1, 1), Doubtful(1, 1)]
    rows = (begin(line, state=state) for line, state in enumerate(states, 1))
    checkpoint = recorded(path, *rows)
    assert [(row.line, row.state) for row in checkpoint.pending()] == [*enumerate(states, 1)]
    assert [line for line, _ in checkpoint.begun()] == [1, 2, 3, 4]
    assert list(checkpoint.begun(2)) == [(3, span(3)), (4, span(4))]
    assert checkpoint.last_begun() == (4, span(4))
    assert checkpoint.spans([4, 9, 1]) == {4: span(4), 1: span(1)}
    checkpoint.close()


def test_the_cursor_stands_behind_the_last_row_begun(path: Path) -> None:
    last = Begin(2, span(2), Cursor(77, 3, 2, open=True), None, None, None, 1, None, None)
    checkpoint = recorded(path, begin(1), last)
    assert checkpoint.cursor() == Cursor(77, 3, 2, open=True)
    checkpoint.close()


def test_what_a_line_of_the_output_needs_is_known(path: Path) -> None:
    checkpoint = recorded(
        path,
        begin(1, "своё", Running("d7q", 1.0, 2, 1), model="yandexgpt", kept="yes"),
        begin(2),
    )
    assert checkpoint.known(1, "m") == Known(1, "своё", "yandexgpt", b'{"a":1}', "d7q", 2)
    assert checkpoint.known(2, "m") == Known(2, "line-2", "m", None, None, 0)
    checkpoint.close()


def test_signatures_and_words_are_kept_and_replaced(path: Path) -> None:
    checkpoint = Checkpoint(path)
    checkpoint.set_meta({"input": "a", "more": "{}"})
    checkpoint.set_meta({"input": "b"})
    checkpoint.record([], {"output": Signature(1, 2)})
    checkpoint.record([], {"output": Signature(3, 2**62), "errors": Signature(0, 0)})
    checkpoint.close()
    again = Checkpoint(path)
    assert (again.meta("input"), again.meta("more")) == ("b", "{}")
    assert again.signature("output") == Signature(3, 2**62)
    assert again.signature("errors") == Signature(0, 0)
    again.close()


# Ids.


@pytest.mark.parametrize(
    ("ids", "repeats"),
    [
        (["a", "b", "a", "a"], {3, 4}),
        ([None, None, None], set()),
        ([None, "line-1"], {2}),
        (["line-2", None], {2}),
        (["line-1", None], set()),
        ([None, "line-2"], set()),
        (["line-3", None, None], {3}),
        (["line-02", None], set()),
        (["line-9", "line-9"], {2}),
        (["a\x00", "a"], set()),
        (["A", "a"], set()),
        (["é", "e\u0301"], set()),
        (["a" * 10_000, "a" * 10_000], {2}),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_the_later_row_of_a_repeated_id_is_told(
    path: Path, ids: list[str | None], repeats: set[int], together: bool
) -> None:
    rows = [begin(line, own_id) for line, own_id in enumerate(ids, start=1)]
    told: set[int] = set()
    if together:
        checkpoint = Checkpoint(path)
        told = checkpoint.record(rows, {})
    else:
        for row in rows:
            checkpoint = Checkpoint(path)
            told |= checkpoint.record([row], {})
            checkpoint.close()
        checkpoint = Checkpoint(path)
    assert told == repeats
    assert {line for line, state in pending(checkpoint).items() if state is None} == repeats


def test_a_row_of_a_repeated_id_keeps_its_place_but_not_the_id(path: Path) -> None:
    checkpoint = recorded(path, begin(1, "a"), begin(2, "a"))
    known = checkpoint.known(2, "m")
    assert known is not None
    assert known.id == "line-2"
    assert checkpoint.spans([2]) == {2: span(2)}
    checkpoint.close()


# All or nothing.


def test_a_transaction_that_fails_leaves_nothing(path: Path) -> None:
    checkpoint = recorded(path, begin(1))
    with pytest.raises(BadData):
        checkpoint.record([begin(2), begin(1)], {"output": Signature(1, 1)})
    assert checkpoint.signature("output") is None
    checkpoint.record([begin(3)], {})
    assert set(pending(checkpoint)) == {1, 3}


# Sends.


@pytest.mark.promise("P13")
def test_sends_are_remembered_with_their_ends(path: Path) -> None:
    checkpoint = recorded(path, Sent(1, 10.0), Sent(2, 11.0), Ended(1, 12.0), Sent(3, 13.0))
    checkpoint.record([Ended(3, 0.0)], {})
    assert checkpoint.sends_since(0.0) == [(1, 10.0, 12.0), (2, 11.0, None)]
    assert checkpoint.sends_since(11.9) == [(1, 10.0, 12.0), (2, 11.0, None)]
    assert checkpoint.sends_since(12.0) == [(2, 11.0, None)]
    assert checkpoint.last_send() == 3
    checkpoint.close()


@pytest.mark.promise("P13")
def test_only_sends_that_no_window_can_hold_are_forgotten(path: Path) -> None:
    day = 86400.0
    checkpoint = recorded(path, Sent(1, 0.0), Ended(1, 1.0), Sent(2, 2.0), Sent(3, 1.5 * day))
    checkpoint.record([Sent(1000, 2.5 * day)], {})
    assert [number for number, _, _ in checkpoint.sends_since(-1.0)] == [3, 1000]
    checkpoint.close()


# Doubts.


@pytest.mark.promise("P5")
def test_every_doubt_is_counted_once_forgiven_or_not(path: Path) -> None:
    checkpoint = recorded(
        path,
        begin(1, model="yandexgpt"),
        begin(2),
        *(Move(1, Doubtful(1, 1)), Doubt(1, 1.0)),
        Move(1, Doubtful(1, 0)),
        *(Move(1, Doubtful(2, 1)), Doubt(1, 2.0)),
        *(Move(2, Doubtful(1, 1)), Doubt(2, 2.0)),
    )
    totals = checkpoint.totals("m")
    assert totals.doubt_count == 3
    assert {(d.model, d.count) for d in totals.doubts} == {("yandexgpt", 2), ("m", 1)}
    checkpoint.close()


@pytest.mark.promise("P5")
def test_rows_left_intended_count_at_the_end_as_the_next_start_will_note_them(path: Path) -> None:
    at, lite = 1_795_300_000.0, "yandexgpt-lite"
    rows: list[tuple[int, State]] = [
        (1, Intended(at, WAITING)),
        (2, Intended(at, Doubtful(1, 1))),
        (3, Intended(at, Gone("d7q", 1, 1))),
        (4, Intended(at, Gone("d7r", 1, 1))),
    ]
    begun = [begin(line, state=state, model="yandexgpt") for line, state in rows]
    others = [begin(5), begin(6, state=Running("d7s", at, 1, 1)), begin(7, state=Doubtful(1, 1))]
    checkpoint = recorded(path, *begun, *others, Doubt(7, at))
    assert checkpoint.totals(lite).doubt_count == 1
    left = checkpoint.totals_at_end(lite)
    for line, state in rows:
        doubtful = after(state, Doubted())
        checkpoint.record([Move(line, doubtful), Doubt(line, at), *superseded(line, state)], {})
    noted = checkpoint.totals(lite)
    assert left.doubt_count == noted.doubt_count == 5
    prices = price_table()
    assert left.to_json(prices) == noted.to_json(prices)
    assert left.exposure(prices) == noted.exposure(prices)
    assert list(beside(left, prices)) == list(beside(noted, prices))
    assert checkpoint.totals_at_end(lite).doubt_count == 5
    checkpoint.close()


# Files that are not ours.


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"this is a text and no database at all\n" * 100)
    with pytest.raises(BadData, match="damaged"):
        Checkpoint(path)


def test_the_database_of_another_program_is_refused(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE rows (line)")
    other.close()
    with pytest.raises(BadData, match="no checkpoint of yagpt-batch"):
        Checkpoint(path)


def test_the_checkpoint_of_another_version_is_refused(path: Path) -> None:
    Checkpoint(path).close()
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(BadData, match="another version"):
        Checkpoint(path)


@pytest.mark.promise("P15")
def test_the_sums_of_an_earlier_version_are_kept_with_days_that_nobody_knows(path: Path) -> None:
    whole(path)
    before = kept(path)
    as_version_1(path)
    assert kept(path) == [(o, m, f, "", *sums) for o, m, f, _, *sums in before]
    checkpoint = Checkpoint(path)
    checkpoint.record([finish(2, usage=Usage(1, 2, 0, 3), day="2026-03-03")], {})
    found = checkpoint.totals("lite").tallies
    checkpoint.close()
    days = {(tally.day, tally.sums.rows) for tally in found if tally.outcome == "ok"}
    assert days == {(None, 1), ("2026-03-03", 1)}
    Checkpoint(path).close()


@pytest.mark.promise("P15")
def test_answers_without_usage_of_an_earlier_version_count_as_the_longest_there_are(
    path: Path,
) -> None:
    whole(path)
    as_version_1(path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE tally SET unknown = 3")
    checkpoint = Checkpoint(path)
    totals = checkpoint.totals("lite")
    checkpoint.close()
    assert {(most.model, most.input_bound) for most in totals.unknowns} == {("lite", 32768)}
    assert sum(most.count for most in totals.unknowns) == 3 * len(totals.tallies) > 0


def test_an_earlier_version_that_is_damaged_is_refused_as_it_is(path: Path) -> None:
    whole(path)
    as_version_1(path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TABLE tally")
    before = path.read_bytes()
    with pytest.raises(BadData, match="is damaged"):
        Checkpoint(path)
    assert path.read_bytes() == before


def kept(path: Path) -> list[tuple[object, ...]]:
    """The sums that somebody sees who only looks."""
    return looked_at(path, lambda seen: [(*key, sums) for key, sums in seen.sums().items()])


_ODD = [
    "DELETE FROM rows WHERE line = 2",
    "DELETE FROM meta WHERE key = 'run'",
    "DELETE FROM meta WHERE key = 'settings'",
    "DELETE FROM meta WHERE key = 'cursor'",
    "UPDATE meta SET value = 'no id' WHERE key = 'run'",
    "UPDATE meta SET value = '[]' WHERE key = 'settings'",
    "UPDATE meta SET value = '{' WHERE key = 'settings'",
    "UPDATE meta SET value = '1 2' WHERE key = 'cursor'",
    "UPDATE meta SET value = '-1 4 3 0' WHERE key = 'cursor'",
    "UPDATE meta SET value = '40 3 3 0' WHERE key = 'cursor'",
    "UPDATE meta SET value = x'ff' WHERE key = 'run'",
    "UPDATE meta SET value = CAST(x'ff' AS TEXT) WHERE key = 'run'",
    "UPDATE files SET size = NULL",
    "UPDATE files SET mtime_ns = 'x'",
    "UPDATE rows SET line = -1 WHERE line = 1",
    "UPDATE rows SET offset = x'00' WHERE line = 1",
    "UPDATE rows SET offset = -1 WHERE line = 1",
    "UPDATE rows SET size = 1 << 62 WHERE line = 1",
    "UPDATE rows SET seal = 'x' WHERE line = 1",
    "UPDATE rows SET kept = 'x' WHERE line = 1",
    "UPDATE rows SET input_bound = 'x' WHERE line = 1",
    "UPDATE rows SET output_bound = 0.5 WHERE line = 1",
    "UPDATE rows SET submits = 'x' WHERE line = 1",
    "UPDATE rows SET spent = -9 WHERE line = 1",
    "UPDATE rows SET at = 'x' WHERE line = 1",
    "UPDATE rows SET operation_id = x'ff' WHERE line = 1",
    "UPDATE rows SET state = 'twin' WHERE line = 1",
    "UPDATE rows SET place = 0 WHERE line = 1",
    "UPDATE rows SET place = NULL WHERE line = 3",
    "UPDATE doubts SET input_bound = NULL",
    "UPDATE doubts SET model = x'ff'",
    "UPDATE tally SET rows = 'x'",
    "UPDATE tally SET total = NULL",
    "UPDATE tally SET model = x'30'",
    "UPDATE tally SET day = x'30'",
    "DROP TABLE tally",
]


def whole(path: Path) -> None:
    """The checkpoint of a small run, closed."""
    checkpoint = Checkpoint(path)
    checkpoint.set_meta({"run": str(UUID(int=1)), "settings": "{}"})
    rows = [begin(1, state=Running("a", 1.0, 1, 1)), begin(2), begin(3)]
    facts: list[Fact] = [*rows, Sent(1, 1.0), Ended(1, 2.0), Doubt(2, 1.0), finish(3)]
    checkpoint.record(facts, {"output": Signature(1, 2)})
    checkpoint.close()


@pytest.mark.promise("P6")
@pytest.mark.parametrize("statement", _ODD)
def test_a_checkpoint_that_holds_what_no_run_writes_is_refused_in_one_sentence(
    path: Path, statement: str
) -> None:
    whole(path)
    Checkpoint(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)
    with pytest.raises(BadData, match="is damaged: ") as caught:
        Checkpoint(path)
    assert "\n" not in caught.value.told
    assert "--fresh" in caught.value.advice


@pytest.mark.promise("P6")
@pytest.mark.parametrize(
    "change", ["at = 'x', ended = NULL", "ended = 'x'", "ended = x'00'", "number = 1 << 62"]
)
def test_posts_that_no_run_made_are_refused_where_they_are_read(path: Path, change: str) -> None:
    whole(path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"UPDATE sends SET {change}")  # noqa: S608 - of the list above
    checkpoint = Checkpoint(path)
    with pytest.raises(BadData, match="is damaged: ") as caught:
        checkpoint.sends_since(checkpoint.last_send())
    assert "--fresh" in caught.value.advice
    checkpoint.close()


@pytest.mark.promise("P6")
@pytest.mark.parametrize("name", ["rows", "pending", "operations", "meta"])
@pytest.mark.parametrize("other", ["sends", "own_ids", None])
def test_a_checkpoint_with_a_page_in_anothers_place_is_refused(
    path: Path, name: str, other: str | None
) -> None:
    whole(path)
    with closing(sqlite3.connect(path)) as db:
        roots = dict(db.execute("SELECT name, rootpage FROM sqlite_master"))
        (size,) = db.execute("PRAGMA page_size").fetchone()
    data = bytearray(path.read_bytes())
    at = (roots[name] - 1) * size
    source = (roots[other] - 1) * size if other else None
    data[at : at + size] = bytes(size) if source is None else data[source : source + size]
    path.write_bytes(data)
    with pytest.raises(BadData, match="is damaged: "):
        Checkpoint(path)


@pytest.mark.promise("P6")
def test_a_large_checkpoint_whose_ids_are_damaged_is_refused_and_left_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a small one is read through before it is marked as open."""
    whole(path)
    sound = path.read_bytes()
    with closing(sqlite3.connect(path)) as db:
        (root,) = db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'own_ids'"
        ).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    at = (root - 1) * size
    monkeypatch.setattr("pipeline.store.database._SMALL", 0)
    path.write_bytes(sound[:at] + bytes(size) + sound[at + size :])
    with pytest.raises(BadData, match="is damaged: "):
        Checkpoint(path)
    assert not log_of(path).exists()
    refused = path.read_bytes()
    path.write_bytes(refused[:at] + sound[at : at + size] + refused[at + size :])
    checkpoint = Checkpoint(path)
    assert {row.line for row in checkpoint.pending()} == {1, 2}
    checkpoint.close()


@pytest.mark.promise("P6")
@pytest.mark.parametrize("change", ["offset = 'x'", "offset = -1", "size = 1 << 62", "seal = 'x'"])
def test_where_a_finished_row_stands_is_refused_when_it_is_needed_and_no_run_wrote_it(
    path: Path, change: str
) -> None:
    recorded(path, begin(1), finish(1)).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(" ".join(["UPDATE rows SET", change]))
    checkpoint = Checkpoint(path)
    for ask in (
        checkpoint.last_begun,
        lambda: checkpoint.spans([1]),
        lambda: [*checkpoint.begun()],
    ):
        with pytest.raises(BadData, match="is damaged: the place of a line"):
            ask()
    checkpoint.close()


@pytest.mark.promise("P6")
def test_kept_fields_that_are_no_json_are_refused_when_they_are_needed(path: Path) -> None:
    recorded(path, begin(1, kept="yes")).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE rows SET kept = x'ff'")
    checkpoint = Checkpoint(path)
    with pytest.raises(BadData, match="is damaged: "):
        checkpoint.known(1, "m")
    checkpoint.close()


@pytest.mark.promise("P6")
def test_a_state_that_nobody_writes_is_refused(path: Path) -> None:
    recorded(path, begin(1)).close()
    other = sqlite3.connect(path)
    other.execute("UPDATE rows SET state = 'dancing'")
    other.commit()
    other.close()
    checkpoint = Checkpoint(path)
    with pytest.raises(BadData, match="dancing"):
        list(checkpoint.pending())
    checkpoint.close()


# A checkpoint and its log, one without the other.


def killed(path: Path, folder: Path) -> Path:
    """The files of a checkpoint as a process that is killed leaves them, in another folder."""
    folder.mkdir()
    checkpoint = Checkpoint(path)
    checkpoint.record([begin(1, state=Running("d7q", 4.5, 1, 1))], {})
    for suffix in "", "-wal":
        shutil.copy(f"{path}{suffix}", folder)
    checkpoint.close()
    return folder / path.name


def log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


@pytest.mark.promise("P4")
def test_what_a_killed_process_recorded_is_in_its_log(path: Path, tmp_path: Path) -> None:
    left = killed(path, tmp_path / "killed")
    assert log_of(left).stat().st_size > 0
    assert pending(Checkpoint(left)) == {1: Running("d7q", 4.5, 1, 1)}


@pytest.mark.promise("P4")
@pytest.mark.promise("P6")
def test_a_checkpoint_that_lost_its_log_is_refused_each_time(path: Path, tmp_path: Path) -> None:
    left = killed(path, tmp_path / "killed")
    log = log_of(left).read_bytes()
    log_of(left).unlink()
    for _ in range(3):
        with pytest.raises(
            BadData, match=r"results\.jsonl\.checkpoint-wal.* is missing"
        ) as caught:
            Checkpoint(left)
        assert "Put back what is missing" in caught.value.advice
    # Put back, it is whole again.
    log_of(left).write_bytes(log)
    assert pending(Checkpoint(left)) == {1: Running("d7q", 4.5, 1, 1)}


@pytest.mark.promise("P4")
@pytest.mark.promise("P6")
@pytest.mark.parametrize("empty", [True, False])
def test_a_log_whose_checkpoint_is_gone_or_empty_is_refused_untouched(
    path: Path, tmp_path: Path, empty: bool
) -> None:
    left = killed(path, tmp_path / "killed")
    whole, log = left.read_bytes(), log_of(left).read_bytes()
    left.unlink()
    if empty:
        left.touch()
    for _ in range(2):
        with pytest.raises(BadData, match="is gone, but its log"):
            Checkpoint(left)
    assert log_of(left).read_bytes() == log
    left.write_bytes(whole)
    assert pending(Checkpoint(left)) == {1: Running("d7q", 4.5, 1, 1)}


@pytest.mark.promise("P6")
def test_a_checkpoint_that_was_closed_needs_no_log(path: Path) -> None:
    recorded(path, begin(1)).close()
    assert not log_of(path).exists()
    assert pending(Checkpoint(path)) == {1: WAITING}


@pytest.mark.promise("P6")
@pytest.mark.parametrize("part", ["_prepare", "_mark_open"])
def test_a_checkpoint_whose_first_process_was_killed_early_is_taken_up(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Killed right after the schema, or right after the first mark."""
    left = tmp_path / "killed"
    left.mkdir()
    whole = getattr(Database, part)

    def killed_after(database: Database, **given: bool) -> None:
        whole(database, **given)
        for suffix in "", "-wal":
            shutil.copy(f"{path}{suffix}", left)

    with monkeypatch.context() as patch:
        patch.setattr(Database, part, killed_after)
        Checkpoint(path).close()
    assert pending(Checkpoint(left / path.name)) == {}


@pytest.mark.promise("P6")
def test_a_checkpoint_says_in_its_main_file_whether_it_is_open(path: Path, tmp_path: Path) -> None:
    def copied(name: str) -> Path:
        return Path(shutil.copy(path, tmp_path / name))

    checkpoint = Checkpoint(path)
    checkpoint.record([begin(1)], {})
    assert checkpoint.meta("open") == "1"
    with pytest.raises(BadData, match=r"while-open-wal, a part of while-open, is missing"):
        Checkpoint(copied("while-open"))
    checkpoint.close()
    assert pending(Checkpoint(copied("closed"))) == {1: Waiting()}
