"""`cost`, as a person, a script and a spreadsheet see it."""

import csv
import gzip
import io
import json
from decimal import Decimal

import pytest

from tests.e2e.command import Shell
from tests.e2e.hostile import Hostile
from tests.lines import TOTALS, answer, failed
from tests.oracle import check


def write(shell: Shell, name: str, *lines: object) -> None:
    shell.path(name).write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def append(shell: Shell, name: str, text: str) -> None:
    with shell.path(name).open("a") as file:
        file.write(text)


@pytest.mark.promise("P15")
def test_a_run_costs_what_its_totals_say(shell: Shell, service: Hostile) -> None:
    rows = shell.write_rows(5)
    append(shell, "in.jsonl", '{"prompt": "x", "model": "yandexgpt"}\n[]\n')
    assert shell.call("run", rows, "-o", "out.jsonl", *service.options).code == 3
    story = check(rows, shell.path("out.jsonl"), service.ledger())
    done = shell.call("cost", "out.jsonl", "--json")
    assert done.code == 0
    assert done.json.items() >= story.totals.items()
    assert done.out.count("\n") == 1
    assert {group["model"]: group["rows"] for group in done.json["groups"] if
            group["outcome"] == "ok"} == {"yandexgpt-lite": 5, "yandexgpt": 1}  # fmt: skip


def test_the_table_has_a_line_for_each_model_and_finish(shell: Shell) -> None:
    write(
        *(shell, "out.jsonl", answer(model="yandexgpt-lite"), answer(model="yandexgpt")),
        *(answer(model="yandexgpt-lite", finish="truncated"), failed(), TOTALS),
    )
    done = shell.call("cost", "out.jsonl")
    assert done.code == 0
    head, *lines = [line.split() for line in done.out.partition("\n\n")[0].splitlines()]
    assert head == [
        *("model", "finish", "rows", "tokens", "in", "out", "reasoning"),
        *("RUB", "RUB", "a", "row", "USD"),
    ]
    assert lines == [
        ["lite", "failed", "1", "0", "0", "0", "0.0000", "0.000000", "0.0000"],
        ["yandexgpt", "final", "1", "10", "5", "2", "0.0090", "0.009000", "0.0001"],
        ["yandexgpt-lite", "final", "1", "10", "5", "2", "0.0015", "0.001500", "0.0000"],
        ["yandexgpt-lite", "truncated", "1", "10", "5", "2", "0.0015", "0.001500", "0.0000"],
        ["in", "all", "4", "30", "15", "6", "0.0120", "0.003000", "0.0001"],
    ]
    assert "Prices of 2026-03-03." in done.out
    assert "can't be known: 3; at worst they cost 0.98 RUB." in done.out


@pytest.mark.promise("P15")
def test_every_answer_is_priced_by_the_list_of_its_day(shell: Shell) -> None:
    days = ["2024-03-24T20:59:59Z", "2024-03-24T21:00:00Z", "2023-01-01T00:00:00Z"]
    used = {"input_tokens": 1000, "completion_tokens": 0}
    each = [answer(model="yandexgpt", finished_at=day, usage=used) for day in days]
    write(shell, "out.jsonl", *each[:2])
    told = shell.call("cost", "out.jsonl", "--json").json
    assert told["cost"]["amount"] == "1.60"
    assert told["price_lists"] == ["2023-12-06", "2024-03-25"]
    assert [group["billing_units"] for group in told["groups"]] == [2500 + 3000]
    write(shell, "out.jsonl", *each)
    done = shell.call("cost", "out.jsonl", "--json")
    assert (done.code, done.json["cost"]["amount"]) == (0, None)
    assert "No price is known for yandexgpt: " in done.err


@pytest.mark.promise("P15")
def test_a_model_without_a_price_is_counted_and_named(shell: Shell) -> None:
    write(shell, "out.jsonl", answer(model="new"), answer(model="yandexgpt-lite"))
    done = shell.call("cost", "out.jsonl")
    assert done.code == 0
    assert "No price is known for new: what was used is counted, what it cost is unknown." in (
        done.err
    )
    (new,) = [line.split() for line in done.out.splitlines() if line.startswith("new")]
    assert new == ["new", "final", "1", "10", "5", "2", "unknown", "unknown", "unknown"]
    told = shell.call("cost", "out.jsonl", "--json").json
    assert (told["usage"]["input_tokens"], told["cost"]["amount"]) == (20, None)
    assert [entry["cost"] for entry in told["by_model"]] == [None, "0.0015"]


