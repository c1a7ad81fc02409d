"""Several real runs on one machine and one folder's quota: what one takes, the others know of."""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.pacing.rates import Rate
from tests.e2e.command import Done, Emulator, Shell, count_lines
from tests.oracle import whole_lines

RATES = (Rate(30, 1.0), Rate(60, 10.0))
QUOTA = [word for rate in RATES for word in ("--rate", str(rate))]
POLLS = ["--poll-rate", "25/s"]
ROWS = {"short": 15, "stopped": 300, "long": 70}
ALONE = "this run keeps to its own windows alone"


@pytest.fixture
def emulator(shell: Shell) -> Iterator[Emulator]:
    with shell.emulator(*QUOTA, *POLLS, "--latency", 0.2) as served:
        yield served


def call(shell: Shell, emulator: Emulator, name: str, count: int, *more: str) -> list[object]:
    """A run of its own, with rows of its own."""
    rows = shell.path(f"{name}.in.jsonl")
    if not rows.exists():
        shell.write_rows(count, rows.name)
    return ["run", rows, "-o", f"{name}.jsonl", *emulator.options, *QUOTA, *POLLS, *more]


def together(shell: Shell, *calls: list[object], **variables: str) -> list[Done]:
    """Start all, and wait for all."""
    with ExitStack() as stack:
        running = [stack.enter_context(shell.started(*each, **variables)) for each in calls]
        return [each.wait() for each in running]


def state_files(shell: Shell) -> list[Path]:
    return sorted(shell.path(".local/state/yagpt-batch").glob("*"))


def refusals(emulator: Emulator) -> int:
    ledger = emulator.ledger()
    refused = Counter(ledger["refused_submits"]) + Counter(ledger["refused_polls"])
    return refused.total()


def each_once(shell: Shell, name: str, count: int) -> bool:
    found = [line["line"] for line in whole_lines(shell.path(f"{name}.jsonl")) if "line" in line]
    return sorted(found) == list(range(1, count + 1))


@pytest.mark.promise("P13")
def test_runs_at_once_draw_no_rejection_and_none_of_them_starves(
    shell: Shell, emulator: Emulator
) -> None:
    calls = [call(shell, emulator, f"run{n}", 90) for n in range(3)]
    with ExitStack() as stack:
        running = [stack.enter_context(shell.started(*each)) for each in calls]
        running[0].until(lambda: emulator.ledger()["submits"] >= 100, 40)
        for each in running:
            each.signal(signal.SIGTERM)
        assert [each.wait().code for each in running] == [-15] * 3
    assert refusals(emulator) == 0
    assert min(count_lines(shell.path(f"run{n}.jsonl")) for n in range(3)) > 0


@pytest.mark.promise("P13")
def test_the_part_of_a_run_that_leaves_goes_to_the_others(
    shell: Shell, emulator: Emulator
) -> None:
    calls = {name: call(shell, emulator, name, rows) for name, rows in ROWS.items()}
    with ExitStack() as stack:
        running = {n: stack.enter_context(shell.started(*each)) for n, each in calls.items()}
        assert running["short"].wait().code == 0
        running["stopped"].until(lambda: count_lines(shell.path("stopped.jsonl")) >= 20)
        running["stopped"].signal(signal.SIGTERM)
        assert running["stopped"].wait().code == -15
        assert running["long"].wait().code == 0
    assert refusals(emulator) == 0
    assert each_once(shell, "long", 70)


@pytest.mark.promise("P13")
def test_a_run_that_is_killed_in_a_loop_beside_another_draws_no_rejection(
    shell: Shell, emulator: Emulator
) -> None:
    other, output = call(shell, emulator, "other", 60), shell.path("killed.jsonl")
    killed = call(shell, emulator, "killed", 40)
    with shell.started(*other) as beside:
        for _ in range(4):
            with shell.started(*killed) as running:
                before = count_lines(output)
                running.until(lambda: count_lines(output) > before)  # noqa: B023
                running.kill()
        assert shell.call(*killed).code == 0
        assert beside.wait().code == 0
    assert refusals(emulator) == 0
    assert each_once(shell, "killed", 40)
    assert each_once(shell, "other", 60)


