"""The one judge of a run: whether input, output, errors file, checkpoint and ledger agree.

It reads the files itself, with nothing of the program but how a line becomes a request.
"""

import gzip
import hashlib
import json
import shutil
import sqlite3
import tempfile
import tomllib
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from pipeline.rows import Recipe, Row, parse_row
from tests.e2e.command import FOLDER

RECIPE = Recipe(model="yandexgpt-lite", folder=FOLDER)
_TOKENS = ("input_tokens", "completion_tokens", "reasoning_tokens", "total_tokens")
_MOST_SUBMITS = 10


@dataclass(frozen=True, slots=True)
class Story:
    """What a run came to. `paid_twice`: accepted operations beyond one for each row."""

    results: dict[int, Any]
    failures: dict[int, Any]
    totals: Any
    doubts: int
    paid_twice: int


def errors_of(output: Path) -> Path:
    return output.with_name(output.name.removesuffix(".jsonl") + ".errors.jsonl")


def checkpoint_of(output: Path) -> Path:
    return output.with_name(output.name + ".checkpoint")


def check(
    rows: Path,
    output: Path,
    ledger: Any = None,
    *,
    recipe: Recipe = RECIPE,
    limit: int | None = None,
) -> Story:
    """Judge a complete run."""
    asked = dict(list(_rows(rows))[:limit])
    lines = whole_lines(output)
    has_totals = bool(lines) and "totals" in lines[-1]
    totals = lines.pop()["totals"] if has_totals else None
    failed = whole_lines(errors_of(output))
    _check_one_line_each(asked, lines, failed)
    with _database(output) as db:
        _check_places(db, output)
        doubts = _one(db, "SELECT count(*) FROM doubts")
        paid_twice = 0 if ledger is None else _check_ledger(db, ledger, lines, asked, recipe)
    assert paid_twice <= doubts, "a row was paid for twice without a doubt"
    if totals is not None:
        _check_totals(totals, lines, failed, doubts)
    by_line = {line["line"]: line for line in lines}
    return Story(by_line, {line["line"]: line for line in failed}, totals, doubts, paid_twice)


def whole_lines(path: Path) -> list[Any]:
    """Every line of a file that must hold none but whole ones."""
    data = path.read_bytes() if path.exists() else b""
    assert data == b"" or data.endswith(b"\n"), f"{path} ends in half a line"
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def seen_by_a_reader(output: Path) -> list[int]:
    """The rows in an output as one sees them who ignores an unterminated last line."""
    values = [json.loads(line) for line in output.read_bytes().split(b"\n")[:-1]]
    return [value["line"] for value in values if "totals" not in value]


def ids_on_disk(output: Path) -> dict[int, str]:
    """The operation of every row that the checkpoint knows one of."""
    with _database(output) as db:
        return dict(
            db.execute("SELECT line, operation_id FROM rows WHERE operation_id IS NOT NULL")
        )


def unfinished(output: Path) -> set[int]:
    """The rows that the checkpoint knows as begun and without a line."""
    with _database(output) as db:
        return {line for (line,) in db.execute("SELECT line FROM rows WHERE place IS NULL")}


def run_id(output: Path) -> uuid.UUID:
    with _database(output) as db:
        return uuid.UUID(_one(db, "SELECT value FROM meta WHERE key = 'run'"))


@contextmanager
def _database(output: Path) -> Iterator[sqlite3.Connection]:
    """A copy of the checkpoint: opening the file itself could change it."""
    source = checkpoint_of(output)
    with tempfile.TemporaryDirectory() as folder:
        for path in (source, source.with_name(source.name + "-wal")):
            if path.exists():
                shutil.copy(path, folder)
        with closing(sqlite3.connect(Path(folder) / source.name)) as db:
            yield db


def _one(db: sqlite3.Connection, query: str) -> Any:
    return db.execute(query).fetchone()[0]


def _rows(path: Path) -> Iterator[tuple[int, bytes]]:
    data = path.read_bytes()
    match path.suffix:
        case ".gz":
            data = gzip.decompress(data)
        case ".zst":
            from backports import zstd  # noqa: PLC0415 - Python 3.14 has it elsewhere

            data = zstd.decompress(data)
        case _:
            pass
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            yield number, line


