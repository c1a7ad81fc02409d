"""Runs with a budget or a deadline, under virtual time."""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.pricing import price_table
from pipeline.day import day_at
from pipeline.emulator.ailments import Ailments
from pipeline.emulator.model import Config, Service
from pipeline.emulator.schedules import Fault
from pipeline.ending.deadline import Deadline
from pipeline.ending.prospect import SET_ASIDE, Eta
from pipeline.engine.retry import Retry
from pipeline.errors import BudgetReached, DeadlineReached
from pipeline.files.paths import Paths
from pipeline.input.rows import Recipe, Row, parse_row
from pipeline.money.prices import Price, PriceList, PriceTable
from pipeline.money.spent import Spent
from pipeline.network.carrier import NoAnswerError, Reply
from pipeline.pacing.rates import Rate
from pipeline.settings import Settings
from pipeline.state.board import Counts
from pipeline.store.retrial import Choice
from pipeline.view.scene import Scene
from tests.builders import NOW
from tests.oracle import check
from tests.simulation import EVENING, Sending, simulate

HOUR = 3600.0
RECIPE = Recipe(model="yandexgpt-lite", folder=Config().folder, max_tokens=60)


def rows(folder: Path, count: int) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"слово {n}"}) + "\n" for n in range(count)))
    return path


def settings(budget: str | None = None, **changes: object) -> Settings:
    limit = None if budget is None else Decimal(budget)
    return replace(Settings(RECIPE, rates=(Rate(5, 1.0),), budget=limit), **changes)  # type: ignore[arg-type]


def answering_one_of(many: int) -> Callable[[Sending], Awaitable[Reply]]:
    """A network that loses the answers to all other POSTs."""
    calls = count(1)

    async def meet(call: Sending) -> Reply:
        reply = await call.onward()
        if call.is_submit and next(calls) % many:
            raise NoAnswerError("ReadTimeout")
        return reply

    return meet


def billed(model: Service) -> Decimal:
    price = price_table(None).find("yandexgpt-lite")
    assert price is not None
    usages = (record.usage for record in model.ledger.submits)
    return sum((price.of(usage.input, usage.completion) for usage in usages), Decimal(0))


@pytest.mark.promise("P15")
def test_a_budget_that_is_reached_ends_the_run_with_what_is_paid_for_fetched(folder: Path) -> None:
    prompts, output = rows(folder, 300), folder / "results.jsonl"
    model = Service(Config(latency_median=20))
    outcome, end = simulate(prompts, output, settings("0.5"), model)
    assert outcome.exit_code == 80
    assert isinstance(outcome.end, BudgetReached)
    assert "larger --budget" in outcome.end.told
    paid = len(model.ledger.submits)
    assert outcome.totals.rows("ok") == paid
    # All but what one row can cost at most is used.
    assert Decimal("0.5") - Decimal("0.05") < billed(model) <= Decimal("0.5")

    outcome, end = simulate(prompts, output, settings("0.5"), model, start=end)
    assert outcome.exit_code == 80
    assert len(model.ledger.submits) == paid
    outcome, _ = simulate(prompts, output, settings("99"), model, start=end)
    assert outcome.exit_code == 0
    assert len(model.ledger.submits) == 300


@pytest.mark.promise("P15")
def test_what_is_in_flight_or_in_doubt_counts_through_restarts(folder: Path) -> None:
    prompts, output = rows(folder, 300), folder / "results.jsonl"
    model, now, codes = Service(Config(latency_median=300)), EVENING, list[int]()
    doubts = list[int]()
    for stop_after in (3.0, 2.0, 4.0, 1.0, None):
        outcome, now = simulate(
            *(prompts, output, settings("0.6"), model),
            start=now,
            stop_after=stop_after,
            meet=answering_one_of(4),
        )
        codes.append(outcome.exit_code)
        doubts.append(outcome.totals.doubt_count)
        assert billed(model) <= Decimal("0.6")
    assert codes == [143, 143, 143, 143, 80]
    assert doubts[-1] > 3


