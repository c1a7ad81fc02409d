"""Runs that send the same request once: who is sent, who is answered, and what it comes to."""

import asyncio
import json
import sqlite3
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.checks import preflight
from pipeline.checks.preflight import foretold, look
from pipeline.cli.pricing import price_table
from pipeline.emulator.ailments import Ailments
from pipeline.emulator.api import Api
from pipeline.emulator.model import Config, Service
from pipeline.emulator.schedules import Fault
from pipeline.engine.retry import Retry
from pipeline.engine.twin_lane import TwinLane
from pipeline.errors import BadData, Exit, StorageFailed
from pipeline.files.paths import Paths
from pipeline.files.source import Source
from pipeline.input.rows import Recipe
from pipeline.life.facts import Ask, Cursor, Finish, Instead
from pipeline.life.item import Policy, Twin
from pipeline.network.carrier import NoAnswerError, Reply
from pipeline.pacing.rates import Rate
from pipeline.report.chronicle import Chronicle
from pipeline.results.audit import audit
from pipeline.results.receipts import receipt
from pipeline.settings import Settings
from pipeline.store.recorder import Recorder
from pipeline.store.retrial import Choice
from tests.builders import begun, place, read, refusal
from tests.oracle import Story, check, checkpoint_at, whole_lines
from tests.simulation import EVENING, Sending, simulate

RECIPE = Recipe("yandexgpt-lite", Config().folder, temperature=0.0)
SETTINGS = Settings(RECIPE, rates=(), poll_rates=(), dedupe=True)


def rows_of(folder: Path, *rows: Any) -> Path:
    path = folder / "prompts.jsonl"
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def many(folder: Path, count: int, prompts: int, **more: Any) -> Path:
    return rows_of(folder, *({"prompt": f"q {n % prompts}", **more} for n in range(count)))


def service() -> Service:
    return Service(Config(submit_rates=(), poll_rates=(), latency_median=5))


def carried(
    rows: Path, model: Service, settings: Settings = SETTINGS, **how: Any
) -> tuple[int, float]:
    output = rows.with_name("results.jsonl")
    outcome, end = simulate(rows, output, settings, model, **how)
    return outcome.exit_code, end


def judged(rows: Path, model: Service, settings: Settings = SETTINGS) -> Story:
    ledger = json.loads(Api(model).respond("GET", "/emulator/ledger", {}, b"", EVENING).body)
    return check(rows, rows.with_name("results.jsonl"), ledger, recipe=settings.recipe)


def same_as(story: Story) -> dict[int, int]:
    return {n: one["same_as"]["line"] for n, one in story.results.items() if "same_as" in one}


@pytest.mark.promise("P20")
def test_500_rows_of_50_prompts_take_50_submits_and_all_are_answered(folder: Path) -> None:
    rows, model = many(folder, 500, 50), service()
    assert carried(rows, model)[0] == 0
    story = judged(rows, model)
    assert len(model.ledger.submits) == 50
    assert len(story.results) == 500
    assert same_as(story) == {line: (line - 1) % 50 + 1 for line in range(51, 501)}
    assert story.totals["ok"] == 500


@pytest.mark.parametrize(
    ("temperature", "submits"), [(None, 20), (0.1, 20), (0.0, 2)], ids=["none", "0.1", "0"]
)
@pytest.mark.promise("P20")
def test_only_a_temperature_that_is_given_and_0_lets_one_answer_be_for_many(
    folder: Path, temperature: float | None, submits: int
) -> None:
    rows, model = many(folder, 20, 2), service()
    settings = replace(SETTINGS, recipe=replace(RECIPE, temperature=temperature))
    assert carried(rows, model, settings)[0] == 0
    assert len(model.ledger.submits) == submits
    judged(rows, model, settings)


@pytest.mark.promise("P20")
def test_without_the_option_every_row_is_sent(folder: Path) -> None:
    rows, model = many(folder, 20, 2), service()
    assert carried(rows, model, replace(SETTINGS, dedupe=False))[0] == 0
    assert len(model.ledger.submits) == 20
    with checkpoint_at(folder / "results.jsonl") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)


