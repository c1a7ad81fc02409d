"""Whatever is changed in the files of a run is found, told by its place, and nothing else is."""

import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import combinations
from pathlib import Path

import pytest

from pipeline.codec import Json, decode, encode
from pipeline.consistency.agreement import Counted, of_doubts, of_rows
from pipeline.consistency.evidence import Doubted, Kept, Recorded
from pipeline.files.output import seal
from pipeline.files.paths import Paths
from pipeline.input.rows import Recipe, parse_row
from pipeline.life import item
from pipeline.life.entry import Entry
from pipeline.life.facts import Doubt, Finish, Move, Note, Replaced, Signature, Span, columns_of
from pipeline.life.item import (
    Accepted,
    Announced,
    Event,
    Forgiven,
    IllegalEventError,
    Intended,
    Lost,
    Running,
    State,
    Waiting,
    Withdrawn,
    after,
)
from pipeline.life.records import Failure, failed_line, result_line
from pipeline.money.totals import Sums
from pipeline.results.audit import audit
from pipeline.results.case import Report
from pipeline.resuming.recovery import Files
from pipeline.settings import Settings
from tests.builders import ANSWER, DAY, MODEL, NOW, USAGE, Place, fields, price_table, read
from tests.scratch import as_version_1

RECIPE = Recipe(MODEL, "b1g", max_tokens=100)
SETTINGS = Settings(RECIPE)
PRICES = price_table()
_ROWS = (
    '{"prompt":"a"}',
    '{"prompt":"b","id":"два","model":"yandexgpt"}',
    '{"prompt":"c"}',
    "[]",
    '{"prompt":"e"}',
    '{"prompt":"f"}',
    '{"prompt":"g"}',
    '{"prompt":"h"}',
)


def began(files: Files, line: int, state: State | None = None) -> None:
    """Begin a row as the run does, with what its line says of it."""
    (read_line,) = [found for found in read(files.source.path) if found.number == line]
    row = parse_row(line, read_line.data, RECIPE)
    span = Span(read_line.offset, len(read_line.data), seal(read_line.data))
    begin = Entry(row, span, Waiting(), read_line.next).begin(state)
    assert begin is not None
    files.checkpoint.record([begin], {})


def running(line: int, submits: int = 1) -> Running:
    return Running(f"op-{line}-{submits}", NOW, submits, submits)


def line_of(files: Files, line: int, stage: str | None = None) -> bytes:
    """The line that a row ends with; `stage` of what it failed of."""
    known = files.checkpoint.known(line, MODEL)
    assert known is not None
    if stage is None:
        return result_line(known, ANSWER, raw=False, emulator=False)
    data = read(files.source.path)[line - 1].data
    return failed_line(known, Failure(stage, "code", "words"), None, data, emulator=False)


def ends(files: Files, *lines: int, stage: str | None = None) -> None:
    """Write the lines of rows and commit them, as the recorder does."""
    file = files.output if stage is None else files.errors()
    spans = file.append([line_of(files, line, stage) for line in lines])
    outcome = "ok" if stage is None else "held" if stage == "doubt" else "failed"
    finish, usage, day = ("final", USAGE, DAY) if stage is None else (None, None, None)
    finishes = [
        Finish(line, outcome, finish, usage, span, day)
        for line, span in zip(lines, spans, strict=True)
    ]
    name = "output" if stage is None else "errors"
    files.checkpoint.record(finishes, {name: file.signature()})


def write_totals(files: Files) -> None:
    totals = files.checkpoint.totals(MODEL).to_json(PRICES)
    known = files.checkpoint.signature("output")
    assert known is not None
    files.output.append_last(encode({"totals": totals}))
    time = files.output.signature().mtime_ns
    files.checkpoint.record([], {"output": Signature(known.size, time)})


