"""What a report counts of lines: the same in any order, and in memory that does not grow."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import clock
from pipeline.money.bill import Fold
from pipeline.report.chronicle import Chronicle, Trouble
from pipeline.report.shortlist import beginning
from tests.builders import MODEL, price_table
from tests.lines import answer, failed
from tests.strategies import any_json

PRICES = price_table()
_BEGUN = 1_772_400_030


def stamp(second: int) -> str:
    return clock.stamp(_BEGUN + second)


def told(*lines: Any) -> Chronicle:
    """What lines come to, one after another."""
    chronicle = Chronicle(PRICES, MODEL)
    fold = Fold(seen=chronicle.see)
    fold.begin("out.jsonl")
    for line in lines:
        fold.take([line if isinstance(line, bytes) else json.dumps(line).encode()])
    return chronicle


def row(line: int, began: int = 0, took: int = 5, **changes: Any) -> dict[str, Any]:
    times = {"created_at": stamp(began), "finished_at": stamp(began + took)}
    return answer() | {"line": line, "id": f"id-{line}", "model": MODEL} | times | changes


def used(given: int, taken: int) -> dict[str, int]:
    return {"input_tokens": given, "completion_tokens": taken}


def error(stage: str, code: str, message: str) -> dict[str, Any]:
    return {"stage": stage, "code": code, "message": message, "request_id": None}


@st.composite
def any_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows = []
    for line in range(1, draw(st.integers(0, 40)) + 1):
        if draw(st.booleans()):
            tokens = used(draw(st.integers(0, 4)), draw(st.integers(0, 4)))
            took = draw(st.integers(-1, 4))
            rows.append(row(line, draw(st.integers(0, 9)), took, usage=tokens))
        else:
            code = draw(st.sampled_from(["a", "b"]))
            rows.append(failed(line=line, error=error("operation", code, f"words {line}")))
    return rows


@given(any_rows(), st.randoms(use_true_random=False))
def test_the_order_of_lines_makes_no_difference(rows: list[Any], chance: Any) -> None:
    shuffled = list(rows)
    chance.shuffle(shuffled)
    one, other = told(*rows), told(*shuffled)
    for name in ("submitted", "finished", "latency", "troubles", "first", "last", "untimed"):
        assert getattr(one, name) == getattr(other, name), name
    assert one.slowest.rows() == other.slowest.rows()
    assert one.costliest.rows() == other.costliest.rows()


@given(any_rows())
def test_the_slowest_are_those_that_sorting_gives(rows: list[Any]) -> None:
    def took(line: dict[str, Any]) -> int:
        return int(line["finished_at"][-3:-1]) - int(line["created_at"][-3:-1])

    timed = [line for line in rows if line["status"] == "ok" and took(line) >= 0]
    expected = sorted(timed, key=lambda line: (-took(line), line["line"]))[:10]
    found = told(*rows).slowest.rows()
    assert [cited.line for cited in found] == [line["line"] for line in expected]


def test_rows_are_counted_when_they_were_submitted_and_finished() -> None:
    found = told(row(1, 0, 5), row(2, 0, 7), row(3, 2, 5))
    assert found.submitted.counts == {_BEGUN: 2, _BEGUN + 2: 1}
    assert found.finished.counts == {_BEGUN + 5: 1, _BEGUN + 7: 2}
    assert found.latency.counts == {5: 2, 7: 1}
    assert (found.first, found.last, found.untimed) == (_BEGUN, _BEGUN + 7, 0)


@pytest.mark.parametrize("changes", [{"created_at": None}, {"finished_at": "soon"}, {"took": -1}])
def test_answers_without_times_are_counted_as_such(changes: dict[str, Any]) -> None:
    found = told(row(1, **changes), row(2))
    assert (found.untimed, found.submitted.total, found.latency.total) == (1, 1, 1)


def test_the_costliest_are_those_of_the_dearest_models_too() -> None:
    lines = [row(1, usage=used(100, 100)), row(2, usage=used(90, 90), model="yandexgpt")]
    lines += [row(3, usage=used(10**6, 0), model="no price"), failed(line=4, usage=used(300, 0))]
    cited = told(*lines).costliest.rows()
    assert [(found.line, found.model) for found in cited] == [
        (2, "yandexgpt"),
        (4, MODEL),
        (1, MODEL),
    ]
    assert [found.text for found in cited] == ["Ответ", "m", "Ответ"]


def test_failures_are_grouped_with_the_first_row_of_the_input_as_the_example() -> None:
    found = told(
        failed(line=9, id="b", error=error("operation", "INTERNAL", "later")),
        failed(line=2, id="a", error=error("operation", "INTERNAL", "earlier")),
        failed(line=3, error=error("doubt", "unknown", "who knows")),
        failed(line=4, error={}),
    )
    assert found.troubles == {
        ("operation", "INTERNAL"): Trouble(2, 2, "a", "earlier"),
        ("doubt", "unknown"): Trouble(1, 3, "line-1", "who knows"),
        ("?", "?"): Trouble(1, 4, "line-1", ""),
    }


def test_kinds_of_failures_without_end_are_counted_together() -> None:
    lines = [failed(line=n, error=error("s", f"c{n}", "m")) for n in range(1, 700)]
    found = told(*lines, lines[0])
    assert (len(found.troubles), found.other_troubles) == (500, 199)
    assert found.troubles["s", "c1"].count == 2


@given(any_json(["line", "id", "text", "error", "stage", "code", "message"]))
def test_whatever_stands_in_a_line_of_ours_nothing_breaks(value: Any) -> None:
    lines = [failed(error=value if isinstance(value, dict) else {}, id=value, line=value)]
    lines.append(row(1, text=value, id=value) | {"line": value})
    found = told(*lines)
    assert found.latency.total == len(found.slowest.rows()) == 1
    assert sum(trouble.count for trouble in found.troubles.values()) <= 1


def test_what_is_nested_too_deeply_and_what_is_too_large_is_counted_all_the_same() -> None:
    deep = b'{"status":"failed","error":{"stage":"s"},"input":' + b"[" * 5000 + b"]" * 5000 + b"}"
    huge = json.dumps(row(1, usage=used(10**400, 1))).encode()
    found = told(deep, huge, row(2, text="\ud83d"))
    assert found.troubles.keys() <= {("?", "?")}
    assert found.latency.total in {1, 2}


def test_a_beginning_is_one_line_and_short() -> None:
    assert beginning(" Привет,\n\t мир ") == "Привет, мир"
    assert beginning(["a"]) == '["a"]'
    assert beginning("Ж" * 500) == "Ж" * 199 + "…"
    assert beginning("a" + " " * 5000 + "b") == "a…"
    assert len(beginning("слово " * 100_000)) == 200


def test_memory_does_not_grow_with_the_rows() -> None:
    peaks = []
    for count in (6_000, 12_000):
        rows = (row(n, 37 * n % 5_000, n % 700, usage=used(n, n)) for n in range(count))
        lines = [json.dumps(line).encode() for line in rows]
        chronicle = Chronicle(PRICES, MODEL)
        fold = Fold(seen=chronicle.see)
        tracemalloc.start()
        for line in lines:
            fold.take([line])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert chronicle.latency.total == count
    assert peaks[1] < peaks[0] + 150_000
