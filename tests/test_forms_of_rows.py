"""Answers are held to their rows' forms by whichever process hears them."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.emulator.model import Config, Service
from pipeline.engine.intake import Intake
from pipeline.files.paths import Paths
from pipeline.input.form import Form, fitting
from pipeline.input.rows import Recipe
from pipeline.life.facts import FORMS
from pipeline.settings import Settings
from pipeline.state.board import Stopped
from pipeline.store.checkpoint import Checkpoint
from tests.oracle import check, whole_lines
from tests.simulation import EVENING, simulate

OWN = {"type": "array", "items": {"type": "integer"}}
FORM = fitting({"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]})


def write(path: Path, *, own: bool) -> Path:
    """Rows that bring a schema, and rows that bring none."""
    rows: list[Any] = [{"prompt": f"Вопрос {n}"} for n in range(12)]
    if own:
        rows = [row | ({"json_schema": OWN} if n % 3 == 0 else {}) for n, row in enumerate(rows)]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def settings(form: Form | None) -> Settings:
    return Settings(Recipe("yandexgpt-lite", Config().folder, form=form))


def service() -> Service:
    return Service(Config(latency_median=60.0, latency_sigma=0.1))


@pytest.mark.promise("P1")
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("form", [None, FORM], ids=["none", "form"])
def test_a_process_that_goes_on_knows_what_answers_must_be(
    tmp_path: Path, form: Form | None, own: bool
) -> None:
    rows, output, model = write(tmp_path / "in.jsonl", own=own), tmp_path / "out.jsonl", service()
    outcome, now = simulate(rows, output, settings(form), model, stop_after=20.0)
    assert isinstance(outcome.end, Stopped)
    assert whole_lines(output) == []
    assert len(model.ledger.submits) == 12
    simulate(rows, output, settings(form), model, start=now + 1)
    story = check(rows, output, recipe=settings(form).recipe)
    for line in range(1, 13):
        has_own = own and line % 3 == 1
        expected = [1] if has_own else {"n": 0.5} if form else None
        assert story.results[line].get("data") == expected


def test_the_input_is_not_read_again_where_no_row_says_of_what_form_its_answer_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    forms = Intake.forms

    async def seen(intake: Intake, lines: list[int]) -> dict[int, Form | None]:
        read.extend(lines)
        return await forms(intake, lines)

    monkeypatch.setattr(Intake, "forms", seen)
    for own in (False, True):
        rows = write(tmp_path / f"{own}.jsonl", own=own)
        output, model = tmp_path / f"{own}.out.jsonl", service()
        simulate(rows, output, settings(FORM), model, stop_after=20.0)
        checkpoint = Checkpoint(Paths(output).checkpoint)
        assert checkpoint.meta(FORMS) == ("own" if own else None)
        checkpoint.close()
        simulate(rows, output, settings(FORM), model, start=EVENING + 30)
        assert read == (list(range(1, 13)) if own else [])


@pytest.mark.promise("P15")
def test_an_answer_that_does_not_fit_is_paid_for_and_not_sent_again(tmp_path: Path) -> None:
    impossible = fitting({"not": {}})
    rows, output, model = write(tmp_path / "in.jsonl", own=True), tmp_path / "o.jsonl", service()
    simulate(rows, output, settings(impossible), model)
    story = check(rows, output, recipe=settings(impossible).recipe)
    assert len(story.results) == 4
    assert len(model.ledger.submits) == 12
    assert {f["error"]["stage"] for f in story.failures.values()} == {"answer"}
    for failed in story.failures.values():
        assert failed["error"]["code"] in {"schema", "not_json"}
        assert failed["usage"]["total_tokens"] > 0
        assert failed["operation_id"].startswith("d7q")
        assert failed["text"]
    billed = sum(record.usage.total for record in model.ledger.submits)
    assert story.totals["usage"]["total_tokens"] == billed
