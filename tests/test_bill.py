"""The lines of outputs are summed, whatever they are of; what is no line of ours is told."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.input.rows import Recipe
from pipeline.input.template import Template
from pipeline.money.bill import NO_MODEL, Bill, Fold, Known, Part, Said, bill
from pipeline.money.totals import DoubtTally, Sums, Tally
from tests.lines import TOTALS, USAGE, answer, failed


def folded(*lines: Any, recipe: Recipe | None = None) -> Fold:
    fold = Fold(recipe)
    data = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    fold.begin("out.jsonl")
    fold.take(data)
    return fold


def parts(*lines: Any, recipe: Recipe | None = None) -> list[Part]:
    return list(folded(*lines, recipe=recipe).parts("run's"))


def test_an_answer_is_summed_under_its_model_finish_and_day() -> None:
    due = Tally("ok", "lite", "final", Sums(2, 0, 20, 10, 4, 30), "2026-03-03")
    assert parts(answer(), answer(line=2)) == [Part(due, emulator=False)]


def test_an_answer_without_a_moment_has_no_day() -> None:
    (part,) = parts(answer(finished_at=None, created_at=None))
    assert part.tally.day is None
    (part,) = parts(answer(finished_at=None))
    assert part.tally.day == "2026-03-01"


@pytest.mark.promise("P15")
def test_usage_that_is_not_known_is_counted_as_such() -> None:
    found = {part.tally.outcome: part.tally.sums for part in parts(
        answer(usage=None), failed(operation_id="op"), failed(line=2)
    )}  # fmt: skip
    assert found == {"ok": Sums(1, 1), "failed": Sums(2, 1)}


def test_usage_of_rows_that_failed_counts_and_held_rows_stand_apart() -> None:
    held = failed(error={"stage": "doubt", "code": "c", "message": "m", "request_id": None})
    found = [part.tally for part in parts(failed(usage=USAGE, operation_id="op"), held)]
    assert found == [
        Tally("failed", "run's", None, Sums(1, 0, 10, 5, 2, 15)),
        Tally("held", "run's", None, Sums(1)),
    ]


def test_what_the_emulator_answered_stands_apart() -> None:
    found = parts(answer(emulator=True), answer())
    assert sorted(part.emulator for part in found) == [False, True]


@pytest.mark.parametrize(
    ("row", "model"),
    [
        ({"prompt": "a"}, "run's"),
        ({"prompt": "a", "model": "own"}, "own"),
        ({"modelUri": "gpt://b1g/own", "messages": [{"role": "user", "text": "a"}]}, "gpt://b1g/own"),
        ({"custom_id": "x", "body": {"model": "theirs", "messages": []}}, "run's"),
        ({"status": "failed", "input": {"prompt": "a", "model": "own"}}, "own"),
        ("not JSON, with a \"model\"", "run's"),
        ({"prompt": "a", "model": 5}, "run's"),
        (["model"], "run's"),
    ],
)  # fmt: skip
def test_a_row_that_failed_has_the_model_that_it_asked_for(row: Any, model: str) -> None:
    (part,) = parts(failed(input=row))
    assert part.tally.model == model


def test_with_a_template_a_field_called_model_is_no_model() -> None:
    recipe = Recipe("lite", "b1g", template=Template.parse("{prompt}"))
    (part,) = parts(failed(input={"prompt": "a", "model": "a car"}), recipe=recipe)
    assert part.tally.model == "run's"


def test_lines_of_other_versions_may_lack_what_is_not_needed() -> None:
    (part,) = parts({"usage": {"input_tokens": 1, "completion_tokens": 2}, "new": [1]})
    assert part.tally == Tally("ok", "run's", None, Sums(1, 0, 1, 2, 0, 3))


def test_lone_surrogates_are_no_reason_not_to_count_a_line() -> None:
    line = json.dumps(answer()).replace('"final"', '"\\ud83d"').encode()
    (part,) = parts(line)
    assert part.tally.sums.rows == 1


STRANGE = [
    *(b"x", b"[]", b"null", b"5", b'"text"', b"{}", b'{"line":1}', b"\0\0\0", b"\xff"),
    *(b'{"status":"ok","usage":{"input_tokens":-1,"completion_tokens":1}}', b'{"status":"new"}'),
    *(b'{"status":"ok","usage":{}}', b"[" * 100_000),
]


@pytest.mark.parametrize("line", STRANGE, ids=range(len(STRANGE)))
def test_a_line_that_is_no_result_is_counted_and_told(line: bytes) -> None:
    fold = folded(answer(), line)
    assert (fold.results, fold.unread) == (1, 1)
    assert fold.last_remarks() == ["out.jsonl:2: this line is no result, and is not counted."]


def test_of_many_strange_lines_a_few_are_told() -> None:
    fold = folded(*[b"x"] * 9, b"", b"  \r")
    assert fold.unread == 9
    assert len(fold.last_remarks()) == 4
    assert fold.last_remarks()[-1] == "6 more lines are none either."


def test_a_last_line_without_its_end_counts_if_it_is_whole_and_is_told_if_not() -> None:
    whole, torn = json.dumps(answer()).encode(), json.dumps(answer()).encode()[:-9]
    fold = folded(b"", b"")
    fold.take_torn(whole)
    fold.take_torn(b"")
    assert (fold.results, fold.remarks) == (1, [])
    fold.take_torn(torn)
    assert (fold.results, fold.unread) == (1, 0)
    assert fold.remarks == ["out.jsonl:3: this last line is not whole, and is not counted."]


@pytest.mark.promise("P15")
def test_the_totals_line_is_no_row_but_tells_of_doubts_and_of_the_model() -> None:
    fold = folded(failed(), TOTALS)
    made = bill("out.jsonl", fold, None)
    assert made.aside == Said(3, Decimal("0.98"), "RUB", Sums(0, 2), ("lite",))
    assert [part.tally.model for part in made.parts] == ["lite"]
    assert (fold.results, fold.unread) == (1, 0)


def test_without_totals_and_checkpoint_a_model_may_not_be_known() -> None:
    assert bill("o", folded(failed()), None) == Bill(
        "o", [Part(Tally("failed", NO_MODEL, None, Sums(1)), emulator=False)], None
    )


def test_a_totals_line_of_another_program_tells_nothing() -> None:
    spoilt: list[Any] = [{}, 5, None, TOTALS["totals"] | {"doubt_cost": "x"}]
    for other in ({"totals": totals} for totals in spoilt):
        fold = folded(other)
        assert (fold.said, fold.unread) == (None, 0)


def test_the_checkpoint_knows_better_than_the_totals() -> None:
    known = Known(Recipe("pro", "b1g"), [DoubtTally("pro", 1, 1, 1)], [])
    made = bill("out.jsonl", folded(failed(), TOTALS), known)
    assert made.aside == known
    assert made.parts[0].tally.model == "pro"


lines = st.sampled_from([
    answer(), answer(finish="truncated"), answer(usage=None), answer(model="pro"),
    failed(), failed(usage=USAGE, operation_id="op"), answer(emulator=True),
    answer(finished_at="2026-03-02T20:59:59Z"),
])  # fmt: skip


@pytest.mark.promise("P15")
@given(st.lists(lines, max_size=30), st.data())
def test_sums_do_not_depend_on_the_order_of_lines(some: list[Any], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(some))
    key = lambda part: (part.tally.outcome, part.tally.model, str(part.tally), part.emulator)  # noqa: E731
    assert sorted(parts(*some), key=key) == sorted(parts(*shuffled), key=key)
    assert sum(part.tally.sums.rows for part in parts(*some)) == len(some)


@given(st.binary(max_size=200))
def test_no_line_raises(data: bytes) -> None:
    fold = folded(data, b'{"status":"failed","input":' + data + b"}", b'{"totals":' + data)
    fold.take_torn(data)
    assert fold.results <= 2