def test_a_twins_line_is_its_own_but_for_the_answer(folder: Path) -> None:
    uri = f"gpt://{Config().folder}/yandexgpt-lite"
    rows = rows_of(
        folder,
        {"prompt": "a", "id": "one", "city": "Pskov"},
        {"prompt": "a", "id": "two", "city": "Omsk", "model": uri},
    )
    settings = replace(SETTINGS, recipe=replace(RECIPE, keep=("city",)), raw=True)
    model = service()
    assert carried(rows, model, settings)[0] == 0
    one, two = (judged(rows, model, settings).results[line] for line in (1, 2))
    assert (two["id"], two["kept"], two["model"]) == ("two", {"city": "Omsk"}, uri)
    assert two["same_as"] == {"line": 1, "id": "one"}
    assert [two[name] for name in ("usage", "operation_id", "created_at")] == [None] * 3
    assert (two["text"], two["response"]) == (one["text"], one["response"])
    assert one["usage"]["total_tokens"] > 0


@pytest.mark.promise("P15")
def test_a_report_times_the_rows_that_were_sent_alone(folder: Path) -> None:
    rows, model = many(folder, 30, 3), service()
    carried(rows, model)
    chronicle = Chronicle(price_table(None))
    bill = receipt(folder / "results.jsonl", chronicle.see).bill
    assert sum(part.tally.sums.rows for part in bill.parts) == 30
    assert sum(part.tally.sums.unknown for part in bill.parts) == 0
    assert (chronicle.untimed, chronicle.latency.total) == (0, 3)


# The row that is sent has no answer.


def refusing(times: int) -> Callable[[Sending], Any]:
    """Refuses so many submits for good, from the second on."""
    left = times

    async def meet(call: Sending) -> Reply:
        nonlocal left
        if call.is_submit and call.says("bad") and left:
            left -= 1
            return Reply(400, {}, refusal("no"))
        return await call.onward()

    return meet


@pytest.mark.promise("P20")
def test_where_the_row_that_was_sent_fails_the_next_is_sent_and_the_others_wait_for_it(
    folder: Path,
) -> None:
    rows = rows_of(folder, {"prompt": "good"}, *({"prompt": "bad"} for _ in range(6)))
    model = service()
    assert carried(rows, model, meet=refusing(2))[0] == 3
    story = judged(rows, model)
    assert sorted(story.failures) == [2, 3]
    assert same_as(story) == {5: 4, 6: 4, 7: 4}
    assert len(model.ledger.submits) == 2


@pytest.mark.promise("P20")
def test_where_it_is_held_in_doubt_the_next_is_sent(folder: Path) -> None:
    rows = rows_of(folder, {"prompt": "good"}, {"prompt": "bad"}, {"prompt": "bad"})
    lost = 0

    async def meet(call: Sending) -> Reply:
        nonlocal lost
        reply = await call.onward()
        if call.is_submit and call.says("bad") and not lost:
            lost += 1
            raise NoAnswerError("ReadTimeout")
        return reply

    settings = replace(SETTINGS, policy=Policy(resubmit_doubts=False))
    model = service()
    assert carried(rows, model, settings, meet=meet)[0] == 4
    story = judged(rows, model, settings)
    assert (sorted(story.failures), sorted(story.results)) == ([2], [1, 3])
    assert (same_as(story), story.doubts) == ({}, 1)


@pytest.mark.promise("P20")
def test_a_retry_answers_a_failed_row_with_what_another_has_got(folder: Path) -> None:
    rows = rows_of(folder, {"prompt": "good"}, *({"prompt": "bad"} for _ in range(3)))
    model, output = service(), folder / "results.jsonl"
    _, end = carried(rows, model, meet=refusing(1))
    retry = Retry(Choice(), RECIPE, lambda _: None)
    assert carried(rows, model, start=end + 1, retry=retry)[0] == 0
    story = judged(rows, model)
    assert same_as(story) == {2: 3, 4: 3}
    assert len(model.ledger.submits) == 2
    assert whole_lines(Paths(output).errors) == []


@pytest.mark.promise("P20")
def test_a_retry_of_rows_that_all_failed_sends_one_of_them(folder: Path) -> None:
    rows = rows_of(folder, {"prompt": "good"}, *({"prompt": "bad"} for _ in range(3)))
    model = service()
    _, end = carried(rows, model, meet=refusing(3))
    assert len(model.ledger.submits) == 1
    retry = Retry(Choice(), RECIPE, lambda _: None)
    assert carried(rows, model, start=end + 1, retry=retry)[0] == 0
    assert same_as(judged(rows, model)) == {3: 2, 4: 2}


