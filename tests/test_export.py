"""An export: every finished row once, in the order of the input, whatever its line holds."""

import csv
import gzip
import importlib.util
import io
import json
import random
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from pipeline import codec
from pipeline.api.outcomes import Data
from pipeline.engine.retry import Retry
from pipeline.errors import BadData, BadSettings, StorageFailed
from pipeline.files.paths import Paths
from pipeline.input.rows import Recipe
from pipeline.life.facts import Finish, Note, Signature
from pipeline.life.item import Running
from pipeline.life.records import Failure, Known, failed_line, result_line
from pipeline.results import export
from pipeline.results.columns import NAMES, Columns, Result
from pipeline.results.export import Export, Exported
from pipeline.results.sheets import opener
from pipeline.resuming.recovery import Files
from pipeline.settings import Settings
from pipeline.store.retrial import Choice
from tests.builders import ANSWER, DAY, MODEL, NOW, USAGE, Place, begun, read

try:  # in the standard library since Python 3.14
    from compression import zstd  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    from backports import zstd

SETTINGS = Settings(Recipe(MODEL, "b1g"))
KEPT = Settings(Recipe(MODEL, "b1g", keep=("city",)))
# What is hard to hold: quotes, newlines, line separators, NUL, a lone surrogate, a formula.
TEXTS = ['"Да", сказал он', "eins\r\nzwei\n", "a\u2028b", "\0", "\ud83d", "=1+1", "", "☕ Ответ"]
_ROWS: list[dict[str, Any]] = [
    *({"prompt": f"Вопрос {n}", "city": f"город {n}", "n": n} for n in range(1, 10)),
    {
        "prompt": "zehn",
        "id": "zehn",
        "model": "yandexgpt",
        "city": None,
        "tags": ["a", {"b": "ß"}],
    },
]
FAILED, PENDING = {4, 10}, {7}


def exported(run: Place, name: str = "all.jsonl", **wanted: Any) -> tuple[Path, Exported]:
    path = run.input.parent / name
    opened = opener(path)
    assert opened is not None
    return path, Export(run.paths, **wanted).write(path, opened)


def lines_of(path: Path) -> list[Any]:
    data = path.read_bytes()
    assert data.endswith(b"\n")
    return [codec.decode(line) for line in data.split(b"\n")[:-1]]


def table(path: Path) -> list[dict[str, str]]:
    text = path.read_bytes().decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def ends(files: Files, line: int) -> None:
    """Write the line of a row and commit it, as the recorder does."""
    row = _ROWS[line - 1]
    kept = codec.encode({"city": row["city"]}) if files.paths.output.name == "kept.jsonl" else None
    own = row.get("id"), row.get("model")
    known = Known(line, str(own[0] or f"line-{line}"), str(own[1] or MODEL), kept, f"op-{line}", 1)
    if line in FAILED:
        data = read(files.source.path)[line - 1].data
        failure = Failure("operation", "INTERNAL", 'broken, "sorry"', "r-1")
        (span,) = files.errors().append([failed_line(known, failure, None, data, emulator=False)])
        end, file = Finish(line, "failed", None, None, span), "errors"
    else:
        answer = structs.replace(ANSWER, text=TEXTS[line % len(TEXTS)])
        (span,) = files.output.append([result_line(known, answer, raw=False, emulator=False)])
        end, file = Finish(line, "ok", "final", USAGE, span, DAY), "output"
    signature = (files.output if file == "output" else files.errors()).signature()
    files.checkpoint.record([end], {file: signature})


def made(folder: Path, settings: Settings = SETTINGS) -> Place:
    """A run whose rows ended in another order than they stand in the input, but for one."""
    name = "kept.jsonl" if settings.recipe.keep else "results.jsonl"
    run = Place(folder / "in.jsonl", Paths(folder / name))
    rows = [json.dumps(row, ensure_ascii=False) for row in _ROWS]
    run.input.write_text("\n".join([*rows, "", '{"prompt":"not begun"}\n']), encoding="utf-8")
    with run.opened(settings=settings) as files:
        for line in read(run.input)[: len(_ROWS)]:
            row, state = _ROWS[line.number - 1], Running(f"op-{line.number}", NOW, 1, 1)
            begin = begun(line, state, str(row["id"]) if "id" in row else None)
            model = str(row["model"]) if "model" in row else None
            files.checkpoint.record([structs.replace(begin, model=model)], {})
        order = [number for number in range(1, len(_ROWS) + 1) if number not in PENDING]
        random.Random(1).shuffle(order)  # noqa: S311 - to be repeated
        assert order != sorted(order)
        for number in order:
            ends(files, number)
        files.checkpoint.record([Note("rows", "11")], {})
        totals = codec.encode({"totals": {}})
        known = files.checkpoint.signature("output")
        files.output.append_last(totals)
        assert known is not None
        time = files.output.signature().mtime_ns
        files.checkpoint.record([], {"output": Signature(known.size, time)})
    return run


@pytest.fixture
def run(tmp_path: Path) -> Place:
    return made(tmp_path)