def test_rows_of_the_emulator_are_marked_and_priced(shell: Shell) -> None:
    write(shell, "out.jsonl", answer(model="yandexgpt-lite", emulator=True), TOTALS)
    done = shell.call("cost", "out.jsonl")
    assert "yandexgpt-lite (emulator)" in done.out
    assert "Rows of runs with the emulator: 1, not billed but priced all the same." in done.out
    told = shell.call("cost", "out.jsonl", "--json").json
    assert (told["emulator_rows"], told["cost"]["amount"]) == (1, "0.0015")


def test_a_spreadsheet_gets_a_line_for_each_output_model_and_finish(shell: Shell) -> None:
    write(shell, "one.jsonl", answer(model="yandexgpt-lite"))
    write(shell, "one.errors.jsonl", failed(usage=answer()["usage"], operation_id="op"))
    packed = gzip.compress((json.dumps(answer(model="yandexgpt, or so")) + "\n").encode())
    shell.path("two.jsonl.gz").write_bytes(packed)
    done = shell.call("cost", "one.jsonl", "one.errors.jsonl", "two.jsonl.gz", "--csv")
    assert done.code == 0
    found = list(csv.DictReader(io.StringIO(done.out)))
    assert [(row["output"], row["model"], row["outcome"], row["cost"]) for row in found] == [
        ("one.jsonl", "(unknown)", "failed", ""),
        ("one.jsonl", "yandexgpt-lite", "ok", "0.0015"),
        ("two.jsonl.gz", "yandexgpt, or so", "ok", ""),
    ]
    assert Decimal(found[1]["cost_usd"]) > 0
    assert found[1]["total_tokens"] == "15"


def test_what_can_not_be_read_is_told_and_the_rest_counts(shell: Shell) -> None:
    write(shell, "out.jsonl", answer(), "no result", answer())
    append(shell, "out.jsonl", '{"line":3,')
    done = shell.call("cost", "out.jsonl", "--json")
    assert (done.code, done.json["rows"], done.json["unread_lines"]) == (0, 2, 1)
    assert "out.jsonl:2: this line is no result, and is not counted." in done.err
    assert "out.jsonl:4: this last line is not whole, and is not counted." in done.err
    missing = shell.call("cost", "out.jsonl", "none.jsonl", "--json")
    assert (missing.code, missing.json["rows"]) == (65, 2)
    assert missing.err.splitlines()[-2] == (
        "yagpt-batch: there is no output none.jsonl. Name the output of a run."
    )


def test_where_nothing_can_be_read_an_error_is_all_that_is_said(shell: Shell) -> None:
    shell.path("rows.jsonl").write_text('{"prompt": "a"}\n')
    done = shell.call("cost", "none.jsonl", "rows.jsonl")
    assert (done.code, done.out) == (65, "")
    assert [line for line in done.err.splitlines() if not line.startswith("rows.jsonl:1: ")] == [
        "yagpt-batch: there is no output none.jsonl. Name the output of a run.",
        "yagpt-batch: rows.jsonl is no output of yagpt-batch: no line of it is a result. "
        "Name the output of a run.",
    ]


def test_without_checkpoint_and_totals_doubts_are_not_known(shell: Shell) -> None:
    write(shell, "out.jsonl", answer())
    done = shell.call("cost", "out.jsonl")
    assert "Doubts are not known: out.jsonl has neither" in done.out
    told = shell.call("cost", "out.jsonl", "--json").json
    assert (told["doubts"], told["doubt_cost"], told["replaced_usage"]) == (None, None, None)


def test_two_forms_at_once_are_bad_usage(shell: Shell) -> None:
    write(shell, "out.jsonl", answer())
    assert shell.call("cost", "out.jsonl", "--json", "--csv").code == 2
    assert shell.call("cost").code == 2


def test_a_model_s_name_is_no_formula_in_a_spreadsheet(shell: Shell) -> None:
    write(shell, "out.jsonl", answer(model="=HYPERLINK(1)"), answer(model="lite"))
    done = shell.call("cost", "out.jsonl", "--csv")
    models = [record["model"] for record in csv.DictReader(io.StringIO(done.out))]
    assert sorted(models) == ["'=HYPERLINK(1)", "lite"]


def test_a_mark_of_the_byte_order_hides_no_line(shell: Shell) -> None:
    shell.path("out.jsonl").write_text(json.dumps(answer()) + "\n", encoding="utf-8-sig")
    done = shell.call("cost", "out.jsonl", "--json")
    assert (done.code, done.json["rows"]) == (0, 1)
