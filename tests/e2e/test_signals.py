"""Signals: a word at once, what is under way recorded, death by the signal, and a way on."""

import json
import shlex
import signal
import time

import pytest

from tests.e2e.command import Shell, count_lines
from tests.e2e.hostile import Hostile, Silence
from tests.oracle import check

SLOWLY = ("--rate", "20/s")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.promise("P10")
def test_a_signal_stops_the_run_in_order_and_the_printed_command_resumes_it(
    shell: Shell, service: Hostile, number: signal.Signals
) -> None:
    rows, output = shell.write_rows(40), shell.path("the out.jsonl")
    call = ["run", rows, "-o", output, *service.options, *SLOWLY]
    with shell.started(*call) as running:
        running.until(lambda: count_lines(output) >= 2)
        running.signal(number)
        done = running.wait(11)
    assert done.code == -number
    assert "Stopping" in done.err
    assert "Traceback" not in done.err
    told = done.err.rstrip().rpartition("To continue: ")[2]
    assert done.err.count("\n") < 10
    program, *again = shlex.split(told)
    assert program == "yagpt-batch"
    assert shell.call(*again).code == 0
    story = check(rows, output, service.ledger())
    assert story.doubts == 0


@pytest.mark.promise("P10")
def test_a_post_in_flight_is_awaited_and_recorded(shell: Shell, service: Hostile) -> None:
    rows, output = shell.write_rows(10), shell.path("out.jsonl")
    service.fault = lambda number, _: Silence() if number > 3 else None
    call = ["run", rows, "-o", output, *service.options]
    with shell.started(*call) as running:
        running.until(lambda: len(service.submits) >= 5)
        running.signal(signal.SIGTERM)
        running.until(lambda: "Stopping" in running.err, 1)
        assert not running.has_ended
        service.relent()
        assert running.wait(5).code == -signal.SIGTERM
    assert shell.call(*call).code == 0
    assert check(rows, output, service.ledger()).doubts == 0


@pytest.mark.promise("P10")
def test_a_second_signal_leaves_at_once_and_is_still_safe(shell: Shell, service: Hostile) -> None:
    rows, output = shell.write_rows(10), shell.path("out.jsonl")
    service.fault = lambda number, _: Silence() if number > 3 else None
    call = ["run", rows, "-o", output, *service.options]
    with shell.started(*call) as running:
        running.until(lambda: len(service.submits) >= 5)
        running.signal(signal.SIGINT)
        running.until(lambda: "Stopping" in running.err, 1)
        # "In flight" are operations, which a stop does not wait for.
        assert "waiting for answers to requests being sent (again" in running.err
        running.signal(signal.SIGINT)
        done = running.wait(1)
        assert done.code == -signal.SIGINT
        assert done.err.splitlines()[-1].startswith("Left at once: requests being sent may be in")
    standing = json.loads(shell.call("status", output, "--json").out)
    left = standing["rows"]["being_submitted"]
    assert left == standing["totals"]["doubts"] > 0
    assert shell.call("cost", output, "--json").json["doubts"] == left
    service.relent()
    assert shell.call(*call).code == 0
    story = check(rows, output, service.ledger())
    assert 1 <= story.doubts <= 8


@pytest.mark.promise("P5")
@pytest.mark.promise("P10")
def test_a_post_that_is_never_answered_is_given_up_after_ten_seconds_as_a_doubt(
    shell: Shell, service: Hostile
) -> None:
    rows, output = shell.write_rows(4), shell.path("out.jsonl")
    service.fault = lambda number, _: Silence() if number == 3 else None
    call = ["run", rows, "-o", output, *service.options]
    with shell.started(*call) as running:
        running.until(lambda: count_lines(output) == 3)
        begun = time.perf_counter()
        running.signal(signal.SIGTERM)
        assert running.wait(15).code == -signal.SIGTERM
        assert 9 < time.perf_counter() - begun < 12
    assert (
        "Submits whose acceptance can't be known: 1; at worst they cost 3.28 RUB." in running.out
    )
    service.relent()
    assert shell.call(*call).code == 0
    story = check(rows, output, service.ledger())
    assert (story.doubts, story.paid_twice) == (1, 1)


@pytest.mark.promise("P10")
def test_a_hangup_that_was_ignored_at_the_start_stays_ignored(
    shell: Shell, service: Hostile
) -> None:
    rows, output = shell.write_rows(40), shell.path("out.jsonl")
    call = ["run", rows, "-o", output, *service.options, *SLOWLY]
    with shell.started(*call, before=["nohup"]) as running:
        running.until(lambda: count_lines(output) >= 2)
        running.signal(signal.SIGHUP)
        done = running.wait()
    assert done.code == 0, done.err
    assert "Stopping" not in done.err
    assert len(check(rows, output, service.ledger()).results) == 40


@pytest.mark.promise("P10")
def test_a_signal_before_the_first_submit_is_no_more_than_a_short_word(
    shell: Shell, service: Hostile
) -> None:
    rows = shell.write_rows(5)
    call = ["run", rows, "-o", "out.jsonl", *service.options, "--log-file", "log"]
    with shell.started(*call) as running:
        # The file is opened between hearing signals and reading the input.
        running.until(lambda: shell.path("log").exists())
        running.signal(signal.SIGTERM)
        done = running.wait(11)
    assert done.code == -signal.SIGTERM
    assert "Warning" not in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("delay", [0.02, 0.1, 0.2])
def test_a_run_that_was_stopped_while_it_started_goes_on(
    shell: Shell, service: Hostile, delay: float
) -> None:
    rows = shell.write_rows(5)
    call = ["run", rows, "-o", "out.jsonl", *service.options]
    with shell.started(*call) as running:
        time.sleep(delay)
        running.signal(signal.SIGTERM)
        assert running.wait(11).code == -signal.SIGTERM
    assert shell.call(*call).code == 0
    assert check(rows, shell.path("out.jsonl"), service.ledger()).doubts == 0
