"""Outputs are read once, as a stream, with what stands beside them."""

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import BadData
from pipeline.files import source
from pipeline.input.rows import Recipe
from pipeline.money.account import Account, as_json, records, sentences, with_outputs
from pipeline.money.bill import NO_MODEL, Bill, Known, Part, Said
from pipeline.money.totals import DoubtTally, Sums, Tally
from pipeline.results.receipts import chosen, receipt
from pipeline.wording import so_much
from tests.builders import MODEL, Place, begin_all, fail, fields, finish, place, price_table
from tests.lines import TOTALS, answer, failed
from tests.test_audit import story

PRICES = price_table()


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return path


def rows(path: Path) -> int:
    return Account([receipt(path).bill]).totals.rows()


@pytest.mark.promise("P15")
def test_cost_is_the_object_of_the_totals_line(tmp_path: Path) -> None:
    """Of a run with rows that failed, doubts, a model of a row's own, and one paid for twice."""
    run = story(tmp_path / "run", complete=True)
    told = json.loads(run.paths.output.read_bytes().splitlines()[-1])["totals"]
    found = as_json(Account([receipt(run.paths.output).bill]), PRICES)
    assert {key: found[key] for key in told} == told
    assert [*found][: len(told)] == [*told]
    run.paths.checkpoint.unlink()
    alone = as_json(Account([receipt(run.paths.output).bill]), PRICES)
    # The run had two models: whose the rows were that failed is not known any more.
    lost = {"by_model", "cost"}
    assert {key: alone[key] for key in told if key not in lost} == {
        key: told[key] for key in told if key not in lost
    }
    assert fields(alone["cost"])["amount"] is None
    assert Account([receipt(run.paths.output).bill]).totals.unpriced(PRICES) == [NO_MODEL]


def test_doubts_are_the_checkpoints_or_the_totals_or_not_known(folder: Path) -> None:
    run = story(folder / "run", complete=True)
    output = run.paths.output
    assert isinstance(receipt(output).bill.aside, Known)
    run.paths.checkpoint.unlink()
    assert isinstance(receipt(output).bill.aside, Said)
    output.write_bytes(b"".join(output.read_bytes().splitlines(keepends=True)[:-1]))
    account = Account([receipt(output).bill])
    assert (account.doubts(), account.doubt_cost(PRICES), account.replaced()) == (None, None, None)
    assert account.without_doubts() == [str(output)]


def test_a_checkpoint_that_can_not_be_read_is_told_and_the_lines_count(folder: Path) -> None:
    output = write(folder / "out.jsonl", answer())
    (folder / "out.jsonl.checkpoint").write_text("nothing of the kind, and long enough" * 99)
    read = receipt(output)
    assert read.trouble is None
    assert "is damaged" in read.remarks[0]
    assert read.remarks[0].endswith("Only the lines are counted.")
    assert Account([read.bill]).totals.rows() == 1


def test_a_run_that_goes_on_can_be_looked_at(folder: Path) -> None:
    run: Place = place(folder)
    with run.opened() as files:
        begin_all(files)
        finish(files, 1, 2)
        fail(files, 3)
        files.output.append([b'{"line":4,"id":"half'])
        assert rows(run.paths.output) == 3


def test_a_torn_last_line_is_told_and_not_counted(folder: Path) -> None:
    output = write(folder / "out.jsonl", answer(), answer())
    data = output.read_bytes()
    output.write_bytes(data[:-20])
    read = receipt(output)
    assert read.remarks == [f"{output}:2: this last line is not whole, and is not counted."]
    assert (rows(output), read.trouble) == (1, None)
    output.write_bytes(data[:-1])
    assert (rows(output), receipt(output).remarks) == (2, [])


def test_compressed_outputs_find_their_other_files(folder: Path) -> None:
    output = write(folder / "out.jsonl", answer(), answer())
    write(folder / "out.errors.jsonl", failed())
    packed = folder / "out.jsonl.gz"
    packed.write_bytes(gzip.compress(output.read_bytes()))
    output.unlink()
    assert rows(packed) == 3
    packed.write_bytes(packed.read_bytes()[:-12])
    read = receipt(packed)
    assert "ends in the middle of its compression" in " ".join(read.remarks)
    assert read.trouble is None


def test_nothing_that_can_be_read_is_a_failure_and_nothing_at_all_is_none(folder: Path) -> None:
    assert receipt(write(folder / "a.jsonl", [1], "two")).trouble is not None
    missing = receipt(folder / "none.jsonl")
    assert missing.trouble is not None
    assert missing.trouble.told == (
        f"there is no output {folder / 'none.jsonl'}. Name the output of a run."
    )
    assert missing.remarks == []
    assert receipt(write(folder / "b.jsonl")).trouble is None
    write(folder / "none.errors.jsonl", failed())
    assert receipt(folder / "none.jsonl").trouble is not None


def test_each_file_is_read_once_whatever_is_named(folder: Path) -> None:
    names = ["a.jsonl", "a.errors.jsonl", "b.jsonl", "b.errors.jsonl.gz", "c.errors.jsonl"]
    for name in names:
        write(folder / name, answer())
    given = [folder / name for name in [*names, "a.jsonl"]] + [folder / "." / "b.jsonl"]
    assert [path.name for path in chosen(given)] == ["a.jsonl", "b.jsonl", "c.errors.jsonl"]