@pytest.mark.parametrize("budget", ["0.02", "0.6"])
def test_the_amount_that_is_named_at_the_end_is_enough(folder: Path, budget: str) -> None:
    prompts, output = rows(folder, 200), folder / "results.jsonl"
    model = Service(Config(latency_median=5))
    first, now = simulate(prompts, output, settings(budget), model)
    assert first.exit_code == 80
    assert isinstance(first.end, BudgetReached)
    (enough,) = re.findall(r"go on: --budget ([\d.]+) is ", first.end.advice)
    likely = "likely to be enough" in first.end.advice
    assert likely == (first.totals.rows() >= 50)
    outcome, _ = simulate(prompts, output, settings(enough), model, start=now)
    assert outcome.exit_code == 0
    assert billed(model) <= Decimal(enough)


def test_what_is_set_aside_is_told_where_it_holds_rows_up(folder: Path) -> None:
    prompts, output = rows(folder, 60), folder / "results.jsonl"
    etas: list[Eta] = []

    class Watching:
        interval = 1.0

        def show(self, scene: Scene) -> None:
            if scene.eta is not None and scene.now > EVENING + 5.0:
                etas.append(scene.eta)

        def close(self) -> None: ...

    model = Service(Config(latency_median=30, latency_sigma=0.1))
    simulate(prompts, output, settings("0.2"), model, view=Watching(), stop_after=25)
    assert {eta.bound_by for eta in etas} == {SET_ASIDE}


@pytest.mark.promise("P15")
def test_operations_under_way_leave_no_room_for_others_after_a_restart(folder: Path) -> None:
    prompts, output = rows(folder, 300), folder / "results.jsonl"
    model, now = Service(Config(latency_median=HOUR, latency_sigma=0)), EVENING
    submitted = []
    for _ in range(3):
        outcome, now = simulate(prompts, output, settings("0.5"), model, start=now, stop_after=60)
        assert outcome.exit_code == 143
        submitted.append(len(model.ledger.submits))
    assert len(set(submitted)) == 1


@pytest.mark.promise("P15")
@pytest.mark.parametrize("ailment", ["no-usage", "fails", "forgotten"])
def test_an_operation_that_never_tells_its_usage_stays_set_aside(
    folder: Path, ailment: str
) -> None:
    prompts, output = rows(folder, 300), folder / "results.jsonl"
    model, now = Service(Config(latency_median=5)), EVENING
    model.suffer(Ailments((Fault.parse(f"{ailment}=0.3"),), 1, EVENING))
    for budget in "0.4", "0.4", "0.8":
        outcome, now = simulate(prompts, output, settings(budget), model, start=now)
        assert outcome.exit_code == 80
        assert billed(model) <= Decimal(budget)
        totals = outcome.totals
        unknown = sum(tally.sums.unknown for tally in totals.tallies)
        assert unknown == sum(most.count for most in totals.unknowns) > 5


@pytest.mark.promise("P1")
@pytest.mark.promise("P15")
def test_a_row_of_a_model_without_a_price_fails_alone(folder: Path) -> None:
    prompts, output = folder / "prompts.jsonl", folder / "results.jsonl"
    lines = [{"prompt": f"слово {n}"} | ({"model": "qwen3"} if n == 30 else {}) for n in range(60)]
    prompts.write_text("".join(json.dumps(line) + "\n" for line in lines))
    model = Service(Config(latency_median=20))
    stopped, now = simulate(*(prompts, output, settings("50"), model), stop_after=8.0)
    outcome, _ = simulate(prompts, output, settings("50"), model, start=now)
    assert (stopped.exit_code, outcome.exit_code) == (143, 3)
    assert (outcome.totals.rows("ok"), outcome.totals.rows("failed")) == (59, 1)
    (failed,) = map(json.loads, Paths(output).errors.read_text().splitlines())
    assert (failed["line"], failed["error"]["code"]) == (31, "no_price")
    assert "--budget" in failed["error"]["message"]
    check(prompts, output, recipe=RECIPE)


