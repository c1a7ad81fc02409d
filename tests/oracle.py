"""The one judge of a run: whether input, output, errors file, checkpoint and ledger agree.

It reads the files itself, with nothing of the program but how a line becomes a request.
"""

import gzip
import hashlib
import json
import shutil
import sqlite3
import sys
import tomllib
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from pipeline.files.paths import Paths
from pipeline.input.rows import Recipe, Row, parse_row
from pipeline.money.account import Account, as_json
from pipeline.results.audit import audit
from pipeline.results.receipts import receipt
from tests.e2e.command import FOLDER
from tests.scratch import in_memory, shipped_prices

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

RECIPE = Recipe(model="yandexgpt-lite", folder=FOLDER)
_TOKENS = ("input_tokens", "completion_tokens", "reasoning_tokens", "total_tokens")


@dataclass(frozen=True, slots=True)
class Story:
    """What a run came to.

    `paid_twice`: accepted operations beyond one for each row; `replaced`: operations that the
    service had forgotten before they were fetched, and whose rows were submitted again.
    """

    results: dict[int, Any]
    failures: dict[int, Any]
    totals: Any
    doubts: int
    replaced: int
    paid_twice: int


@dataclass(frozen=True, slots=True)
class Odd:
    """What a service with faults may have got wrong itself.

    `usage`: operations whose answers did not tell their true usage. `ids`: it may have given one
    operation's id for another's.
    """

    usage: frozenset[str] = frozenset()
    ids: bool = False


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
    odd: Odd = Odd(),
) -> Story:
    """Judge a complete run."""
    asked = dict(list(_rows(rows))[:limit])
    lines = whole_lines(output)
    has_totals = bool(lines) and "totals" in lines[-1]
    totals = lines.pop()["totals"] if has_totals else None
    failed = whole_lines(errors_of(output))
    _check_one_line_each(asked, lines, failed)
    with checkpoint_at(output) as db:
        _check_places(db, output)
        doubts = _one(db, "SELECT count(*) FROM doubts")
        replaced = _one(db, "SELECT total(rows) FROM tally WHERE outcome = 'replaced'")
        _check_same(db, lines, asked, recipe)
        paid_twice = 0 if ledger is None else _check_ledger(db, ledger, lines, asked, recipe, odd)
    assert paid_twice <= doubts + replaced, "a row was paid for twice without a doubt"
    if totals is not None:
        _check_totals(totals, lines, failed, doubts)
        _check_cost(totals, output)
    _check_audit(rows, output)
    by_line = {line["line"]: line for line in lines}
    by_failure = {line["line"]: line for line in failed}
    return Story(by_line, by_failure, totals, doubts, int(replaced), paid_twice)


def whole_lines(path: Path) -> list[Any]:
    """Every line of a file that must hold none but whole ones."""
    data = path.read_bytes() if path.exists() else b""
    assert data == b"" or data.endswith(b"\n"), f"{path} ends in half a line"
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def seen_by_a_reader(output: Path) -> list[int]:
    """The rows in an output as one sees them who ignores an unterminated last line."""
    data = output.read_bytes() if output.exists() else b""
    values = [json.loads(line) for line in data.split(b"\n")[:-1]]
    return [value["line"] for value in values if "totals" not in value]


def ids_on_disk(output: Path) -> dict[int, str]:
    """The operation of every row that the checkpoint knows one of."""
    return known(output).ids


@dataclass(frozen=True, slots=True)
class Known:
    """What a checkpoint holds, of a run that may be anywhere on its way.

    `announced` has the row of every submit by its request id; `intended` are rows whose POST may
    be under way, each with the submits before that.
    """

    ids: dict[int, str] = field(default_factory=dict)
    announced: dict[str, int] = field(default_factory=dict)
    intended: frozenset[tuple[int, int]] = frozenset()
    doubts: int = 0


