"""Totals are the sum over what was written, however it was written."""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.api.outcomes import Usage
from pipeline.codec import Json
from pipeline.life.facts import Begin, Cursor, Doubt, Fact, Finish, Move, Replaced, Span
from pipeline.life.item import Doubtful, Forgiven, Gone, Running, Waiting, after
from pipeline.money.prices import Price, PriceList, PriceTable
from pipeline.money.totals import DoubtTally, Sums, Tally, Totals, beside, no_price
from pipeline.store.checkpoint import Checkpoint
from tests.builders import fields

_PRICES = {"lite": Price(Decimal("0.1"), Decimal("0.2")), "pro": Price(Decimal(1), Decimal(2))}
PRICES = PriceTable("RUB", [PriceList("2026-03-03", _PRICES)])


@dataclass(frozen=True, slots=True)
class Row:
    """One finished row, and what led there."""

    model: str | None
    outcome: str
    finish: str
    usage: Usage | None
    doubts: int = 0
    operation: bool = True


def stored(rows: list[Row]) -> Totals:
    """The totals of a checkpoint in which these rows were begun and finished."""
    with TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder) / "checkpoint")
        for line, row in enumerate(rows, start=1):
            checkpoint.record(facts(line, row), {})
        totals = checkpoint.totals("lite")
        checkpoint.close()
    return totals


def facts(line: int, row: Row) -> list[Fact]:
    span, cursor = Span(line * 10, 9, b"12345678"), Cursor(line * 10 + 10, line + 1, line)
    made: list[Fact] = [
        Begin(line, span, cursor, None, row.model, None, 1000, 500, Waiting()),
    ]
    for n in range(row.doubts):
        doubtful = Doubtful(n + 1, n + 1)
        made += [Move(line, doubtful), Doubt(line, float(n))]
        made.append(Move(line, after(doubtful, Forgiven())))
    if row.operation:
        made.append(Move(line, Running(f"op-{line}", 1.0, 1, 1)))
    finish = row.finish if row.outcome == "ok" else None
    made.append(Finish(line, row.outcome, finish, row.usage, Span(line * 20, 19, b"87654321")))
    return made


def shown(totals: Totals) -> dict[str, Json]:
    return totals.to_json(PRICES)


def test_what_a_budget_counts_beside_the_cost_is_told() -> None:
    lines = Tally("ok", "lite", "final", Sums(2, 0, 2000, 1000, 0, 3000), "2026-03-05")
    again = Tally("replaced", "lite", None, Sums(3, 1, 1000, 0, 0, 1000), "2026-03-05")
    unknown = DoubtTally("lite", 1000, 500, 2)
    totals = Totals([lines, again], [], [unknown])
    assert list(beside(totals, PRICES)) == [
        "Not in that cost, but in what --budget counts: 2 superseded operations, 0.10 RUB; "
        "2 operations of unknown usage, at worst 0.40 RUB."
    ]
    cost, exposure = totals.cost(PRICES), totals.exposure(PRICES)
    assert cost is not None
    assert exposure is not None
    assert exposure - cost == Decimal("0.5")
    assert list(beside(Totals([lines], []), PRICES)) == []
    (told,) = beside(Totals([], [], [DoubtTally("new", 1, None, 1)]), PRICES)
    assert told.endswith("counts: 1 operation of unknown usage, at worst an unknown sum of RUB.")


usages = st.builds(Usage, *[st.integers(0, 10**9)] * 4)
rows = st.builds(
    Row,
    st.sampled_from([None, "lite", "pro", "else"]),
    st.sampled_from(["ok", "failed", "held"]),
    st.sampled_from(["final", "truncated", "Новое"]),
    st.none() | usages,
    st.integers(0, 3),
    st.booleans(),
)


@pytest.mark.promise("P15")
@settings(deadline=None, max_examples=60)
@given(st.lists(rows, max_size=12))
def test_totals_are_the_sum_over_all_rows(finished: list[Row]) -> None:
    totals = stored(finished)
    got = shown(totals)
    outcomes = Counter(row.outcome for row in finished)
    assert got["rows"] == len(finished)
    assert got["ok"] == outcomes["ok"]
    assert got["failed"] == outcomes["failed"]
    assert totals.rows("held") == outcomes["held"]
    assert got["usage"] == summed(finished)
    finishes = Counter(row.finish for row in finished if row.outcome == "ok")
    assert got["finish"] == dict(finishes)
    assert got["doubts"] == sum(row.doubts for row in finished)


