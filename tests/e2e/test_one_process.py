"""One process per run, by a lock that dies with its holder."""

import pytest

from tests.e2e.command import Shell, count_lines
from tests.e2e.hostile import Hostile
from tests.oracle import check, whole_lines

SLOWLY = ("--rate", "20/s")


@pytest.mark.promise("P7")
def test_a_second_process_is_turned_away_and_the_first_goes_on(
    shell: Shell, service: Hostile
) -> None:
    rows, output = shell.write_rows(60), shell.path("out.jsonl")
    call = ["run", rows, "-o", output, *service.options, *SLOWLY]
    with shell.started(*call) as first:
        first.until(lambda: count_lines(output))
        # Side by side, so that even a busy machine starts both before the first one ends.
        with shell.started(*call) as another, shell.started(*call, "--fresh") as afresh:
            second, fresh = another.wait(20), afresh.wait(20)
        assert (second.code, fresh.code) == (75, 75)
        assert "another process is running" in second.err
        assert second.out == ""
        assert first.wait().code == 0
    story = check(rows, output, service.ledger())
    assert (len(story.results), story.doubts) == (60, 0)


@pytest.mark.promise("P7")
def test_the_lock_is_gone_once_its_holder_was_killed(shell: Shell, service: Hostile) -> None:
    rows, output = shell.write_rows(60), shell.path("out.jsonl")
    call = ["run", rows, "-o", output, *service.options]
    with shell.started(*call, *SLOWLY) as first:
        first.until(lambda: count_lines(output))
        first.kill()
    assert shell.call(*call).code == 0
    check(rows, output, service.ledger())


@pytest.mark.promise("P7")
def test_another_output_is_another_run(shell: Shell, service: Hostile) -> None:
    rows = shell.write_rows(20)
    call = ["run", rows, *service.options, *SLOWLY]
    with shell.started(*call, "-o", "one.jsonl") as one:
        assert shell.call(*call, "-o", "two.jsonl").code == 0
        assert one.wait().code == 0


@pytest.mark.promise("P4")
def test_a_run_begun_afresh_on_the_embedded_emulator_survives_a_kill(shell: Shell) -> None:
    call = ["run", shell.write_rows(40), "-o", "out.jsonl", "--emulator"]
    assert shell.call(*call, "--limit", 3).code == 0
    output = shell.path("out.jsonl")
    with shell.started(*call, "--fresh") as running:
        running.until(lambda: 3 < count_lines(output) < 40)
        running.kill()

    assert shell.call(*call).code == 0

    lines = whole_lines(output)[:-1]
    assert sorted(line["line"] for line in lines) == list(range(1, 41))
    assert sum(line["submits"] - 1 for line in lines) <= 8  # POSTs in flight at the kill
