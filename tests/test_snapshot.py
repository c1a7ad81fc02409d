"""A checkpoint is looked at without a trace, whatever state its run left it in."""

import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import BadData, RunError, StorageFailed
from pipeline.files.output import Lines
from pipeline.life.facts import QUOTAS, RATES, Cursor, Ended, Note, Sent
from pipeline.life.item import Doubtful, Running
from pipeline.money.totals import Totals
from pipeline.operations.polling import RETENTION
from pipeline.outside import bystander, snapshot
from pipeline.outside.bystander import is_running, steadily
from pipeline.outside.snapshot import Snapshot, looked_at
from pipeline.pacing.learned import KnownQuota, Learned
from pipeline.pacing.rates import Rate
from pipeline.store.checkpoint import Checkpoint
from tests.builders import MODEL, NOW, Place, begin_all, finish, move, place
from tests.scratch import as_version_1

_KILLED = """
import os, sys
from pathlib import Path
from tests.builders import begin_all, finish, place
with place(Path(sys.argv[1])).opened() as files:
    begin_all(files)
    finish(files, 1, 2)
    os._exit(9)
"""

_GOES_ON = """
import sys
from pathlib import Path
from pipeline.files.paths import Paths
from tests.builders import Place, finish
folder = Path(sys.argv[1])
with Place(folder / "prompts.jsonl", Paths(folder / "results.jsonl")).opened() as files:
    finish(files, 3)
"""


def ended(folder: Path) -> Place:
    """A run that was closed as it should be."""
    run = place(folder)
    with run.opened() as files:
        begin_all(files)
        finish(files, 1, 2)
    return run


def killed(folder: Path) -> Place:
    """A run whose process died: its log and shared memory are left."""
    subprocess.run([sys.executable, "-c", _KILLED, folder], check=False, cwd=Path.cwd())
    run = place(folder)
    assert beside(run, "-wal").stat().st_size
    assert beside(run, "-shm").exists()
    return run


def copied_after_a_kill(folder: Path) -> Place:
    """The same, copied without the shared memory, as README says is enough."""
    run = killed(folder)
    beside(run, "-shm").unlink()
    return run


_BEGINS_A_LOG = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
os._exit(9)
"""


def killed_at_a_new_log(folder: Path, size: int | None) -> Place:
    """A run that was killed when so much of a log stood there, and its shared memory told of none.

    All of the log if None: its frames were in the database, and it was to be cut.
    """
    run = killed(folder)
    log = beside(run, "-wal")
    data, path = log.read_bytes(), run.paths.checkpoint
    subprocess.run([sys.executable, "-c", _BEGINS_A_LOG, path], check=False)
    assert log.read_bytes() == b""
    log.write_bytes(data[:size])
    return run


def killed_before_the_first_frame(folder: Path) -> Place:
    return killed_at_a_new_log(folder, 32)


def killed_before_the_log_was_cut(folder: Path) -> Place:
    return killed_at_a_new_log(folder, None)


def beside(run: Place, ending: str) -> Path:
    return run.paths.checkpoint.with_name(run.paths.checkpoint.name + ending)


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Times and bytes of all files."""
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


def done(snapshot: Snapshot) -> int:
    return snapshot.totals(MODEL).rows("ok")


@pytest.mark.parametrize("left", [ended, killed, copied_after_a_kill])
def test_looking_changes_no_file_and_makes_none(
    tmp_path: Path, left: Callable[[Path], Place]
) -> None:
    run = left(tmp_path)
    before = state(tmp_path)
    assert looked_at(run.paths.checkpoint, done) == 2
    assert not is_running(run.paths.output)
    assert state(tmp_path) == before


@pytest.mark.promise("P17")
@pytest.mark.parametrize("left", [killed_before_the_first_frame, killed_before_the_log_was_cut])
def test_a_run_killed_as_it_began_a_log_can_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: Callable[[Path], Place]
) -> None:
    """SQLite would wait 10 s for a process that tells what stands in the log, at every try."""
    monkeypatch.setattr(snapshot, "_TRIES", 1)
    run = left(tmp_path)
    before = state(tmp_path)
    assert looked_at(run.paths.checkpoint, done) == 2
    assert state(tmp_path) == before
    with run.opened() as files:
        finish(files, 3)
    assert looked_at(run.paths.checkpoint, done) == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
