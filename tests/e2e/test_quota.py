"""The pace over real sockets: never a rejection."""

import signal

import pytest

from pipeline.pacing.rates import Rate
from tests.e2e.command import Shell, count_lines
from tests.oracle import check

RATES = (Rate(20, 1.0), Rate(60, 6.0))
QUOTA = [word for rate in RATES for word in ("--rate", str(rate))]


@pytest.mark.promise("P13")
def test_at_full_pace_no_call_is_rejected(shell: Shell) -> None:
    """How much of the quota is used is for `make bench-pace` to say."""
    rows = shell.write_rows(150)
    with shell.emulator(*QUOTA, "--latency", 0.2) as emulator:
        done = shell.call("run", rows, "-o", "out.jsonl", *emulator.options, *QUOTA)
        ledger = emulator.ledger()
    assert done.code == 0, done.err
    check(rows, shell.path("out.jsonl"), ledger)
    assert ledger["refused_submits"] == ledger["refused_polls"] == {}


@pytest.mark.promise("P13")
def test_a_restart_in_the_middle_of_a_window_draws_no_rejection(shell: Shell) -> None:
    rows = shell.write_rows(75)
    output = shell.path("out.jsonl")
    with shell.emulator(*QUOTA, "--latency", 0.2) as emulator:
        call = ["run", rows, "-o", output, *emulator.options, *QUOTA]
        with shell.started(*call) as running:
            running.until(lambda: count_lines(output) >= 15)
            running.signal(signal.SIGTERM)
            assert running.wait().code == -15
        done = shell.call(*call)
        ledger = emulator.ledger()
    assert done.code == 0, done.err
    story = check(rows, output, ledger)
    assert ledger["refused_submits"] == ledger["refused_polls"] == {}
    assert story.doubts == 0


@pytest.mark.promise("P13")
def test_a_loop_of_kills_draws_no_rejection(shell: Shell) -> None:
    rows = shell.write_rows(50)
    output = shell.path("out.jsonl")
    with shell.emulator(*QUOTA, "--latency", 0.2) as emulator:
        call = ["run", rows, "-o", output, *emulator.options, *QUOTA]
        for _ in range(3):
            with shell.started(*call) as running:
                before = emulator.ledger()["submits"]
                running.until(lambda: emulator.ledger()["submits"] > before)  # noqa: B023
                running.kill()
        done = shell.call(*call)
        ledger = emulator.ledger()
    assert done.code == 0, done.err
    check(rows, output, ledger)
    assert ledger["refused_submits"] == ledger["refused_polls"] == {}