def story(folder: Path, *, complete: bool = False) -> Place:
    """A run with rows of every kind; `complete`: none are pending, and the totals are written."""
    folder.mkdir(exist_ok=True)
    run = Place(folder / "in.jsonl", Paths(folder / "out.jsonl"))
    rows = _ROWS[:6] if complete else _ROWS
    run.input.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    with run.opened(settings=SETTINGS) as files:
        for line in (1, 2, 3):
            began(files, line, running(line))
        began(files, 4)
        ends(files, 1)
        ends(files, 4, stage="input")
        began(files, 5, Intended(NOW, Waiting()))
        doubtful = after(Intended(NOW, Waiting()), item.Doubted())
        files.checkpoint.record([Move(5, doubtful), Doubt(5, NOW)], {})
        ends(files, 5, stage="doubt")
        began(files, 6, running(6))
        gone = after(running(6), Lost())
        files.checkpoint.record([Move(6, gone)], {})
        files.checkpoint.record([Move(6, running(6, 2)), Replaced(6)], {})
        ends(files, 2, 6)
        ends(files, 3, stage="operation")
        if not complete:
            began(files, 7, after(doubtful, Announced(NOW)))
            files.checkpoint.record([Doubt(7, NOW)], {})
        files.checkpoint.record([Note("rows", str(len(rows)))], {})
        if complete:
            write_totals(files)
    return run


def look(run: Place, *, quick: bool = False, given_input: Path | None = None) -> Report:
    return audit(run.paths, PRICES, quick=quick, given_input=given_input)


def found(run: Place, *, quick: bool = False) -> str:
    """All that was found, as one text; something must be."""
    report = look(run, quick=quick)
    assert report.findings, "nothing was found"
    return "\n".join(report.findings)


