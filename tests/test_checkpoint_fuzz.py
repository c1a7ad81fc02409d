"""Whatever was done to a checkpoint, the next start goes on, or says in one sentence why not.

The runs are real ones, some of which were killed and some stopped. What must never happen: an
exception of another kind, a run that does not end, and a row that is paid for again while its
operation's id can still be read.
"""

import json
import math
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.emulator.model import Config, Service
from pipeline.errors import Exit, RunError
from pipeline.input.rows import Recipe
from pipeline.life.item import Policy
from pipeline.network.carrier import NoAnswerError, Reply
from pipeline.settings import Settings
from pipeline.state.board import Outcome
from tests.builders import refusal
from tests.oracle import checkpoint_at, checkpoint_of, errors_of, whole_lines
from tests.scratch import in_memory
from tests.simulation import EVENING, Sending, simulate

_SETTINGS = Settings(
    Recipe("yandexgpt-lite", Config().folder, keep=("n",)),
    policy=Policy(attempts=3),
    concurrency=3,
    patience=600,
)
_DEDUPED = replace(_SETTINGS, recipe=replace(_SETTINGS.recipe, temperature=0.0), dedupe=True)
_ROWS = 14
_GONE = 2
# Of a run that looks for rows that ask the same: which row each of the last ones repeats.
_SAME = {9: 1, 10: 1, 11: 2, 12: 4, 13: 8, 14: 7}
_FINISHED = {Exit.OK, Exit.SOME_FAILED, Exit.SOME_HELD}

fuzzed = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True, slots=True)
class Picture:
    """A run as a process left it, and the service as it then was."""

    files: dict[str, tuple[bytes, int]] = field(repr=False)
    model: Service = field(repr=False)
    settings: Settings = field(repr=False)

    def lay_out(self, folder: Path) -> Path:
        """Put the files into a folder; return where the output is."""
        for name, (data, mtime_ns) in self.files.items():
            (folder / name).write_bytes(data)
            os.utime(folder / name, ns=(mtime_ns, mtime_ns))
        return folder / "results.jsonl"


def _row(number: int, asked: int) -> str:
    row: dict[str, object] = {"prompt": f"row {asked}.", "n": number}
    match number:
        case 3:
            row["prompt"] = 7
        case 5:
            row["model"] = "yandexgpt"
        case 6:
            row["max_tokens"] = 20
    if number % 4 == 1:
        row["id"] = f"own-{number}"
    return json.dumps(row) + "\n"


def _taken(folder: Path, model: Service, settings: Settings) -> Picture:
    files = {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.iterdir()
        if not path.name.endswith("-shm")
    }
    return Picture(files, deepcopy(model), settings)


@cache
def _pictures() -> list[Picture]:
    return _pictures_of(_SETTINGS, {1, 9, 24})


@cache
def _pictures_with_twins() -> list[Picture]:
    return _pictures_of(_DEDUPED, {1, 6, 16})


def _pictures_of(settings: Settings, moments: set[int]) -> list[Picture]:
    """A run at several calls, as a kill would leave it, and as it was when it was stopped."""
    same = _SAME if settings.dedupe else {}
    model = Service(Config(latency_median=3, latency_sigma=0.8))
    pictures: list[Picture] = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        rows = folder / "prompts.jsonl"
        rows.write_text("".join(_row(n, same.get(n, n)) for n in range(1, _ROWS + 1)))
        calls = 0

        async def meet(call: Sending) -> Reply:
            nonlocal calls
            calls += 1
            if calls in moments:
                pictures.append(_taken(folder, model, settings))
            if call.is_submit and call.says("row 7."):
                await call.onward()
                raise NoAnswerError("reset")
            if call.is_submit and call.says("row 8."):
                return Reply(400, {}, refusal("too long"))
            return await call.onward()

        output = folder / "results.jsonl"
        simulate(rows, output, settings, model, meet=meet, stop_after=1.5)
        gone = "UPDATE rows SET state = 'gone', at = NULL WHERE line = ?"
        with closing(sqlite3.connect(checkpoint_of(output))) as db, db:
            db.execute(gone, (_GONE,))
        pictures.append(_taken(folder, model, settings))
        simulate(rows, output, settings, model, meet=meet, start=EVENING + 2, stop_after=4)
        pictures.append(_taken(folder, model, settings))
    return pictures


