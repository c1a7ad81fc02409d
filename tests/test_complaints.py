"""The first bad lines are told by themselves, the others counted, and no fault is passed over."""

from pipeline.checks.complaints import SHOWN, Complaints
from pipeline.codec import encode
from pipeline.input.rows import BadRow, Recipe, Row, parse_row
from pipeline.life.entry import repeated

RECIPE = Recipe("yandexgpt-lite", "b1g")
EMPTY, WRONG, NO_JSON = {"prompt": ""}, {"prompt": 5}, b"{"


def told(*lines: object) -> list[str]:
    found = Complaints()
    for number, line in enumerate(lines, 1):
        row = parse_row(number, line if isinstance(line, bytes) else encode(line), RECIPE)
        if isinstance(row, BadRow):
            found.take(row)
    return list(found.sentences("in.jsonl", " (hint)"))


def test_a_line_stands_with_its_number_behind_the_files_name() -> None:
    assert told({"prompt": "a"}, {"prompt": "b", "temperature": 7}) == [
        'in.jsonl:2: "temperature" must be between 0 and 1, got 7'
    ]


def test_the_first_lines_are_told_by_themselves_and_the_others_counted() -> None:
    assert len(told(*[EMPTY] * SHOWN)) == SHOWN
    *shown, last = told(*[EMPTY] * 1_004)
    assert [line.partition(": ")[0] for line in shown] == [f"in.jsonl:{n}" for n in range(1, 21)]
    assert last == "… and 984 more bad lines (hint)"


def test_where_another_fault_begins_is_told_once() -> None:
    first = [EMPTY] * SHOWN
    assert told(*first, WRONG, EMPTY, WRONG)[-1] == (
        "… and 3 more bad lines (hint); faults of another kind begin in line 21"
    )
    *_, last = told(*first, WRONG, EMPTY, NO_JSON, {"temperature": 1}, {"prompt": "a", "id": ""})
    assert last.endswith("; faults of another kind begin in lines 21, 23 and 24")


def test_lines_that_differ_in_what_was_got_have_the_same_fault() -> None:
    first = [WRONG, NO_JSON, *[EMPTY] * (SHOWN - 2)]
    assert told(*first, {"prompt": [1, 2]}, b'{"prompt": "a')[-1] == (
        "… and 2 more bad lines (hint)"
    )


def test_ids_that_come_again_are_one_fault() -> None:
    found = Complaints()
    for number in range(2, 30):
        row = parse_row(number, encode({"id": number % 2, "prompt": "a"}), RECIPE)
        assert isinstance(row, Row)
        found.take(repeated(row))
    assert list(found.sentences("in.jsonl"))[-1] == "… and 8 more bad lines"