def test_a_row_that_was_mended_asks_what_it_says_now(folder: Path) -> None:
    rows = rows_of(folder, {"prompt": "good"}, {"prompt": "bad"})
    model = service()
    _, end = carried(rows, model, meet=refusing(1))
    rows.write_text(rows.read_text().replace("bad", "good"))
    retry = Retry(Choice(), RECIPE, lambda _: None)
    rows_of(folder, {"prompt": "bad"})
    _, end = carried(rows, model, start=end + 1, retry=retry)
    assert carried(rows, model, start=end + 1)[0] == 0
    story = judged(rows, model)
    assert same_as(story) == {2: 1}
    assert len(story.results) == 3


@pytest.mark.promise("P1")
def test_a_row_with_the_id_of_another_fails_and_no_row_waits_for_it(folder: Path) -> None:
    rows = rows_of(
        *(folder, {"prompt": "a", "id": "x"}, {"prompt": "b", "id": "x"}, {"prompt": "b"}),
        *({"prompt": "a", "id": "x"}, {"prompt": "a"}, {"prompt": 7}),
    )
    model = service()
    assert carried(rows, model)[0] == 3
    story = judged(rows, model)
    assert sorted(story.failures) == [2, 4, 6]
    assert same_as(story) == {5: 1}


# What they count against.


def test_twins_take_no_place_among_operations_in_flight_and_none_in_a_quota(folder: Path) -> None:
    rows, model = many(folder, 400, 4), service()
    settings = replace(SETTINGS, max_in_flight=2, budget=None)
    code, end = carried(rows, model, settings)
    assert code == 0
    assert end - EVENING < 60
    judged(rows, model, settings)


def test_rows_that_are_added_later_have_the_answer_that_is_there(folder: Path) -> None:
    rows, model = many(folder, 10, 2), service()
    _, end = carried(rows, model)
    many(folder, 600, 2)
    assert carried(rows, model, start=end + 1)[0] == 0
    assert len(model.ledger.submits) == 2
    assert len(judged(rows, model).results) == 610


@pytest.mark.promise("P8")
@pytest.mark.parametrize("before", [True, False])
def test_another_value_is_another_run(folder: Path, before: bool) -> None:
    rows, model = many(folder, 3, 2), service()
    carried(rows, model, replace(SETTINGS, dedupe=before))
    with pytest.raises(BadData, match="--dedupe was"):
        carried(rows, model, replace(SETTINGS, dedupe=not before))


@pytest.mark.parametrize("stop_after", [0.03, 2.0, 5.03, 5.1])
def test_a_run_that_is_stopped_goes_on(folder: Path, stop_after: float) -> None:
    rows, model = many(folder, 700, 7), service()
    code, end = carried(rows, model, stop_after=stop_after, disk=0.01)
    assert code == 143
    assert carried(rows, model, start=end + 1, disk=0.01)[0] == 0
    judged(rows, model)
    assert len(model.ledger.submits) == 7