def known(output: Path) -> Known:
    """Read a checkpoint; one that is not there, or was hardly begun, knows nothing."""
    with checkpoint_at(output) as db:
        if not _one(db, "SELECT count(*) FROM sqlite_master WHERE name = 'rows'"):
            return Known()
        rows = "SELECT line, submits FROM rows WHERE state LIKE 'intended%'"
        ids = "SELECT line, operation_id FROM rows WHERE operation_id IS NOT NULL"
        has_rows = _one(db, "SELECT count(*) FROM rows")
        return Known(
            dict(db.execute(ids)),
            announced(db) if has_rows else {},
            frozenset(db.execute(rows)),
            _one(db, "SELECT count(*) FROM doubts"),
        )


def unfinished(output: Path) -> set[int]:
    """The rows that the checkpoint knows as begun and without a line."""
    with checkpoint_at(output) as db:
        return {line for (line,) in db.execute("SELECT line FROM rows WHERE place IS NULL")}


def run_id(output: Path) -> uuid.UUID:
    with checkpoint_at(output) as db:
        return uuid.UUID(_one(db, "SELECT value FROM meta WHERE key = 'run'"))


@contextmanager
def checkpoint_at(output: Path) -> Iterator[sqlite3.Connection]:
    """A copy of the checkpoint: opening the file itself could change it."""
    source = checkpoint_of(output)
    with in_memory() as folder:
        for path in (source, *(source.with_name(source.name + s) for s in ("-wal", "-journal"))):
            if path.exists():
                shutil.copy(path, folder)
        with closing(sqlite3.connect(Path(folder) / source.name)) as db:
            yield db


def _one(db: sqlite3.Connection, query: str) -> Any:
    return db.execute(query).fetchone()[0]


def _rows(path: Path) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(unpacked(path).split(b"\n"), 1):
        if line.strip():
            yield number, line


def unpacked(path: Path) -> bytes:
    """What a file holds, plain or compressed."""
    data = path.read_bytes()
    match path.suffix:
        case ".gz":
            return gzip.decompress(data)
        case ".zst":
            return zstd.decompress(data)
        case _:
            return data


def _check_one_line_each(asked: dict[int, bytes], lines: list[Any], failed: list[Any]) -> None:
    assert all(line["status"] == "ok" for line in lines)
    assert all(line["status"] == "failed" for line in failed)
    numbers = Counter(line["line"] for line in [*lines, *failed])
    assert set(numbers) == set(asked), "a row has no line, or a line has no row"
    assert max(numbers.values()) == 1, "a row has two lines"


def _check_audit(rows: Path, output: Path) -> None:
    """The program's own proof, which is no part of this one, comes to the same end."""
    report = audit(Paths(output), shipped_prices(), given_input=rows)
    assert report.findings == [], "an audit finds what is not so"


def _check_cost(totals: Any, output: Path) -> None:
    """`cost`, which sums the lines anew, comes to what the run says."""
    found = as_json(Account([receipt(output).bill]), shipped_prices())
    assert {key: found.get(key) for key in totals} == totals


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


def announced(db: sqlite3.Connection) -> dict[str, int]:
    """The row of every submit that the checkpoint has announced, by its request id."""
    run = uuid.UUID(_one(db, "SELECT value FROM meta WHERE key = 'run'"))
    return {
        str(uuid.uuid5(run, f"{line}/{submit}")): line
        for line, submits, state in db.execute("SELECT line, submits, state FROM rows")
        for submit in range(1, submits + state.startswith("intended") + 1)
    }


def _check_ledger(
    db: sqlite3.Connection,
    ledger: Any,
    lines: list[Any],
    asked: dict[int, bytes],
    recipe: Recipe,
    odd: Odd,
) -> int:
    names = announced(db)
    accepted: dict[str, Any] = {}
    rows_paid: Counter[int] = Counter()
    for entry in ledger["operations"]:
        accepted.setdefault(entry["operation_id"], entry)
        assert entry["client_request_id"] in names, "something was submitted unannounced"
        line = names[entry["client_request_id"]]
        assert entry["digest"] == _digest(line, asked[line], recipe), f"row {line} asked otherwise"
        rows_paid[line] += 1
    for result in lines:
        if "same_as" in result:
            continue
        entry = accepted[result["operation_id"]]
        if not odd.ids:
            assert names[entry["client_request_id"]] == result["line"], "another row's answer"
        if entry["operation_id"] not in odd.usage:
            assert entry["usage"] == result["usage"]
    assert ledger["operations_polled"] <= len(accepted)
    return len(ledger["operations"]) - len(rows_paid)


