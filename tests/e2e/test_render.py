"""``yagpt-batch render`` prints what ``run`` sends."""

import json
import subprocess

from tests.e2e.command import FOLDER, PROGRAM, Shell
from tests.e2e.hostile import Hostile

GIVEN = ("--system", "Кратко.", "--max-tokens", 9)


def test_what_is_printed_is_what_is_sent(shell: Shell, service: Hostile) -> None:
    rows = shell.write_rows(5)
    assert shell.call("run", rows, "-o", "out.jsonl", *service.options, *GIVEN).code == 0
    done = shell.call("render", rows, "--limit", 5, "--folder-id", FOLDER, *GIVEN, YC_API_KEY=None)
    assert (done.code, done.err) == (0, "")
    assert sorted(done.out.splitlines()) == sorted(seen.body.decode() for seen in service.submits)


def test_three_rows_that_are_fit_are_printed_and_the_others_are_told(shell: Shell) -> None:
    rows = ['{"promt": "a"}', "", '{"prompt": "b"}', '{"prompt": "c"}', '{"prompt": "d"}', "{"]
    shell.path("in.jsonl").write_text("\n".join(rows))
    done = shell.call("render", "in.jsonl", YC_API_KEY=None)
    assert done.code == 0
    asked = [json.loads(line) for line in done.out.splitlines()]
    assert [request["messages"][0]["text"] for request in asked] == ["b", "c", "d"]
    assert asked[0]["modelUri"] == "gpt://FOLDER/yandexgpt-lite"
    bad, folder = done.err.splitlines()
    assert bad.startswith('in.jsonl:1: The line has no "prompt"')
    assert folder.startswith("No folder is named, so FOLDER stands where it belongs")


def test_one_line_can_be_chosen_and_set_out(shell: Shell) -> None:
    row = {"prompt": "Вопрос?", "model": "gpt://f/m"}
    shell.path("in.jsonl").write_text('{"prompt": "a"}\n\n' + json.dumps(row) + "\n" + "[1]\n")
    done = shell.call("render", "in.jsonl", "--line", 3, "--pretty")
    assert (done.code, done.err) == (0, "")
    assert '\n      "text": "Вопрос?"\n' in done.out
    assert json.loads(done.out)["modelUri"] == "gpt://f/m"
    for line, said in (
        (4, "in.jsonl:4: The line must be a JSON object"),
        (2, "in.jsonl:2: the l"),
    ):
        refused = shell.call("render", "in.jsonl", "--line", line)
        assert (refused.code, refused.out) == (65, "")
        assert said in refused.err
    assert (
        "has no line 5: it ends with line 4" in shell.call("render", "in.jsonl", "--line", 5).err
    )


def test_standard_input_is_read_and_nothing_fit_is_bad_data() -> None:
    good, bad = (
        subprocess.run([PROGRAM, "render", "-"], input=line, capture_output=True, check=False)
        for line in (b'{"prompt": "a"}', b'{"promt": "a"}')
    )
    assert good.returncode == 0
    assert good.stdout.startswith(b'{"modelUri"')
    assert bad.returncode == 65
    assert b"none of its lines is fit to be sent" in bad.stderr