@pytest.mark.parametrize("left", [ended, killed, copied_after_a_kill])
def test_a_folder_that_is_read_only_can_be_looked_at(
    tmp_path: Path, left: Callable[[Path], Place]
) -> None:
    run = left(tmp_path)
    for path in [*tmp_path.iterdir(), tmp_path]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        assert looked_at(run.paths.checkpoint, done) == 2
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("left", [ended, killed, copied_after_a_kill])
def test_a_run_goes_on_after_somebody_looked(
    tmp_path: Path, left: Callable[[Path], Place]
) -> None:
    run = left(tmp_path)
    looked_at(run.paths.checkpoint, done)
    with run.opened() as files:
        finish(files, 3)
    assert looked_at(run.paths.checkpoint, done) == 3
    assert not beside(run, "-wal").exists()


@pytest.mark.promise("P6")
def test_a_log_that_is_missing_is_told_and_stays_missing(tmp_path: Path) -> None:
    run = killed(tmp_path)
    beside(run, "-wal").unlink()
    before = state(tmp_path)
    with pytest.raises(BadData, match=r"-wal, a part of .* is missing"):
        looked_at(run.paths.checkpoint, done)
    assert state(tmp_path) == before
    with pytest.raises(BadData, match=r"-wal, a part of .* is missing"), run.opened():
        pass


def test_what_a_living_run_records_is_seen_as_of_one_instant(tmp_path: Path) -> None:
    run = place(tmp_path)
    with run.opened() as files:
        begin_all(files)
        finish(files, 1)

        def see(snapshot: Snapshot) -> tuple[int, int]:
            before = done(snapshot)
            finish(files, 2)
            return before, done(snapshot)

        assert looked_at(run.paths.checkpoint, see) == (1, 1)
        assert looked_at(run.paths.checkpoint, done) == 2
        assert is_running(run.paths.output)


@pytest.mark.parametrize("left", [ended, killed_before_the_first_frame])
def test_a_run_that_begins_meanwhile_is_waited_for_and_not_hindered(
    tmp_path: Path, left: Callable[[Path], Place]
) -> None:
    run, seen = left(tmp_path), list[int]()

    def see(snapshot: Snapshot) -> int:
        seen.append(done(snapshot))
        if len(seen) == 1:
            subprocess.run([sys.executable, "-c", _GOES_ON, tmp_path], check=True)
        return seen[-1]

    assert looked_at(run.paths.checkpoint, see) == 3
    assert seen == [2, 3]


