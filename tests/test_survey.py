"""How many rows are counted until it is enough."""

from random import Random

import pytest

from pipeline.estimate.census import Group, Met
from pipeline.estimate.survey import Survey, allotted


def group(count: int, size: int = 100, model: str = "m", kept: int | None = None) -> Group:
    rows = [Met(line, b"", size) for line in range(count if kept is None else kept)]
    return Group(model, count, size * count, rows)


def carried(survey: Survey, spread: float, seed: int = 1) -> None:
    """Have counted what the survey draws, each with 100 tokens, but for that deviation."""
    chance = Random(seed)  # noqa: S311 - a test's dice
    while drawn := survey.draw():
        for place, met in drawn:
            survey.hear(place, met, round(100 * chance.lognormvariate(0, spread)))


def test_a_small_input_is_counted_to_its_last_row() -> None:
    survey = Survey([group(30), group(100)], {}, 0.95)
    carried(survey, 0.5)
    assert survey.counted == 130
    assert survey.totals()["m"].is_exact


def test_rows_that_are_all_alike_need_one_draw() -> None:
    survey = Survey([group(100_000), group(100_000)], {}, 0.95)
    carried(survey, 0.0)
    assert survey.counted == 240


def test_more_are_drawn_until_the_interval_is_a_hundredth() -> None:
    survey = Survey([group(100_000), group(50_000)], {}, 0.95)
    carried(survey, 0.15)
    assert 240 < survey.counted <= 2000
    assert survey.totals()["m"].relative(0.95) <= 0.0101


def test_a_very_uneven_input_is_counted_for_some_thousand_rows_and_no_more() -> None:
    survey = Survey([group(100_000)], {}, 0.95)
    carried(survey, 0.8)
    assert survey.counted <= 2001
    assert survey.totals()["m"].relative(0.95) < 0.1


def test_where_that_is_not_within_a_tenth_more_are_counted() -> None:
    survey = Survey([group(100_000)], {}, 0.95)
    carried(survey, 2.2)
    assert survey.counted > 3000


def test_rows_that_are_no_longer_at_hand_end_it() -> None:
    survey = Survey([group(100_000, kept=50)], {}, 0.95)
    carried(survey, 1.0)
    assert survey.counted == 50
    assert not survey.totals()["m"].is_exact


def test_what_costs_more_is_known_better() -> None:
    def relative(prices: dict[str, float]) -> float:
        survey = Survey([group(50_000, model="dear"), group(50_000, model="cheap")], prices, 0.95)
        carried(survey, 0.4)
        return survey.totals()["dear"].relative(0.95)

    assert relative({"dear": 1.0, "cheap": 0.1}) < relative({"dear": 0.1, "cheap": 1.0})


@pytest.mark.parametrize("rows", [10, 11, 50, 299])
def test_no_more_are_allotted_than_asked_for(rows: int) -> None:
    wanted = allotted([group(10), group(200), group(90)], rows, 3, [1.0, 1.0, 5.0])
    assert sum(wanted) <= rows
    assert all(one >= 3 for one in wanted)
    assert wanted[0] <= 10