@pytest.mark.promise("P20")
def test_twins_of_a_row_that_is_over_are_answered_at_the_next_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, model = many(folder, 40, 2), service()

    async def dies(*_: object) -> None:
        raise StorageFailed("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(TwinLane, "_settle", dies)
        code, end = carried(rows, model)
    assert code == 74
    assert carried(rows, model, start=end + 1, stop_after=600)[0] == 0
    assert len(judged(rows, model).results) == 40
    assert len(model.ledger.submits) == 2


def test_the_first_look_tells_how_many_rows_ask_the_same(folder: Path) -> None:
    source = Source(many(folder, 30, 10))
    try:
        report = asyncio.run(look(source, RECIPE, Cursor(), None, dedupe=True))
        told = foretold(report, source, SETTINGS, price_table(None))
    finally:
        source.close()
    assert report.outset.rows == 10
    assert told.endswith("Of 30 rows looked at, 20 ask the same as another.")


@pytest.mark.parametrize(("until", "told"), [(3600, "All 250 rows "), (11, "Of 250 rows ")])
def test_what_is_in_time_is_told_of_rows_that_may_need_no_request(
    folder: Path, until: int, told: str
) -> None:
    said: list[str] = []
    paced = replace(SETTINGS, rates=(Rate(10, 1.0),), finish_by=EVENING + until)
    carried(many(folder, 250, 20), service(), paced, say=said.append)
    (sentence,) = [words for words in said if "at these rates" in words]
    assert sentence.startswith(f"{told}to submit (fewer where some ask the same)")


def test_memory_does_not_grow_with_rows_that_wait(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The ids of rows that are looked at before any is sent; a block of the input has few of these.
    monkeypatch.setattr(preflight, "ROWS", 100)

    def most(name: str, count: int) -> int:
        (folder / name).mkdir()
        rows, model = many(folder / name, count, 1, other="x" * 4_000), service()
        tracemalloc.start()
        try:
            assert carried(rows, model)[0] == 0
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    most("warm", 300)
    few, lots = most("few", 1_000), most("many", 3_000)
    assert (lots - few) / 2_000 < 20


# What stands in the checkpoint.


def test_a_row_that_asks_while_the_next_sender_is_being_chosen_waits_with_the_others(
    folder: Path,
) -> None:
    at = place(folder, 4)
    with at.opened(settings=SETTINGS) as files:
        checkpoint = files.checkpoint
        one, two, three, four = read(at.input)
        asks = [Ask(line.number, b"d" * 32) for line in (one, two, three, four)]
        checkpoint.record([begun(one), asks[0], begun(two), asks[1]], {})
        checkpoint.record([Finish(1, "failed", None, None, begun(one).span)], {})
        checkpoint.record([begun(three), asks[2]], {})
        assert checkpoint.states([2, 3]) == {2: Twin(), 3: Twin()}
        (number,) = checkpoint.twins.groups_left()
        assert (
            checkpoint.twins.groups_of_twins([3])
            == [number]
            == checkpoint.twins.groups_of_senders([1])
        )
        checkpoint.record([Instead(2, number)], {})
        checkpoint.record([begun(four), asks[3]], {})
        assert checkpoint.states([4]) == {4: Twin()}
        assert checkpoint.twins.sender_of(4) == 2
        assert checkpoint.twins.groups_left() == []


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM twins WHERE line = 3",
        "UPDATE twins SET same_as = 2 WHERE line = 3",
        "UPDATE twins SET same_as = NULL WHERE line = 3",
        "UPDATE twins SET request = 2 WHERE line = 3",
        "INSERT INTO twins VALUES (2, 1, 1)",
        "INSERT INTO twins VALUES (9, 1, 1)",
        "DELETE FROM requests WHERE line = 1",
        "UPDATE requests SET digest = x'00' WHERE line = 1",
        "UPDATE rows SET operation_id = 'op' WHERE line = 3",
    ],
)
@pytest.mark.promise("P6")
def test_an_audit_finds_a_row_that_has_an_answer_which_is_not_its_own(
    folder: Path, damage: str
) -> None:
    rows, model = many(folder, 4, 2), service()
    carried(rows, model)
    paths = Paths(folder / "results.jsonl")
    assert audit(paths, price_table(None)).findings == []
    with closing(sqlite3.connect(paths.checkpoint)) as db:
        db.execute(damage)
        db.commit()
    assert audit(paths, price_table(None)).findings != []


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM twins WHERE line = 3",
        "UPDATE twins SET request = 'x' WHERE line = 3",
        "UPDATE requests SET line = 'x' WHERE number = 1",
        "UPDATE requests SET line = 99 WHERE number = 1",
        "UPDATE requests SET line = 3 WHERE number = 1",
        "UPDATE rows SET state = 'waiting' WHERE line = 3",
        "DELETE FROM requests",
    ],
)
@pytest.mark.promise("P6")
def test_a_run_does_not_go_on_where_rows_wait_for_what_is_not_there(
    folder: Path, damage: str
) -> None:
    rows, model = many(folder, 4, 2), service()
    assert carried(rows, model, stop_after=1.0)[0] == 143
    with closing(sqlite3.connect(folder / "results.jsonl.checkpoint")) as db:
        db.execute(damage)
        db.commit()
    with pytest.raises(BadData, match="damaged"):
        carried(rows, model)


