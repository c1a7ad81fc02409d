"""``yagpt-batch validate`` as people call it."""

import gzip
import json
import subprocess
from pathlib import Path

import pytest

from pipeline.codec import Json
from tests.e2e.command import PROGRAM, Shell, count_lines

SAMPLES = Path(__file__).parent.parent.parent / "samples"


def write(shell: Shell, *rows: object) -> Path:
    path = shell.path("in.jsonl")
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def test_a_bad_line_is_told_with_its_number_and_why(shell: Shell) -> None:
    write(shell, {"prompt": "a"}, {"prompt": "b", "temperature": 7})
    done = shell.call("validate", "in.jsonl", YC_API_KEY=None)
    assert done.code == 65
    assert done.out.splitlines() == [
        'in.jsonl:2: "temperature" must be between 0 and 1, got 7',
        "in.jsonl: 1 of 2 rows can't be sent.",
    ]


def test_a_good_file_is_one_sentence(shell: Shell) -> None:
    rows = [{"prompt": "a", "id": n, "model": "yandexgpt"} for n in range(3)]
    write(shell, *rows, *[{"prompt": "b"}] * 1197)
    done = shell.call("validate", "in.jsonl", YC_API_KEY=None)
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "in.jsonl: 1,200 rows are fit to be sent. Ids of their own: 3, none twice; "
        "models of their own: 3, else yandexgpt-lite.\n"
    )


def test_twenty_bad_lines_are_shown_and_the_others_counted_unless_all_are_asked_for(
    shell: Shell,
) -> None:
    write(shell, {"prompt": "a"}, *[{"promt": n} for n in range(23)], {"prompt": 5})
    some, all_ = shell.call("validate", "in.jsonl"), shell.call("validate", "in.jsonl", "--all")
    *shown, more, last = some.out.splitlines()
    assert [line.partition(": ")[0] for line in shown] == [f"in.jsonl:{n}" for n in range(2, 22)]
    assert (
        more
        == "… and 4 more bad lines (--all shows them); faults of another kind begin in line 25"
    )
    assert last == "in.jsonl: 24 of 25 rows can't be sent."
    assert [line.partition(": ")[0] for line in all_.out.splitlines()[:-1]] == [
        f"in.jsonl:{n}" for n in range(2, 26)
    ]
    assert some.code == all_.code == 65
    assert some.err == all_.err == ""


@pytest.mark.parametrize("form", [[], ["--all"], ["--json"]], ids=["some", "all", "json"])
def test_a_file_of_another_shape_is_told_with_what_it_has(shell: Shell, form: list[str]) -> None:
    write(shell, *[{"promt": "a", "n": n} for n in range(30)])
    told = (
        'in.jsonl: none of the 30 rows looked at can be sent: they have "promt" and "n", where '
        'the prompt is "prompt", "messages" or "request", or made by --template, such as '
        "--template '{promt}'.\n"
    )
    done = shell.call("validate", "in.jsonl", *form)
    assert (done.code, done.err) == (65, told)
    if form:
        return
    guessed = shell.call("estimate", "in.jsonl", "--offline")
    assert (guessed.code, guessed.err.count(told)) == (65, 1)
    ran = shell.call("run", "in.jsonl", "-o", "out.jsonl", "--emulator", "--limit", 4)
    assert (ran.code, ran.err) == (65, f"yagpt-batch: {told.replace('30', '4')}")
    assert list(shell.folder.glob("[!.]*")) == [shell.path("in.jsonl")]
    one = shell.call("run", "in.jsonl", "-o", "out.jsonl", "--emulator", "--limit", 1)
    assert one.code == 65
    assert one.err.startswith(
        'yagpt-batch: in.jsonl:1: The line has no "prompt" and no "messages"'
    )
    assert "--template" in one.err
    assert list(shell.folder.glob("[!.]*")) == [shell.path("in.jsonl")]


def test_a_template_that_no_row_has_the_fields_of_is_told_before_anything_is_written(
    shell: Shell,
) -> None:
    write(shell, {"text": "a", "language": "b"}, {"text": "c", "language": "d"})
    run = ["run", "in.jsonl", "-o", "out.jsonl", "--emulator", "--template"]
    done = shell.call(*run, "{txt} to {language}")
    assert done.code == 65
    assert 'where --template takes "txt" and "language"' in done.err
    assert list(shell.folder.glob("[!.]*")) == [shell.path("in.jsonl")]
    assert shell.call(*run, "{text} to {language}").code == 0


