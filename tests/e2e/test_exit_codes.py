"""Every end has its exit code, one sentence of what happened, and what to do next."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.emulator.model import Config
from tests.e2e.command import FOLDER, Done, Shell
from tests.e2e.hostile import SUBMIT, Hostile, Say, serving
from tests.oracle import check


def said_well(done: Done, code: int) -> bool:
    """Whether it ended with this code and one sentence, not with a traceback."""
    lines = [line for line in done.err.splitlines() if line.startswith("yagpt-batch: ")]
    return done.code == code and len(lines) == 1 and "Traceback" not in done.err


def files_of_a_run(shell: Shell) -> list[str]:
    return [path.name for path in shell.folder.glob("out*")]


@pytest.fixture
def strict() -> Iterator[Hostile]:
    """A service that knows one key."""
    with serving(
        Config(api_keys=frozenset({"the-right-key"}), latency_median=0.05, latency_sigma=0.0)
    ) as hostile:
        yield hostile


def test_without_a_credential_it_says_how_to_get_one(shell: Shell) -> None:
    rows = shell.write_rows(3)
    done = shell.call("run", rows, "-o", "out.jsonl", "--folder-id", FOLDER, YC_API_KEY=None)
    assert said_well(done, 77), done.err
    assert "YC_API_KEY" in done.err
    assert "--emulator" in done.err
    assert files_of_a_run(shell) == []


@pytest.mark.promise("P18")
def test_a_wrong_key_stops_the_run_before_the_second_row(shell: Shell, strict: Hostile) -> None:
    rows = shell.write_rows(12)
    call = ["run", rows, "-o", "out.jsonl", *strict.options, "--log-file", "log"]
    done = shell.call(*call, "-vv", YC_API_KEY="a-wrong-key")
    assert said_well(done, 77), done.err
    assert len(strict.submits) == 1
    assert all("a-wrong-key" not in said for said in (done.err, done.out))
    for path in shell.folder.iterdir():
        assert b"a-wrong-key" not in path.read_bytes(), path
    assert shell.call(*call, YC_API_KEY="the-right-key").code == 0
    check(rows, shell.path("out.jsonl"), strict.ledger())


def test_a_wrong_key_is_refused_by_a_served_emulator(shell: Shell) -> None:
    rows = shell.write_rows(5)
    with shell.emulator("--api-key", "the-right-key") as emulator:
        done = shell.call("run", rows, "-o", "out.jsonl", *emulator.options)
        ledger = emulator.ledger()
    assert said_well(done, 77), done.err
    assert ledger["submits"] == 0
    assert ledger["refused_submits"] == {"401": 1}


@pytest.mark.parametrize(
    "wrong",
    [("--folder-id", "b1gsomebodyelses0000"), ("--model", "yandexgpt-9")],
    ids=["folder", "model"],
)
def test_a_wrong_setting_stops_the_run_before_the_second_row(
    shell: Shell, service: Hostile, wrong: tuple[str, str]
) -> None:
    rows = shell.write_rows(30)
    done = shell.call("run", rows, "-o", "out.jsonl", *service.options, *wrong)
    assert said_well(done, 78), done.err
    assert wrong[1] in done.err
    assert f"{wrong[0]}" in done.err
    assert len(service.submits) == 1


@pytest.mark.promise("P5")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_stops_the_run(
    shell: Shell, service: Hostile, status: int
) -> None:
    service.fault = lambda *_: Say(status, b"", {"location": f"{service.url}/elsewhere"})
    done = shell.call("run", shell.write_rows(3), "-o", "out.jsonl", *service.options)
    assert said_well(done, 78), done.err
    assert [seen.path for seen in service.seen] == [SUBMIT]


def test_without_a_folder_it_asks_for_one(shell: Shell) -> None:
    done = shell.call("run", shell.write_rows(3), "-o", "out.jsonl")
    assert said_well(done, 78), done.err
    assert "--folder-id" in done.err


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("missing.jsonl", None),
        ("empty.jsonl", b""),
        ("blank.jsonl", b"\n  \n\r\n"),
        ("table.jsonl", "имя;вопрос\nмай;что?\n".encode("cp1251")),
        ("text.jsonl", b"one\ntwo\n"),
        ("cut.jsonl.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00"),
        ("no.jsonl.zst", b'{"prompt": "not compressed at all"}\n'),
    ],
)
def test_a_file_that_is_no_input_is_refused_and_leaves_no_files(
    shell: Shell, service: Hostile, name: str, data: bytes | None
) -> None:
    if data is not None:
        shell.path(name).write_bytes(data)
    done = shell.call("run", name, "-o", "out.jsonl", *service.options)
    assert said_well(done, 65), done.err
    assert name in done.err
    assert files_of_a_run(shell) == []
    assert service.submits == []


def test_a_folder_is_no_input(shell: Shell, service: Hostile) -> None:
    shell.path("folder.jsonl").mkdir()
    done = shell.call("run", "folder.jsonl", "-o", "out.jsonl", *service.options)
    assert said_well(done, 65), done.err
    assert files_of_a_run(shell) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("in.jsonl", "-o", "out.jsonl.gz"),
        ("in.jsonl", "-o", "out.zst"),
        ("in.jsonl", "-o", "."),
        ("-", "-o", "out.jsonl"),
        ("in.jsonl",),
        ("in.jsonl", "-o", "out.jsonl", "--rate", "fast"),
        ("in.jsonl", "-o", "out.jsonl", "--patience", "soon"),
        ("in.jsonl", "-o", "out.jsonl", "--template", "no field"),
        ("in.jsonl", "-o", "out.jsonl", "--temperature", "2"),
    ],
    ids=" ".join,
)
def test_bad_usage_is_told_apart(shell: Shell, arguments: tuple[str, ...]) -> None:
    shell.write_rows(2)
    done = shell.call("run", *arguments, "--emulator")
    assert done.code == 2
    assert "yagpt-batch: " in done.err
    assert files_of_a_run(shell) == []


def test_an_unknown_setting_in_the_file_is_refused_with_a_suggestion(shell: Shell) -> None:
    shell.path("yagpt-batch.toml").write_text('max-token = 7\nmodel = "yandexgpt"\n')
    done = shell.call("run", shell.write_rows(2), "-o", "out.jsonl", "--emulator")
    assert done.code == 2
    assert 'yagpt-batch.toml: "max-token" is no setting. Did you mean max-tokens?' in done.err


@pytest.mark.promise("P12")
def test_a_server_that_does_not_listen_ends_past_the_patience_and_can_be_resumed(
    shell: Shell, service: Hostile
) -> None:
    rows = shell.write_rows(12)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{taken.getsockname()[1]}"
        call = ["run", rows, "-o", "out.jsonl", "--folder-id", FOLDER, "--patience", "3s"]
        done = shell.call(*call, "--endpoint", away, seconds=15)
    assert said_well(done, 69), done.err
    assert shell.call(*call, "--endpoint", service.url).code == 0
    story = check(rows, shell.path("out.jsonl"), service.ledger())
    assert {result["submits"] for result in story.results.values()} == {1}
    assert story.doubts == 0


def test_the_patience_is_told_as_it_was_given(shell: Shell) -> None:
    call = ["run", shell.write_rows(1), "-o", "out.jsonl", "--folder-id", FOLDER]
    done = shell.call(*call, "--endpoint", "http://127.0.0.1:9", "--patience", "1s", seconds=15)
    assert done.code == 69
    assert "0.000" not in done.err


@pytest.mark.parametrize("output", ["missing/out.jsonl", "in.jsonl/out.jsonl"])
@pytest.mark.promise("P9")
def test_an_output_that_can_not_be_made_is_trouble_with_storage(
    shell: Shell, service: Hostile, output: str
) -> None:
    done = shell.call("run", shell.write_rows(3), "-o", output, *service.options)
    assert said_well(done, 74), done.err
    assert output in done.err
    assert service.submits == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.promise("P9")
def test_a_folder_without_write_permission_is_trouble_with_storage(
    shell: Shell, service: Hostile
) -> None:
    shell.path("locked").mkdir(mode=0o500)
    done = shell.call("run", shell.write_rows(3), "-o", "locked/out.jsonl", *service.options)
    assert said_well(done, 74), done.err
    assert service.submits == []


def write_wide_rows(shell: Shell, count: int) -> Path:
    """Rows with long answers, so that the output grows faster than the checkpoint."""
    path = shell.path("in.jsonl")
    schema = {"type": "object", "properties": {"a": {"const": "длинно " * 12_000}}}
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            row = {"prompt": f"Row {number}", "max_tokens": 15_000, "json_schema": schema}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


@pytest.mark.parametrize(
    ("kib", "full"),
    [(3, "checkpoint"), (100, "checkpoint"), (1000, "out.jsonl: File too large")],
    ids=lambda value: str(value).partition(":")[0],
)
@pytest.mark.promise("P2")
@pytest.mark.promise("P9")
def test_a_full_disk_stops_the_run_and_with_space_made_nothing_is_lost(
    shell: Shell, service: Hostile, kib: int, full: str
) -> None:
    rows, output = write_wide_rows(shell, 10), shell.path("out.jsonl")
    call = ["run", rows, "-o", output, *service.options, "--raw", "--concurrency", 2]
    limited = ["bash", "-c", f'ulimit -f {kib}; exec "$@"', "bash"]
    done = shell.call(*call, before=limited)
    assert said_well(done, 74), done.err
    assert full in done.err
    again = shell.call(*call)
    assert again.code == 0, again.err
    story = check(rows, output, service.ledger())
    assert story.paid_twice <= story.doubts <= 2
    results = {result["operation_id"] for result in story.results.values()}
    paid = {entry["operation_id"] for entry in service.ledger()["operations"]}
    assert paid - results == done.ids_not_stored, "an operation was lost without a word"
