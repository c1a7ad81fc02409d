"""What is wrong with lines is told once for all that are bad alike."""

from pipeline.codec import encode
from pipeline.complaints import SHOWN, Complaints
from pipeline.entry import repeated
from pipeline.rows import BadRow, Recipe, Row, parse_row

RECIPE = Recipe("yandexgpt-lite", "b1g")


def complaints(*lines: object) -> Complaints:
    found = Complaints()
    for number, line in enumerate(lines, 1):
        row = parse_row(number, line if isinstance(line, bytes) else encode(line), RECIPE)
        if isinstance(row, BadRow):
            found.take(row)
    return found


def told(*lines: object) -> list[str]:
    return list(complaints(*lines).sentences("in.jsonl"))


def test_a_line_alone_stands_with_its_number_behind_the_files_name() -> None:
    assert told({"prompt": "a"}, {"prompt": "b", "temperature": 7}) == [
        'in.jsonl:2: "temperature" must be between 0 and 1, got 7'
    ]


def test_lines_with_the_same_fault_are_one_sentence() -> None:
    bad, good = {"prompt": ""}, {"prompt": "a"}
    why = '"prompt" is empty: there is nothing to send'
    assert told(bad, good, bad) == [f"in.jsonl: lines 1 and 3: {why}"]
    assert told(bad, bad, good, bad) == [f"in.jsonl: lines 1, 2 and 4: {why}"]
    assert told(*[bad] * 1_004) == [f"in.jsonl: lines 1, 2, 3 and 1,001 more: {why}"]


def test_where_only_what_was_got_differs_the_first_lines_words_stand_for_all() -> None:
    why = '"prompt" must be a string, got 5'
    assert told({"prompt": 5}, {"prompt": [1, 2]}) == [
        f"in.jsonl: lines 1 and 2, the first of them: {why}"
    ]
    assert told({"prompt": 5}, {"prompt": 5}) == [f"in.jsonl: lines 1 and 2: {why}"]
    assert len(told(b'{"prompt": "a', b"{", b"nothing")) == 1
    assert len(told({"a": 1}, {"b (c)": 1})) == 1


def test_ids_that_come_again_are_one_fault() -> None:
    found = Complaints()
    for number in range(2, 7):
        row = parse_row(number, encode({"id": number % 2, "prompt": "a"}), RECIPE)
        assert isinstance(row, Row)
        found.take(repeated(row))
    (sentence,) = found.sentences("in.jsonl")
    assert sentence.startswith("in.jsonl: lines 2, 3, 4 and 2 more, the first of them: The id")


def test_twenty_different_faults_are_shown_and_the_lines_of_others_counted() -> None:
    first = [{"prompt": "a", "messages": []}] * 30
    others = [{"messages": [{"role": "user", "text": "a"}] * n + [{}]} for n in range(25)]
    shown = told(*first, *others, *others)
    assert len(shown) == SHOWN + 1
    assert len({line.partition(": ")[2] for line in shown}) == SHOWN + 1
    assert shown[-1] == "… and 12 more bad lines"
    found = complaints(*first, *others, *others)
    assert list(found.sentences("in", " (hint)"))[-1] == "… and 12 more bad lines (hint)"
    assert found.bad == 80
