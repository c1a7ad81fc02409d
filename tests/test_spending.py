"""What a run has spent, can have spent and will, as arithmetic."""

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.outcomes import Usage
from pipeline.errors import BadSettings, BudgetReached
from pipeline.money.prices import Price, PriceList, PriceTable
from pipeline.money.spending import Spending
from pipeline.money.spent import Spent
from pipeline.money.totals import DoubtTally, Sums, Tally, Totals
from tests.builders import NOW

NOTHING = Totals([], [])
TODAY, TOMORROW = "2027-01-15", "2027-01-16"


def priced(price: str) -> dict[str, Price]:
    return {"lite": Price(Decimal(price), Decimal(price))}


PRICES = PriceTable("RUB", [PriceList("2026-01-01", priced("1"))])


def spending(
    limit: str | None = "10", totals: Totals = NOTHING, prices: PriceTable = PRICES
) -> Spending:
    return Spending(prices, "lite", totals, None if limit is None else Decimal(limit))


def usage(tokens: int) -> Usage:
    return Usage(tokens, 0, 0, tokens)


@pytest.mark.promise("P15")
def test_what_is_set_aside_is_the_most_until_it_is_known() -> None:
    money = spending()
    worst = money.worst(None, 3000, 2000, NOW)
    assert worst == 5
    money.reserve(1, worst)
    assert money.committed == 5
    assert money.against(Decimal(5)) is None
    assert isinstance(money.against(Decimal("5.01")), BudgetReached)
    money.settle(1, None, usage(700), TODAY)
    assert money.committed == Decimal("0.7")


def test_what_answers_cost_is_told_whenever_a_twentieth_more_is_known() -> None:
    money, told = spending(None), []
    for line in range(1, 301):
        money.settle(line, None, usage(100), TODAY)
        if money.news() is not None:
            told.append(line)
    assert told[:11] == [*range(5, 55, 5), 55]
    assert max(b / a for a, b in pairwise(told[20:])) <= 1.05
    assert len(told) < 50
    later = spending(None)
    later.recall(money.learned())
    assert later.news() is None
    assert later.seen(10).likely == pytest.approx(Decimal(1))


@pytest.mark.promise("P15")
def test_what_was_refused_is_given_back_and_what_is_in_doubt_is_not() -> None:
    money = spending()
    for line in 1, 2, 3:
        money.reserve(line, Decimal(3))
    money.release(1)
    money.keep(2)
    money.settle(3, None, None, None)
    assert money.committed == 6
    for line in 1, 2, 3:
        money.release(line)
    assert money.committed == 6


@pytest.mark.promise("P15")
def test_what_earlier_processes_spent_or_can_have_spent_counts() -> None:
    sums = Sums(2, 1, 1000, 500, 0, 1500)
    totals = Totals(
        [Tally("ok", "lite", "final", sums, TODAY), Tally("replaced", "lite", None, Sums(1, 1))],
        [DoubtTally("lite", 100, 100, 3, TODAY)],
        [DoubtTally("lite", 1000, 1000, 2)],
    )
    assert spending(totals=totals).committed == Decimal("1.5") + Decimal("0.6") + 4


@pytest.mark.promise("P15")
def test_a_price_that_rises_before_the_answer_is_set_aside_for() -> None:
    lists = [PriceList("2026-01-01", priced("1")), PriceList(TOMORROW, priced("3"))]
    money = spending(prices=PriceTable("RUB", lists))
    assert money.worst(None, 1000, 0, NOW) == 3
    lists = [PriceList("2026-01-01", priced("3")), PriceList("2026-02-01", priced("1"))]
    assert spending(prices=PriceTable("RUB", lists)).worst(None, 1000, 0, NOW) == 1