def _check_one_line_each(asked: dict[int, bytes], lines: list[Any], failed: list[Any]) -> None:
    assert all(line["status"] == "ok" for line in lines)
    assert all(line["status"] == "failed" for line in failed)
    numbers = Counter(line["line"] for line in [*lines, *failed])
    assert set(numbers) == set(asked), "a row has no line, or a line has no row"
    assert max(numbers.values()) == 1, "a row has two lines"


def _check_places(db: sqlite3.Connection, output: Path) -> None:
    """Every row is finished, and its line stands where the checkpoint says."""
    kept = {"ok": output.read_bytes()}
    errors = errors_of(output)
    kept["failed"] = kept["held"] = errors.read_bytes() if errors.exists() else b""
    for line, state, place, size in db.execute("SELECT line, state, place, place_size FROM rows"):
        assert place is not None, f"row {line} is not finished: {state}"
        found = kept[state][place : place + size + 1]
        assert found.endswith(b"\n"), f"row {line} does not stand at {place}"
        assert json.loads(found)["line"] == line


def _check_ledger(
    db: sqlite3.Connection, ledger: Any, lines: list[Any], asked: dict[int, bytes], recipe: Recipe
) -> int:
    announced = dict(db.execute("SELECT line, submits FROM rows"))
    run = uuid.UUID(_one(db, "SELECT value FROM meta WHERE key = 'run'"))
    names = {
        str(uuid.uuid5(run, f"{line}/{submit}")): (line, submit)
        for line in announced
        for submit in range(1, _MOST_SUBMITS)
    }
    accepted = {entry["operation_id"]: entry for entry in ledger["operations"]}
    rows_paid: Counter[int] = Counter()
    for entry in accepted.values():
        line, submit = names[entry["client_request_id"]]
        assert submit <= announced[line], f"row {line} was submitted unannounced"
        assert entry["digest"] == _digest(line, asked[line], recipe), f"row {line} asked otherwise"
        rows_paid[line] += 1
    for result in lines:
        entry = accepted[result["operation_id"]]
        assert names[entry["client_request_id"]][0] == result["line"], "another row's answer"
        assert entry["usage"] == result["usage"]
    assert ledger["operations_polled"] <= len(accepted)
    return len(accepted) - len(rows_paid)


def _digest(line: int, data: bytes, recipe: Recipe) -> str:
    row = parse_row(line, data, recipe)
    assert isinstance(row, Row)
    return hashlib.sha256(row.body).hexdigest()


def _check_totals(totals: Any, lines: list[Any], failed: list[Any], doubts: int) -> None:
    held = [line for line in failed if line["error"]["stage"] == "doubt"]
    everything = [*lines, *failed]
    assert totals["rows"] == len(everything)
    assert totals["ok"] == len(lines)
    assert totals["failed"] == len(failed) - len(held)
    assert totals["doubts"] == doubts >= len(held)
    assert {name: totals["usage"][name] for name in _TOKENS} == _sum(everything)
    unknown = [line for line in everything if line.get("operation_id") and not line.get("usage")]
    assert totals["usage"]["unknown"] == len(unknown)
    assert totals["finish"] == Counter(line["finish"] for line in lines)
    if not unknown:
        assert Decimal(totals["cost"]["amount"]) == sum(map(_cost, everything), Decimal(0))


def _sum(lines: Iterable[Any]) -> dict[str, int]:
    usages = [line["usage"] for line in lines if line.get("usage")]
    return {name: sum(usage[name] for usage in usages) for name in _TOKENS}


def _cost(line: Any) -> Decimal:
    usage = line.get("usage")
    if not usage:
        return Decimal(0)
    table = tomllib.loads(package_files("pipeline").joinpath("prices.toml").read_text("utf-8"))
    name = line["model"].rpartition("gpt://")[2].partition("/")[2] or line["model"]
    (price,) = [
        price
        for price in table["price"]
        if {name, line["model"], name.partition("/")[0]} & {*price["models"]}
    ]
    of_input = Decimal(price["input"]) * int(usage["input_tokens"])
    of_output = Decimal(price["output"]) * int(usage["completion_tokens"])
    return (of_input + of_output) / 1000
