"""The samples are what their README says."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipeline.codec import decode
from pipeline.input.rows import BadRow, Recipe, Row, is_blank, parse_row
from pipeline.input.template import Template
from tests.oracle import unpacked

SAMPLES = Path(__file__).parent.parent / "samples"
RECIPE = Recipe(model="yandexgpt-lite", folder="b1gexamplefolder0000")
README = (SAMPLES / "README.md").read_text(encoding="utf-8")
INPUTS = sorted({*SAMPLES.glob("*.jsonl*")} - {SAMPLES / "bad.expected.jsonl"})
OPTIONS = {
    *("model", "folder-id", "system", "template", "temperature", "max-tokens", "rate"),
    *("poll-rate", "attempts", "concurrency", "max-in-flight", "budget", "finish-by", "on-doubt"),
    *("on-lost", "patience", "keep", "prices", "auth", "on-finish"),
}


def lines(path: Path) -> list[bytes]:
    data = unpacked(path)
    assert data.endswith(b"\n")
    return data.split(b"\n")[:-1]


def rows(path: Path, recipe: Recipe = RECIPE) -> list[Row | BadRow]:
    numbered = enumerate(lines(path), 1)
    return [parse_row(line, data, recipe) for line, data in numbered if not is_blank(data)]


def recipe_for(name: str) -> Recipe:
    if not name.startswith("shape-fields"):
        return RECIPE
    told = re.search(r"--template '(.+?)'", README)
    assert told
    return Recipe(RECIPE.model, RECIPE.folder, template=Template.parse(told[1]))


def told_rows(name: str) -> int:
    told = re.search(rf"^\|[^|]*`{re.escape(name)}`[^|]*\| (\d+) \|", README, re.MULTILINE)
    assert told, f"samples/README.md has no row for {name}"
    return int(told[1])


def test_the_readme_lists_every_file() -> None:
    files = {path.name for path in SAMPLES.iterdir() if path.name != "README.md"}
    assert files == set(re.findall(r"`([\w.-]+\.(?:jsonl(?:\.gz|\.zst)?|toml))`", README))


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name)
def test_each_file_has_the_rows_that_the_readme_counts(path: Path) -> None:
    assert len(lines(path)) == told_rows(path.name)


@pytest.mark.parametrize(
    "path", [path for path in INPUTS if path.name != "bad.jsonl"], ids=lambda path: path.name
)
def test_every_row_of_a_good_file_can_be_asked(path: Path) -> None:
    read = rows(path, recipe_for(path.name))
    assert [row for row in read if isinstance(row, BadRow)] == []
    assert len({row.id for row in read}) == len(read)


def test_the_compressed_files_hold_the_plain_one() -> None:
    plain = lines(SAMPLES / "shape-prompt.jsonl")
    assert lines(SAMPLES / "shape-prompt.jsonl.gz") == plain
    assert lines(SAMPLES / "shape-prompt.jsonl.zst") == plain


def test_the_prompts_use_both_languages_and_each_setting() -> None:
    fields: list[Any] = [decode(data) for data in lines(SAMPLES / "prompts.jsonl")]
    assert len({row["prompt"] for row in fields}) == len(fields)
    for name in ("id", "system", "temperature", "max_tokens"):
        assert 0 < sum(name in row for row in fields) < len(fields)
    russian = sum(bool(re.search("[а-яё]", row["prompt"], re.IGNORECASE)) for row in fields)
    assert 0.5 < russian / len(fields) < 0.9


def test_each_bad_line_gets_the_code_that_is_written_beside_it() -> None:
    expected: list[Any] = [decode(data) for data in lines(SAMPLES / "bad.expected.jsonl")]
    codes = {line["line"]: line["code"] for line in expected}
    read = rows(SAMPLES / "bad.jsonl")
    found = {row.line: row.code for row in read if isinstance(row, BadRow)}
    repeated = {line: code for line, code in codes.items() if code == "repeated_id"}
    assert found | repeated == codes
    ids = [row.id for row in read]
    assert [line for line, name in enumerate(ids, 1) if name in ids[: line - 1]] == [*repeated]


def test_the_bad_file_begins_and_ends_well() -> None:
    read = rows(SAMPLES / "bad.jsonl")
    assert all(isinstance(row, Row) for row in [*read[:2], read[-1]])


def test_the_settings_file_names_options_of_run() -> None:
    text = (SAMPLES / "yagpt-batch.toml").read_text(encoding="utf-8")
    everything = tomllib.loads(re.sub(r"^# ([a-z-]+ = )", r"\1", text, flags=re.MULTILINE))
    assert set(everything) <= OPTIONS
    assert set(tomllib.loads(text)) < set(everything)
    assert everything["rate"] == ["10/s", "5000/h"]