@dataclass(frozen=True, slots=True)
class Seen:
    """What a checkpoint says, as far as anybody can read it.

    `ids` has every row's operation; `replaced` counts the operations that were lost.
    """

    ids: dict[int, str] = field(default_factory=dict)
    doubts: frozenset[int] = frozenset()
    replaced: float = 0.0


def _seen(output: Path) -> Seen:
    with suppress(sqlite3.Error, UnicodeDecodeError), checkpoint_at(output) as db:
        ids = "SELECT line, operation_id FROM rows WHERE operation_id IS NOT NULL"
        replaced = "SELECT total(rows) FROM tally WHERE outcome = 'replaced'"
        doubts = frozenset(line for (line,) in db.execute("SELECT line FROM doubts"))
        return Seen(dict(db.execute(ids).fetchall()), doubts, *db.execute(replaced).fetchone())
    return Seen()


def _submits(model: Service) -> Counter[int]:
    """How often each row was accepted."""
    texts = [json.loads(record.body)["messages"][-1]["text"] for record in model.ledger.submits]
    return Counter(int(text.removeprefix("row ").removesuffix(".")) for text in texts)


def _carried_on(output: Path, model: Service, settings: Settings) -> Outcome | RunError:
    rows = output.with_name("prompts.jsonl")
    try:
        outcome, _ = simulate(rows, output, settings, model, start=EVENING + 60)
    except RunError as error:
        return error
    return outcome.end if isinstance(outcome.end, RunError) else outcome


def _check_sentence(error: RunError) -> None:
    assert str(error)
    assert "\n" not in error.told
    assert "Error" not in error.told
    assert error.advice


def check(picture: Picture, damage: Callable[[Path], None]) -> None:
    """Do something to the checkpoint, start the run again and judge how that ends."""
    with in_memory() as name:
        output = picture.lay_out(Path(name))
        before = _seen(output)
        damage(checkpoint_of(output))
        hurt = _seen(output)
        intact = {line for line, own in hurt.ids.items() if before.ids.get(line) == own}
        model = deepcopy(picture.model)
        accepted = _submits(model)
        end = _carried_on(output, model, picture.settings)
        if isinstance(end, RunError):
            _check_sentence(end)
        else:
            assert end.exit_code in _FINISHED
            assert max(_lines(output).values()) == 1
        again = (_submits(model) - accepted).keys() & intact
        if picture.settings.dedupe:
            # Which of several rows sent what all of them ask, the service can't tell.
            again -= set(_SAME.values())
        told = _seen(output)
        lost = max(told.replaced - before.replaced, 0)
        assert len(again - told.doubts) <= lost, "paid for again, its id on disk"


def _lines(output: Path) -> Counter[int]:
    """How many lines each row has."""
    both = [*whole_lines(output), *whole_lines(errors_of(output))]
    return Counter(line["line"] for line in both if "line" in line)


# Bytes, pages and the log.

_PAGE = 4096
pictures = st.integers(0, 4)
fractions = st.floats(0, 1, exclude_max=True)


def _log(checkpoint: Path) -> Path:
    return checkpoint.with_name(checkpoint.name + "-wal")