@pytest.mark.promise("P15")
@settings(deadline=None, max_examples=60)
@given(st.lists(rows, max_size=12))
def test_costs_are_the_sum_over_models_and_unknown_as_soon_as_one_is(finished: list[Row]) -> None:
    got = shown(stored(finished))
    models = {row.model or "lite" for row in finished}
    listed = got["by_model"]
    assert isinstance(listed, list)
    assert [fields(entry)["model"] for entry in listed] == sorted(models)
    whole: Decimal | None = Decimal(0)
    for entry in map(fields, listed):
        own = [row for row in finished if (row.model or "lite") == entry["model"]]
        assert entry["rows"] == len(own)
        assert entry["usage"] == summed(own)
        cost = naive_cost(str(entry["model"]), own)
        assert entry["cost"] is None if cost is None else Decimal(str(entry["cost"])) == cost
        whole = None if whole is None or cost is None else whole + cost
    amount = fields(got["cost"])["amount"]
    assert amount is None if whole is None else Decimal(str(amount)) == whole


def summed(finished: list[Row]) -> dict[str, int]:
    known = [row.usage for row in finished if row.usage is not None]
    return {
        "input_tokens": sum(usage.input_tokens for usage in known),
        "completion_tokens": sum(usage.completion_tokens for usage in known),
        "reasoning_tokens": sum(usage.reasoning_tokens for usage in known),
        "total_tokens": sum(usage.total_tokens for usage in known),
        "unknown": sum(row.operation and row.usage is None for row in finished),
    }


def naive_cost(model: str, finished: list[Row]) -> Decimal | None:
    sums, price = summed(finished), _PRICES.get(model)
    if price is not None:
        return price.of(sums["input_tokens"], sums["completion_tokens"])
    return None if sums["total_tokens"] or sums["unknown"] else Decimal(0)


@pytest.mark.promise("P15")
def test_a_cost_names_its_table_and_currency() -> None:
    totals = Totals([Tally("ok", "pro", "final", Sums(1, 0, 1000, 500, 0, 1500))], [])
    assert shown(totals)["cost"] == {
        "amount": "2.00",
        "currency": "RUB",
        "prices": "2026-03-03",
    }


def test_the_keys_of_the_totals_stand_in_their_order() -> None:
    assert list(shown(Totals([], []))) == [
        *("rows", "ok", "failed", "usage", "cost", "by_model", "doubts", "doubt_cost"),
        *("replaced_usage", "finish"),
    ]


@pytest.mark.promise("P15")
def test_each_day_has_its_own_prices() -> None:
    """A run over the midnight on which prices change."""
    dear = PriceList("2026-03-04", {"pro": Price(Decimal(10), Decimal(20))})
    table = PriceTable("RUB", [*PRICES.lists, dear])
    sums = Sums(1, 0, 1000, 500, 0, 1500)
    days = ["2026-03-03", "2026-03-04", "2026-03-02", None]
    tallies = [Tally("ok", "pro", "final", sums, day) for day in days]
    costs = [tally.cost(table) for tally in tallies]
    assert costs == [Decimal(2), Decimal(20), None, Decimal(20)]
    doubt = DoubtTally("pro", 1000, 500, 1, "2026-03-03")
    got = Totals([tallies[0], tallies[1], tallies[3]], [doubt]).to_json(table)
    assert got["cost"] == {"amount": "42.00", "currency": "RUB", "prices": "2026-03-04"}
    assert got["doubt_cost"] == "2.00"


