"""What a start finds on disk: repaired at the end, refused in the middle, never mended."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from pipeline.api.outcomes import Answer, Usage
from pipeline.api.wire import read_operation
from pipeline.codec import Json
from pipeline.errors import BadData, Busy, StorageFailed
from pipeline.files.output import Lines
from pipeline.files.paths import Paths
from pipeline.input.form import AnyObject, fitting
from pipeline.input.rows import Recipe
from pipeline.input.template import Template
from pipeline.life.facts import Doubt, Ended, Fact, Finish, Move, Sent, Signature
from pipeline.life.item import Doubtful, Gone, Intended, Running, Waiting
from pipeline.life.records import result_line
from pipeline.pacing.rates import Rate
from pipeline.resuming.recovery import Files
from pipeline.resuming.repair import check_lines
from pipeline.settings import Settings
from pipeline.store.checkpoint import Checkpoint
from tests.builders import (
    MODEL,
    NOW,
    SETTINGS,
    Place,
    begin_all,
    begun,
    fail,
    failure,
    finish,
    move,
    place,
    read,
    result,
)

Edit = Callable[[bytes], bytes]


@pytest.fixture
def run(tmp_path: Path) -> Place:
    """A run of three rows, of which the first two have their lines in the output."""
    run = place(tmp_path)
    with run.opened() as files:
        begin_all(files)
        finish(files, 1, 2)
    return run


def edit(path: Path, change: Edit, *, same_time: bool = False) -> None:
    """Change a file in place, with a time that tells, or one that hides it."""
    before = path.stat().st_mtime_ns
    path.write_bytes(change(path.read_bytes()))
    after = before if same_time else before + 1_000_000
    os.utime(path, ns=(after, after))


def refused(run: Place, match: str, settings: Settings = SETTINGS) -> BadData:
    with pytest.raises(BadData, match=match) as caught, run.opened(settings=settings):
        pass
    return caught.value


def outcomes(files: Files) -> dict[str, int]:
    totals = files.checkpoint.totals(MODEL)
    return {name: totals.rows(name) for name in ("ok", "failed", "held") if totals.rows(name)}


def noted(run: Place) -> str | None:
    """Where the run has its input."""
    checkpoint = Checkpoint(run.paths.checkpoint)
    try:
        return checkpoint.meta("input")
    finally:
        checkpoint.close()


def swapped(old: bytes, new: bytes) -> Edit:
    return lambda data: data.replace(old, new)


# Starting and going on.


def test_a_new_run_has_its_files_and_an_identity(tmp_path: Path) -> None:
    run = place(tmp_path)
    with run.opened() as files:
        assert not files.resumed
        run_id = files.run_id
        assert run.paths.output.read_bytes() == b""
        assert not run.paths.errors.exists()
    with run.opened() as files:
        assert files.resumed
        assert files.run_id == run_id


def test_files_are_named_after_the_output() -> None:
    paths = Paths(Path("a/results.jsonl"))
    assert paths.errors == Path("a/results.errors.jsonl")
    assert paths.checkpoint == Path("a/results.jsonl.checkpoint")
    assert Paths(Path("answers")).errors == Path("answers.errors.jsonl")


@pytest.mark.promise("P4")
@pytest.mark.promise("P6")
def test_a_run_left_alone_goes_on_where_it_stood(run: Place) -> None:
    written = run.paths.output.read_bytes()
    for _ in range(3):
        with run.opened() as files:
            (third,) = files.checkpoint.pending()
            assert third.state == Running("op-3", NOW, 1, 1)
            assert outcomes(files) == {"ok": 2}
        assert run.paths.output.read_bytes() == written


def test_files_may_move_together(run: Place, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for path in [run.input, *run.paths.all()]:
        if path.exists():
            path.rename(elsewhere / path.name)
    moved = Place(elsewhere / run.input.name, Paths(elsewhere / run.paths.output.name))
    with moved.opened() as files:
        assert outcomes(files) == {"ok": 2}


# The end of the output.


@pytest.mark.promise("P2")
@pytest.mark.promise("P6")
def test_a_torn_last_line_is_cut(run: Place) -> None:
    whole = run.paths.output.read_bytes()
    edit(run.paths.output, lambda data: data + b'{"line":3,"id":"line-3","sta')
    with run.opened() as files:
        assert outcomes(files) == {"ok": 2}
        assert len(list(files.checkpoint.pending())) == 1
    assert run.paths.output.read_bytes() == whole


@pytest.mark.promise("P1")
@pytest.mark.promise("P6")
@pytest.mark.promise("P15")
def test_a_whole_line_that_the_checkpoint_has_not_seen_is_adopted(run: Place) -> None:
    with run.opened() as files:
        (span,) = files.output.append([result(files, 3)])
    for _ in range(2):
        with run.opened() as files:
            assert outcomes(files) == {"ok": 3}
            assert list(files.checkpoint.pending()) == []
            assert files.checkpoint.place(3) == span
            sums = [tally.sums for tally in files.checkpoint.totals(MODEL).tallies]
            assert [(s.rows, s.total_tokens, s.unknown) for s in sums] == [(3, 366, 0)]


@pytest.mark.promise("P6")
@pytest.mark.promise("P9")
def test_an_adopted_tail_is_written_again_and_synced_before_it_counts(
    run: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first writer may have died of a sync that failed."""
    with run.opened() as files:
        files.output.append([result(files, 3)])
    whole, happened = run.paths.output.read_bytes(), list[str]()
    write, sync, record = os.write, os.fdatasync, Checkpoint.record

    def written(fd: int, data: bytes) -> int:
        happened.append(f"write {len(data)}")
        return write(fd, data)

    def synced(fd: int) -> None:
        happened.append("sync")
        sync(fd)

    def recorded(
        checkpoint: Checkpoint, facts: Iterable[Fact], known: dict[str, Signature]
    ) -> set[int]:
        facts = list(facts)
        happened.extend("finish" for fact in facts if isinstance(fact, Finish))
        return record(checkpoint, facts, known)

    monkeypatch.setattr("pipeline.files.output.os.write", written)
    monkeypatch.setattr("pipeline.files.output._sync", synced)
    monkeypatch.setattr(Checkpoint, "record", recorded)
    with run.opened() as files:
        assert outcomes(files) == {"ok": 3}
        last = len(result(files, 3)) + 1
    assert happened == [f"write {last}", "sync", "finish"]
    assert run.paths.output.read_bytes() == whole