def test_what_operations_of_unknown_usage_cost_at_worst_is_told() -> None:
    day = "2027-01-15"
    unknowns = [DoubtTally(MODEL, 1000, 1000, 2, day), DoubtTally(MODEL, 2000, 0, 1, day)]
    known = Known(Recipe(MODEL, "b1g"), [], [], unknowns)
    *_, told = sentences(Account([Bill("out.jsonl", [], known)]), PRICES)
    assert told == (
        "In no cost above, but what 3 operations of unknown usage cost at worst: 0.60 RUB."
    )
    of_nothing = Account([Bill("out.jsonl", [], Known(known.recipe, [], []))])
    assert not any("at worst" in sentence for sentence in sentences(of_nothing, PRICES))


def test_several_outputs_are_one_account_and_each_its_own(folder: Path) -> None:
    one = write(folder / "one.jsonl", answer(), TOTALS)
    two = write(folder / "two.jsonl", answer(model=MODEL), TOTALS)
    told = with_outputs(Account([receipt(path).bill for path in (one, two)]), PRICES)
    assert (told["rows"], told["doubts"], told["doubt_cost"]) == (2, 6, "1.96")
    outputs = told["outputs"]
    assert isinstance(outputs, list)
    assert [output["output"] for output in outputs if isinstance(output, dict)] == [
        str(one),
        str(two),
    ]
    assert "outputs" not in with_outputs(Account([receipt(one).bill]), PRICES)


@pytest.mark.promise("P15")
@pytest.mark.parametrize("block", [1, 2, 7, 100, 5000])
def test_where_blocks_end_makes_no_difference(
    folder: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = write(folder / "out.jsonl", answer(text="Ж" * 50), [1], answer(), TOTALS)
    output.write_bytes(output.read_bytes() + b"half")
    whole = receipt(output)
    monkeypatch.setattr(source, "_BLOCK", block)
    monkeypatch.setattr(source.Source._block_at, "__defaults__", (block,))  # noqa: SLF001
    assert receipt(output) == whole
    assert [remark.partition(" ")[0] for remark in whole.remarks] == [
        f"{output}:2:",
        f"{output}:5:",
    ]


@pytest.fixture
def measured() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("measured")
def test_memory_does_not_grow_with_the_rows(folder: Path) -> None:
    line = json.dumps(answer(text="Ответ " * 40)).encode() + b"\n"
    peaks = []
    for count in (4_000, 40_000):
        output = folder / f"{count}.jsonl"
        output.write_bytes(line * count)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        assert rows(output) == count
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    assert peaks[1] < peaks[0] + 200_000
    assert peaks[1] < 3_000_000


def test_a_folder_is_no_output(folder: Path) -> None:
    assert receipt(folder).trouble is not None
    with pytest.raises(BadData):
        source.Source(folder)


@pytest.mark.promise("P15")
def test_what_was_paid_for_and_superseded_is_told_beside_the_cost() -> None:
    line = Tally("ok", MODEL, "final", Sums(2, 0, 1000, 1000, 0, 2000))
    again = Tally("replaced", MODEL, None, Sums(4, 1, 500, 0, 0, 500))
    cost, more = line.cost(PRICES), again.cost(PRICES)
    assert cost is not None
    assert more is not None
    known = Known(Recipe(MODEL, "b1g"), [], [again])
    account = Account([Bill("out.jsonl", [Part(line, emulator=False)], known)])
    found = as_json(account, PRICES)
    assert (found["replaced_cost"], found["unknown_cost"]) == (str(more), "0.00")
    told = " ".join(sentences(account, PRICES))
    assert (
        f"In no cost above, but paid for all the same: superseded operations (3), "
        f"{so_much(more, 'RUB')}; with them {so_much(cost + more, 'RUB')}."
    ) in told
    head, *cells = records(account, PRICES)
    ok, replaced = (dict(zip(head, record, strict=True)) for record in cells)
    assert (ok["rows"], ok["cost"]) == ("2", str(cost))
    assert (replaced["outcome"], replaced["rows"], replaced["unknown_usage"]) == (
        "replaced", "0", "1"
    )  # fmt: skip
    assert (replaced["model"], replaced["cost"]) == (MODEL, str(more))


@pytest.mark.promise("P15")
def test_a_totals_line_tells_what_was_superseded_but_not_how_often() -> None:
    line = Tally("ok", MODEL, "final", Sums(2, 0, 1000, 1000, 0, 2000))
    said = Said(0, None, "RUB", Sums(0, 0, 500, 0, 0, 500), (MODEL,))
    account = Account([Bill("out.jsonl", [Part(line, emulator=False)], said)])
    found = as_json(account, PRICES)
    assert found["replaced_cost"] == str(
        Tally("replaced", MODEL, None, said.replaced).cost(PRICES)
    )
    assert found["unknown_cost"] is None
    assert "superseded operations, 0." in " ".join(sentences(account, PRICES))
    several = Said(0, None, "RUB", said.replaced, (MODEL, "yandexgpt"))
    of_two = Account([Bill("out.jsonl", [Part(line, emulator=False)], several)])
    assert as_json(of_two, PRICES)["replaced_cost"] is None
    nothing = Known(Recipe(MODEL, "b1g"), [], [])
    alone = Account([Bill("out.jsonl", [Part(line, emulator=False)], nothing)])
    assert "superseded" not in " ".join(sentences(alone, PRICES))
    assert len(list(records(alone, PRICES))) == 2