def test_a_run_that_ends_in_the_worst_moment_leaves_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise SQLite would make a new one, and a run could not tell that its own is gone."""
    run, connect = killed(tmp_path), bystander._connection  # noqa: SLF001 - between two steps

    def connect_late(uri: str) -> sqlite3.Connection:
        ends = "import sys, sqlite3; db = sqlite3.connect(sys.argv[1]);"
        ends += "db.execute('SELECT * FROM meta').fetchall(); db.close()"
        subprocess.run([sys.executable, "-c", ends, run.paths.checkpoint], check=True)
        assert beside(run, "-wal").exists()
        return connect(uri)

    monkeypatch.setattr(bystander, "_connection", connect_late)
    assert looked_at(run.paths.checkpoint, done) == 2


@pytest.mark.parametrize("name", ["a b", "100%", "what?", "#1", "Ответы", "a;b&c=d", "~'\""])
def test_any_name_of_a_folder_will_do(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    assert looked_at(ended(folder).paths.checkpoint, done) == 2


def spoilt(path: Path) -> Iterator[tuple[str, bytes | None, str]]:
    whole = path.read_bytes()
    yield "missing", None, "there is no checkpoint"
    yield "empty", b"", "is empty"
    yield "notes", b"somebody's notes, and no database at all. " * 50, "is damaged, or none"
    yield "torn", whole[: len(whole) // 2], "is damaged, or none"


@pytest.mark.parametrize("number", range(4))
def test_what_is_no_checkpoint_is_told_in_one_sentence(tmp_path: Path, number: int) -> None:
    run = ended(tmp_path)
    path = run.paths.checkpoint
    _, data, words = list(spoilt(path))[number]
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(BadData, match=words) as caught:
        looked_at(path, lambda seen: list(seen.rows.begun()) and seen.damages())
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("pragma", "words"), [("application_id", "no checkpoint of"), ("user_version", "another vers")]
)
def test_another_programs_database_and_another_version_are_refused(
    tmp_path: Path, pragma: str, words: str
) -> None:
    path = ended(tmp_path).paths.checkpoint
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA {pragma} = 77")
    with pytest.raises(BadData, match=words):
        looked_at(path, done)


def test_the_version_it_reads_is_the_one_that_a_run_writes(tmp_path: Path) -> None:
    path = tmp_path / "a.checkpoint"
    Checkpoint(path).close()
    assert looked_at(path, lambda seen: seen.cursor()) == Cursor()


@pytest.mark.parametrize("log", ["none", "left", "in use"])
def test_the_sums_of_an_earlier_version_are_seen_without_changing_it(
    tmp_path: Path, log: str
) -> None:
    path = ended(tmp_path).paths.checkpoint
    now = looked_at(path, lambda seen: seen.totals(MODEL))
    as_version_1(path)
    with closing(sqlite3.connect(path)) as other:
        if log != "none":
            other.execute("INSERT INTO meta VALUES ('x', 'y')")
            other.commit()
        if log == "left":
            for ending in ("", "-wal"):
                source = path.with_name(path.name + ending)
                (tmp_path / f"copy{ending}").write_bytes(source.read_bytes())
            path = tmp_path / "copy"
        before = path.read_bytes()
        seen = looked_at(path, lambda seen: (seen.totals(MODEL), seen.is_dated()))
        assert seen == (without_days(now), False)
        assert path.read_bytes() == before


def without_days(totals: Totals) -> Totals:
    return replace(totals, tallies=[replace(tally, day=None) for tally in totals.tallies])


def test_a_row_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    path = ended(tmp_path).paths.checkpoint
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE rows SET submits = 'two' WHERE line = 2")
    with pytest.raises(BadData, match="row 2 that can't be read"):
        looked_at(path, lambda seen: list(seen.rows.begun()))


@pytest.mark.parametrize("key", ["cursor", "rows", "input", "settings", "outage of polls"])
def test_what_is_said_of_the_run_must_be_readable(tmp_path: Path, key: str) -> None:
    run = ended(tmp_path)
    with closing(sqlite3.connect(run.paths.checkpoint)) as db, db:
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, 'nonsense')", (key,))

    def see(seen: Snapshot) -> object:
        said = seen.cursor(), seen.expected(), seen.settings(), seen.outages()
        return said, seen.input_paths(run.paths.output)

    with pytest.raises(BadData, match=key.partition(" ")[0]):
        looked_at(run.paths.checkpoint, see)


def test_the_operations_waited_for_are_told_by_age(tmp_path: Path) -> None:
    run = place(tmp_path, 5)
    with run.opened() as files:
        begin_all(files)
        for line, at in ((1, NOW - 10), (2, NOW - RETENTION - 5), (3, NOW - 20), (4, NOW - 30)):
            move(files, line, Running(f"op-{line}", at, 1, 1))
        finish(files, 4)
        move(files, 5, Doubtful(2, 1))
    waited = looked_at(run.paths.checkpoint, lambda seen: seen.operations(NOW - RETENTION))
    assert waited.oldest is not None
    assert (waited.oldest.line, waited.expired, waited.next_accepted_at) == (2, 1, NOW - 20)
    assert looked_at(run.paths.checkpoint, lambda seen: seen.states()) == {
        "running": 3,
        "doubt": 1,
    }
    assert looked_at(run.paths.checkpoint, lambda seen: seen.spent()) == {1: 1}


def test_no_question_about_pending_rows_reads_those_that_are_done(tmp_path: Path) -> None:
    run = ended(tmp_path)
    plans: list[tuple[int, int, int, str]] = []

    def see(seen: Snapshot) -> None:
        asked: list[str] = []
        seen._db.set_trace_callback(asked.append)  # noqa: SLF001 - what it asks is the point
        seen.states(), seen.operations(NOW), seen.spent(), seen.rows.last()
        list(seen.rows.with_doubts(pending=True))
        seen._db.set_trace_callback(None)  # noqa: SLF001
        for query in asked:
            plans.extend(seen._db.execute(f"EXPLAIN QUERY PLAN {query}"))  # noqa: SLF001

    looked_at(run.paths.checkpoint, see)
    told = [plan[-1] for plan in plans]
    assert sum("rows USING INDEX pending" in plan for plan in told) == 5, told
    # The last row: the first one that is met from the table's end.
    assert told.count("SCAN rows") == 1, told


@pytest.mark.promise("P7")
def test_asking_for_the_lock_does_not_turn_a_run_away(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.touch()
    asking = path.open()
    fcntl.flock(asking, fcntl.LOCK_SH)
    threading.Timer(0.01, asking.close).start()
    with closing(Lines(path)) as lines:
        lines.lock()
        assert is_running(path)
    assert not is_running(path)


def test_an_output_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"there is no output .*none\.jsonl"):
        is_running(tmp_path / "none.jsonl")


def test_a_checkpoint_that_never_holds_still_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ended(tmp_path)
    monkeypatch.setattr("pipeline.outside.snapshot._APART", 0.0)
    with pytest.raises(StorageFailed, match="runs begin and end all the time"):
        looked_at(run.paths.checkpoint, lambda _: beside(run, "-wal").touch())


def test_an_error_of_the_one_who_looks_is_his_own(tmp_path: Path) -> None:
    run = ended(tmp_path)

    def see(_: Snapshot) -> None:
        raise BadData("nothing to do with it")

    with pytest.raises(RunError, match="nothing to do with it"):
        looked_at(run.paths.checkpoint, see)
    shutil.rmtree(tmp_path)


def test_posts_are_counted_by_the_second_but_for_those_that_never_left(folder: Path) -> None:
    run = place(folder)
    with run.opened() as files:
        facts = [Sent(n, NOW + at) for n, at in enumerate((0.2, 0.9, 1.0, 5.0), start=1)]
        never = [Ended(2, 0.0), Ended(3, NOW + 3)]
        files.checkpoint.record([*facts, *never], {})
    found = looked_at(run.paths.checkpoint, lambda seen: sorted(seen.sends()))
    assert found == [(int(NOW), 1, 1), (int(NOW) + 1, 1, 3), (int(NOW) + 5, 1, 4)]


@pytest.mark.parametrize(
    ("noted", "rates"),
    [(None, None), ("", ()), ("10/s 5000/h", (Rate(10, 1.0), Rate(5000, 3600.0)))],
)
def test_the_rates_are_those_that_were_noted(
    folder: Path, noted: str | None, rates: tuple[Rate, ...] | None
) -> None:
    run = place(folder)
    with run.opened() as files:
        files.checkpoint.record([Note(RATES, noted)], {})
    assert looked_at(run.paths.checkpoint, Snapshot.rates) == rates


def test_rates_that_are_none_are_damage(folder: Path) -> None:
    run = place(folder)
    with run.opened() as files:
        files.checkpoint.record([Note(RATES, "fast")], {})
    with pytest.raises(BadData, match="holds a 'rates' that can't be read"):
        looked_at(run.paths.checkpoint, Snapshot.rates)


def test_a_run_that_begins_or_ends_meanwhile_is_seen_as_what_it_is_then(tmp_path: Path) -> None:
    """Or what it notes as it begins would be that of one that was killed."""
    run, seen = ended(tmp_path), list[tuple[bool, int]]()

    def see(snapshot: Snapshot, running: bool) -> int:
        seen.append((running, done(snapshot)))
        return done(snapshot)

    look = steadily(run.paths.output, see)
    with run.opened() as files:
        finish(files, 3)
        assert looked_at(run.paths.checkpoint, look) == 3
    assert looked_at(run.paths.checkpoint, look) == 3
    assert seen == [(True, 3), (False, 3)]


def test_what_was_found_out_of_quotas_is_seen_while_the_rates_are_those(tmp_path: Path) -> None:
    run = ended(tmp_path)
    learned = Learned((KnownQuota(3600.0, 3000, 5000), KnownQuota(60.0, 200)))
    with run.opened() as files:
        files.checkpoint.record([Note(QUOTAS["submits"], learned.text)], {})

    def found(*rates: str) -> tuple[Rate, ...]:
        return looked_at(run.paths.checkpoint, lambda seen: seen.found_out(rates))

    assert found("10/s", "5000/h") == (Rate(3000, 3600.0), Rate(200, 60.0))
    assert found("10/s", "4000/h") == (Rate(200, 60.0),)
