"""Tables for people: side by side where there is room, else each row with its facts below."""

import pytest

from pipeline.cli.sheet import tabled
from pipeline.terminal.screen import columns_of

ROWS = [
    ["model", "finish", "rows", "tokens in", "out", "reasoning", "RUB"],
    ["yandexgpt-lite", "final", "28", "1,551", "2,479", "0", "0.4030"],
    ["in all", "", "40", "2,245", "2,674", "0", "0.4919"],
]


@pytest.mark.parametrize("width", [None, 80])
def test_where_there_is_room_for_it_a_table_has_all_its_columns(width: int | None) -> None:
    assert tabled(ROWS, 2, width) == [
        "model           finish  rows  tokens in    out  reasoning     RUB",
        "yandexgpt-lite  final     28      1,551  2,479          0  0.4030",
        "in all                    40      2,245  2,674          0  0.4919",
    ]


def test_where_there_is_less_it_has_those_that_say_something() -> None:
    assert tabled(ROWS, 2, 55) == [
        "model           finish  rows  tokens in    out     RUB",
        "yandexgpt-lite  final     28      1,551  2,479  0.4030",
        "in all                    40      2,245  2,674  0.4919",
    ]


def test_where_there_is_none_each_row_has_its_facts_below_it() -> None:
    assert tabled(ROWS, 2, 39) == [
        "yandexgpt-lite, final",
        "  rows 28 · tokens in 1,551 · out 2,479",
        "  RUB 0.4030",
        "in all",
        "  rows 40 · tokens in 2,245 · out 2,674",
        "  RUB 0.4919",
    ]


@pytest.mark.parametrize("width", range(10, 90))
def test_no_line_is_too_wide(width: int) -> None:
    assert all(columns_of(line) <= width for line in tabled(ROWS, 2, width))


def test_a_table_without_rows_is_its_head() -> None:
    assert tabled(ROWS[:1], 2, 80) == ["  ".join(ROWS[0])]
