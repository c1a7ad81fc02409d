"""`audit` on the files of real runs: they agree, and what was done to them is found."""

import json
import signal
from pathlib import Path

import pytest

from tests.e2e.command import Done, Shell, count_lines
from tests.e2e.hostile import HangUp, Hostile, Silence
from tests.oracle import checkpoint_of, errors_of

SLOWLY = ("--rate", "20/s")


def agrees(shell: Shell, output: Path, *options: object) -> Done:
    done = shell.call("audit", output, *options)
    assert (done.code, done.err) == (0, ""), done.out + done.err
    return done


def files(shell: Shell) -> dict[str, tuple[int, bytes]]:
    return {
        path.name: (path.stat().st_mtime_ns, path.read_bytes())
        for path in shell.folder.glob("*.jsonl*")
    }


@pytest.mark.promise("P6")
@pytest.mark.promise("P15")
@pytest.mark.parametrize("options", [(), ("--no-totals",), ("--limit", 12)], ids=str)
def test_a_finished_run_agrees_and_is_left_as_it_was(
    shell: Shell, service: Hostile, options: tuple[object, ...]
) -> None:
    rows, output = shell.write_rows(20), shell.path("out.jsonl")
    rows.write_text(rows.read_text(encoding="utf-8") + "\n[]\n", encoding="utf-8")
    shell.call("run", rows, "-o", output, *service.options, *options)
    before = files(shell)
    done = agrees(shell, output)
    agrees(shell, output, "--quick")
    assert "21 rows in the input: " in done.out
    assert ("9 not begun" if "--limit" in options else "20 ok, 1 failed, ") in done.out
    assert files(shell) == before


@pytest.mark.promise("P5")
def test_doubts_held_and_submitted_again_are_accounted_for(shell: Shell, service: Hostile) -> None:
    rows = shell.write_rows(20)
    service.fault = lambda number, _: HangUp() if number in {3, 9, 22} else None
    for output, policy in (("again.jsonl", "resubmit"), ("held.jsonl", "fail")):
        shell.call("run", rows, "-o", output, *service.options, "--on-doubt", policy)
        assert agrees(shell, shell.path(output))


@pytest.mark.promise("P6")
def test_a_run_can_be_looked_at_while_it_goes_on_and_after_a_kill(
    shell: Shell, service: Hostile
) -> None:
    rows, output = shell.write_rows(400), shell.path("out.jsonl")
    call = ["run", rows, "-o", output, *service.options]
    with shell.started(*call, *SLOWLY) as running:
        for lines in (1, 10, 20):
            running.until(lambda: count_lines(output) >= lines)  # noqa: B023
            for options in ([], ["--quick"]):
                assert "A process has this run" in agrees(shell, output, *options).out
        running.kill()
    before = files(shell)
    agrees(shell, output)
    agrees(shell, output, "--quick")
    assert files(shell) == before
    assert shell.call(*call).code == 0
    assert "400 ok, 0 failed" in agrees(shell, output).out


@pytest.mark.promise("P5")
def test_a_row_that_was_being_submitted_at_a_kill_is_accounted_for(
    shell: Shell, service: Hostile
) -> None:
    rows, output = shell.write_rows(10), shell.path("out.jsonl")
    service.fault = lambda number, _: Silence() if number > 4 else None
    call = ["run", rows, "-o", output, *service.options]
    with shell.started(*call) as running:
        running.until(lambda: len(service.submits) >= 8)
        running.kill()
    agrees(shell, output)
    service.relent()
    assert shell.call(*call).code == 0
    agrees(shell, output)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_agrees(shell: Shell, service: Hostile, number: signal.Signals) -> None:
    rows, output = shell.write_rows(40), shell.path("out.jsonl")
    with shell.started("run", rows, "-o", output, *service.options, *SLOWLY) as running:
        running.until(lambda: count_lines(output) >= 5)
        running.signal(number)
        running.wait()
    agrees(shell, output)


@pytest.mark.promise("P6")
def test_a_deleted_line_is_told_by_its_row_and_a_changed_one_by_its_place(
    shell: Shell, service: Hostile
) -> None:
    rows, output = shell.write_rows(20), shell.path("out.jsonl")
    assert shell.call("run", rows, "-o", output, *service.options).code == 0
    lines = output.read_bytes().splitlines(keepends=True)
    gone = json.loads(lines[6])["line"]
    output.write_bytes(b"".join([*lines[:6], *lines[7:]]))
    done = shell.call("audit", output)
    assert (done.code, done.err) == (65, "")
    assert f"out.jsonl: row {gone} is ok, and its line, at byte " in done.out
    output.write_bytes(b"".join([*lines[:6], lines[6].replace(b"usage", b"usags"), *lines[7:]]))
    done = shell.call("audit", output, "--json")
    assert done.code == 65
    assert not done.json["agrees"]
    assert "out.jsonl:7 (byte " in done.json["findings"][0]
    assert done.json["rows"]["ok"] == 20


@pytest.mark.promise("P6")
def test_an_input_that_moved_is_named_and_one_that_was_changed_is_told(
    shell: Shell, service: Hostile
) -> None:
    rows, output = shell.write_rows(5), shell.path("out.jsonl")
    assert shell.call("run", rows, "-o", output, *service.options).code == 0
    other = rows.rename(shell.path("renamed.jsonl"))
    done = shell.call("audit", output)
    assert done.code == 65
    assert "say with --input where it is" in done.out
    agrees(shell, output, "--input", other)
    other.write_bytes(other.read_bytes().replace("Строка 3".encode(), "Строка 4".encode()))
    assert "renamed.jsonl:3 " in shell.call("audit", output, "--input", other).out


@pytest.mark.promise("P6")
def test_what_is_no_run_is_told_in_a_sentence(shell: Shell, service: Hostile) -> None:
    rows, output = shell.write_rows(2), shell.path("out.jsonl")
    assert shell.call("run", rows, "-o", output, *service.options).code == 0
    for path, words in (
        (shell.path("none.jsonl"), "there is no output"),
        (rows, "there is no checkpoint"),
    ):
        for command in ("audit", "status"):
            done = shell.call(command, path)
            assert (done.code, done.out) == (65, "")
            assert words in done.err
    checkpoint_of(output).write_bytes(b"somebody's notes. " * 100)
    assert "damaged, or none" in shell.call("audit", output).err


@pytest.mark.promise("P7")
def test_many_looks_do_not_disturb_runs_that_begin_and_end(shell: Shell, service: Hostile) -> None:
    rows, output = shell.write_rows(5), shell.path("out.jsonl")
    call = ["run", rows, "-o", output, *service.options, "--progress", "none"]
    assert shell.call(*call, "--limit", 1).code == 0
    for limit in (2, 3, 4, 5):
        with shell.started(*call, "--limit", limit) as running:
            while not running.has_ended:
                assert shell.call("status", output).code == 0
                agrees(shell, output)
            assert running.wait().code == 0, running.err
    agrees(shell, output)
    assert count_lines(output) == 6
    assert not errors_of(output).exists()
