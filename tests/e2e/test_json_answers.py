"""Answers that must be JSON, as people ask for them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.codec import Json
from pipeline.input.form import AnyObject, fitting
from tests.e2e.command import UNLIMITED, Shell
from tests.e2e.hostile import Hostile
from tests.oracle import RECIPE, check

SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {"город": {"type": "string"}},
    "required": ["город"],
}


@pytest.fixture
def schema(shell: Shell) -> Path:
    path = shell.path("schema.json")
    path.write_text(json.dumps(SCHEMA, indent=2), encoding="utf-8")
    return path


@pytest.mark.promise("P15")
def test_answers_that_fit_have_data_and_those_that_do_not_are_failures_that_were_paid_for(
    shell: Shell, schema: Path
) -> None:
    rows = shell.write_rows(5)
    faults = ("not-json@1", "misfit@2", "fenced@3")
    with shell.emulator(*(f"--fault={fault}" for fault in faults), "--latency", 0.1) as emulator:
        call = ["run", rows, "-o", "out.jsonl", *emulator.options, "--json-schema", schema]
        done = shell.call(*call, *UNLIMITED, "--concurrency", 1)
        ledger = emulator.ledger()
    assert done.code == 3, done.err
    recipe = replace(RECIPE, form=fitting(SCHEMA))
    story = check(rows, shell.path("out.jsonl"), ledger, recipe=recipe)
    failed = {
        line: (f["error"]["stage"], f["error"]["code"]) for line, f in story.failures.items()
    }
    assert failed == {1: ("answer", "not_json"), 2: ("answer", "schema")}
    assert story.failures[2]["error"]["message"] == 'at $: [null] is not of type "object"'
    assert story.failures[2]["text"] == "[null]"
    assert story.failures[2]["usage"]["total_tokens"] > 0
    assert story.results[3]["text"].startswith("```json\n")
    assert sorted(story.results) == [3, 4, 5]
    assert all(list(result["data"]) == ["город"] for result in story.results.values())


@pytest.mark.promise("P8")
def test_an_object_can_be_asked_for_and_makes_another_run(shell: Shell, service: Hostile) -> None:
    rows = shell.write_rows(1)
    shell.path("yagpt-batch.toml").write_text("json-object = true\n")
    call = ["run", rows, "-o", "out.jsonl", *service.options]
    assert shell.call(*call).code == 0
    assert service.submits[0].json["jsonObject"] is True
    story = check(rows, shell.path("out.jsonl"), recipe=replace(RECIPE, form=AnyObject()))
    assert story.results[1]["data"] == json.loads(story.results[1]["text"])
    shell.path("yagpt-batch.toml").write_text("")
    refused = shell.call(*call)
    assert refused.code == 65
    assert "--json-object was given, is now not given" in refused.err


def test_a_schema_that_is_none_is_refused_before_anything_is_sent(
    shell: Shell, service: Hostile, schema: Path
) -> None:
    rows = shell.write_rows(1)
    call = ["run", rows, "-o", "out.jsonl", *service.options, "--json-schema"]
    both = shell.call(*call, schema, "--json-object")
    schema.write_text('{"type": "objct"}')
    bad, none = shell.call(*call, schema), shell.call(*call, "none.json")
    assert (both.code, bad.code, none.code) == (2, 2, 2)
    assert "give one of them" in both.err
    assert 'at $.type: "objct" is no type' in bad.err
    assert "--json-schema: can't read none.json" in none.err
    assert not service.submits
    assert not shell.path("out.jsonl").exists()