@st.composite
def spots(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Something that a disk or a person can do to bytes."""
    kind = draw(st.sampled_from(["bytes", "bit", "cut", "zeros", "swap", "repeat", "grow"]))
    at, to, data = draw(fractions), draw(fractions), draw(st.binary(min_size=1, max_size=64))

    def hurt(old: bytes) -> bytes:
        new, place = bytearray(old), int(at * len(old))
        page, other = (int(part * (len(old) // _PAGE)) * _PAGE for part in (at, to))
        match kind:
            case "bytes":
                new[place : place + len(data)] = data
            case "bit" if new:
                new[place] ^= 1 << data[0] % 8
            case "cut":
                del new[place:]
            case "zeros":
                new[place : place + _PAGE] = bytes(len(new[place : place + _PAGE]))
            case "swap":
                new[page : page + _PAGE] = old[other : other + _PAGE]
                new[other : other + _PAGE] = old[page : page + _PAGE]
            case "repeat":
                new[page : page + _PAGE] = old[other : other + _PAGE]
            case _:
                new += data
        return bytes(new)

    return hurt


@pytest.mark.promise("P4")
@pytest.mark.promise("P6")
@pytest.mark.promise("P17")
@fuzzed
@given(pictures, st.lists(spots(), min_size=1, max_size=3))
def test_a_checkpoint_with_damaged_bytes_goes_on_or_is_refused(
    picture: int, hurts: list[Callable[[bytes], bytes]]
) -> None:
    def damage(checkpoint: Path) -> None:
        for hurt in hurts:
            checkpoint.write_bytes(hurt(checkpoint.read_bytes()))

    check(_pictures()[picture], damage)


@pytest.mark.promise("P4")
@pytest.mark.promise("P6")
@pytest.mark.promise("P17")
@fuzzed
@given(pictures, spots())
def test_a_checkpoint_whose_log_is_damaged_goes_on_or_is_refused(
    picture: int, hurt: Callable[[bytes], bytes]
) -> None:
    def damage(checkpoint: Path) -> None:
        log = _log(checkpoint)
        log.write_bytes(hurt(log.read_bytes() if log.exists() else b""))

    check(_pictures()[picture], damage)


# What stands in the tables.

_COLUMNS = {
    "rows": [
        *("line", "offset", "size", "seal", "id", "model", "kept", "input_bound"),
        *("output_bound", "state", "at", "submits", "spent", "operation_id"),
        *("place", "place_size", "place_seal"),
    ],
    "files": ["name", "size", "mtime_ns"],
    "sends": ["number", "at", "ended"],
    "doubts": ["line", "at", "model", "input_bound", "output_bound"],
    "tally": ["outcome", "model", "finish", "day", "rows", "unknown", "input", "total"],
    "meta": ["key", "value"],
}
_COLUMNS_OF_TWINS = {
    "twins": ["line", "request", "same_as"],
    "requests": ["number", "digest", "line"],
}
_STATES = [
    *("waiting", "intended", "intended again", "intended anew", "running", "gone", "doubt"),
    *("unfit", "ok", "failed", "held", "twin"),
]
_WORDS = [
    *_STATES,
    *("replaced", "", "own-5", "line-2", "x", "1", "-1"),
    *("0 1 0 0", "44 2 1 1", "9 9 9 9", "1 2 3", "-5 1 1 0", "{}", "[]", "{", "null", "\0"),
]
cells: st.SearchStrategy[object] = (
    st.none()
    | st.sampled_from(_WORDS)
    | st.sampled_from([0, 1, 2, -1, 2**31, 2**40, 2**62, 2**63 - 1, -(2**63), 5000])
    | st.sampled_from([0.5, -1.5, 1e300, -1e300, math.inf, EVENING, EVENING + 1e9])
    | st.sampled_from([b"", b"\xff\xfe", b"{}", b"{", b"12345678"])
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.binary(max_size=20)
)


@contextmanager
def _edited(checkpoint: Path) -> Iterator[sqlite3.Connection]:
    """The tables of a checkpoint, which is then closed as a run closes it."""
    with closing(sqlite3.connect(checkpoint, isolation_level=None)) as db:
        yield db
        db.execute("UPDATE OR IGNORE meta SET value = '0' WHERE key = 'open'")


@st.composite
def edits(draw: st.DrawFn, *tables: str) -> tuple[str, list[object]]:
    """A statement that changes, deletes or adds something, and what it puts there."""
    table = draw(st.sampled_from(tables))
    names = (_COLUMNS | _COLUMNS_OF_TWINS)[table]
    # Tables without a rowid are known by their first column.
    which = [names[0], "IN (SELECT", names[0], "FROM", table, "ORDER BY 1 LIMIT ? OFFSET ?)"]
    some: list[object] = [draw(st.sampled_from([1, 1, 1, 3, 99])), draw(st.integers(0, 13))]
    kinds = [_set, _set, _set, _text, _delete, _add]
    if table == "rows":
        kinds += [_rename, _rename]
    words, values = draw(st.sampled_from(kinds))(draw, names)
    verb, *rest = words
    if verb == "INSERT OR REPLACE INTO":
        return " ".join([verb, table, *rest]), values
    return " ".join([verb, table, *rest, "WHERE", *which]), [*values, *some]


_Change = tuple[list[str], list[object]]


def _set(draw: st.DrawFn, names: list[str]) -> _Change:
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    sets = ", ".join(f"{name} = ?" for name in chosen)
    return ["UPDATE OR IGNORE", "SET", sets], [draw(cells) for _ in chosen]


def _text(draw: st.DrawFn, names: list[str]) -> _Change:
    """Text that is no UTF-8, as a rule."""
    name = draw(st.sampled_from(names))
    return ["UPDATE OR IGNORE", "SET", name, "= CAST(? AS TEXT)"], [draw(st.binary(max_size=4))]


def _rename(draw: st.DrawFn, _names: list[str]) -> _Change:
    """A row is called something else than it is."""
    sets = draw(st.sampled_from(["state = ?", "state = ?, at = NULL", "state = ?, place = NULL"]))
    return ["UPDATE OR IGNORE", "SET", sets], [draw(st.sampled_from(_STATES))]


def _delete(_draw: st.DrawFn, _names: list[str]) -> _Change:
    return ["DELETE FROM"], []


def _add(draw: st.DrawFn, names: list[str]) -> _Change:
    marks = ", ".join("?" for _ in names)
    values: list[object] = [draw(cells) for _ in names]
    return ["INSERT OR REPLACE INTO", f"({', '.join(names)}) VALUES ({marks})"], values


@pytest.mark.promise("P4")
@pytest.mark.promise("P6")
@pytest.mark.promise("P17")
@pytest.mark.timeout(400)
@settings(fuzzed, max_examples=400)
@given(pictures, st.lists(edits(*_COLUMNS, "rows", "rows", "meta"), min_size=1, max_size=2))
def test_a_checkpoint_whose_tables_were_edited_goes_on_or_is_refused(
    picture: int, changes: list[tuple[str, list[object]]]
) -> None:
    check(_pictures()[picture], partial(_edit, changes))


@pytest.mark.promise("P4")
@pytest.mark.promise("P6")
@pytest.mark.promise("P17")
@pytest.mark.promise("P20")
@fuzzed
@given(
    pictures,
    st.lists(edits(*_COLUMNS_OF_TWINS, *_COLUMNS_OF_TWINS, "rows"), min_size=1, max_size=2),
)
def test_a_checkpoint_whose_tables_of_twins_were_edited_goes_on_or_is_refused(
    picture: int, changes: list[tuple[str, list[object]]]
) -> None:
    check(_pictures_with_twins()[picture], partial(_edit, changes))


def _edit(changes: list[tuple[str, list[object]]], checkpoint: Path) -> None:
    with _edited(checkpoint) as db:
        for change, values in changes:
            with suppress(sqlite3.IntegrityError):
                db.execute(change, values)


def test_the_pictures_have_rows_that_wait_for_others_and_rows_that_have_their_answers() -> None:
    found = Counter[str]()
    for picture in _pictures_with_twins():
        with in_memory() as name, checkpoint_at(picture.lay_out(Path(name))) as db:
            sql = "SELECT iif(same_as IS NULL, 'open', 'answered') FROM twins"
            found.update(word for (word,) in db.execute(sql))
    assert len(_pictures_with_twins()) == 5
    assert found["open"] > 5
    assert found["answered"] > 0
