"""The commands that a run names at its end do what it says of them, called as they stand."""

import re
import shlex
import signal

import pytest

from tests.e2e.command import UNLIMITED, Shell, count_lines
from tests.e2e.hostile import RUDE, Fault, HangUp, Hostile
from tests.oracle import check


@pytest.mark.promise("P1")
def test_what_comes_next_can_be_copied(shell: Shell, service: Hostile) -> None:
    rows, output = shell.write_rows(8), shell.path("the best answers.jsonl")
    faults: dict[int, Fault] = {2: RUDE, 5: HangUp()}
    service.fault = lambda number, _: faults.get(number)
    call = ["run", rows, "-o", output.name, "--endpoint", service.url, "--on-doubt", "fail"]
    done = shell.call(*call, YAGPT_FOLDER_ID="b1gemulator0000000000", YAGPT_RATE="none")
    assert done.code == 4, done.err
    service.fault = lambda *_: None
    told = re.findall(r"^.*?: (yagpt-batch .*)$", done.out, re.MULTILINE)
    codes = [shell.call(*shlex.split(command)[1:]).code for command in told]
    assert [shlex.split(command)[1] for command in told] == ["retry", "retry", "export", "report"]
    # After the first retry a row is still held in doubt.
    assert codes == [4, 0, 0, 0]
    assert len(check(rows, output).results) == 8
    assert shell.path("the best answers.csv").exists()
    assert shell.path("the best answers.html").exists()


def test_after_a_budget_the_command_runs_once_the_new_one_is_filled_in(
    shell: Shell, service: Hostile
) -> None:
    call = ["run", shell.write_rows(3), "-o", "out.jsonl", *service.options, "--max-tokens", 50]
    done = shell.call(*call, "--budget", "0.00001")
    assert done.code == 80, done.err
    (told,) = re.findall(r"^To continue, with a larger --budget: (.*)$", done.err, re.MULTILINE)
    copied = shlex.split(told)[1:]
    assert shell.call(*copied).code == 2
    assert service.submits == []
    filled_in = ["100" if word == "MORE" else word for word in copied]
    assert shell.call(*filled_in).code == 0


@pytest.mark.promise("P8")
def test_after_a_mistyped_model_the_command_runs_once_the_right_one_is_filled_in(
    shell: Shell,
) -> None:
    rows, output = shell.write_rows(3), shell.path("out.jsonl")
    done = shell.call("run", rows, "-o", "out.jsonl", "--emulator", "--model", "yandexgpt-pro")
    assert done.code == 78, done.err
    (told,) = re.findall(r"^To continue, with the right --model: (.*)$", done.err, re.MULTILINE)
    copied = shlex.split(told)[1:]
    filled_in = ["yandexgpt-lite" if word == "MODEL" else word for word in copied]
    again = shell.call(*filled_in)
    assert again.code == 0, again.err
    assert "Nothing was accepted with the other settings: begun anew" in again.err
    assert len(check(rows, output).results) == 3
    # Now rows are paid for.
    assert shell.call(*copied).code == 65


def test_scripts_find_the_same_commands(shell: Shell, service: Hostile) -> None:
    call = ["run", shell.write_rows(2), "-o", "out.jsonl", *service.options]
    told = shell.call(*call).out
    done = shell.call(*call, "--json").json
    assert (done["end"], done["resume"], done["left"]) == ("complete", None, 0)
    assert [command for command in done["next"] if command in told] == done["next"] != []


def test_a_second_call_has_used_nothing(shell: Shell, service: Hostile) -> None:
    call = ["run", shell.write_rows(3), "-o", "out.jsonl", "--json", *service.options]
    limited = [*call[: -len(UNLIMITED)], "--rate", "100/s", "--rate", "500/h"]
    first, second = (shell.call(*limited).json["submits"] for _ in range(2))
    assert first == {
        "count": 3,
        "share": None,
        "windows": [
            {"rate": "100/s", "limit": 100, "used": 3},
            {"rate": "500/h", "limit": 500, "used": 3},
        ],
    }
    assert second == {"count": 0, "share": None, "windows": []}


@pytest.mark.promise("P6")
def test_one_that_is_stopped_after_lines_were_mended_names_the_retry_that_sends_them(
    shell: Shell, service: Hostile
) -> None:
    bad = shell.path("in.jsonl")
    bad.write_text('{"prompt": 1}\n{"prompt": 2}\n', encoding="utf-8")
    rows, output = shell.write_rows(60, first=3), shell.path("out.jsonl")
    call = ["run", rows, "-o", output, *service.options, "--rate", "20/s"]
    with shell.started(*call) as running:
        running.until(lambda: count_lines(output) >= 2)
        mended = rows.read_text(encoding="utf-8")
        for number in "12":
            mended = mended.replace(f'"prompt": {number}}}', f'"prompt": "{number}"}}')
        shell.path("mended").write_text(mended, encoding="utf-8")
        shell.path("mended").rename(rows)
        assert "since it began: once it has ended" in shell.call("status", output).out
        running.signal(signal.SIGINT)
        done = running.wait(11)
    (told,) = re.findall(r"^Stopped\. (.*)$", done.err, re.MULTILINE)
    assert "To continue" not in done.err
    assert told in shell.call("status", output).out
    assert shell.call(*call).code == 65
    _, *retry = shlex.split(told.partition("go with `")[2].partition("`")[0])
    assert shell.call(*retry, *service.retry_options).code == 0
    assert len(check(rows, output).results) == 62