@pytest.mark.parametrize(
    "row", [{"prompt": 5}, {"prompt": ""}, {"messages": []}, {"request": {"messages": []}}]
)
def test_rows_with_a_prompt_that_is_wrong_fail_one_by_one(
    shell: Shell, row: dict[str, Json]
) -> None:
    write(shell, {"promt": "a"}, row, {"promt": "a"})
    done = shell.call("run", "in.jsonl", "-o", "out.jsonl", "--emulator")
    assert done.code == 3, done.err
    assert count_lines(shell.path("out.errors.jsonl")) == 3


@pytest.mark.parametrize("every", [[], ["--all"]], ids=["first", "all"])
def test_machines_get_one_object(shell: Shell, every: list[str]) -> None:
    done = shell.call("validate", SAMPLES / "bad.jsonl", "--json", *every)
    expected = (SAMPLES / "bad.expected.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in expected][: None if every else 20]
    assert [{k: line[k] for k in ("line", "code")} for line in done.json["bad_lines"]] == lines
    assert {k: done.json[k] for k in ("rows", "fit", "bad", "exit")} == {
        "rows": 35,
        "fit": 35 - len(expected),
        "bad": len(expected),
        "exit": 65,
    }
    fit = shell.call("validate", SAMPLES / "prompts.jsonl", "--json").json
    assert fit == {"bad_lines": [], "rows": 40, "fit": 40, "bad": 0, "exit": 0}


def test_an_id_that_comes_again_after_any_number_of_rows_is_found(shell: Shell) -> None:
    ids = [*range(12_000), 11_999]
    write(shell, *[{"prompt": "a", "id": n} for n in ids])
    done = shell.call("validate", "in.jsonl")
    assert done.code == 65
    assert done.out.splitlines()[0] == (
        'in.jsonl:12001: The id "11999" is that of an earlier row: every row needs its own'
    )


def test_standard_input_and_compressed_files_are_read_too(shell: Shell) -> None:
    data = b'{"prompt": "a"}\n\n{"prompt": 1}\n'
    shell.path("in.jsonl.gz").write_bytes(gzip.compress(data))
    assert shell.call("validate", "in.jsonl.gz").out.startswith("in.jsonl.gz:3: ")
    piped = subprocess.run(
        [PROGRAM, "validate", "-"], input=data, capture_output=True, check=False
    )
    assert piped.returncode == 65
    assert piped.stdout.startswith(b'stdin:3: "prompt" must be a string')


def test_what_has_no_rows_or_is_not_there_is_bad_data(shell: Shell) -> None:
    shell.path("in.jsonl").write_text("\n\n")
    empty, none = shell.call("validate", "in.jsonl"), shell.call("validate", "no.jsonl")
    assert (empty.code, none.code) == (65, 65)
    assert "in.jsonl has no rows" in empty.err
    assert "can't read no.jsonl" in none.err


def test_the_options_that_shape_requests_and_the_settings_file_count(shell: Shell) -> None:
    write(shell, {"text": "a"}, {"text": ""}, {"text": "c"}, {"other": "d"})
    shell.path("yagpt-batch.toml").write_text('template = "Say {text}"\nbudget = 5\n')
    done = shell.call("validate", "in.jsonl", "--limit", 3)
    assert done.code == 0, done.out
    full = shell.call("validate", "in.jsonl")
    assert 'in.jsonl:4: The template names the field "text"' in full.out


def test_the_rows_that_are_told_are_those_that_fail_in_a_run(shell: Shell) -> None:
    found = shell.call("validate", SAMPLES / "bad.jsonl", "--json", "--all").json["bad_lines"]
    done = shell.call("run", SAMPLES / "bad.jsonl", "-o", "out.jsonl", "--emulator")
    assert done.code == 3
    errors = [json.loads(line) for line in shell.path("out.errors.jsonl").read_text().splitlines()]
    failed = {e["line"]: (e["error"]["code"], e["error"]["message"]) for e in errors}
    assert {b["line"]: (b["code"], b["message"]) for b in found} == failed


def test_a_reader_that_leaves_early_changes_nothing_but_what_it_sees(shell: Shell) -> None:
    write(shell, *[{"promt": n} for n in range(20_000)])
    done = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", f"{PROGRAM} validate in.jsonl --all | head -n 1"],
        cwd=shell.folder,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.stdout.count("\n") == 1
    assert done.returncode == 65
    assert "Traceback" not in done.stderr