@pytest.mark.promise("P15")
def test_a_budget_without_a_price_is_refused_and_said_how_to_give_one() -> None:
    with pytest.raises(BadSettings, match="no price is known for pro") as raised:
        Spending(PRICES, "pro", NOTHING, Decimal(1))
    assert "--prices" in raised.value.advice
    with pytest.raises(BadSettings, match="no price is known for pro"):
        spending().worst("pro", 1, 1, NOW)
    assert Spending(PRICES, "pro", NOTHING).worst(None, 1, 1, NOW) == 0


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["accepted", "refused", "doubted", "lost", "no usage"]),
        st.integers(1, 2000),
        st.integers(0, 100),
    ),
    max_size=40,
)


@pytest.mark.promise("P15")
@given(EVENTS, st.integers(1, 8))
def test_whatever_happens_no_more_is_billed_than_the_limit(
    events: list[tuple[str, int, int]], at_once: int
) -> None:
    money, billed = spending("5"), Decimal(0)
    under_way: list[tuple[int, str, int]] = []
    for line, (what, bound, share) in enumerate(events):
        worst = money.worst(None, bound, 0, NOW)
        if money.against(worst) is None:
            money.reserve(line, worst)
            used = bound * share // 100
            billed += Decimal(0 if what == "refused" else used) / 1000
            under_way.append((line, what, used))
        while len(under_way) >= at_once:
            ended, how, used = under_way.pop(0)
            match how:
                case "accepted":
                    money.settle(ended, None, usage(used), TODAY)
                case "no usage":
                    money.settle(ended, None, None, TODAY)
                case "refused":
                    money.release(ended)
                case _:
                    money.keep(ended)
        assert billed <= money.committed <= 5


def test_the_end_is_told_once_50_answers_are_in() -> None:
    money = spending(None)
    for line in range(49):
        money.settle(line, None, usage(1000), TODAY)
    assert money.seen(10) == Spent(Decimal(49), "RUB")
    money.settle(49, None, usage(1000), TODAY)
    assert money.seen(10) == Spent(Decimal(50), "RUB", Decimal(60), Decimal(60), Decimal(60))
    assert money.seen(10).phrases() == ["50.00 RUB spent", "in the end 60.00 RUB"]
    assert money.seen(0) == money.seen(None) == Spent(Decimal(50), "RUB")
    assert money.seen(10).unprojected() == Spent(Decimal(50), "RUB")


def half_done(limit: str, most: int = 3) -> Spending:
    """50 rows are answered at 1 RUB each; any could have cost `most`."""
    money = spending(limit)
    for line in range(50):
        money.reserve(line, Decimal(most))
        money.settle(line, None, usage(1000), TODAY)
    return money


def test_what_all_rows_would_cost_is_told_with_the_budget_that_ends_the_run_before() -> None:
    # The last row's worst case must fit, too: 50 + 9 + 3.
    assert half_done("62").seen(10).phrases() == ["50.00 RUB spent", "in the end 60.00 RUB"]
    assert half_done("62").seen(10).sentence() == "In the end: 60.00 RUB."
    short = half_done("61.9").seen(10)
    assert short.phrases() == [
        "50.00 RUB spent",
        "all rows 60.00 RUB",
        "the budget of 61.90 RUB ends it before",
    ]
    assert (
        short.sentence()
        == "All rows would cost 60.00 RUB; the budget of 61.90 RUB ends it before."
    )
    # Rows under way are set aside for with more than they are likely to cost.
    money = half_done("62")
    money.reserve(51, Decimal(3))
    assert money.seen(10).budget is None
    # Who looks from outside has what was noted, and knows of none under way.
    heir = spending("61.9", Totals([Tally("ok", "lite", "final", Sums(50, 0, 50_000), TODAY)], []))
    heir.recall(half_done("61.9").learned())
    assert heir.seen(10) == short


def test_a_budget_that_may_be_enough_is_not_said_to_end_the_run() -> None:
    money = spending("70")
    for line in range(50):
        money.settle(line, None, usage(500 + 1000 * (line % 2)), TODAY)
    seen = money.seen(20)
    assert seen.low is not None
    assert seen.high is not None
    assert seen.low < 70 < seen.high
    assert seen.phrases()[-1] == "the budget of 70.00 RUB may end it before"
    money.limit = Decimal(60)
    assert money.seen(20).phrases()[-1] == "the budget of 60.00 RUB ends it before"
    money.limit = Decimal(80)
    assert money.seen(20).budget is None