@pytest.mark.promise("P15")
@pytest.mark.parametrize("rise", [1, 10])
def test_what_is_in_doubt_may_be_priced_by_a_later_list(folder: Path, rise: int) -> None:
    """The price changes at midnight, between two processes."""
    prompts, output = rows(folder, 300), folder / "results.jsonl"
    midnight = EVENING - EVENING % 86400 + 21 * HOUR
    midnight += 86400 * (midnight <= EVENING)
    today, tomorrow = (
        {"yandexgpt-lite": Price(Decimal(each), Decimal(each), context=32_768)}
        for each in (1, rise)
    )
    lists = [PriceList(day_at(EVENING), today), PriceList(day_at(midnight), tomorrow)]
    table, model = PriceTable("RUB", lists), Service(Config(latency_median=400))
    limit, codes = Decimal(6 * rise), list[int]()
    for start, stop_after in (
        (midnight - 60, 50.0),
        (midnight + 10, 600.0),
        (midnight + 900, None),
    ):
        outcome, _ = simulate(
            *(prompts, output, settings(str(limit)), model),
            start=start,
            stop_after=stop_after,
            meet=answering_one_of(2),
            prices=table,
        )
        # Whatever finished when: nothing can have been billed at more than tomorrow's price.
        used = sum(record.usage.total for record in model.ledger.submits)
        assert Decimal(used) * rise / 1000 <= limit
        codes.append(outcome.exit_code)
    assert codes[-1] == 80


@pytest.mark.promise("P15")
def test_a_row_that_does_not_fit_at_all_ends_it_before_anything_is_sent(folder: Path) -> None:
    model = Service(Config())
    outcome, _ = simulate(rows(folder, 3), folder / "results.jsonl", settings("0.001"), model)
    assert outcome.exit_code == 80
    assert "the next row can cost" in str(outcome.end)
    assert not model.ledger.submits


def test_nothing_is_submitted_that_would_not_be_back_by_the_deadline(folder: Path) -> None:
    prompts, output, said = rows(folder, 2000), folder / "results.jsonl", list[str]()
    model = Service(Config(latency_median=60, latency_sigma=0.2))
    until = EVENING + 300
    paced = settings(finish_by=until)
    outcome, end = simulate(prompts, output, paced, model, say=said.append)
    assert outcome.exit_code == 81
    assert isinstance(outcome.end, DeadlineReached)
    # Nothing is known of latencies at the start.
    told = (
        r"about ([\d,]+) can be submitted by .*, and fewer be back: how long answers take is not"
    )
    (fits,) = re.findall(told, "\n".join(said))
    assert 1490 <= int(fits.replace(",", "")) <= 1506
    last = model.submit_times[-1]
    assert until - 75 < last < until - 50
    assert outcome.totals.rows("ok") == len(model.ledger.submits)
    assert end < until + 120

    outcome, _ = simulate(prompts, output, settings(), model, start=end)
    assert outcome.exit_code == 0


@pytest.mark.parametrize(
    ("limits", "binds"), [({"budget": "1"}, "budget"), ({"finish_by": EVENING + 300}, "finish-by")]
)
def test_the_end_in_sight_is_that_of_the_rows_that_will_be_submitted(
    folder: Path, limits: dict[str, Any], binds: str
) -> None:
    seen: list[tuple[Counts, Eta | None, Spent | None]] = []

    class View:
        interval = 10.0

        def show(self, scene: Scene) -> None:
            seen.append((replace(scene.counts), scene.eta, scene.spent))

        def close(self) -> None: ...

    outcome, end = simulate(
        *(rows(folder, 4000), folder / "results.jsonl", settings(**limits)),
        Service(Config(latency_median=20, latency_sigma=0.1)),
        view=View(),
    )
    assert outcome.exit_code in {80, 81}
    told = [
        (eta, spent)
        for counts, eta, spent in seen
        if counts.ok >= 60 and counts.running and eta is not None
    ]
    assert told
    for eta, spent in told:
        assert eta.bound_by == binds
        assert eta.likely is not None
        # The last rows that a budget pays for wait for what those before them really cost.
        assert abs(eta.likely - end) < 60
        assert eta.earliest is not None
        assert eta.latest is not None
        assert eta.earliest - 30 < end < eta.latest + 30
        assert spent is not None
        assert spent.amount is not None
        assert spent.high is not None


