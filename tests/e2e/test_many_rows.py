"""Thousands of rows against a server in a process of its own, with and without kills."""

import time

import pytest

from tests.e2e.command import UNLIMITED, Shell, count_lines
from tests.oracle import check, ids_on_disk, seen_by_a_reader

CONCURRENCY = 8


@pytest.mark.promise("P1")
@pytest.mark.promise("P15")
def test_two_thousand_rows_are_each_paid_for_once(shell: Shell) -> None:
    rows = shell.write_rows(2000)
    output = shell.path("out.jsonl")
    with shell.emulator(*UNLIMITED, "--latency", 0.2) as emulator:
        begun = time.perf_counter()
        call = ["run", rows, "-o", output, *emulator.options, *UNLIMITED, "--json"]
        done = shell.call(*call, seconds=110)
        print(f"2,000 rows in {time.perf_counter() - begun:.1f} s")  # noqa: T201 - asked for
        ledger = emulator.ledger()
    assert done.code == 0, done.err
    story = check(rows, output, ledger)
    assert (ledger["submits"], story.paid_twice, story.doubts) == (2000, 0, 0)
    assert ledger["refused_submits"] == ledger["refused_polls"] == {}
    assert ledger["usage"].items() <= story.totals["usage"].items()
    assert done.json.items() >= (story.totals | {"exit": 0}).items()


@pytest.mark.promise("P3")
@pytest.mark.promise("P4")
@pytest.mark.promise("P5")
def test_five_kills_cost_no_row_and_pay_twice_for_no_more_than_the_doubts(shell: Shell) -> None:
    kills, each = 5, 200
    rows = shell.write_rows(1200)
    output = shell.path("out.jsonl")
    known: dict[int, str] = {}
    with shell.emulator(*UNLIMITED, "--latency", 0.3) as emulator:
        call = ["run", rows, "-o", output, *emulator.options, *UNLIMITED]
        call += ["--concurrency", CONCURRENCY]
        for kill in range(1, kills + 1):
            with shell.started(*call) as running:
                target = each * kill
                running.until(lambda: count_lines(output) >= target)  # noqa: B023
                assert running.kill().code == -9
            lines = seen_by_a_reader(output)
            assert len(lines) == len(set(lines))
            known |= ids_on_disk(output)
        done = shell.call(*call)
        ledger = emulator.ledger()
    assert done.code == 0, done.err
    story = check(rows, output, ledger)
    assert story.paid_twice <= story.doubts <= CONCURRENCY * kills
    results = {line: result["operation_id"] for line, result in story.results.items()}
    assert known.items() <= results.items(), "an operation that was on disk was paid for again"
