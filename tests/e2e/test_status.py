"""`status` tells where a run stands from any shell, and never disturbs it."""

import json
import re
import shlex
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipeline.state.departure import DEPARTURE
from tests.e2e.command import Done, Shell, count_lines
from tests.e2e.hostile import BAD_GATEWAY, HangUp, Hostile, Silence

SLOWLY = ("--rate", "20/s")


def status(shell: Shell, output: Path, *options: object) -> Done:
    done = shell.call("status", output, *options)
    assert (done.code, done.err) == (0, ""), done.err
    return done


def as_json(shell: Shell, output: Path) -> Any:
    return json.loads(status(shell, output, "--json").out)


def test_a_finished_run_is_told_with_its_cost(shell: Shell, service: Hostile) -> None:
    rows, output = shell.write_rows(10), shell.path("out.jsonl")
    with rows.open("a") as file:
        file.write("\n[]\n")
    done = shell.call("run", rows, "-o", output, *service.options, "--json")
    assert done.code == 3
    said = status(shell, output).out
    assert f"{output}: finished, 11 of 11 rows done." in said
    assert "Rows: 10 ok, 1 failed." in said
    assert "cost so far" in said
    told = as_json(shell, output)
    assert (told["state"], told["oldest"]) == ("finished", None)
    assert told["totals"].items() <= done.json.items()


def test_rows_that_were_added_are_seen(shell: Shell, service: Hostile) -> None:
    rows, output = shell.write_rows(4), shell.path("out.jsonl")
    assert shell.call("run", rows, "-o", output, *service.options, "--no-totals").code == 0
    assert ": finished, 4 of 4 rows done.\n" in status(shell, output).out
    shell.write_rows(1, first=5)
    assert "Rows were appended to its input: the same" in status(shell, output).out
    assert as_json(shell, output)["input_change"] == "appended"


@pytest.mark.promise("P14")
def test_a_run_that_goes_on_and_one_that_was_killed_are_told_apart(
    shell: Shell, service: Hostile
) -> None:
    rows, output = shell.write_rows(60), shell.path("out.jsonl")
    call = ["run", rows, "-o", output, *service.options, *SLOWLY, "--system", "It's one."]
    with shell.started(*call, "--on-finish", "true") as running:
        running.until(lambda: count_lines(output) >= 10)
        told = as_json(shell, output)
        assert told["state"] == "running"
        assert told["rows"]["total"] == 60
        assert 10 <= told["rows"]["done"] == told["rows"]["ok"] < 60
        assert f"{output}: running, " in status(shell, output).out
        running.kill()
    told = as_json(shell, output)
    assert told["state"] == "stopped"
    assert told["rows"]["not_begun"] > 0
    (resume,) = re.findall(r"^To continue: (.+)$", status(shell, output).out, re.MULTILINE)
    assert resume == told["resume"]
    program, *words = shlex.split(resume)
    assert program == "yagpt-batch"
    assert shell.call(*words).code == 0
    assert "To continue" not in status(shell, output).out
    assert as_json(shell, output)["resume"] is None
    assert as_json(shell, output)["rows"]["ok"] == 60


def test_what_the_whole_will_cost_is_told_of_a_killed_run_and_at_once_by_the_next(
    shell: Shell, service: Hostile
) -> None:
    rows, output = shell.write_rows(200), shell.path("out.jsonl")
    call = ["run", rows, "-o", output, *service.options, "--rate", "40/s", "--progress", "json"]
    with shell.started(*call) as running:
        running.until(lambda: count_lines(output) and as_json(shell, output)["projected"])
        running.kill()
    projected = as_json(shell, output)["projected"]
    assert float(projected["low"]) <= float(projected["likely"]) <= float(projected["high"])
    assert "\nAll rows would cost " in status(shell, output).out
    with shell.started(*call) as running:
        running.until(lambda: "{" in running.err)
        scenes = [line for line in running.err.splitlines() if line.startswith("{")]
        assert json.loads(scenes[0])["projected"] is not None