@pytest.mark.promise("P16")
def test_json_lines_are_those_of_the_run_in_the_order_of_the_input(run: Place) -> None:
    path, told = exported(run)
    assert [line["line"] for line in lines_of(path)] == [1, 2, 3, 4, 5, 6, 8, 9, 10]
    own = (
        run.paths.output.read_bytes().splitlines()[:-1]
        + run.paths.errors.read_bytes().splitlines()
    )
    assert sorted(path.read_bytes().splitlines()) == sorted(own)
    assert told == Exported(rows=9, failed=2, unfinished=2)


def test_failed_rows_are_left_out_where_that_is_asked_for(run: Place) -> None:
    path, told = exported(run, failed=False)
    assert [line["line"] for line in lines_of(path)] == [1, 2, 3, 5, 6, 8, 9]
    assert told == Exported(rows=7, failed=0, unfinished=2)


def test_fields_of_the_input_stand_under_kept(run: Place) -> None:
    path, _ = exported(run, keep=["tags", "city"])
    kept = {line["line"]: line["kept"] for line in lines_of(path)}
    assert kept[1] == {"tags": None, "city": "город 1"}
    assert kept[10] == {"tags": ["a", {"b": "ß"}], "city": None}


def test_fields_are_beside_those_that_the_run_kept(tmp_path: Path) -> None:
    run = made(tmp_path, KEPT)
    path, _ = exported(run, keep=["n"])
    kept = {line["line"]: line["kept"] for line in lines_of(path)}
    assert kept[2] == {"city": "город 2", "n": 2}
    # An error line holds its whole row, and what is taken now.
    assert kept[4] == {"n": 4}
    path, _ = exported(run, "all.csv", keep=["n", "city"])
    assert list(table(path)[0])[-2:] == ["city", "n"]


@pytest.mark.promise("P16")
def test_a_table_has_a_cell_for_each_part_of_a_result(run: Place) -> None:
    path, _ = exported(run, "all.csv", keep=["city", "tags", "text"])
    rows = {int(row["line"]): row for row in table(path)}
    assert list(rows) == [1, 2, 3, 4, 5, 6, 8, 9, 10]
    assert list(rows[1]) == [*NAMES, "city", "tags", "kept_text"]
    for line in rows.keys() - FAILED:
        text = TEXTS[line % len(TEXTS)]
        assert rows[line]["text"] == text.replace("\ud83d", "\\ud83d")
    some = {name: rows[1][name] for name in ("id", "status", "finish", "total_tokens", "model")}
    assert some == {
        "id": "line-1",
        "status": "ok",
        "finish": "final",
        "total_tokens": "122",
        "model": MODEL,
    }
    failed = rows[10]
    assert (failed["id"], failed["model"], failed["submits"]) == ("zehn", "yandexgpt", "1")
    assert (failed["status"], failed["text"], failed["total_tokens"]) == ("failed", "", "")
    assert (failed["error_stage"], failed["error_code"]) == ("operation", "INTERNAL")
    assert failed["error_message"] == 'broken, "sorry"'
    assert failed["tags"] == '["a",{"b":"ß"}]'
    assert (failed["city"], rows[1]["city"]) == ("", "город 1")


def test_a_table_is_as_rfc_4180_says(run: Place) -> None:
    path, _ = exported(run, "all.csv")
    data = path.read_bytes()
    assert data.startswith(b"line,id,status,text,")
    assert data.endswith(b"\r\n")
    assert '"""Да"", сказал он"'.encode() in data


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_compressed_it_holds_the_same(run: Place, kind: str) -> None:
    plain = exported(run, f"all.{kind}", keep=["n"])[0].read_bytes()
    packed = exported(run, f"all.{kind}.gz", keep=["n"])[0].read_bytes()
    assert gzip.decompress(packed) == plain
    assert zstd.decompress(exported(run, f"all.{kind}.zst", keep=["n"])[0].read_bytes()) == plain
    assert exported(run, f"all.{kind}.gz", keep=["n"])[0].read_bytes() == packed


@pytest.mark.parametrize(
    "name", ["all", "all.json", "all.gz", "all.txt.gz", "all.parquet.gz", "all.xlsx", ".zst"]
)
def test_a_name_that_says_nothing_of_its_kind_is_none(name: str) -> None:
    assert opener(Path(name)) is None


def test_the_data_of_an_answer_has_a_cell_of_its_own() -> None:
    answer = structs.replace(ANSWER, data=Data({"a": [1, "б"]}))
    known, columns = Known(1, "line-1", MODEL, None, "op-1", 1), Columns()
    line = result_line(known, answer, raw=False, emulator=False)
    cells = dict(zip(columns.names, columns.cells(Result(line, MODEL, 1, {})), strict=True))
    assert cells["data"] == '{"a":[1,"б"]}'