def _digest(line: int, data: bytes, recipe: Recipe) -> str:
    row = parse_row(line, data, recipe)
    assert isinstance(row, Row)
    return hashlib.sha256(row.body).hexdigest()


_OF_THE_OPERATION = ("usage", "operation_id", "created_at", "finished_at")
_OF_THE_ROW = ("line", "id", "model", "submits", "kept", "same_as")


def _check_same(
    db: sqlite3.Connection, lines: list[Any], asked: dict[int, bytes], recipe: Recipe
) -> None:
    """A row has another's answer only where both ask the same at temperature 0."""
    settings = json.loads(_one(db, "SELECT value FROM meta WHERE key = 'settings'"))
    by_line = {line["line"]: line for line in lines}
    sent: Counter[str] = Counter()
    for line in lines:
        asks = _asks_at_zero(line["line"], asked[line["line"]], recipe)
        if "same_as" not in line:
            sent.update([asks] if asks else [])
            continue
        assert settings.get("dedupe") == "true", "a row was not sent in a run that sends all"
        assert [line[name] for name in _OF_THE_OPERATION] == [None] * len(_OF_THE_OPERATION)
        other = by_line[line["same_as"]["line"]]
        assert other["id"] == line["same_as"]["id"]
        assert "same_as" not in other, "a row has the answer of one that has none of its own"
        assert asks is not None, "a row was not sent, and its answer may be another"
        assert asks == _asks_at_zero(other["line"], asked[other["line"]], recipe)
        apart = {*_OF_THE_OPERATION, *_OF_THE_ROW}
        assert _without(line, apart) == _without(other, apart), "a twin's answer is another"
    if settings.get("dedupe") == "true":
        assert max(sent.values(), default=1) == 1, "the same was answered twice"


def _asks_at_zero(line: int, data: bytes, recipe: Recipe) -> str | None:
    row = parse_row(line, data, recipe)
    assert isinstance(row, Row)
    body = json.loads(row.body)
    if body["completionOptions"].pop("temperature", None) != 0:
        return None
    return json.dumps(body)


def _without(line: Any, names: set[str]) -> Any:
    return {name: value for name, value in line.items() if name not in names}


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


@cache
def _lists() -> list[Any]:
    text = package_files("pipeline.money").joinpath("prices.toml").read_text("utf-8")
    lists = [known for known in tomllib.loads(text)["list"] if known["currency"] == "RUB"]
    return sorted(lists, key=lambda known: known["valid_from"])


def _prices(line: Any) -> Any:
    """The prices of the day on which a line was finished in Moscow."""
    stamp = line.get("finished_at") or line.get("created_at")
    if stamp is None:
        return _lists()[-1]["price"]
    day = (datetime.fromisoformat(stamp).astimezone(UTC) + timedelta(hours=3)).date()
    return [known for known in _lists() if known["valid_from"] <= day][-1]["price"]


def _cost(line: Any) -> Decimal:
    usage = line.get("usage")
    if not usage:
        return Decimal(0)
    row = line.get("input")
    model = line.get("model") or (row.get("model") if isinstance(row, dict) else None)
    model = model or RECIPE.model
    name = model.rpartition("gpt://")[2].partition("/")[2] or model
    names = {name, model, name.partition("/")[0]}
    (price,) = [price for price in _prices(line) if names & {*price["models"]}]
    of_input = Decimal(price["input"]) * int(usage["input_tokens"])
    of_output = Decimal(price["output"]) * int(usage["completion_tokens"])
    return (of_input + of_output) / 1000