@pytest.mark.promise("P14")
def test_how_the_last_process_ended_is_told_once_it_has(shell: Shell, service: Hostile) -> None:
    rows, output = shell.write_rows(60), shell.path("out.jsonl")
    call = ["run", rows, "-o", output, *service.options]

    def left(by: signal.Signals) -> Any:
        done = count_lines(output)
        with shell.started(*call, *SLOWLY) as running:
            running.until(lambda: count_lines(output) > done + 2)
            assert as_json(shell, output)["ended"] is None
            running.signal(by)
            running.wait()
        return as_json(shell, output)["ended"]

    stopped = left(signal.SIGTERM)
    assert (stopped["end"], stopped["exit"], stopped["why"]) == ("signal", 143, None)
    assert "with exit code 143: stopped by TERM." in status(shell, output).out
    assert left(signal.SIGKILL)["end"] == "vanished"
    assert "was killed, the machine stopped" in status(shell, output).out
    spent = shell.call(*call, "--finish-by", "2000-01-01T00:00")
    assert spent.code == 81
    ended = as_json(shell, output)["ended"]
    assert (ended["end"], ended["exit"]) == ("deadline", 81)
    assert ended["why"] in spent.err
    said = status(shell, output).out
    assert ended["why"] in said
    assert "The same command continues it." not in said
    assert shell.call(*call).code == 0
    assert as_json(shell, output)["ended"]["end"] == "complete"
    assert "with exit code 0: every row has its line." in status(shell, output).out


@pytest.mark.promise("P14")
def test_a_checkpoint_that_notes_no_end_is_told_of_as_before(
    shell: Shell, service: Hostile
) -> None:
    output = shell.path("out.jsonl")
    assert shell.call("run", shell.write_rows(3), "-o", output, *service.options).code == 0
    with closing(sqlite3.connect(f"{output}.checkpoint")) as db, db:
        assert db.execute("DELETE FROM meta WHERE key = ?", (DEPARTURE,)).rowcount == 1
    assert as_json(shell, output)["ended"] is None
    assert "Ended" not in status(shell, output).out


@pytest.mark.promise("P5")
def test_doubts_held_are_told_with_what_they_can_have_cost(shell: Shell, service: Hostile) -> None:
    rows, output = shell.write_rows(10), shell.path("out.jsonl")
    service.fault = lambda number, _: HangUp() if number in {2, 5} else None
    shell.call("run", rows, "-o", output, *service.options, "--on-doubt", "fail")
    said = status(shell, output).out
    assert "Rows: 8 ok, 2 held in doubt." in said
    assert "acceptance can't be known: 2; at worst they cost " in said


@pytest.mark.promise("P5")
def test_posts_without_an_answer_are_told_while_they_wait_and_after_a_kill(
    shell: Shell, service: Hostile
) -> None:
    rows, output = shell.write_rows(6), shell.path("out.jsonl")
    service.fault = lambda number, _: Silence() if number > 2 else None
    with shell.started("run", rows, "-o", output, *service.options) as running:
        running.until(lambda: len(service.submits) == 6 and count_lines(output) == 2)
        assert as_json(shell, output)["rows"]["being_submitted"] == 4
        running.kill()
    assert "4 in doubt since the process ended" in status(shell, output).out


@pytest.mark.promise("P12")
def test_an_outage_is_told_while_it_lasts_and_as_what_was(shell: Shell, service: Hostile) -> None:
    rows, output = shell.write_rows(40), shell.path("out.jsonl")
    service.fault = lambda number, _: BAD_GATEWAY if number > 5 else None
    call = ["run", rows, "-o", output, *service.options, "--patience", "2h"]
    with shell.started(*call) as running:
        running.until(lambda: "can't be reached" in running.err)
        running.until(lambda: as_json(shell, output)["outages"])
        (outage,) = as_json(shell, output)["outages"]
        assert outage["host"] == "the text generation service"
        assert int(outage["gives_up_at"][11:13]) == (int(outage["since"][11:13]) + 2) % 24
        said = status(shell, output).out
        assert "Outage: the text generation service is away since " in said
        assert "(--patience)" in said
        assert "in doubt, to be submitted again" in said
        assert " in doubt ha" in said
        assert " attempts." in said
        running.kill()
    assert "the text generation service had been away since" in status(shell, output).out


@pytest.mark.promise("P14")
def test_the_oldest_operation_is_told_with_its_expiry(shell: Shell) -> None:
    rows, output = shell.write_rows(3), shell.path("out.jsonl")
    with (
        shell.emulator("--latency", 600) as emulator,
        shell.started("run", rows, "-o", output, *emulator.options) as running,
    ):
        # Before the first row is begun there may be no checkpoint to look at.
        running.until(lambda: emulator.ledger()["submits"] == 3)
        running.until(lambda: as_json(shell, output)["rows"]["running"] == 3)
        told, said = as_json(shell, output), status(shell, output).out
    oldest = told["oldest"]
    assert (oldest["line"], oldest["id"]) == (1, "line-1")
    assert oldest["operation_id"] in said
    assert 0 <= oldest["age_seconds"] < 60
    assert told["next_expiry"] == oldest["expires_at"]
    assert oldest["expires_at"][10:] == oldest["accepted_at"][10:]
    assert "never_done" in said