def test_without_pyarrow_parquet_says_what_to_do(
    run: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BadSettings, match="Parquet needs pyarrow") as refused:
        exported(run, "all.parquet")
    assert "'.[parquet]'" in refused.value.advice
    assert [path.name for path in run.input.parent.iterdir() if "parquet" in path.name] == []


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is an extra")
def test_parquet_holds_the_cells_of_the_table(run: Place) -> None:
    from pyarrow.parquet import read_table  # noqa: PLC0415

    path, _ = exported(run, "all.parquet", keep=["city"])
    rows = read_table(path).to_pylist()
    as_text = [
        {name: "" if cell is None else str(cell) for name, cell in row.items()} for row in rows
    ]
    assert as_text == table(exported(run, "all.csv", keep=["city"])[0])
    assert type(rows[0]["total_tokens"]) is int


# What an export looks at.


def test_an_export_reads_and_changes_nothing(run: Place) -> None:
    before = {path: path.read_bytes() for path in run.input.parent.iterdir()}
    path, _ = exported(run, keep=["n"])
    after = {path: path.read_bytes() for path in run.input.parent.iterdir()}
    after.pop(path)
    assert after == before


def test_a_run_that_goes_on_is_exported_as_far_as_it_is(run: Place) -> None:
    with run.opened(settings=SETTINGS) as files:
        assert exported(run)[1].rows == 9
        ends(files, 7)
        path, told = exported(run)
    assert [line["line"] for line in lines_of(path)] == list(range(1, 11))
    assert told.unfinished == 1


@pytest.mark.parametrize("name", ["results.jsonl", "results.errors.jsonl"])
@pytest.mark.promise("P6")
def test_a_line_that_is_not_what_the_run_wrote_is_refused(run: Place, name: str) -> None:
    file = run.input.parent / name
    file.write_bytes(file.read_bytes().replace(b'"line":', b'"Line":', 1))
    with pytest.raises(BadData, match=rf"{name}, byte 0: .* not what this run wrote"):
        exported(run)
    assert {path.name for path in run.input.parent.iterdir()} >= {"in.jsonl", name}
    assert not (run.input.parent / "all.jsonl").exists()
    assert [path for path in run.input.parent.iterdir() if path.suffix == ".part"] == []


@pytest.mark.promise("P6")
def test_an_input_that_was_changed_is_refused_where_it_is_read(run: Place) -> None:
    run.input.write_bytes(run.input.read_bytes().replace("город 2".encode(), "город 0".encode()))
    assert exported(run)[1].rows == 9
    with pytest.raises(BadData, match=r"in.jsonl:2: "):
        exported(run, "more.jsonl", keep=["city"])


def test_an_input_elsewhere_is_named(run: Place) -> None:
    elsewhere = run.input.rename(run.input.with_name("elsewhere.jsonl"))
    with pytest.raises(BadData, match="say with --input where it is"):
        exported(run, keep=["n"])
    assert exported(run, keep=["n"], input=elsewhere)[1].rows == 9


def test_a_compressed_input_is_read_in_step(tmp_path: Path) -> None:
    run = Place(tmp_path / "in.jsonl.gz", Paths(tmp_path / "results.jsonl"))
    rows = b"".join(codec.encode(row) + b"\n" for row in _ROWS)
    run.input.write_bytes(gzip.compress(rows))
    with run.opened(settings=SETTINGS) as files:
        for line in read(run.input):
            files.checkpoint.record([begun(line, Running(f"op-{line.number}", NOW, 1, 1))], {})
        for number in (3, 1, 9):
            ends(files, number)
    path, _ = exported(run, keep=["n"])
    assert [line["kept"] for line in lines_of(path)] == [{"n": 1}, {"n": 3}, {"n": 9}]


@pytest.mark.parametrize("name", ["in.jsonl", "results.jsonl", "results.errors.jsonl"])
def test_the_run_s_own_files_are_never_replaced(run: Place, name: str) -> None:
    before = (run.input.parent / name).read_bytes()
    with pytest.raises(BadData, match="a file of the run itself"):
        exported(run, name)
    assert (run.input.parent / name).read_bytes() == before


@pytest.mark.promise("P9")
def test_a_disk_that_takes_no_more_leaves_the_file_that_was_there(
    run: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = exported(run)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageFailed, match=r"can't write .*all.jsonl: No space left"):
        exported(run, failed=False)
    assert path.read_bytes() == before
    assert [found for found in run.input.parent.iterdir() if found.suffix == ".part"] == []


def test_a_retry_that_takes_lines_out_meanwhile_is_no_damage(
    run: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, retries = export._opened, iter([True])  # noqa: SLF001 - where they may cross
    with run.opened(settings=SETTINGS) as files:

        def late(path: Path, stack: ExitStack) -> tuple[Path, int]:
            if path == run.paths.errors and next(retries, False):
                retry = Retry(Choice(), SETTINGS.recipe, lambda _: None)
                retry(files, NOW)
            return opened(path, stack)

        monkeypatch.setattr(export, "_opened", late)
        path, told = exported(run)
    assert [line["line"] for line in lines_of(path)] == [1, 2, 3, 5, 6, 8, 9]
    assert told == Exported(rows=7, failed=0, unfinished=4)
    assert next(retries, None) is None