@pytest.mark.promise("P15")
def test_doubts_are_priced_by_their_day() -> None:
    midnight = 1772485200.0  # 2026-03-03 in Moscow begins
    doubts = [Doubt(1, midnight - 1), Doubt(1, midnight), Doubt(1, midnight)]
    with TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder) / "checkpoint")
        checkpoint.record([facts(1, Row("pro", "ok", "final", None))[0], *doubts], {})
        found = checkpoint.totals("lite").doubts
        checkpoint.close()
    assert {(doubt.day, doubt.count) for doubt in found} == {("2026-03-02", 1), ("2026-03-03", 2)}


@pytest.mark.promise("P15")
def test_models_without_a_price_are_named_where_they_used_something() -> None:
    used, unknown, nothing = Sums(1, 0, 5, 5, 0, 10), Sums(1, 1), Sums(1)
    tallies = [
        Tally("ok", "pro", "final", used),
        Tally("ok", "new", "final", used),
        Tally("failed", "lost", None, unknown),
        Tally("failed", "idle", None, nothing),
        Tally("replaced", "gone", None, unknown),
    ]
    totals = Totals(tallies, [DoubtTally("doubted", 1, 1, 1), DoubtTally("pro", 1, 1, 1)])
    assert totals.unpriced(PRICES) == ["doubted", "gone", "lost", "new"]
    told = no_price(totals.unpriced(PRICES))
    assert told.startswith(
        "No price is known for doubted, gone, lost, new: what was used is counted"
    )
    assert "--prices FILE" in told


def test_nothing_costs_nothing() -> None:
    got = shown(Totals([], []))
    assert fields(got["cost"])["amount"] == "0.00"
    assert got["doubt_cost"] == "0.00"


@pytest.mark.promise("P5")
def test_doubts_cost_their_worst_case_each() -> None:
    doubts = [DoubtTally("pro", 1000, 500, 3), DoubtTally("lite", 1000, 500, 2)]
    totals = Totals([], doubts)
    assert totals.doubt_count == 5
    assert totals.doubt_cost(PRICES) == 3 * Decimal(2) + 2 * Decimal("0.2")


@pytest.mark.promise("P15")
def test_doubts_of_a_model_without_a_price_cost_nobody_knows_what() -> None:
    totals = Totals([], [DoubtTally("pro", 1, 1, 1), DoubtTally("else", 1, 1, 1)])
    assert totals.doubt_cost(PRICES) is None
    assert shown(totals)["doubt_cost"] is None


@pytest.mark.promise("P5")
def test_a_doubt_that_is_forgiven_still_counts_as_one() -> None:
    totals = stored([Row(None, "ok", "final", Usage(1, 1, 0, 2), doubts=2)])
    assert totals.doubt_count == 2


def test_a_row_never_accepted_has_no_unknown_usage() -> None:
    totals = stored([Row(None, "failed", "", None, operation=False)])
    assert fields(shown(totals)["usage"])["unknown"] == 0


def resubmitted() -> Totals:
    """One row whose first operation was lost and whose second one was answered."""
    made = facts(1, Row(None, "ok", "final", Usage(1, 2, 0, 3)))
    gone = Move(1, Gone("op-1", 1, 1))
    with TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder) / "checkpoint")
        checkpoint.record([*made[:-1], gone, Replaced(1), *made[1:]], {})
        totals = checkpoint.totals("lite")
        checkpoint.close()
    return totals


@pytest.mark.promise("P15")
def test_a_row_that_was_paid_twice_is_one_row() -> None:
    got = shown(resubmitted())
    assert got["rows"] == 1
    assert got["usage"] == {
        "input_tokens": 1,
        "completion_tokens": 2,
        "reasoning_tokens": 0,
        "total_tokens": 3,
        "unknown": 0,
    }


@pytest.mark.promise("P15")
def test_usage_that_was_replaced_stands_apart() -> None:
    replaced = fields(shown(resubmitted())["replaced_usage"])
    assert replaced["unknown"] == 1


@pytest.mark.promise("P15")
def test_sums_of_absurd_counts_are_whole_numbers() -> None:
    most = Usage(2**40 - 1, 0, 0, 2**40 - 1)  # what wire.py takes for a count of tokens
    totals = stored([Row(None, "ok", "final", most)] * 3)
    assert fields(shown(totals)["usage"])["input_tokens"] == 3 * (2**40 - 1)