def test_the_end_that_a_budget_makes_stays_while_a_burst_is_in_flight(folder: Path) -> None:
    seen: list[Eta] = []

    class View:
        interval = 10.0

        def show(self, scene: Scene) -> None:
            if scene.eta is not None and scene.eta.likely is not None:
                seen.append(scene.eta)

        def close(self) -> None: ...

    limits = settings("8", rates=(Rate(5, 1.0), Rate(350, 600.0)))
    model = Service(Config(latency_median=20, latency_sigma=0.6, submit_rates=(), poll_rates=()))
    outcome, end = simulate(
        *(rows(folder, 6000), folder / "results.jsonl", limits), model, view=View()
    )
    assert outcome.exit_code == 80
    # At each new window 150 are in flight at once, and nearly none most of the time.
    told = [eta for eta in seen if EVENING + 120 < eta.at < EVENING + 2400]
    likely = [eta.likely for eta in told if eta.likely is not None]
    assert {eta.bound_by for eta in told} == {"budget"}
    assert max(likely) - min(likely) < 60
    assert all((eta.earliest or 0) < end < (eta.latest or 0) + 30 for eta in told)


def test_denied_operations_that_end_last_bind_whatever_the_budget_lets_through(
    folder: Path,
) -> None:
    seen: list[Eta] = []

    class View:
        interval = 5.0

        def show(self, scene: Scene) -> None:
            if scene.eta is not None:
                seen.append(scene.eta)

        def close(self) -> None: ...

    model = Service(Config(latency_median=20, latency_sigma=0.1))
    model.suffer(Ailments((Fault.parse("forgotten@100"),), 1, EVENING))
    outcome, end = simulate(
        *(rows(folder, 4000), folder / "results.jsonl", settings("1")), model, view=View()
    )
    assert outcome.exit_code == 80
    assert end > EVENING + 600
    alone = [eta for eta in seen if eta.denied and eta.likely is None]
    assert len(alone) > 20
    assert {eta.bound_by for eta in alone} == {"denied"}


@pytest.mark.parametrize("in_flight", [None, 5])
def test_a_deadline_passes_while_nothing_can_be_submitted(
    folder: Path, in_flight: int | None
) -> None:
    until = EVENING + 300
    model = Service(Config(latency_median=20, latency_sigma=0.1))

    async def meet(call: Sending) -> Reply:
        if call.is_poll or call.at < EVENING + 100:
            return await call.onward()
        return Reply(503, {}, b"")

    paced = settings(finish_by=until, max_in_flight=in_flight)
    outcome, end = simulate(
        *(rows(folder, 2000), folder / "results.jsonl", paced, model), meet=meet
    )
    assert outcome.exit_code == 81
    assert until - 60 < end < until + 60


def test_a_deadline_that_is_far_away_changes_nothing(folder: Path) -> None:
    prompts, output, said = rows(folder, 50), folder / "results.jsonl", list[str]()
    paced = settings(finish_by=EVENING + HOUR)
    outcome, _ = simulate(prompts, output, paced, Service(Config()), say=said.append)
    assert outcome.exit_code == 0
    (told,) = [words for words in said if "--finish-by" in words]
    assert told.startswith("All 50 rows to submit can be submitted by --finish-by ")
    assert re.search(r" [:0-9]+ \(UTC[-+]\d\d:\d\d\) at these rates;", told)
    assert told.endswith(" at these rates; how long answers take is not known yet.")


def test_a_deadline_that_is_past_at_the_start_is_not_said_to_be_reached(folder: Path) -> None:
    late = settings(finish_by=EVENING - 60)
    night = (rows(folder, 50), folder / "results.jsonl", late, Service(Config()))
    outcome, _ = simulate(*night)
    assert (outcome.exit_code, outcome.use.calls) == (81, 0)
    assert re.fullmatch("--finish-by .* is past: no row was submitted, .*", str(outcome.end))
    soon = replace(late, finish_by=EVENING + 3)
    outcome, _ = simulate(*night[:2], soon, night[3])
    assert outcome.exit_code == 81
    assert "is reached: what was submitted is fetched" in str(outcome.end)