@pytest.mark.promise("P13")
def test_a_run_that_is_begun_afresh_knows_what_was_sent_before(
    shell: Shell, emulator: Emulator
) -> None:
    for _ in range(4):
        with shell.started(*call(shell, emulator, "afresh", 60, "--fresh")) as running:
            before = emulator.ledger()["submits"]
            running.until(lambda: emulator.ledger()["submits"] >= before + 12)  # noqa: B023
            running.kill()
    assert shell.call(*call(shell, emulator, "afresh", 60, "--fresh")).code == 0
    assert emulator.ledger()["submits"] >= 60 + 4 * 12
    assert refusals(emulator) == 0


# Not sharing.


@pytest.mark.promise("P13")
def test_runs_that_do_not_share_pass_the_quota_together(shell: Shell, emulator: Emulator) -> None:
    calls = [call(shell, emulator, f"run{n}", 40, "--no-shared-quota") for n in range(2)]
    assert [done.code for done in together(shell, *calls)] == [0, 0]
    assert refusals(emulator) > 0
    assert [path.suffix for path in state_files(shell)] in ([], [".known"])


def test_sharing_can_be_left_off_by_variable_and_by_file(shell: Shell, emulator: Emulator) -> None:
    assert shell.call(*call(shell, emulator, "one", 2), YAGPT_NO_SHARED_QUOTA="1").code == 0
    assert state_files(shell) == []
    shell.path("yagpt-batch.toml").write_text("no-shared-quota = true\n")
    assert shell.call(*call(shell, emulator, "two", 2)).code == 0
    assert state_files(shell) == []
    shell.path("yagpt-batch.toml").unlink()
    assert shell.call(*call(shell, emulator, "three", 2)).code == 0
    assert state_files(shell)


def test_runs_without_windows_and_on_the_embedded_emulator_share_nothing(
    shell: Shell, emulator: Emulator
) -> None:
    rows = shell.write_rows(3)
    unlimited = ["--rate", "none", "--poll-rate", "none"]
    assert shell.call("run", rows, "-o", "a.jsonl", *emulator.options, *unlimited).code == 0
    assert shell.call("run", rows, "-o", "b.jsonl", "--emulator").code == 0
    assert state_files(shell) == []


# A state that can't be used.


def _a_file_in_its_place(shell: Shell) -> None:
    shell.path(".local").write_text("not a folder")


def _one_that_can_t_be_written(shell: Shell) -> None:
    shell.path(".local/state").mkdir(parents=True)
    shell.path(".local/state/yagpt-batch").symlink_to("/proc")


def _garbage(shell: Shell) -> None:
    for path in state_files(shell):
        if path.suffix == ".quota":
            path.write_bytes(b"garbage" * 999)


@pytest.mark.promise("P13")
@pytest.mark.parametrize("broken", [_a_file_in_its_place, _one_that_can_t_be_written, _garbage])
def test_a_state_that_can_t_be_used_is_said_once_and_stops_no_run(
    shell: Shell, emulator: Emulator, broken: object
) -> None:
    assert callable(broken)
    if broken is _garbage:
        assert shell.call(*call(shell, emulator, "first", 1)).code == 0
    broken(shell)
    done = shell.call(*call(shell, emulator, "run", 50))
    assert done.code == 0
    assert done.err.count(ALONE) == 1
    assert each_once(shell, "run", 50)
    # What garbage took the place of is forgotten: the row of the run before.
    assert refusals(emulator) <= (1 if broken is _garbage else 0)


def test_a_state_that_is_taken_away_meanwhile_is_said_once_and_stops_no_run(
    shell: Shell, emulator: Emulator
) -> None:
    with shell.started(*call(shell, emulator, "run", 60)) as running:
        running.until(lambda: count_lines(shell.path("run.jsonl")) >= 10)
        for path in state_files(shell):
            path.unlink()
        done = running.wait()
    assert done.code == 0
    assert done.err.count(ALONE) == 1
    assert each_once(shell, "run", 60)
    assert refusals(emulator) == 0