@pytest.mark.promise("P6")
@pytest.mark.promise("P9")
def test_a_tail_that_can_t_be_written_again_is_not_adopted(
    run: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run.opened() as files:
        files.output.append([result(files, 3)])

    def broken(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.files.output._sync", broken)
        with pytest.raises(StorageFailed, match="Input/output error"), run.opened():
            pass
    with run.opened() as files:
        assert outcomes(files) == {"ok": 3}


@pytest.mark.promise("P1")
@pytest.mark.promise("P6")
@pytest.mark.parametrize(("stage", "outcome"), [("operation", "failed"), ("doubt", "held")])
def test_an_unseen_line_of_the_errors_file_is_adopted_as_what_it_is(
    run: Place, stage: str, outcome: str
) -> None:
    with run.opened() as files:
        files.errors().append([failure(files, 3, stage)])
    with run.opened() as files:
        assert outcomes(files) == {"ok": 2, outcome: 1}
        assert list(files.checkpoint.pending()) == []


@pytest.mark.promise("P6")
def test_the_errors_file_is_repaired_like_the_output(run: Place) -> None:
    with run.opened() as files:
        fail(files, 3)
    whole = run.paths.errors.read_bytes()
    edit(run.paths.errors, lambda data: data + b'{"line":')
    with run.opened() as files:
        assert outcomes(files) == {"ok": 2, "failed": 1}
    assert run.paths.errors.read_bytes() == whole
    edit(run.paths.errors, swapped(b"words", b"other"))
    refused(run, r"results\.errors\.jsonl: line 1 ")


@pytest.mark.promise("P6")
@pytest.mark.parametrize(
    "foreign",
    [
        *(b"", b"hello", b"{}", b"[]", b"null", b'{"line":9,"status":"ok"}', b'{"line":3}'),
        b'{"line":3,"id":"line-3","status":"ok","operation_id":"another"}',
        b'{"line":3,"id":"line-3","status":"failed"}',
        b'{"line":"3","status":"failed","error":{}}',
        b'{"line":1,"id":"line-1","status":"ok","operation_id":"op-1"}',
        b'{"line":-1,"status":"failed","error":{}}',
        b'{"totals":{}}\n{"totals":{}}',
        b'\xff{"line":3}',
        b" ",
    ],
)
def test_a_whole_line_that_this_run_can_t_have_written_is_refused(
    run: Place, foreign: bytes
) -> None:
    edit(run.paths.output, lambda data: data + foreign + b"\n")
    kept = run.paths.output.read_bytes()
    error = refused(run, r"results\.jsonl: what stands at byte [\d,]+ was not written by this run")
    assert "--fresh" in error.advice
    assert run.paths.output.read_bytes() == kept


@pytest.mark.promise("P6")
@pytest.mark.parametrize(
    "foreign",
    [
        b'{"line":100000000000000000000,"status":"failed","error":{}}',
        b'{"line":3,"status":"ok","operation_id":"op-3","finish":"\\ud83d"}',
        b'{"line":3,"status":"ok","operation_id":"op-3","usage":{"input_tokens":'
        b'100000000000000000000,"completion_tokens":0,"reasoning_tokens":0,"total_tokens":0}}',
    ],
)
def test_a_foreign_line_that_no_database_can_hold_is_refused_too(
    run: Place, foreign: bytes
) -> None:
    edit(run.paths.output, lambda data: data + foreign + b"\n")
    refused(run, "was not written by this run")


@pytest.mark.promise("P6")
def test_a_line_whose_number_is_no_number_is_refused(tmp_path: Path) -> None:
    run = place(tmp_path)
    with run.opened() as files:
        begin_all(files)
    edit(run.paths.output, lambda data: data + b'{"line":true,"status":"failed","error":{}}\n')
    refused(run, "was not written by this run")


@pytest.mark.promise("P1")
@pytest.mark.promise("P6")
def test_one_row_is_not_adopted_twice(run: Place) -> None:
    with run.opened() as files:
        files.output.append([result(files, 3), result(files, 3)])
    refused(run, "was not written by this run")


@pytest.mark.promise("P1")
@pytest.mark.promise("P2")
@pytest.mark.promise("P6")
def test_the_output_cut_at_any_byte_of_its_unseen_tail_is_repaired(
    run: Place, tmp_path: Path
) -> None:
    with run.opened() as files:
        known = files.output.size
        files.output.append([result(files, 3)])
        size = files.output.size
    whole = run.paths.output.read_bytes()
    kept = tmp_path / "kept"
    shutil.copy(run.paths.checkpoint, kept)
    for cut in range(known, size + 1):
        shutil.copy(kept, run.paths.checkpoint)
        run.paths.output.write_bytes(whole[:cut])
        with run.opened() as files:
            left = [row.line for row in files.checkpoint.pending()]
        assert run.paths.output.read_bytes() == (whole if cut == size else whole[:known])
        assert left == ([] if cut == size else [3])


# The middle of the output.


@pytest.mark.promise("P6")
def test_the_output_cut_below_what_was_committed_is_refused_at_any_byte(run: Place) -> None:
    whole = run.paths.output.read_bytes()
    for size in {
        0,
        1,
        len(whole) // 2,
        whole.index(b"\n"),
        whole.index(b"\n") + 1,
        len(whole) - 1,
    }:
        run.paths.output.write_bytes(whole[:size])
        error = refused(run, r"results\.jsonl was cut: it has [\d,]+ bytes, this run wrote")
        assert error.advice
        assert run.paths.output.read_bytes() == whole[:size]
    run.paths.output.write_bytes(whole)
    with run.opened():
        pass


@pytest.mark.promise("P6")
def test_every_changed_byte_of_a_committed_line_is_refused(run: Place) -> None:
    with run.opened() as files:
        size, whole = files.output.size, run.paths.output.read_bytes()
        check_lines(files.output, files.checkpoint, size)
        with run.paths.output.open("r+b") as file:
            for at, byte in enumerate(whole):
                for other in {byte ^ 1, byte ^ 0x80, 0x0A, 0x20} - {byte}:
                    os.pwrite(file.fileno(), bytes([other]), at)
                    with pytest.raises(BadData, match="is not what this run wrote"):
                        check_lines(files.output, files.checkpoint, size)
                os.pwrite(file.fileno(), whole[at : at + 1], at)
        check_lines(files.output, files.checkpoint, size)


EDITS: list[Edit] = [
    swapped(b"line-1", b"line-9"),
    swapped("Ответ 1".encode(), "Отказ 1".encode()),
    swapped(b'"line":2', b'"line":7'),
    swapped(b'"submits":1}\n', b'"submits":1} '),
    lambda data: b"\n".join(reversed(data.split(b"\n")[:-1])) + b"\n",
    lambda data: data.replace(b"\n", b" ", 1),
    lambda data: data[:-1] + b" ",
    lambda data: b"\n" + data,
    lambda data: data[:100] + data[101:] + b"\n",
    lambda data: b"x" * len(data),
]


@pytest.mark.promise("P6")
@pytest.mark.parametrize("change", EDITS)
def test_an_edit_in_the_middle_is_refused_by_name_and_line(run: Place, change: Edit) -> None:
    edit(run.paths.output, change)
    kept = run.paths.output.read_bytes()
    error = refused(run, r"results\.jsonl: line [12] \(byte [\d,]+\) is not what this run wrote")
    assert error.advice
    assert run.paths.output.read_bytes() == kept


@pytest.mark.promise("P6")
def test_an_edit_of_the_last_line_is_refused_whatever_the_file_s_time_says(run: Place) -> None:
    edit(run.paths.output, swapped("Ответ 2".encode(), "Отказ 2".encode()), same_time=True)
    refused(run, r"results\.jsonl: line 2 ")


@pytest.mark.promise("P6")
def test_a_last_line_that_lost_its_end_is_refused_whatever_the_file_s_time_says(
    run: Place,
) -> None:
    edit(run.paths.output, lambda data: data[:-1] + b" ", same_time=True)
    refused(run, r"results\.jsonl: line 2 ")


def test_a_file_that_was_only_touched_is_read_whole_and_accepted(run: Place) -> None:
    edit(run.paths.output, lambda data: data)
    with run.opened() as files:
        assert outcomes(files) == {"ok": 2}


@pytest.mark.promise("P6")
def test_an_output_or_errors_file_that_is_gone_is_refused(run: Place) -> None:
    with run.opened() as files:
        fail(files, 3)
    for path in (run.paths.errors, run.paths.output):
        aside = path.with_name("aside")
        path.rename(aside)
        error = refused(run, rf"{path.name} is missing: this run wrote [\d,]+ bytes into it")
        assert "Put it back" in error.advice
        assert not path.exists()
        aside.rename(path)
    with run.opened() as files:
        assert outcomes(files) == {"ok": 2, "failed": 1}


# The totals line.


def test_the_totals_line_gives_way_to_a_row_that_is_added_later(run: Place) -> None:
    whole = run.paths.output.read_bytes()
    with run.opened() as files:
        files.output.append_last(b'{"totals":{"rows":2}}')
    with run.opened() as files:
        assert files.output.last() == b'{"totals":{"rows":2}}'
        finish(files, 3)
        third = result(files, 3)
    assert run.paths.output.read_bytes() == whole + third + b"\n"
    with run.opened() as files:
        assert outcomes(files) == {"ok": 3}


@pytest.mark.promise("P6")
@pytest.mark.parametrize("zeroed", [slice(0, 40), slice(30, 70), slice(100, None)])
def test_zeros_that_a_power_cut_left_in_the_tail_are_cut_with_what_follows(
    run: Place, zeroed: slice
) -> None:
    with run.opened() as files:
        tail = bytearray(result(files, 3) + b"\n")
        before = files.output.size
    tail[zeroed] = bytes(len(tail[zeroed]))
    edit(run.paths.output, lambda data: data + tail + b'{"line":3,')
    with run.opened() as files:
        assert files.output.size == before
        assert [pending.line for pending in files.checkpoint.pending()] == [3]


@pytest.mark.promise("P2")
def test_a_torn_totals_line_is_cut(run: Place) -> None:
    whole = run.paths.output.read_bytes()
    edit(run.paths.output, lambda data: data + b'{"totals":{"rows"')
    with run.opened() as files:
        assert files.output.last() is None
    assert run.paths.output.read_bytes() == whole


# The checkpoint.


@pytest.mark.promise("P6")
def test_an_output_without_its_checkpoint_is_refused(run: Place) -> None:
    run.paths.checkpoint.unlink()
    error = refused(run, r"results\.jsonl is there, but not its checkpoint")
    assert "--fresh" in error.advice
    assert not run.paths.checkpoint.exists()


@pytest.mark.promise("P6")
def test_an_errors_file_without_its_checkpoint_is_refused(tmp_path: Path) -> None:
    run = place(tmp_path)
    with run.opened() as files:
        begin_all(files)
        fail(files, 1, 2, 3)
    run.paths.checkpoint.unlink()
    refused(run, r"results\.errors\.jsonl")


@pytest.mark.promise("P6")
def test_the_checkpoint_of_an_earlier_day_is_refused(run: Place, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copy(run.paths.checkpoint, old)
    with run.opened() as files:
        finish(files, 3)
    more = run.input.read_bytes() + b'{"prompt":"x"}\n'
    run.input.write_bytes(more)
    with run.opened() as files:
        begin_all(files)
        finish(files, 4)
    shutil.copy(old, run.paths.checkpoint)
    refused(run, "was not written by this run")


@pytest.mark.promise("P6")
def test_a_checkpoint_whose_rows_were_changed_is_refused(run: Place) -> None:
    database = sqlite3.connect(run.paths.checkpoint)
    database.execute("UPDATE rows SET place_seal = x'00' WHERE line = 2")
    database.commit()
    database.close()
    refused(run, r"results\.jsonl: line 2 ")


# The same run or none.

OTHERS: list[tuple[str, Settings]] = [
    ("--model was", Settings(Recipe("yandexgpt", "b1g"))),
    ("--folder-id was", Settings(Recipe(MODEL, "other"))),
    ("--folder-id was", Settings(Recipe(MODEL, None))),
    ('--system was not given, is now "s"', Settings(Recipe(MODEL, "b1g", system="s"))),
    ("--template was", Settings(Recipe(MODEL, "b1g", template=Template.parse("{a}")))),
    ("--temperature was", Settings(Recipe(MODEL, "b1g", temperature=0.5))),
    ("--max-tokens was", Settings(Recipe(MODEL, "b1g", max_tokens=7))),
    ("--keep was", Settings(Recipe(MODEL, "b1g", keep=("a",)))),
    (
        "--json-object was not given, is now given",
        Settings(Recipe(MODEL, "b1g", form=AnyObject())),
    ),
    (
        '--json-schema was not given, is now {"a":1}',
        Settings(Recipe(MODEL, "b1g", form=fitting({"a": 1}))),
    ),
    ("--raw was not given, is now given", replace(SETTINGS, raw=True)),
    ("--emulator was", replace(SETTINGS, emulator=True)),
]


@pytest.mark.promise("P8")
@pytest.mark.parametrize(("named", "other"), OTHERS)
def test_another_run_is_refused_naming_what_differs(
    run: Place, named: str, other: Settings
) -> None:
    error = refused(run, named, other)
    assert str(error).count(" was ") == 2
    assert "--fresh" in error.advice
    with run.opened():
        pass


@pytest.mark.promise("P8")
def test_all_that_differs_is_named(run: Place) -> None:
    other = replace(SETTINGS, recipe=Recipe("yandexgpt", "b1g", max_tokens=7), raw=True)
    assert str(refused(run, "other settings", other)).count(" is now ") == 3


@pytest.mark.promise("P8")
def test_everything_else_may_change(run: Place) -> None:
    other = replace(
        SETTINGS,
        rates=(Rate(1, 1.0),),
        poll_rates=(),
        concurrency=99,
        limit=1,
        patience=1.0,
        totals=False,
        policy=replace(SETTINGS.policy, attempts=9, resubmit_doubts=False),
    )
    with run.opened(settings=other) as files:
        assert outcomes(files) == {"ok": 2}


# Begun with other settings, and nothing sent.

OTHER = replace(SETTINGS, recipe=Recipe("another", "b1g"))


@pytest.fixture
def unsent(tmp_path: Path) -> Place:
    """A run whose first row was refused for its settings, while the second was not fit."""
    run = place(tmp_path)
    with run.opened() as files:
        first, second, _ = read(run.input)
        unfit = structs.replace(begun(second), state=None)
        files.checkpoint.record([begun(first), unfit, Sent(1, NOW), Ended(1, NOW + 1)], {})
        errors = files.errors()
        (span,) = errors.append([failure(files, 2, "input")])
        files.checkpoint.record(
            [Finish(2, "failed", None, None, span)], {"errors": errors.signature()}
        )
    return run


def stands(run: Place) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.paths.all() if path.exists()}


def aside(run: Place) -> dict[str, bytes]:
    """What was moved aside, by the names from before."""
    moved = run.input.parent.glob("*.old-*")
    return {path.name.partition(".old-")[0]: path.read_bytes() for path in moved}


@pytest.mark.promise("P8")
def test_a_run_of_which_nothing_was_sent_begins_anew_with_other_settings(unsent: Place) -> None:
    before = stands(unsent)
    with unsent.opened(settings=OTHER) as files:
        assert files.anew is not None
        assert "begun anew" in files.anew
        assert '--model was "yandexgpt-lite", is now "another"' in files.anew
        assert not files.resumed
        assert outcomes(files) == {}
        assert files.checkpoint.cursor().rows == 0
    assert aside(unsent) == before
    with unsent.opened(settings=OTHER) as files:
        assert files.resumed
        assert files.anew is None


@pytest.mark.promise("P8")
def test_with_its_own_settings_a_run_of_which_nothing_was_sent_goes_on(unsent: Place) -> None:
    with unsent.opened() as files:
        assert files.resumed
        assert files.anew is None
        assert outcomes(files) == {"failed": 1}
    assert aside(unsent) == {}


@pytest.mark.promise("P8")
@pytest.mark.parametrize(
    "facts",
    [
        [Move(1, Intended(NOW, Waiting()))],
        [Move(1, Doubtful(1, 0))],
        [Move(1, Running("op-1", NOW, 1, 1))],
        [Move(1, Gone("op-1", 1, 1))],
        # Put back by a retry.
        [Move(1, Waiting(1))],
        [Doubt(1, NOW)],
        [Sent(2, NOW)],
    ],
    ids=["intended", "doubt", "running", "gone", "again", "doubted", "no end"],
)
def test_a_run_that_may_have_paid_keeps_its_settings(unsent: Place, facts: list[Fact]) -> None:
    with unsent.opened() as files:
        files.checkpoint.record(facts, {})
    before = stands(unsent)
    refused(unsent, "other settings", OTHER)
    assert stands(unsent).keys() == before.keys()
    assert aside(unsent) == {}


@pytest.mark.promise("P8")
@pytest.mark.parametrize("stage", ["submit", "operation", "doubt"])
def test_a_run_with_a_failed_row_that_was_fit_keeps_its_settings(
    unsent: Place, stage: str
) -> None:
    with unsent.opened() as files:
        errors = files.errors()
        (span,) = errors.append([failure(files, 1, stage)])
        files.checkpoint.record(
            [Finish(1, "failed", None, None, span)], {"errors": errors.signature()}
        )
    refused(unsent, "other settings", OTHER)
    assert aside(unsent) == {}


@pytest.mark.promise("P8")
def test_a_run_with_a_line_in_its_output_keeps_its_settings(unsent: Place) -> None:
    with unsent.paths.output.open("ab") as output:
        output.write(b'{"line":1,')
    refused(unsent, "other settings", OTHER)
    assert aside(unsent) == {}


@pytest.mark.promise("P8")
@pytest.mark.parametrize("moves", range(4))
def test_a_kill_while_it_begins_anew_loses_nothing(
    unsent: Place, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    before, rename = stands(unsent), Path.rename
    done = list[str]()

    def killed(path: Path, target: Path) -> Path:
        if len(done) == moves:
            raise KeyboardInterrupt
        done.append(path.name)
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed)
        if moves < len(before):
            with pytest.raises(KeyboardInterrupt), unsent.opened(settings=OTHER):
                pass
    with unsent.opened(settings=OTHER, now=NOW + 5) as files:
        assert outcomes(files) == {}
        assert files.checkpoint.cursor().rows == 0
    moved = [path.read_bytes() for path in unsent.input.parent.glob("*.old-*")]
    assert before["results.errors.jsonl"] in moved
    assert before["results.jsonl.checkpoint"] in moved


@pytest.mark.promise("P7")
def test_nobody_makes_new_files_while_old_ones_are_moved_aside(
    unsent: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsent.paths.control.write_bytes(b"{}")
    rename, moved = Path.rename, list[str]()

    def tried(path: Path, target: Path) -> Path:
        with closing(Lines(unsent.paths.output)) as output, pytest.raises(Busy):
            output.lock()
        moved.append(path.name)
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", tried)
        with unsent.opened(settings=OTHER):
            pass
    assert unsent.paths.control.name in moved


# The input.


@pytest.mark.promise("P6")
@pytest.mark.parametrize(
    ("change", "line"),
    [
        (swapped("Вопрос 1".encode(), "Запрос 1".encode()), 1),
        (swapped("Вопрос 3".encode(), "Запрос 3".encode()), 3),
        (lambda data: b"\n" + data, 1),
        (lambda data: data[: len(data) // 2], 2),
        (lambda data: data[:-3], 3),
        # Reading would go on between CR and LF, and number all lines to come one too high.
        (lambda data: data[:-1] + b"\r\n", 3),
        (lambda _: b"", 1),
        (lambda data: b"\n".join(reversed(data.split(b"\n")[:-1])) + b"\n", 1),
    ],
)
def test_an_input_whose_rows_changed_is_refused_by_name_and_line(
    run: Place, change: Edit, line: int
) -> None:
    edit(run.input, change)
    error = refused(run, rf"prompts\.jsonl:{line}: ")
    assert error.advice


@pytest.mark.promise("P6")
@pytest.mark.parametrize("same_time", [False, True])
def test_a_mistyped_input_is_refused_by_the_name_of_the_run_s_own_and_changes_nothing(
    run: Place, same_time: bool
) -> None:
    other = replace(run, input=run.input.with_name("other.jsonl"))
    shutil.copy2(run.input, other.input)
    edit(other.input, swapped("Вопрос 3".encode(), "Запрос 3".encode()), same_time=same_time)
    was = noted(run)
    error = refused(other, rf"was begun with .*{run.input.name}, and .*other\.jsonl is another")
    assert str(run.input) in error.advice
    assert "--fresh" not in error.advice
    assert noted(run) == was
    with run.opened():
        pass


@pytest.mark.promise("P6")
def test_an_input_of_another_name_is_noted_once_it_was_found_to_be_the_run_s(run: Place) -> None:
    run = replace(run, input=run.input.rename(run.input.with_name("moved.jsonl")))
    edit(run.input, lambda data: data + b'{"prompt":"more"}\n')
    with run.opened() as files:
        assert files.checkpoint.signature("input") == files.source.signature()
    assert run.paths.noted(noted(run)) == [run.input, run.input]


@pytest.mark.promise("P6")
def test_where_the_run_s_own_input_is_gone_another_one_is_refused_as_a_changed_one(
    run: Place,
) -> None:
    run.input.unlink()
    run.input.with_name("other.jsonl").write_text('{"prompt":"other"}\n')
    other = replace(run, input=run.input.with_name("other.jsonl"))
    assert "--fresh" in refused(other, r"^\S*other\.jsonl:1: the line is not what").advice


@pytest.mark.promise("P6")
def test_a_change_of_the_last_row_is_noticed_whatever_the_file_s_time_says(run: Place) -> None:
    edit(run.input, swapped("Вопрос 3".encode(), "Запрос 3".encode()), same_time=True)
    refused(run, r"prompts\.jsonl:3: ")


@pytest.mark.promise("P6")
def test_rows_not_begun_may_change(tmp_path: Path) -> None:
    run = place(tmp_path, rows=1)
    with run.opened() as files:
        begin_all(files)
    edit(run.input, lambda data: data + b"anything\n")
    with run.opened():
        pass
    edit(run.input, swapped(b"anything", b'{"prompt":"better"}'))
    with run.opened() as files:
        begin_all(files)
        assert [row.line for row in files.checkpoint.pending()] == [1, 2]


@pytest.mark.promise("P6")
@pytest.mark.parametrize("ended", [True, False])
def test_rows_appended_are_picked_up_though_the_last_line_had_no_end(
    tmp_path: Path, ended: bool
) -> None:
    run = place(tmp_path)
    end = b"\n" if ended else b""
    run.input.write_bytes(run.input.read_bytes().rstrip(b"\n") + end)
    with run.opened() as files:
        begin_all(files)
        finish(files, 1, 2, 3)
    edit(run.input, lambda data: data.rstrip(b"\n") + b'\n{"prompt":"new"}\n')
    with run.opened() as files:
        begin_all(files)
        assert [row.line for row in files.checkpoint.pending()] == [4]
        finish(files, 4)
    with run.opened() as files:
        assert outcomes(files) == {"ok": 4}


@pytest.mark.promise("P6")
def test_a_last_row_that_goes_on_is_refused(tmp_path: Path) -> None:
    run = place(tmp_path)
    run.input.write_bytes(run.input.read_bytes().rstrip(b"\n"))
    with run.opened() as files:
        begin_all(files)
    edit(run.input, lambda data: data + b" and more\n")
    refused(run, r"prompts\.jsonl:3: the line is not what it was")


@pytest.mark.promise("P6")
def test_an_input_that_is_gone_is_refused(run: Place) -> None:
    run.input.unlink()
    refused(run, r"can't read .*prompts\.jsonl")


@pytest.mark.promise("P6")
def test_an_input_that_was_only_touched_is_accepted_and_known_by_its_new_time(run: Place) -> None:
    edit(run.input, lambda data: data)
    with run.opened() as files:
        assert files.checkpoint.signature("input") == files.source.signature()


# Fresh.


@pytest.mark.promise("P8")
def test_fresh_moves_everything_aside_and_deletes_nothing(run: Place) -> None:
    with run.opened() as files:
        fail(files, 3)
    old = [path for path in run.paths.all() if path.exists()]
    contents = {path.name: path.read_bytes() for path in old}
    with run.opened(fresh=True) as files:
        assert not files.resumed
        assert outcomes(files) == {}
    aside = {path.name: path for path in run.input.parent.glob("*.old-20270115T080000Z")}
    assert set(aside) == {f"{name}.old-20270115T080000Z" for name in contents}
    for name, data in contents.items():
        assert aside[f"{name}.old-20270115T080000Z"].read_bytes() == data


@pytest.mark.promise("P8")
def test_fresh_without_anything_there_is_a_new_run(tmp_path: Path) -> None:
    run = place(tmp_path)
    with run.opened(fresh=True) as files:
        assert not files.resumed
    assert list(tmp_path.glob("*.old-*")) == []


@pytest.mark.promise("P8")
def test_fresh_twice_in_one_second_deletes_nothing(run: Place) -> None:
    first = run.paths.output.read_bytes()
    for _ in range(2):
        with run.opened(fresh=True):
            pass
    kept = [path.read_bytes() for path in run.input.parent.glob("results.jsonl.old-*")]
    assert first in kept


@pytest.mark.promise("P7")
def test_fresh_takes_nothing_from_a_run_that_is_under_way(run: Place) -> None:
    with (
        run.opened(),
        pytest.raises(Busy, match=r"results\.jsonl"),
        run.opened(fresh=True),
    ):
        pass
    assert list(run.input.parent.glob("*.old-*")) == []


@pytest.mark.promise("P7")
@pytest.mark.promise("P8")
def test_fresh_holds_the_lock_of_what_it_moves_aside_until_its_end(run: Place) -> None:
    with run.opened(fresh=True):
        (aside,) = run.input.parent.glob("results.jsonl.old-*Z")
        moved = Lines(aside)
        with pytest.raises(Busy):
            moved.lock()
        with pytest.raises(Busy), run.opened():
            pass
        with pytest.raises(Busy), run.opened(fresh=True):
            pass
    moved.lock()
    moved.close()
    assert len(list(run.input.parent.glob("results.jsonl.old-*Z"))) == 1


@pytest.mark.promise("P7")
def test_of_two_fresh_starts_at_once_one_is_busy_and_moves_nothing(
    run: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one opens the output just before the first one moves it."""
    second, rename = Lines(run.paths.output), Path.rename
    tried = list[str]()

    def watched(path: Path, target: Path) -> Path:
        tried.append(path.name)
        with pytest.raises(Busy):
            second.lock()
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", watched)
    with run.opened(fresh=True):
        assert "results.jsonl" in tried
        with pytest.raises(Busy):
            second.lock()
        assert not second.is_at_path()
    second.close()


@pytest.mark.promise("P7")
def test_a_start_that_opened_what_was_then_moved_aside_opens_anew(
    run: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, aside = Lines.lock, run.input.parent / "elsewhere"
    moved = list[Path]()

    def late(lines: Lines) -> None:
        if not moved:
            moved.append(run.paths.output.rename(aside))
            run.paths.checkpoint.rename(run.input.parent / "elsewhere.checkpoint")
        lock(lines)

    monkeypatch.setattr(Lines, "lock", late)
    with run.opened() as files:
        assert not files.resumed
        assert files.output.is_at_path()
    assert aside.stat().st_size > 0
    assert run.paths.output.stat().st_size == 0


@pytest.mark.promise("P8")
@pytest.mark.promise("P9")
@pytest.mark.parametrize("failing", ["results.jsonl.checkpoint", "results.jsonl"])
def test_fresh_that_can_t_move_a_file_is_a_failure_of_storage_and_says_what_to_do(
    run: Place, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    before = {path.read_bytes() for path in run.paths.all() if path.exists()}
    rename = Path.rename

    def stuck(path: Path, target: Path) -> Path:
        if path.name == failing:
            raise OSError(errno.EACCES, "Permission denied")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", stuck)
    with (
        pytest.raises(StorageFailed, match="aside: Permission denied") as caught,
        run.opened(fresh=True),
    ):
        pass
    assert failing in str(caught.value)
    assert ".old-20270115T080000Z" in caught.value.advice
    left = {path.read_bytes() for path in run.input.parent.glob("results*")}
    assert before <= left


# One process per run.


@pytest.mark.promise("P7")
def test_a_second_start_is_busy_and_changes_nothing(run: Place) -> None:
    with run.opened():
        with pytest.raises(Busy), run.opened():
            pass
        with pytest.raises(Busy), run.opened(settings=OTHERS[0][1]):
            pass
    with run.opened():
        pass


@pytest.mark.promise("P7")
def test_a_start_that_was_refused_holds_no_lock(run: Place) -> None:
    for _ in range(3):
        refused(run, "--model", OTHERS[0][1])
    with run.opened():
        pass


# Money.


@pytest.mark.promise("P15")
def test_an_adopted_line_without_usage_counts_as_unknown(run: Place) -> None:
    with run.opened() as files:
        line = result(files, 3)
        usage = line[line.index(b'"usage":') : line.index(b',"model":')]
        files.output.append([line.replace(usage, b'"usage":null')])
    with run.opened() as files:
        (tally,) = files.checkpoint.totals(MODEL).tallies
        assert (tally.sums.rows, tally.sums.unknown, tally.sums.total_tokens) == (3, 1, 244)


@pytest.mark.promise("P15")
def test_a_line_adopted_counts_as_one_that_was_committed(run: Place, tmp_path: Path) -> None:
    (tmp_path / "twin").mkdir()
    twin = place(tmp_path / "twin")
    with twin.opened() as files:
        begin_all(files)
        finish(files, 1, 2)
        finish(files, 3)
        committed = files.checkpoint.totals(MODEL)
    with run.opened() as files:
        files.output.append([result(files, 3)])
    with run.opened() as files:
        assert files.checkpoint.totals(MODEL) == committed


@pytest.mark.promise("P5")
def test_a_doubt_found_at_the_start_is_still_a_doubt(run: Place) -> None:
    with run.opened() as files:
        move(files, 3, Doubtful(1, 1))
        files.checkpoint.record([Doubt(3, NOW)], {})
    with run.opened() as files:
        assert files.checkpoint.totals(MODEL).doubt_count == 1
        (row,) = files.checkpoint.pending()
        assert row.state == Doubtful(1, 1)


def test_what_was_adopted_is_the_fact_that_the_recorder_writes(run: Place) -> None:
    with run.opened() as files:
        (span,) = files.output.append([result(files, 3)])
        fact = Finish(3, "ok", "final", Usage(15, 107, 0, 122), span)
    with run.opened() as files:
        assert files.checkpoint.place(fact.line) == fact.place


@pytest.mark.promise("P6")
@pytest.mark.parametrize("word", ["НОВОЕ", "NEW", "no word 🙂", "\ud83d", ""])
def test_a_line_whose_finish_is_a_new_word_of_the_service_is_adopted(
    run: Place, word: str
) -> None:
    status: Json = {"message": {"role": "assistant", "text": "t"}, "status": word}
    response: Json = {"alternatives": [status]}
    answer = read_operation({"done": True, "response": response}, {})
    assert isinstance(answer, Answer)
    with run.opened() as files:
        known = files.checkpoint.known(3, MODEL)
        assert known is not None
        files.output.append([result_line(known, answer, raw=False, emulator=False)])
    with run.opened() as files:
        assert outcomes(files) == {"ok": 3}


@pytest.mark.promise("P8")
def test_a_run_with_a_form_is_not_gone_on_with_without_it(tmp_path: Path) -> None:
    run, form = place(tmp_path), Settings(Recipe(MODEL, "b1g", form=AnyObject()))
    with run.opened(settings=form) as files:
        begin_all(files)
    refused(run, "--json-object was given, is now not given")
    with run.opened(settings=form):
        pass