@contextmanager
def changed(path: Path, data: bytes, *, same_time: bool = True) -> Iterator[None]:
    """Let a file hold something else for the block."""
    before, status = path.read_bytes(), path.stat()
    path.write_bytes(data)
    if same_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    try:
        yield
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture(params=[False, True], ids=["pending", "complete"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return story(tmp_path, complete=request.param)


@pytest.fixture
def pending(tmp_path: Path) -> Place:
    return story(tmp_path)


@pytest.fixture
def complete(tmp_path: Path) -> Place:
    return story(tmp_path, complete=True)


# What agrees.


@pytest.mark.parametrize("quick", [False, True])
def test_a_run_left_alone_agrees(run: Place, quick: bool) -> None:
    report = look(run, quick=quick)
    assert (report.findings, report.remarks) == ([], [])


def test_all_rows_of_the_input_are_accounted_for(pending: Place) -> None:
    report = look(pending)
    assert report.outcomes == {"ok": 3, "failed": 2, "held": 1}
    assert (report.in_input, report.pending, report.not_begun) == (8, 1, 1)


def test_a_run_that_has_begun_nothing_agrees(tmp_path: Path) -> None:
    run = Place(tmp_path / "in.jsonl", Paths(tmp_path / "out.jsonl"))
    run.input.write_text('{"prompt":"a"}\n\n')
    with run.opened(settings=SETTINGS):
        pass
    report = look(run)
    assert (report.findings, report.in_input, report.not_begun) == ([], 1, 1)


def test_a_run_that_goes_on_agrees_and_its_tail_is_left_alone(pending: Place) -> None:
    with pending.opened(settings=SETTINGS) as files:
        files.output.append([b"half written, for all that anybody kn"])
        report = look(pending)
    assert report.findings == []
    assert "A process has this run" in report.remarks[0]


def test_looking_changes_nothing(run: Place) -> None:
    folder = run.input.parent
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    look(run)
    look(run, quick=True)
    now = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    assert now == before


def test_files_that_moved_together_and_an_input_named_agree(run: Place, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    for path in [run.input, *run.paths.all()]:
        if path.exists():
            path.rename(elsewhere / path.name)
    moved = Place(elsewhere / "in.jsonl", Paths(elsewhere / "out.jsonl"))
    assert look(moved).agrees
    moved.input.rename(tmp_path / "other.jsonl")
    assert "The input is not at " in found(moved)
    assert look(moved, given_input=tmp_path / "other.jsonl").agrees


def test_a_compressed_input_agrees(tmp_path: Path) -> None:
    run = Place(tmp_path / "in.jsonl.gz", Paths(tmp_path / "out.jsonl"))
    packed = zlib.compressobj(wbits=31)
    run.input.write_bytes(packed.compress('{"prompt":"Да"}\n'.encode() * 3) + packed.flush())
    with run.opened(settings=SETTINGS) as files:
        began(files, 1, running(1))
        began(files, 2, running(2))
        ends(files, 2)
    assert look(run).agrees
    with changed(run.input, run.input.read_bytes()[:-9]):
        assert "in.jsonl.gz ends in the middle" in found(run)


@pytest.mark.parametrize("grown", [b"", b"\n", b"\r\n", b'\n{"prompt":"new"}', b'\r\n\n{"prompt'])
def test_a_last_line_without_newline_may_get_one(tmp_path: Path, grown: bytes) -> None:
    run = Place(tmp_path / "in.jsonl", Paths(tmp_path / "out.jsonl"))
    run.input.write_bytes(b'{"prompt":"a"}\n\n{"prompt":"b"}')
    with run.opened(settings=SETTINGS) as files:
        began(files, 1, running(1))
        began(files, 3, running(3))
    with run.input.open("ab") as file:
        file.write(grown)
    report = look(run)
    assert report.findings == []
    assert report.not_begun == grown.count(b"prompt")
    with run.input.open("ab") as file:
        file.write(b"x" if not grown else b"")
    assert look(run).agrees == bool(grown)


# What does not.


@pytest.mark.promise("P6")
def test_every_byte_that_is_changed_is_found(pending: Place) -> None:
    last = pending.input.read_bytes().rindex(b'{"prompt":"h"}')
    for path, end in (
        (pending.paths.output, None),
        (pending.paths.errors, None),
        (pending.input, last),
    ):
        whole = path.read_bytes()
        for place in range(len(whole[:end])):
            spoilt = bytearray(whole)
            spoilt[place] ^= 1
            with changed(path, bytes(spoilt)):
                assert path.name in found(pending), f"{path.name}, byte {place}"


@pytest.mark.promise("P6")
def test_every_byte_of_the_totals_line_counts(complete: Place) -> None:
    """But for the date of the prices: by other prices the costs would be others too."""
    whole = complete.paths.output.read_bytes()
    date = whole.rindex(PRICES.date.encode())
    for place in range(whole.rindex(b'{"totals"'), len(whole) - 1):
        if date <= place < date + len(PRICES.date):
            continue
        spoilt = bytearray(whole)
        spoilt[place] ^= 1
        with changed(complete.paths.output, bytes(spoilt)):
            assert found(complete)


def whole_lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def files_of_lines(run: Place) -> list[Path]:
    return [run.paths.output, run.paths.errors]


@pytest.mark.promise("P1")
@pytest.mark.promise("P6")
def test_every_line_that_is_taken_out_is_told_by_its_row(pending: Place) -> None:
    for path in files_of_lines(pending):
        lines = whole_lines(path)
        for gone, line in enumerate(lines):
            number = fields(decode(line))["line"]
            with changed(path, b"".join([*lines[:gone], *lines[gone + 1 :]])):
                told = found(pending).splitlines()
            assert [f"row {number} is " in finding for finding in told] == [False, True], told


@pytest.mark.promise("P1")
@pytest.mark.promise("P6")
def test_every_line_that_is_there_twice_is_found(pending: Place) -> None:
    for path in files_of_lines(pending):
        lines = whole_lines(path)
        for first in range(len(lines)):
            for again in range(first, len(lines)):
                copied = [*lines[: again + 1], lines[first], *lines[again + 1 :]]
                with changed(path, b"".join(copied)):
                    assert path.name in found(pending)


@pytest.mark.promise("P6")
def test_lines_that_changed_places_are_found(pending: Place) -> None:
    for path in [*files_of_lines(pending), pending.input]:
        lines = whole_lines(path)[: 7 if path == pending.input else None]
        rest = b"".join(whole_lines(path)[len(lines) :])
        for one, other in combinations(range(len(lines)), 2):
            swapped = list(lines)
            swapped[one], swapped[other] = lines[other], lines[one]
            with changed(path, b"".join(swapped) + rest):
                assert path.name in found(pending)


@pytest.mark.promise("P6")
def test_lines_taken_out_of_the_input_or_put_in_are_found(pending: Place) -> None:
    lines = whole_lines(pending.input)
    for place in range(7):
        with changed(pending.input, b"".join([*lines[:place], *lines[place + 1 :]])):
            assert f"in.jsonl:{place + 1} " in found(pending)
        with changed(
            pending.input, b"".join([*lines[:place], b'{"prompt":"x"}\n', *lines[place:]])
        ):
            assert f"in.jsonl:{place + 1} " in found(pending)


def test_a_blank_line_that_became_a_row_was_never_begun(tmp_path: Path) -> None:
    run = Place(tmp_path / "in.jsonl", Paths(tmp_path / "out.jsonl"))
    run.input.write_bytes(b'{"prompt":"a"}\n  \n{"prompt":"b"}\n')
    with run.opened(settings=SETTINGS) as files:
        began(files, 1, running(1))
        began(files, 3, running(3))
    assert look(run).agrees
    run.input.write_bytes(b'{"prompt":"a"}\n{}\n{"prompt":"b"}\n')
    assert "in.jsonl:2 (byte 15): this row was never begun" in found(run)
    run.input.write_bytes(b'{"prompt":"a"}\n  \n' + b" " * 14 + b"\n")
    assert "in.jsonl:3: this run began a row here" in found(run)


@pytest.mark.parametrize("name", ["output", "errors"])
def test_a_file_that_was_cut_or_is_gone_is_told(pending: Place, name: str) -> None:
    path = pending.paths.output if name == "output" else pending.paths.errors
    whole = path.read_bytes()
    for cut in (1, len(whole) // 2, len(whole)):
        with changed(path, whole[:-cut]):
            assert f"{path.name} was cut: it has " in found(pending)
            assert f"{path.name} was cut: it has " in found(pending, quick=True)
    if name == "errors":
        path.unlink()
        assert f"{path.name} is missing" in found(pending)
        assert f"{path.name} is missing" in found(pending, quick=True)


_NUMBERS = [
    ("rows", "line", 1000),
    *(("rows", column, 1) for column in ("offset", "size", "input_bound", "output_bound")),
    *(("rows", column, 1) for column in ("submits", "spent", "place", "place_size")),
    *(("tally", c, 1) for c in ("rows", "unknown", "input", "completion", "reasoning", "total")),
    ("doubts", "line", 1000),
    *(("doubts", column, 1) for column in ("input_bound", "output_bound")),
    ("files", "size", 1),
]
# A doubt that was part of an outage spends nothing, so either number can be right.
_FREE = "spent = submits AND NOT EXISTS (SELECT 1 FROM doubts WHERE doubts.line = rows.line)"


def keys(db: sqlite3.Connection, table: str, column: str) -> list[str]:
    """Conditions that each choose one row of a table in which the column is a number."""
    if table == "tally":
        found_keys = db.execute("SELECT outcome, model, finish, day FROM tally")
        names = ("outcome", "model", "finish", "day")
        return [
            " AND ".join(f"{name} = '{word}'" for name, word in zip(names, key, strict=True))
            for key in found_keys
        ]
    if table == "files":
        return ["name = 'output'", "name = 'errors'"]
    only = f" AND {_FREE}" if column == "spent" else ""
    found_rows = db.execute(f"SELECT rowid FROM {table} WHERE {column} IS NOT NULL{only}")  # noqa: S608
    return [f"rowid = {number}" for (number,) in found_rows]


def edit(run: Place, statement: str) -> None:
    with closing(sqlite3.connect(run.paths.checkpoint)) as db, db:
        assert db.execute(statement).rowcount == 1


@pytest.mark.promise("P15")
@pytest.mark.parametrize(("table", "column", "by"), _NUMBERS)
def test_every_number_that_is_changed_in_the_checkpoint_is_found(
    pending: Place, table: str, column: str, by: int
) -> None:
    with closing(sqlite3.connect(pending.paths.checkpoint)) as db:
        chosen = keys(db, table, column)
    assert chosen
    for where in chosen:
        for step in (by, -by):
            edit(pending, f"UPDATE {table} SET {column} = {column} + {step} WHERE {where}")  # noqa: S608
            assert not look(pending).agrees, f"{table}.{column}, {where}, {step:+}"
            edit(
                pending,
                f"UPDATE {table} SET {column} = {column} - {step} WHERE "  # noqa: S608
                + (
                    f"rowid = {int(where.split()[-1]) + step}"
                    if column == "line" and table == "rows"
                    else where
                ),
            )
    assert look(pending).agrees


def test_submits_that_moved_from_one_row_to_another_are_found(pending: Place) -> None:
    edit(pending, "UPDATE rows SET submits = 1, spent = 1 WHERE line = 6")
    edit(pending, "UPDATE rows SET submits = 2, spent = 2 WHERE line = 1")
    assert '"submits" is 1, and should be 2' in found(pending)


def test_a_newline_that_is_gone_from_the_inputs_end_is_found(complete: Place) -> None:
    with changed(complete.input, complete.input.read_bytes()[:-1]):
        assert "in.jsonl:6 (byte 97): the newline that ended this line is gone" in found(complete)


@pytest.mark.parametrize("column", ["id", "model", "operation_id", "state"])
def test_every_word_that_is_changed_in_a_row_is_found(pending: Place, column: str) -> None:
    with closing(sqlite3.connect(pending.paths.checkpoint)) as db:
        chosen = keys(db, "rows", column)
    for where in chosen:
        edit(pending, f"UPDATE rows SET {column} = 'x' || {column} WHERE {where}")  # noqa: S608
        assert not look(pending).agrees
        edit(pending, f"UPDATE rows SET {column} = substr({column}, 2) WHERE {where}")  # noqa: S608
    assert look(pending).agrees


@pytest.mark.parametrize("statement", [
    "DELETE FROM doubts WHERE line = 5",
    "DELETE FROM doubts WHERE line = 7",
    "INSERT INTO doubts SELECT * FROM doubts WHERE line = 7",
    "DELETE FROM tally WHERE outcome = 'held'",
    "DELETE FROM tally WHERE outcome = 'replaced'",
    "UPDATE tally SET day = '2024-06-07' WHERE outcome = 'ok' AND model = ''",
    "UPDATE tally SET day = '' WHERE outcome = 'ok' AND model = ''",
    "DELETE FROM rows WHERE line = 7",
    "DELETE FROM rows WHERE line = 4",
    "UPDATE rows SET state = 'ok' WHERE line = 3",
    "UPDATE rows SET state = 'held' WHERE line = 3",
    "UPDATE rows SET state = 'failed' WHERE line = 5",
    "UPDATE rows SET state = 'waiting' WHERE line = 7",
    "UPDATE rows SET place = NULL, place_size = NULL, place_seal = NULL WHERE line = 2",
    "UPDATE rows SET operation_id = NULL WHERE line = 3",
])  # fmt: skip
def test_a_checkpoint_that_lost_or_confused_something_is_found(
    pending: Place, statement: str
) -> None:
    edit(pending, statement)
    assert not look(pending).agrees


@pytest.mark.parametrize("key", ["cursor", "rows", "max-tokens", "emulator"])
def test_every_number_of_the_run_as_a_whole_is_compared(pending: Place, key: str) -> None:
    with closing(sqlite3.connect(pending.paths.checkpoint)) as db:
        meta = dict(db.execute("SELECT key, value FROM meta"))
    values: list[str] = []
    match key:
        case "cursor":
            numbers = [int(number) for number in meta["cursor"].split()]
            for place in range(4):
                for step in (1, -1):
                    other = list(numbers)
                    other[place] += step
                    values.append(" ".join(map(str, other)))
        case "rows":
            values = ["6", "9"]
        case _:
            settings = fields(decode(meta["settings"].encode()))
            was, to = ("100", "101") if key == "max-tokens" else ("false", "true")
            assert settings[key] == was
            values = [encode(settings | {key: to}).decode()]
    for value in values:
        with closing(sqlite3.connect(pending.paths.checkpoint)) as db, db:
            db.execute(
                "UPDATE meta SET value = ? WHERE key = ?",
                (value, key if key in meta else "settings"),
            )
        assert not look(pending).agrees, value


def test_a_damaged_checkpoint_is_told_before_anything_is_made_of_it(run: Place) -> None:
    path = run.paths.checkpoint
    whole = path.read_bytes()
    # The second page of an index: what it holds is no longer what the table holds.
    place = whole.rindex(b"op-1-1")
    with changed(path, whole[:place] + b"op-9" + whole[place + 4 :]):
        report = look(run)
    assert report.findings
    assert all("checkpoint" in finding for finding in report.findings)


def test_of_many_findings_the_first_hundred_are_listed(tmp_path: Path) -> None:
    run = Place(tmp_path / "in.jsonl", Paths(tmp_path / "out.jsonl"))
    run.input.write_text('{"prompt":"a"}\n' * 150)
    with run.opened(settings=SETTINGS) as files:
        for line in range(1, 151):
            began(files, line, running(line))
    run.input.write_text('{"prompt":"b"}\n' * 150)
    report = look(run)
    assert (len(report.findings), report.more) == (100, 50)


# What stands behind the committed part.


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


@pytest.mark.promise("P6")
def test_a_whole_line_that_a_dead_process_wrote_is_no_finding(pending: Place) -> None:
    with pending.opened(settings=SETTINGS) as files:
        files.checkpoint.record([Move(7, running(7, 2))], {})
        line = line_of(files, 7)
    append(pending.paths.output, line + b'\n{"line":8,"id')
    report = look(pending)
    assert report.findings == []
    assert "whole lines at its end that the next start adopts: 1." in report.remarks[1]
    assert "it is torn; the next start cuts it" in report.remarks[0]
    with pending.opened(settings=SETTINGS):
        pass
    assert look(pending).remarks == []


@pytest.mark.promise("P6")
def test_what_a_start_would_refuse_is_a_finding(pending: Place) -> None:
    with pending.opened(settings=SETTINGS) as files:
        files.checkpoint.record([Move(7, running(7, 2))], {})
        ours, error = line_of(files, 7), line_of(files, 7, "operation")
        first = line_of(files, 1)
    output, errors = pending.paths.output, pending.paths.errors
    for path, tail in (
        (output, b"a stranger's\n"),
        (output, first + b"\n"),
        (output, ours + b"\n" + ours + b"\n"),
        (output, ours.replace(b'"op-7-2"', b'"op-7-3"') + b"\n"),
        (output, ours.replace(b'"line":7', b'"line":8') + b"\n"),
        (output, b'{"totals":{}}\n' + ours + b"\n"),
        (errors, error.replace(b'"failed"', b'"perhaps"') + b"\n"),
        (errors, b'{"totals":{}}\n'),
    ):
        with changed(path, path.read_bytes() + tail, same_time=False):
            assert path.name in found(pending)
            assert path.name in found(pending, quick=True)
    append(errors, error + b"\n")
    assert look(pending).agrees
    append(output, ours + b"\n")
    assert "out.errors.jsonl" in found(pending)


@pytest.mark.promise("P6")
def test_zeros_that_a_power_cut_left_are_told_as_torn(pending: Place) -> None:
    append(pending.paths.output, bytes(40) + b"\nanything\n")
    report = look(pending)
    assert report.findings == []
    assert "torn" in report.remarks[0]


# Totals.


def totals_changed(run: Place, change: Callable[[dict[str, Json]], None]) -> bytes:
    *lines, last = whole_lines(run.paths.output)
    totals = fields(fields(decode(last))["totals"])
    change(totals)
    return b"".join(lines) + encode({"totals": totals}) + b"\n"


@pytest.mark.promise("P15")
@pytest.mark.parametrize("key", ["rows", "ok", "failed", "usage", "cost", "by_model", "doubts"])
@pytest.mark.parametrize("quick", [False, True])
def test_totals_that_say_something_else_are_found(complete: Place, key: str, quick: bool) -> None:
    with changed(complete.paths.output, totals_changed(complete, lambda t: t.update({key: 77}))):
        assert f'"{key}" is 77 in the totals' in found(complete, quick=quick)


@pytest.mark.promise("P15")
def test_costs_by_another_price_table_are_not_compared(complete: Place) -> None:
    def older(totals: dict[str, Json]) -> None:
        totals["cost"] = {"amount": "0.01", "currency": "RUB", "prices": "2020-01-01"}
        totals["doubt_cost"] = "0.01"

    with changed(complete.paths.output, totals_changed(complete, older)):
        assert look(complete).agrees
    with changed(complete.paths.output, totals_changed(complete, lambda t: t.update(ok=2))):
        assert not look(complete).agrees


def test_totals_may_be_older_than_a_doubt_of_a_row_that_was_added(complete: Place) -> None:
    append(complete.input, b'{"prompt":"new"}\n')
    with complete.opened(settings=SETTINGS) as files:
        began(files, 7, after(Intended(NOW, Waiting()), item.Doubted()))
        files.checkpoint.record([Note("rows", "7"), Doubt(7, NOW)], {})
    assert look(complete).agrees


def test_without_totals_a_complete_run_agrees(complete: Place) -> None:
    *lines, _ = whole_lines(complete.paths.output)
    with changed(complete.paths.output, b"".join(lines)):
        assert look(complete).agrees


def test_totals_that_moved_up_with_a_line_that_is_gone_are_no_finding_of_their_own(
    complete: Place,
) -> None:
    first, *others = whole_lines(complete.paths.output)
    for lines in ([*others], [first, *others[1:]]):
        with changed(complete.paths.output, b"".join(lines)):
            (finding,) = look(complete).findings
            assert "and its line, at byte " in finding


def test_a_committed_length_that_reaches_into_the_totals_is_found(complete: Place) -> None:
    edit(complete, "UPDATE files SET size = size + 20 WHERE name = 'output'")
    assert "out.jsonl: its lines end at byte " in found(complete)


# --quick.


@pytest.mark.promise("P6")
def test_quick_finds_a_change_of_the_last_lines(pending: Place) -> None:
    for path in (pending.paths.output, pending.paths.errors):
        whole = path.read_bytes()
        spoilt = whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]
        with changed(path, spoilt):
            assert "the line is not what this run wrote" in found(pending, quick=True)
    rows = pending.input.read_bytes()
    with changed(pending.input, rows.replace(b'"g"', b'"x"')):
        assert "in.jsonl:7 " in found(pending, quick=True)


@pytest.mark.promise("P6")
@pytest.mark.parametrize("which", ["pending", "complete"])
def test_quick_names_no_line_where_one_before_the_last_has_another_length(
    which: str, request: pytest.FixtureRequest
) -> None:
    run: Place = request.getfixturevalue(which)
    path, size = run.paths.output, 0
    with run.opened(settings=SETTINGS) as files:
        size = getattr(files.checkpoint.signature("output"), "size", 0)
    whole = path.read_bytes()
    for word in (b"end", b"finally"):
        spoilt = whole.replace(b"final", word, 1)
        with changed(path, spoilt + b" " * 9):
            findings = look(run, quick=True).findings
            assert findings == [
                f"{path}: no line ends at byte {size:,}, where the last of this run did; the "
                "full audit names the lines that were changed."
            ]
            assert "out.jsonl:1 (byte 0): the line is not what this run wrote." in found(run)


def test_quick_says_where_only_the_full_audit_can_tell(pending: Place) -> None:
    for path in (pending.paths.output, pending.paths.errors, pending.input):
        first, rest = path.read_bytes()[:20], path.read_bytes()[20:]
        with changed(path, first[:-4] + b"?" + first[-3:] + rest, same_time=False):
            report = look(pending, quick=True)
            assert report.agrees
            assert "the full audit reads it" in "".join(report.remarks)
            assert path.name in found(pending)


@pytest.mark.promise("P15")
@pytest.mark.parametrize("statement", [
    "UPDATE tally SET rows = rows + 1 WHERE outcome = 'held'",
    "UPDATE meta SET value = '5' WHERE key = 'rows'",
    "UPDATE meta SET value = '1 2 3 0' WHERE key = 'cursor'",
    "UPDATE rows SET submits = 0 WHERE line = 7",
    "UPDATE rows SET state = 'lost' WHERE line = 7",
    "UPDATE doubts SET input_bound = 1 WHERE line = 7",
    "UPDATE files SET size = size - 1 WHERE name = 'output'",
    "UPDATE rows SET place = 1 WHERE line = 6",
])  # fmt: skip
def test_quick_compares_counts_and_sums_inside_the_checkpoint(
    pending: Place, statement: str
) -> None:
    edit(pending, statement)
    assert not look(pending, quick=True).agrees


@pytest.mark.promise("P15")
def test_quick_compares_the_totals_with_the_checkpoints_sums(complete: Place) -> None:
    edit(complete, "UPDATE tally SET input = input + 1 WHERE outcome = 'ok' AND model = ''")
    assert '"usage" is' in found(complete, quick=True)


# The law of doubts.

_EVENTS: list[Event] = [
    Announced(NOW),
    Accepted("op", NOW),
    Withdrawn(),
    item.Doubted(),
    Forgiven(),
    Lost(),
]


def recorded_of(state: State) -> Recorded:
    columns = columns_of(state)
    return Recorded(1, Span(0, 1, b""), None, None, None, 1, 1, columns, None)


@pytest.mark.promise("P5")
def test_the_law_of_doubts_holds_in_every_state_that_can_be_reached() -> None:
    """Its submits are its operation, its doubts and what was replaced, whatever happened."""
    reached: set[tuple[State, int, int, bool]] = set()
    new: list[tuple[State, int, int, bool]] = [(Waiting(), 0, 0, False)]
    while new:
        state, doubts, replaced, weighed = new.pop()
        if (state, doubts, replaced, weighed) in reached or doubts + replaced > 3:
            continue
        reached.add((state, doubts, replaced, weighed))
        recorded, counted = recorded_of(state), Counted()
        sums = {"": Sums(replaced, replaced)} if replaced else {}
        assert list(of_rows("c", [Kept(recorded, doubts)], counted)) == []
        told = [Doubted(1, None, fits=True)] * doubts
        assert list(of_doubts("c", told, sums, {}, counted)) == []
        for event in _EVENTS:
            # As course.py and forgiveness.py do: each doubt is forgiven once at most.
            if isinstance(event, Forgiven) and not weighed:
                continue
            try:
                then = after(state, event)
            except IllegalEventError:
                continue
            paid = isinstance(event, Accepted | item.Doubted)
            anew = paid and isinstance(state, Intended) and columns_of(state)[0] == "intended anew"
            is_doubt = isinstance(event, item.Doubted)
            new.append((then, doubts + is_doubt, replaced + anew, is_doubt))
    assert len(reached) > 30


@pytest.mark.promise("P15")
def test_a_run_that_an_earlier_version_began_is_audited_without_days(tmp_path: Path) -> None:
    run = story(tmp_path / "run")
    as_version_1(run.paths.checkpoint)
    assert look(run).agrees, look(run).findings
    with run.opened(settings=SETTINGS) as files:
        ends(files, 7, stage="operation")
    assert look(run).agrees, look(run).findings
    edit(run, "UPDATE tally SET rows = rows + 1 WHERE outcome = 'ok' AND model = ''")
    assert "its sums of ok rows that ended with final are 3 rows" in found(run)
