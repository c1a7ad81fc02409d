"""Which rows are asked, and what their answers tell."""

from collections import Counter
from random import Random

import pytest

from pipeline.errors import BadData
from pipeline.estimate.canary import Canary
from tests.test_census import met, taken


def test_so_many_rows_are_asked_and_none_twice() -> None:
    for count in (30, 100, 299):
        rows = Canary(taken(600), count, {}).rows
        lines = [met.line for met in rows]
        assert lines == sorted(set(lines))
        assert count - 3 <= len(lines) <= count


def test_models_whose_answers_cost_more_are_asked_more() -> None:
    def shares(prices: dict[str, float]) -> Counter[bool]:
        return Counter(met.line % 5 == 0 for met in Canary(taken(600), 100, prices).rows)

    assert shares({"yandexgpt": 6.0, "yandexgpt-lite": 1.0})[True] > 2 * shares({})[True]


def test_all_rows_answer_as_those_that_were_asked() -> None:
    canary = Canary(taken(600), 100, {})
    found = canary.outputs({met.line: 50.0 for met in canary.rows})
    assert found["yandexgpt"].likely == pytest.approx(50 * 120)
    assert found["yandexgpt-lite"].likely == pytest.approx(50 * 480)


def test_answers_that_differ_leave_it_uncertain_even_if_all_rows_were_asked() -> None:
    chance, canary = Random(1), Canary(taken(60), 60, {})  # noqa: S311 - a test's dice
    answers = {met.line: 100 * chance.lognormvariate(0, 0.5) for met in canary.rows}
    found = canary.outputs(answers)
    assert len(answers) == 60
    assert all(found[model].variance > 0 for model in found)


def test_rows_that_were_not_answered_are_taken_to_be_like_the_others() -> None:
    canary = Canary(taken(600), 100, {})
    answered = {met.line: 50.0 for met in canary.rows if met.line % 5}
    found = canary.outputs(answered)
    assert found["yandexgpt"].likely == pytest.approx(50 * 120)


def test_a_canary_that_nobody_answered_tells_nothing() -> None:
    canary = Canary(taken(600), 100, {})
    with pytest.raises(BadData, match="the canary has only 3 answers: that"):
        canary.outputs({met.line: 50.0 for met in canary.rows[:3]})


def test_a_canary_too_small_for_its_kinds_of_rows_says_how_many_it_takes() -> None:
    census = taken(600)
    for number in range(1, 11):
        for line in range(1, 30):
            met(census, 1000 * number + line, model=f"model-{number}")
    with pytest.raises(BadData) as refused:
        Canary(census, 30, {})
    assert "Give --canary 96 or more" in refused.value.told
