"""An input that grows: rows appended after a run was complete are what the same command sends."""

import gzip
import json

import pytest

from tests.e2e.command import Done, Shell
from tests.e2e.hostile import RUDE, Hostile, at_rows
from tests.oracle import Story, check, whole_lines


class Growing:
    """A run whose input is appended to; calls end with 0 unless told."""

    def __init__(self, shell: Shell, service: Hostile, name: str = "in.jsonl") -> None:
        self.shell, self.service = shell, service
        self.rows, self.output = shell.path(name), shell.path("out.jsonl")
        self.count = 0

    def grow(self, rows: int) -> None:
        self.shell.write_rows(rows, self.rows.name, first=self.count + 1)
        self.count += rows

    def run(self, *more: object, code: int = 0) -> Done:
        done = self.shell.call("run", self.rows, "-o", self.output, *self.service.options, *more)
        assert done.code == code, done.err
        return done

    def check(self, limit: int | None = None) -> Story:
        assert sum("totals" in line for line in whole_lines(self.output)) == 1
        return check(self.rows, self.output, limit=limit)


@pytest.fixture
def growing(shell: Shell, service: Hostile) -> Growing:
    return Growing(shell, service)


@pytest.mark.promise("P4")
@pytest.mark.promise("P6")
def test_an_input_can_be_followed_call_by_call(growing: Growing) -> None:
    for _ in range(3):
        growing.grow(4)
        growing.run()
        assert growing.check().totals["rows"] == growing.count
        growing.run()
        assert len(growing.service.submits) == growing.count


@pytest.mark.promise("P1")
@pytest.mark.promise("P6")
def test_a_limit_holds_while_the_input_grows_and_can_be_raised_to_what_was_appended(
    growing: Growing,
) -> None:
    growing.grow(5)
    growing.run("--limit", 3)
    growing.grow(3)
    growing.run("--limit", 3)
    growing.check(limit=3)
    assert len(growing.service.submits) == 3
    growing.run("--limit", 7)
    growing.check(limit=7)
    growing.run()
    assert len(growing.check().results) == len(growing.service.submits) == 8


@pytest.mark.promise("P6")
def test_rows_are_picked_up_after_a_retry_and_none_before_run_is_called(growing: Growing) -> None:
    growing.grow(4)
    with growing.rows.open("a") as file:
        file.write('{"prompt": 5}\n')
    growing.count += 1
    growing.service.fault = at_rows({2: RUDE})
    growing.run(code=3)
    growing.service.fault = lambda *_: None
    growing.grow(3)
    retry = ["retry", growing.output, *growing.service.retry_options]
    assert growing.shell.call(*retry, "--stage", "submit").code == 3
    assert sorted(growing.check(limit=5).results) == [1, 2, 3, 4]
    text = growing.rows.read_text(encoding="utf-8").replace('{"prompt": 5}', '{"prompt": "fünf"}')
    growing.rows.write_text(text, encoding="utf-8")
    assert growing.shell.call(*retry).code == 0
    growing.run()
    assert len(growing.check().results) == growing.count == 8
    # The first four, the one that was refused once more, the one that was mended, the last three.
    assert len(growing.service.submits) == 4 + 1 + 1 + 3


@pytest.mark.promise("P6")
def test_what_was_appended_to_a_run_with_failures_leaves_these_alone(growing: Growing) -> None:
    growing.grow(4)
    growing.service.fault = at_rows({2: RUDE})
    growing.run(code=3)
    growing.grow(2)
    growing.run(code=3)
    story = growing.check()
    assert (sorted(story.results), sorted(story.failures)) == ([1, 3, 4, 5, 6], [2])
    assert len(growing.service.submits) == 6


@pytest.mark.promise("P6")
def test_a_compressed_input_grows_by_another_member(shell: Shell, service: Hostile) -> None:
    growing = Growing(shell, service, "in.jsonl.gz")
    for first in (1, 3):
        rows = "".join(json.dumps({"prompt": str(n)}) + "\n" for n in (first, first + 1))
        with growing.rows.open("ab") as file:
            file.write(gzip.compress(rows.encode()))
        growing.run()
    assert growing.check().totals["rows"] == len(service.submits) == 4


@pytest.mark.promise("P6")
@pytest.mark.parametrize("name", ["in.jsonl", "in.jsonl.gz"])
def test_a_line_that_was_mended_and_is_longer_is_named_with_the_retry_that_sends_it(
    shell: Shell, service: Hostile, name: str
) -> None:
    growing = Growing(shell, service, name)
    lines = [json.dumps({"prompt": str(n)}) for n in range(6)]

    def write(*rows: str) -> None:
        text = "".join(f"{row}\n" for row in rows).encode()
        growing.rows.write_bytes(gzip.compress(text) if name.endswith("gz") else text)

    write(*lines[:3], '{"prompt": "x"', *lines[3:])
    growing.run(code=3)
    write(*lines[:3], '{"prompt": "x"}', *lines[3:])
    told = growing.run(code=65).err
    assert f"{name}:4: the line is not what it was" in told
    change = "unknown" if name.endswith("gz") else "changed"
    assert shell.call("status", growing.output, "--json").json["input_change"] == change
    proof = shell.call("audit", growing.output)
    assert "mended it, `yagpt-batch retry` sends it." in proof.out
    assert shell.call("report", growing.output, "-o", "page.html").code == 0
    page = shell.path("page.html").read_text(encoding="utf-8")
    assert "Finished, 7 of 7 rows done. Its input has changed since: " in page
    call = told.partition("send it with `yagpt-batch ")[2].partition("`")[0]
    assert call == f"retry {growing.output} --stage input"
    assert shell.call(*call.split(), *service.retry_options).code == 0
    assert len(growing.check().results) == 7


@pytest.mark.promise("P6")
def test_an_input_that_a_retry_has_seen_with_other_line_ends_still_grows(shell: Shell) -> None:
    rows, output = shell.path("in.jsonl"), shell.path("out.jsonl")
    rows.write_bytes(b'{"prompt": "one"}\nbad\n{"prompt": "three"}\n')
    call = ["run", rows, "-o", output, "--emulator", "--rate", "none", "--poll-rate", "none"]
    assert shell.call(*call).code == 3
    ended = rows.read_bytes().replace(b"bad", b'{"prompt": "two"}').replace(b"\n", b"\r\n")
    rows.write_bytes(ended)
    assert shell.call("retry", output, "--rate", "none").code == 0
    for more in (b'{"prompt": "four"}', b'\r\n{"prompt": "five"}\r\n'):
        rows.write_bytes(rows.read_bytes() + more)
        assert shell.call(*call).code == 0
    lines = whole_lines(output)[:-1]
    assert sorted(line["line"] for line in lines) == [1, 2, 3, 4, 5]
    assert shell.call("audit", output).code == 0
