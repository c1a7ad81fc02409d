"""`export` as it is called: names, messages, exit codes, and a signal in the middle."""

import csv
import json
import signal
import sys

import pytest

from tests.e2e.command import Shell, count_lines
from tests.e2e.hostile import Hostile, Silence


@pytest.fixture
def done(shell: Shell, service: Hostile) -> Shell:
    """A folder with a run of six rows, one of which failed."""
    rows = shell.write_rows(5)
    with rows.open("a") as file:
        file.write("[]\n")
    call = ["run", rows, "-o", "out.jsonl", *service.options]
    assert shell.call(*call).code == 3
    return shell


def rows_of(shell: Shell) -> int:
    with shell.path("all.csv").open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.DictReader(file))


def test_results_come_in_the_order_of_the_input(done: Shell) -> None:
    said = done.call("export", "out.jsonl", "-o", "all.jsonl", "--keep", "prompt")
    assert (said.code, said.err) == (0, "")
    assert said.out == "6 rows, 1 of them failed: all.jsonl\n"
    lines = list(map(json.loads, done.path("all.jsonl").read_text("utf-8").splitlines()))
    assert [line["line"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert lines[4]["kept"]["prompt"].startswith("Строка 5:")
    said = done.call("export", "out.jsonl", "-o", "all.csv", "--ok-only")
    assert said.out == "5 rows: all.csv\n"
    assert rows_of(done) == 5


def test_a_field_that_no_row_has_is_told(done: Shell) -> None:
    keep = ["--keep", "nope", "--keep", "prompt", "--keep", "neither"]
    said = done.call("export", "out.jsonl", "-o", "all.csv", *keep)
    assert said.code == 0
    assert said.err == "No exported row has what --keep names: nope, neither.\n"
    assert rows_of(done) == 6


def test_names_with_commas_between_them_are_told_apart(done: Shell) -> None:
    said = done.call("export", "out.jsonl", "-o", "all.csv", "--keep", "prompt, the id")
    assert said.code == 0
    assert "No exported row has what --keep names: prompt, the id." in said.err
    assert said.err.endswith("One name for each field: --keep prompt --keep 'the id'\n")


def test_a_file_that_is_there_is_replaced_only_by_force(done: Shell) -> None:
    done.path("all.csv").write_text("mine")
    said = done.call("export", "out.jsonl", "-o", "all.csv")
    assert said.code == 2
    assert "--force" in said.err
    assert done.path("all.csv").read_text() == "mine"
    assert done.call("export", "out.jsonl", "-o", "all.csv", "--force").code == 0
    assert rows_of(done) == 6
    said = done.call("export", "out.jsonl", "-o", "out.jsonl", "--force")
    assert said.code == 65
    assert "a file of the run itself" in said.err


def test_a_name_that_says_nothing_is_bad_usage(done: Shell) -> None:
    said = done.call("export", "out.jsonl", "-o", "all.xlsx")
    assert said.code == 2
    assert ".csv" in said.err


def test_a_run_that_was_never_begun_has_nothing_to_export(shell: Shell) -> None:
    said = shell.call("export", "out.jsonl", "-o", "all.csv")
    assert said.code == 65
    assert "there is no checkpoint" in said.err
    assert list(shell.folder.glob(".all*")) == []


def test_rows_that_are_not_finished_are_counted(shell: Shell, service: Hostile) -> None:
    rows = shell.write_rows(20)
    service.fault = lambda number, _: Silence() if number > 5 else None
    with shell.started("run", rows, "-o", "out.jsonl", *service.options) as running:
        running.until(lambda: count_lines(shell.path("out.jsonl")) == 5)
        said = shell.call("export", "out.jsonl", "-o", "some.csv")
        assert not running.has_ended
        running.kill()
    service.relent()
    assert (said.code, said.out) == (0, "5 rows: some.csv\n")
    assert said.err == "Rows that are not finished, and left out: 15.\n"


_STOPPED = """
import os, signal
from pipeline.results import sheets
from pipeline.cli import main
line = sheets._Csv.line
def stopped(self, result):
    os.kill(os.getpid(), signal.{name})
    return line(self, result)
sheets._Csv.line = stopped
main()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.promise("P10")
def test_a_signal_ends_it_and_leaves_nothing_half_done(done: Shell, name: str) -> None:
    before = set(done.folder.iterdir())
    python = Shell(done.folder, program=sys.executable)
    said = python.call("-c", _STOPPED.format(name=name), "export", "out.jsonl", "-o", "all.csv")
    assert said.code == -signal.Signals[name]
    left = {path for path in done.folder.iterdir() if path.suffix not in {".out", ".err"}}
    assert left == {path for path in before if path.suffix not in {".out", ".err"}}


@pytest.mark.parametrize("name", ["-o", "--to", "--output"])
def test_where_to_write_goes_by_the_name_that_run_has_for_it(shell: Shell, name: str) -> None:
    shell.call("run", shell.write_rows(2), "-o", "out.jsonl", "--emulator")
    done = shell.call("export", "out.jsonl", name, "out.csv")
    assert done.code == 0, done.err
    assert shell.path("out.csv").exists()
    missing = shell.call("export", "out.jsonl")
    assert missing.code == 2
    assert "yagpt-batch: -o is missing." in missing.err
