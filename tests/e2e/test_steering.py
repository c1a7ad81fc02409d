"""A run is paused, unpaused and changed from another shell, and says what is in force."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.emulator.model import Config
from tests.e2e.command import Done, Shell, count_lines
from tests.e2e.hostile import Hostile, serving
from tests.oracle import whole_lines

# Answers take so long that while rows are submitted there always are operations in flight.
SLOW = Config(submit_rates=(), poll_rates=(), latency_median=1.0, latency_sigma=0.0)


def asked(shell: Shell, command: str, *options: object) -> Done:
    done = shell.call(command, "out.jsonl", *options)
    assert (done.code, done.err) == (0, ""), done.err
    return done


def told(shell: Shell, command: str, *options: object) -> Any:
    return json.loads(asked(shell, command, *options, "--json").out)


def lines(output: Path) -> list[int]:
    return sorted(line["line"] for line in whole_lines(output) if "line" in line)


@pytest.mark.promise("P19")
def test_while_a_run_is_paused_nothing_is_submitted_and_everything_is_fetched(
    shell: Shell,
) -> None:
    rows, output = shell.write_rows(60), shell.path("out.jsonl")
    with serving(SLOW) as service:
        call = ["run", rows, "-o", output, *service.options, "--rate", "10/s"]
        with shell.started(*call, "--progress", "plain") as running:
            running.until(lambda: count_lines(output) >= 3)
            paused = told(shell, "pause")
            assert paused["state"] == "running"
            assert paused["paused_since"] is not None
            running.until(lambda: count_lines(output) == len(service.ledger()["operations"]))
            submitted = len(service.submits)
            assert submitted == count_lines(output) < 60
            assert "yagpt-batch unpause" in running.err
            said = asked(shell, "status").out
            assert "Paused since " in said
            assert f"To go on: yagpt-batch unpause {output.name}" in said
            assert "next_expiry" in told(shell, "status")
            # Asked once more, it stays paused since then.
            assert told(shell, "pause")["paused_since"] == paused["paused_since"]
            assert len(service.submits) == submitted
            assert told(shell, "unpause")["paused_since"] is None
            done = running.wait()
        assert done.code == 0, done.err
        assert lines(output) == list(range(1, 61))
        assert len(service.submits) == 60
        assert not shell.path("out.jsonl.control").exists()


@pytest.mark.promise("P19")
def test_a_pause_outlives_the_process_and_the_next_one_says_so(
    shell: Shell, service: Hostile
) -> None:
    rows, output = shell.write_rows(30), shell.path("out.jsonl")
    call = ["run", rows, "-o", output, *service.options, "--rate", "10/s"]
    with shell.started(*call) as running:
        running.until(lambda: count_lines(output) >= 3)
        running.kill()
    assert "a run of it begins so" in asked(shell, "pause").out
    assert told(shell, "status")["state"] == "stopped"
    assert "a run of it begins so" in asked(shell, "status").out
    submitted = len(service.submits)
    with shell.started(*call) as running:
        running.until(lambda: "To go on: yagpt-batch unpause" in running.err)
        running.until(lambda: told(shell, "status")["in_force"] is not None)
        assert len(service.submits) == submitted
        asked(shell, "unpause")
        assert running.wait().code == 0
    assert lines(output) == list(range(1, 31))
    assert "nothing to pause" in asked(shell, "pause").out


@pytest.mark.promise("P19")
def test_a_budget_that_is_raised_in_mid_run_lets_rows_go_that_waited_for_it(
    shell: Shell,
) -> None:
    rows, output = shell.write_rows(40), shell.path("out.jsonl")
    with serving(SLOW) as service:
        limits = ["--budget", "0.20", "--max-tokens", "60", "--max-in-flight", "3"]
        call = ["run", rows, "-o", output, *service.options, *limits]
        with shell.started(*call) as running:
            running.until(lambda: count_lines(output) >= 3)
            in_force = told(shell, "change", "--budget", 500, "--max-in-flight", 100)["in_force"]
            assert (in_force["budget"], in_force["max_in_flight"]) == ("500.00", 100)
            done = running.wait()
    assert done.code == 0, done.err
    assert (
        "Changed from outside: a budget of 500.00 RUB (before: a budget of 0.20 RUB)" in done.err
    )
    assert lines(output) == list(range(1, 41))


@pytest.mark.promise("P19")
def test_a_budget_below_what_is_spent_ends_the_run_as_a_budget_does(shell: Shell) -> None:
    rows, output = shell.write_rows(100), shell.path("out.jsonl")
    with serving(SLOW) as service:
        limits = ["--budget", "500", "--max-tokens", "60", "--rate", "10/s"]
        with shell.started("run", rows, "-o", output, *service.options, *limits) as running:
            running.until(lambda: count_lines(output) >= 3)
            said = asked(shell, "change", "--budget", "0.01").out
            # It may have ended by now, for what was under way is fetched within a second.
            assert re.search("submits nothing more, and ends|has heard it and ended", said)
            done = running.wait()
        assert done.code == 80, done.err
        assert len(service.ledger()["operations"]) == count_lines(output) < 100


def test_what_can_t_be_asked_is_said_in_a_sentence(shell: Shell, service: Hostile) -> None:
    rows, output = shell.write_rows(3), shell.path("out.jsonl")
    for command in (["pause"], ["unpause"], ["change", "--budget", 5]):
        done = shell.call(command[0], output, *command[1:])
        assert done.code == 65, done
        assert "there is no output" in done.err
    assert shell.call("run", rows, "-o", output, *service.options).code == 0
    done = shell.call("change", output, "--rate", "7/s", "--rate", "300/h", "--budget", 5)
    assert done.code == 65
    assert "is not running" in done.err
    assert "Give the options to the next run: --rate 7/s --rate 300/h --budget 5" in done.err
    assert "it is not paused" in asked(shell, "unpause").out
    for wrong in ([], ["--rate", "auto", "--rate", "5/s"], ["--rate", "5"], ["--budget", "x"]):
        assert shell.call("change", output, *wrong).code == 2
    lifted = shell.call("change", output, "--finish-by", "none", "--max-in-flight", "none")
    assert lifted.code == 65
    assert "to the next run: --finish-by none --max-in-flight none" in lifted.err
    # What another program's variables say is asked of runs, not of a change.
    assert shell.call("change", output, YAGPT_BUDGET="5").code == 2
    shell.path("out.jsonl.checkpoint").unlink()
    assert shell.call("pause", output).code == 65


@pytest.mark.promise("P19")
def test_rates_change_while_the_run_goes_on_and_a_strange_control_file_changes_nothing(
    shell: Shell,
) -> None:
    rows, output = shell.write_rows(40), shell.path("out.jsonl")
    control = shell.path("out.jsonl.control")
    control.write_text("{not ours")
    with serving(SLOW) as service:
        call = ["run", rows, "-o", output, *service.options, "--rate", "1/s"]
        with shell.started(*call) as running:
            running.until(lambda: "asks for nothing that can be understood" in running.err)
            running.until(lambda: count_lines(output) >= 1)
            rates = ["--rate", "50/s", "--rate", "900/h", "--poll-rate", "40/s"]
            said = asked(shell, "change", *rates).out
            assert "submits 50 a second and 900 an hour; polls 40 a second; no budget" in said
            assert "For a later run: --rate 50/s --rate 900/h --poll-rate 40/s" in said
            assert told(shell, "status")["in_force"]["rates"] == ["50/s", "900/h"]
            said = asked(shell, "change", "--max-in-flight", 7).out
            assert "7 operations at once" in said
            assert (
                "For a later run: --rate 50/s --rate 900/h --poll-rate 40/s --max-in-flight 7\n"
            ) in said
            refused = shell.call("change", output, "--budget", 5)
            assert refused.code == 65
            assert "runs without --budget" in refused.err
            assert "begun without --max-tokens, so that it can have none later" in refused.err
            done = running.wait()
    assert done.code == 0, done.err
    assert done.err.count("can be understood") == 1
    assert "submits 50 a second and 900 an hour (before: submits 1 a second)" in done.err
