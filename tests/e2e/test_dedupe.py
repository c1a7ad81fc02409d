"""`run --dedupe` as its users call it: who is sent, what is shown, and kills on the way."""

import csv
import json

import pytest

from tests.e2e.command import Shell
from tests.e2e.hostile import Hostile
from tests.oracle import RECIPE, check, checkpoint_of, whole_lines
from tests.proof import strace


def _write(shell: Shell, count: int, prompts: int) -> None:
    lines = (json.dumps({"prompt": f"q {n % prompts}", "temperature": 0}) for n in range(count))
    shell.path("in.jsonl").write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.promise("P20")
def test_500_rows_of_50_prompts_are_50_submits_and_500_lines(
    shell: Shell, service: Hostile
) -> None:
    _write(shell, 500, 50)
    rows, output = shell.path("in.jsonl"), shell.path("out.jsonl")
    done = shell.call("run", rows, "-o", output, *service.options, "--dedupe", "--json")
    assert done.code == 0, done.err
    story = check(rows, output, service.ledger())
    assert len(service.ledger()["operations"]) == 50
    assert len(story.results) == 500
    assert (done.json["ok"], done.json["same_as_another"]) == (500, 450)
    again = shell.call("run", rows, "-o", output, *service.options, "--dedupe")
    assert again.out.startswith("500 rows ok (450 with the answer of another row): ")
    assert done.json["usage"] == story.totals["usage"]
    assert shell.call("audit", output).code == 0
    told = shell.call("status", output, "--json").json
    assert (told["state"], told["rows"]["same_as_another"]) == ("finished", 0)
    cost = shell.call("cost", output, "--json").json
    assert cost["cost"] == story.totals["cost"]
    assert cost["usage"]["unknown"] == 0
    assert shell.call("report", output, "-o", shell.path("report.html")).code == 0
    assert shell.call("export", output, "-o", shell.path("all.jsonl")).code == 0
    exported = whole_lines(shell.path("all.jsonl"))
    assert [line["line"] for line in exported] == list(range(1, 501))
    assert exported[60]["same_as"] == {"line": 11, "id": "line-11"}
    assert shell.call("export", output, "-o", shell.path("all.csv")).code == 0
    with shell.path("all.csv").open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    assert [table[n]["same_as"] for n in (10, 60)] == ["", "11"]


@pytest.mark.promise("P8")
def test_the_same_command_without_it_is_refused_by_name(shell: Shell, service: Hostile) -> None:
    _write(shell, 4, 2)
    call = ["run", shell.path("in.jsonl"), "-o", shell.path("out.jsonl"), *service.options]
    assert shell.call(*call, "--dedupe").code == 0
    done = shell.call(*call)
    assert done.code == 65
    assert "--dedupe was given" in done.err


@pytest.mark.skipif(strace.refusal() is not None, reason=str(strace.refusal()))
@pytest.mark.parametrize("when", range(1, 8))
@pytest.mark.promise("P20")
@pytest.mark.promise("P6")
def test_a_kill_at_any_write_of_lines_loses_none_and_writes_none_twice(
    shell: Shell, service: Hostile, when: int
) -> None:
    _write(shell, 40, 4)
    rows, output = shell.path("in.jsonl"), shell.path("out.jsonl")
    call = ["run", rows, "-o", output, *service.options, "--dedupe"]
    paths = (output,) if when % 2 else (checkpoint_of(output),)
    at_sync = strace.Tamper("fdatasync", "signal=KILL", str(when // 2 + 1), paths)
    shell.call(*call, before=at_sync.before(shell.path("trace")))
    assert shell.call(*call).code == 0
    story = check(rows, output, service.ledger(), recipe=RECIPE)
    assert len(story.results) == 40
    assert len(service.ledger()["operations"]) - 4 <= story.doubts <= 8
