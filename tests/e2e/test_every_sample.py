"""Every sample goes through the embedded emulator, all of them at the same time."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.checks.complaints import SHOWN
from pipeline.input.template import Template
from tests.e2e.command import Running, Shell
from tests.oracle import RECIPE, check, errors_of, whole_lines

SAMPLES = Path(__file__).parent.parent.parent / "samples"
INPUTS = sorted({*SAMPLES.glob("*.jsonl*")} - {SAMPLES / "bad.expected.jsonl"})
FOLDER = "b1gexamplefolder0000"
TEMPLATE = "Translate to {language}: {text}"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Path, Running]]]:
    with ExitStack() as stack:
        started = {}
        for path in INPUTS:
            shell = Shell(tmp_path_factory.mktemp("sample"))
            options = ["--template", TEMPLATE] if path.name.startswith("shape-fields") else []
            call = ["run", path, "-o", "out.jsonl", "--emulator", "--folder-id", FOLDER, *options]
            running = stack.enter_context(shell.started(*call, YC_API_KEY=None))
            started[path.name] = shell.path("out.jsonl"), running
        yield started


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name)
@pytest.mark.promise("P1")
def test_a_sample_is_answered_row_by_row(
    path: Path, runs: dict[str, tuple[Path, Running]]
) -> None:
    output, running = runs[path.name]
    done = running.wait()
    is_bad = path.name == "bad.jsonl"
    assert done.code == (3 if is_bad else 0), done.err
    template = Template.parse(TEMPLATE) if path.name.startswith("shape-fields") else None
    story = check(path, output, recipe=replace(RECIPE, folder=FOLDER, template=template))
    assert all(result["emulator"] for result in story.results.values())
    if not is_bad:
        assert story.failures == {}


def test_the_bad_sample_gets_exactly_the_errors_that_are_written_beside_it(
    runs: dict[str, tuple[Path, Running]],
) -> None:
    output, running = runs["bad.jsonl"]
    done = running.wait()
    expected = whole_lines(SAMPLES / "bad.expected.jsonl")
    failed = whole_lines(errors_of(output))
    found = [{"line": line["line"], "code": line["error"]["code"]} for line in failed]
    assert sorted(found, key=lambda line: line["line"]) == expected
    assert {line["error"]["stage"] for line in failed} == {"input"}
    shown = re.findall(r"bad\.jsonl:(\d+): ", done.err)
    assert shown == [str(line["line"]) for line in expected][:SHOWN]
    assert f"… and {len(expected) - SHOWN} more bad lines" in done.err


def test_a_line_that_is_no_json_comes_back_whole_in_the_errors_file(
    runs: dict[str, tuple[Path, Running]],
) -> None:
    output, running = runs["bad.jsonl"]
    running.wait()
    source = (SAMPLES / "bad.jsonl").read_bytes().split(b"\n")
    failed = {line["line"]: line for line in whole_lines(errors_of(output))}
    assert failed[4]["input"] == source[3].decode()
    assert failed[3]["input"].encode("utf-8", "surrogateescape") == source[2]
    assert failed[8]["input"] == json.loads(source[7])
