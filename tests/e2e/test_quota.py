"""The pace over real sockets: never a rejection, hardly a second given away."""

import signal
from collections.abc import Iterable

import pytest

from pipeline.rates import Rate
from tests.e2e.command import Shell, count_lines
from tests.oracle import check

RATES = (Rate(20, 1.0), Rate(60, 6.0))
QUOTA = [word for rate in RATES for word in ("--rate", str(rate))]


def ideal_seconds(count: int, rates: Iterable[Rate]) -> float:
    """How long after its first submit a client with no delays at all could make its last one.

    It submits the moment that every window allows it.
    """
    times: list[float] = []
    for number in range(count):
        full = [rate for rate in rates if number >= rate.limit]
        times.append(max((times[-rate.limit] + rate.seconds for rate in full), default=0.0))
    return times[-1]


def ideal_count(seconds: float, rates: Iterable[Rate]) -> int:
    """How many submits of that client would have been accepted `seconds` after its first."""
    count = 1
    while ideal_seconds(count + 1, rates) <= seconds:
        count += 1
    return count


def test_the_ideal_client_bursts_when_a_window_opens() -> None:
    assert ideal_seconds(60, RATES) == 2
    assert ideal_seconds(61, RATES) == 6
    assert ideal_seconds(180, RATES) == 14
    assert [ideal_count(seconds, RATES) for seconds in (0, 1.5, 2, 5.9, 6)] == [20, 40, 60, 60, 80]


@pytest.mark.promise("P13")
def test_the_whole_quota_is_used_and_no_call_is_rejected(shell: Shell) -> None:
    count = 180
    rows = shell.write_rows(count)
    with shell.emulator(*QUOTA, "--latency", 0.2) as emulator:
        done = shell.call("run", rows, "-o", "out.jsonl", *emulator.options, *QUOTA)
        ledger = emulator.ledger()
    assert done.code == 0, done.err
    check(rows, shell.path("out.jsonl"), ledger)
    assert ledger["refused_submits"] == ledger["refused_polls"] == {}
    taken = ledger["submit_times"][-1] - ledger["submit_times"][0]
    print(f"{count} submits in {taken:.2f} s; ideal: {ideal_seconds(count, RATES):g} s")  # noqa: T201
    assert count / ideal_count(taken, RATES) >= 0.97
    # A busy machine may cost some of the time in which windows open; a lost second, never.
    assert taken - ideal_seconds(count, RATES) < 1


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