def test_what_ends_before_the_last_row_has_no_sum_in_the_end() -> None:
    seen = half_done("62").seen(10).cut()
    assert seen.phrases() == ["50.00 RUB spent", "all rows 60.00 RUB"]
    assert seen.sentence() == "All rows would cost 60.00 RUB."


def test_where_no_answer_makes_room_nothing_is_waited_for() -> None:
    waits = {}
    for limit in ("62", "55.5", "52"):
        money = half_done("80")
        money.reserve(60, Decimal(3))
        money.limit = Decimal(limit)
        waits[limit] = money.is_full
    assert waits == {"62": False, "55.5": True, "52": False}


def test_whoever_is_at_the_end_of_a_budget_is_told_how_much_is_enough() -> None:
    reached = half_done("50").against(Decimal(3), 10)
    assert reached is not None
    assert reached.advice == (
        "Run the same command with a larger --budget to go on: --budget 63.00 is likely to be "
        "enough for all, the 10 rows left and what is spent, by what answers cost so far."
    )
    money = spending("1")
    money.reserve(1, Decimal(1))
    money.keep(1)
    reached = money.against(Decimal("0.501"), 20)
    assert reached is not None
    assert reached.advice.endswith(
        ": --budget 21.00 is enough if none of the 20 rows left can cost more than 1.00 RUB."
    )
    unknown = money.against(Decimal("0.5"))
    assert unknown is not None
    assert unknown.advice == "Run the same command with a larger --budget to go on."


def test_what_is_enough_is_the_sum_of_what_is_told() -> None:
    """158 times 0.07761 would be 12.27, and of what is shown 12.33."""
    money = spending("0.45")
    money.settle(1, None, usage(430), TODAY)
    reached = money.against(Decimal("0.07761"), 158)
    assert reached is not None
    assert "0.43 RUB are spent, or can have been, and the next row can cost 0.078" in str(reached)
    assert Decimal("0.43") + 158 * Decimal("0.078") == Decimal("12.754")
    assert reached.advice.endswith(
        ": --budget 12.76 is enough if none of the 158 rows left can cost more than 0.078 RUB."
    )


def test_the_end_is_an_interval_that_holds_it_19_times_of_20() -> None:
    held = 0
    for seed in range(200):
        money, after = spending(None), Decimal(0)
        draws = [((seed * 7919 + n * 104_729) % 1000) + 1 for n in range(400)]
        for line, tokens in enumerate(draws[:100]):
            money.settle(line, None, usage(tokens), TODAY)
        after = sum(Decimal(tokens) / 1000 for tokens in draws)  # type: ignore[assignment]
        seen = money.seen(300)
        assert seen.low is not None
        assert seen.high is not None
        held += seen.low <= after <= seen.high
    assert held >= 190


def test_what_answers_cost_is_remembered_as_text() -> None:
    money, heir = spending(None), spending(None)
    for line in range(60):
        money.settle(line, None, usage(line), TODAY)
    heir.recall(money.learned())
    assert heir.learned() == money.learned()
    for damaged in None, "", "[]", "{}", '{"count": "x"}':
        heir.recall(damaged)
        assert heir.seen(10).likely is None


def test_what_is_foretold_has_no_more_than_six_places() -> None:
    spent = Spent(Decimal("0.00123456"), "RUB", Decimal(1) / 3, Decimal(2) / 3, Decimal(4))
    assert spent.to_json() == {
        "spent": "0.00123456",
        "currency": "RUB",
        "projected": {"low": "0.333333", "likely": "0.666667", "high": "4.00"},
    }


def test_a_cost_that_is_not_known_is_not_a_number() -> None:
    money = Spending(PRICES, "pro", NOTHING)
    money.settle(1, None, usage(5), TODAY)
    assert money.seen(5) == Spent(None, "RUB")
    assert money.seen(5).phrases() == ["cost unknown"]
    assert money.seen(5).to_json() == {"spent": None, "currency": "RUB", "projected": None}