def test_rows_that_are_not_fit_to_be_sent_are_none_that_can_be_in_time(folder: Path) -> None:
    prompts, output, said = rows(folder, 50), folder / "results.jsonl", list[str]()
    text = prompts.read_text()
    prompts.write_text("no JSON\n" + text + "{}\n" * 2)
    paced = settings(finish_by=EVENING + HOUR)
    view = Shown()
    outcome, _ = simulate(*(prompts, output, paced, Service(Config())), say=said.append, view=view)
    assert (outcome.totals.rows("ok"), outcome.totals.rows("failed")) == (50, 3)
    assert any(words.startswith("All 50 rows to submit can be") for words in said)
    assert view.to_pay[0] == 50
    assert view.to_pay[-1] == 0
    retry, view, before = Retry(Choice(), paced.recipe, said.append), Shown(), len(said)
    again = (prompts, output, paced, Service(Config()))
    outcome, _ = simulate(*again, say=said.append, view=view, retry=retry)
    assert (outcome.totals.rows("failed"), outcome.use.calls) == (3, 0)
    assert set(view.to_pay) == {0}
    assert not any("to submit can" in words for words in said[before:])


class Shown:
    """Keeps how many rows were to be paid for."""

    interval = 0.5

    def __init__(self) -> None:
        self.to_pay: list[int | None] = []

    def show(self, scene: Scene) -> None:
        self.to_pay.append(scene.counts.to_pay)

    def close(self) -> None: ...


def test_what_is_told_of_a_deadline_at_the_start_is_what_is_known() -> None:
    def told(fits: tuple[int, int] | None, *, known: bool = True, now: float = NOW - HOUR) -> str:
        return Deadline(NOW).foretold(now, fits, latency_known=known, local=lambda _: "07:30")

    back = "can be back by --finish-by 07:30 at these rates"
    assert told((5, 2000)) == f"Of 2,000 rows to submit, about 5 {back}; the others wait."
    assert told((5, 2000), known=False).startswith("Of 2,000 rows to submit, about 5 can be sub")
    assert told((2000, 2000)) == f"All 2,000 rows to submit {back}."
    assert told((1, 1)) == f"The only row to submit {back}."
    assert told((1, 1), known=False).endswith("how long answers take is not known yet.")
    assert told((0, 0)) == told((0, 0), now=NOW) == ""
    assert told((0, 9)) == "None of 9 rows to submit can be back by --finish-by 07:30."
    for fits in (0, 9), None:
        assert told(fits, now=NOW) == "--finish-by 07:30 is past: no row is submitted."
    assert told(None).startswith("Rows are submitted as long as their answers are likely to be")


@pytest.mark.promise("P15")
@pytest.mark.parametrize("seed", range(12))
def test_a_budget_that_leaves_room_for_the_last_row_ends_no_run_before_it(
    folder: Path, seed: int
) -> None:
    """Not either between an answer and its line, while its cost is not yet what is set aside."""
    prompts, config = rows(folder, 12), Config(latency_median=5, latency_sigma=0.6, seed=seed)
    free = Service(config)
    outcome, _ = simulate(prompts, folder / "free.jsonl", settings(), free)
    assert outcome.exit_code == 0
    first = parse_row(1, prompts.read_bytes().splitlines()[0], RECIPE)
    price = price_table(None).find("yandexgpt-lite")
    assert isinstance(first, Row)
    assert price is not None
    enough = settings(str(billed(free) + price.worst(first.input_bound, first.output_bound)))
    model, now, output = Service(config), EVENING, folder / "results.jsonl"
    for stop_after in (3.0 + seed / 3, 2.0, 2.0, 4.0, None):
        outcome, now = simulate(prompts, output, enough, model, start=now, stop_after=stop_after)
        assert outcome.exit_code in {0, 143}
    assert outcome.exit_code == 0
    assert outcome.totals.doubt_count == 0