@pytest.mark.promise("P20")
def test_a_budget_that_is_spent_keeps_no_answer_from_those_who_wait_for_it(folder: Path) -> None:
    rows = many(folder, 600, 1)
    rows_of(folder, *({"prompt": "far too long " * 200 + str(n)} for n in range(2)))
    model = service()
    recipe = replace(RECIPE, max_tokens=50)
    settings = replace(SETTINGS, recipe=recipe, budget=Decimal("0.05"))
    code, _ = carried(rows, model, settings)
    assert code == Exit.BUDGET
    lines = whole_lines(rows.with_name("results.jsonl"))
    assert sum("same_as" in line for line in lines) == 599
    assert len(model.ledger.accepted) == 1


@pytest.mark.parametrize("faults", [(), ("fails@1",)], ids=["well", "one fails"])
@pytest.mark.parametrize(
    ("limit", "code"),
    [({"budget": Decimal("0.05")}, Exit.BUDGET), ({"finish_by": EVENING + 20}, Exit.DEADLINE)],
    ids=["budget", "finish-by"],
)
@pytest.mark.promise("P1")
@pytest.mark.promise("P20")
def test_a_run_whose_end_comes_while_rows_wait_for_others_goes_on_with_all_of_them(
    folder: Path, limit: dict[str, Any], code: Exit, faults: tuple[str, ...]
) -> None:
    rows = many(folder, 60, 20)
    model, recipe = service(), replace(RECIPE, max_tokens=50)
    model.suffer(Ailments(tuple(map(Fault.parse, faults)), 1, EVENING))
    unlimited = replace(SETTINGS, recipe=recipe, rates=(Rate(1, 1.0),))
    ended, end = carried(rows, model, replace(unlimited, **limit))
    sent = len(model.ledger.submits)
    assert (ended, 0 < sent < 20) == (code, True)
    with checkpoint_at(rows.with_name("results.jsonl")) as db:
        ((waiting,),) = db.execute("SELECT count(*) FROM twins WHERE same_as IS NULL").fetchall()
    assert waiting > 20 - sent
    ended, _ = carried(rows, model, unlimited, start=end + 1)
    story = judged(rows, model, unlimited)
    assert ended == (Exit.SOME_FAILED if faults else Exit.OK)
    assert (len(story.results), len(story.failures)) == (60 - len(faults), len(faults))
    assert len(model.ledger.submits) == 20 + len(faults)
    assert len(same_as(story)) == 40 - len(faults)


@pytest.mark.promise("P1")
def test_a_row_that_is_chosen_while_it_is_read_again_is_sent(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for another, whose operation fails before the reader of rows has heard so."""
    rows = rows_of(folder, {"prompt": "good"}, *({"prompt": "bad"} for _ in range(4)))
    model, refused = service(), 0

    async def refuse_first(call: Sending) -> Reply:
        nonlocal refused
        if call.is_submit and call.says("bad") and not refused:
            refused += 1
            return Reply(400, {}, refusal("no"))
        return await call.onward()

    carried(rows, model, meet=refuse_first, stop_after=1.0)
    with checkpoint_at(rows.with_name("results.jsonl")) as db:
        ((third,),) = db.execute("SELECT operation_id FROM rows WHERE line = 3").fetchall()

    async def fail_third(call: Sending) -> Reply:
        reply = await call.onward()
        operation = json.loads(reply.body) if call.is_poll else {}
        if operation.get("id") != third:
            return reply
        operation = {**operation, "done": True, "error": {"code": 13, "message": "internal"}}
        operation.pop("response", None)
        return Reply(200, reply.headers, json.dumps(operation).encode())

    see = Recorder.see

    async def slowly(self: Recorder, look: Any, given: Any) -> Any:
        seen = await see(self, look, given)
        if getattr(look, "__name__", "") == "groups_of_twins":
            await asyncio.sleep(0.5)
        return seen

    monkeypatch.setattr(Recorder, "see", slowly)
    again = Retry(Choice(), RECIPE, lambda _: None)
    how: dict[str, Any] = {"start": EVENING + 100, "meet": fail_third, "stop_after": 3600.0}
    code, _ = carried(rows, model, retry=again, **how)
    assert code == Exit.SOME_FAILED
    assert len(judged(rows, model).results) == 4
