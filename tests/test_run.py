"""Whole runs under virtual time in which something goes wrong: how each ends, and what is on disk.

Quiet nights are told in `test_night`, hosts that are away in `test_outages`.
"""

import asyncio
import errno
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipeline.auth.credentials import Credential
from pipeline.cli.pricing import price_table
from pipeline.clock import Clock
from pipeline.codec import encode
from pipeline.emulator.model import Config, Service
from pipeline.engine.course import Course
from pipeline.errors import BadData, Displaced, StorageFailed, Unreachable
from pipeline.files.paths import Paths
from pipeline.input.rows import Recipe
from pipeline.life.facts import End
from pipeline.life.item import Doubtful, Intended, Policy, Running, State
from pipeline.network.carrier import NoAnswerError, Reply, UndecodableError
from pipeline.operations.polling import Asking
from pipeline.outside.snapshot import Snapshot, looked_at
from pipeline.pacing.rates import Rate
from pipeline.settings import Settings
from pipeline.state.board import Complete, Stopped
from pipeline.state.departure import Departure
from pipeline.store.checkpoint import Checkpoint
from pipeline.view.scene import Scene
from tests import oracle
from tests.builders import refusal
from tests.simulation import EVENING, ModelCarrier, Sending, black_hole, simulate

HOUR = 3600.0
DAY = 24 * HOUR
RECIPE = Recipe("yandexgpt-lite", Config().folder)
SETTINGS = Settings(RECIPE)
FAILED = Reply(500, {}, refusal("boom", 13))


def steady(seconds: float = 10.0) -> Service:
    """A service all of whose operations take the same time."""
    return Service(Config(latency_median=seconds, latency_sigma=0))


def rows(folder: Path, count: int, **more: str) -> Path:
    """An input; `more` stands in every row."""
    path = folder / "prompts.jsonl"
    path.write_text(
        "".join(json.dumps({"prompt": f"row {n}."} | more) + "\n" for n in range(1, count + 1))
    )
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    """The lines of rows of the output or errors file; none if it is not there."""
    text = path.read_text() if path.exists() else ""
    return [line for line in map(json.loads, text.splitlines()) if "line" in line]


def errors(output: Path) -> dict[int, dict[str, Any]]:
    return {line["line"]: line["error"] for line in lines(Paths(output).errors)}


def numbers(output: Path) -> Counter[int]:
    both = lines(output) + lines(Paths(output).errors)
    return Counter(line["line"] for line in both)


def each_once(count: int) -> dict[int, int]:
    return dict.fromkeys(range(1, count + 1), 1)


def pending(output: Path) -> dict[int, State | None]:
    checkpoint = Checkpoint(Paths(output).checkpoint)
    found = {row.line: row.state for row in checkpoint.pending()}
    checkpoint.close()
    return found


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl"


# A bug ends a run in order.


@pytest.mark.promise("P4")
def test_an_exception_nobody_foresaw_is_raised_once_every_id_in_flight_is_recorded(
    tmp_path: Path, output: Path
) -> None:
    model = steady()

    async def meet(call: Sending) -> Reply:
        if call.is_poll:
            raise ZeroDivisionError("a bug")
        if call.is_submit and not call.says("row 1."):
            reply = await call.onward()
            await asyncio.sleep(8)
            return reply
        return await call.onward()

    with pytest.raises(ZeroDivisionError, match="a bug"):
        simulate(rows(tmp_path, 30), output, SETTINGS, model, meet=meet)

    accepted = set(model.ledger.accepted)
    assert len(accepted) > 1
    states = pending(output).values()
    assert {s.operation_id for s in states if isinstance(s, Running)} == accepted

    outcome, _ = simulate(rows(tmp_path, 30), output, SETTINGS, model, start=EVENING + 60)
    assert outcome.exit_code == 0
    assert numbers(output) == each_once(30)
    assert len(model.ledger.accepted) == 30


# What is on disk before a call leaves.


@pytest.mark.promise("P3")
@pytest.mark.promise("P4")
def test_however_slow_the_disk_nothing_is_asked_of_the_service_that_is_not_there(
    tmp_path: Path, output: Path
) -> None:
    async def meet(call: Sending) -> Reply:
        known = oracle.known(output)
        if call.is_submit:
            assert call.headers["x-client-request-id"] in known.announced
        if call.is_poll:
            assert call.operation_id in known.ids.values()
        return await call.onward()

    outcome, _ = simulate(rows(tmp_path, 12), output, SETTINGS, steady(1), meet=meet, disk=5.0)
    assert outcome.exit_code == 0
    assert numbers(output) == each_once(12)


# Operations that can't be fetched, among others that can.


def poisoned(model: Service, count: int) -> set[str]:
    """The operations of the first rows accepted."""
    return set(list(model.ledger.accepted)[:count])


@pytest.mark.promise("P12")
def test_one_operation_that_can_t_be_fetched_is_no_outage_while_others_run(
    tmp_path: Path, output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = steady(90)

    async def meet(call: Sending) -> Reply:
        if call.is_poll and call.operation_id in poisoned(model, 1) and call.at < EVENING + 500:
            return FAILED
        return await call.onward()

    settings = Settings(RECIPE, rates=(Rate(10, 60.0),))
    outcome, end = simulate(rows(tmp_path, 100), output, settings, model, meet=meet)
    assert outcome.exit_code == 0
    assert "can't be reached" not in caplog.text
    assert end - EVENING < 600 + 60


@pytest.mark.promise("P12")
@pytest.mark.promise("P17")
def test_the_last_operation_that_can_t_be_fetched_ends_the_run_when_patience_does(
    tmp_path: Path, output: Path
) -> None:
    """Alone it can't be told from a host that is away."""
    model = steady()

    async def meet(call: Sending) -> Reply:
        return FAILED if call.operation_id in poisoned(model, 1) else await call.onward()

    settings = Settings(RECIPE, patience=600)
    outcome, end = simulate(rows(tmp_path, 5), output, settings, model, meet=meet)
    assert isinstance(outcome.end, Unreachable)
    assert 600 <= end - EVENING < 600 + 120
    assert sorted(numbers(output)) == [2, 3, 4, 5]
    assert set(pending(output)) == {1}


@pytest.mark.promise("P12")
@pytest.mark.promise("P17")
def test_five_operations_that_can_t_be_fetched_hold_up_nobody_and_end_within_patience(
    tmp_path: Path, output: Path
) -> None:
    model, fetched = steady(), dict[str, float]()

    async def meet(call: Sending) -> Reply:
        if call.is_poll and call.operation_id in poisoned(model, 5):
            return FAILED
        reply = await call.onward()
        if call.is_poll and b'"response"' in reply.body:
            fetched[call.operation_id] = call.at - EVENING
        return reply

    settings = Settings(RECIPE, patience=600)
    outcome, end = simulate(rows(tmp_path, 30), output, settings, model, meet=meet)

    assert len(fetched) == 25
    # At worst each of the five is probed once before one that answers: 5, 10, 20, 40, 50 s.
    assert max(fetched.values()) < 5 + 10 + 20 + 40 + 50 + 10
    assert isinstance(outcome.end, Unreachable)
    assert end - EVENING < 135 + 600 + 60
    assert {line["operation_id"] for line in lines(output)} == set(fetched)
    assert len(numbers(output)) == 25


def only_others_are_fetched(model: Service) -> Callable[[Sending], Awaitable[Reply]]:
    """The first 5 operations draw a 500 for ever."""

    async def meet(call: Sending) -> Reply:
        if call.is_poll and call.operation_id in poisoned(model, 5):
            return FAILED
        return await call.onward()

    return meet


@pytest.mark.promise("P4")
@pytest.mark.promise("P17")
def test_operations_past_retention_that_can_t_be_fetched_for_a_day_among_others_are_given_up(
    tmp_path: Path, output: Path
) -> None:
    model = steady(900)
    meet, late = only_others_are_fetched(model), EVENING + 5 * DAY
    simulate(rows(tmp_path, 5), output, SETTINGS, model, stop_after=60, meet=meet)
    assert len(model.ledger.accepted) == 5

    # One more row every 10 minutes for more than a day: others always run.
    settings = Settings(RECIPE, rates=(Rate(1, 600.0),))
    outcome, end = simulate(*(rows(tmp_path, 160), output, settings, model), start=late, meet=meet)
    assert outcome.exit_code == 3
    assert end - late > DAY
    assert errors(output) == {
        line: {"stage": "operation", "code": "INTERNAL", "message": "boom", "request_id": None}
        for line in range(1, 6)
    }
    assert numbers(output) == each_once(160)
    assert len(model.ledger.accepted) == 160


@pytest.mark.promise("P17")
def test_operations_past_retention_that_can_t_be_fetched_for_a_day_by_themselves_are_given_up(
    tmp_path: Path, output: Path
) -> None:
    model, path = steady(900), rows(tmp_path, 5)
    meet = only_others_are_fetched(model)
    simulate(path, output, SETTINGS, model, stop_after=60, meet=meet)
    settings = Settings(RECIPE, patience=3 * DAY)
    late = EVENING + 5 * DAY
    outcome, _ = simulate(path, output, settings, model, start=late, meet=meet)
    assert outcome.exit_code == 3
    assert set(errors(output)) == {1, 2, 3, 4, 5}


@pytest.mark.promise("P12")
@pytest.mark.promise("P14")
def test_a_resume_four_days_later_into_an_outage_fails_no_row(
    tmp_path: Path, output: Path
) -> None:
    model = steady()
    simulate(rows(tmp_path, 30), output, SETTINGS, model, stop_after=4)
    late = EVENING + 4 * DAY + HOUR

    async def meet(call: Sending) -> Reply:
        return FAILED if call.at < late + 300 else await call.onward()

    outcome, _ = simulate(rows(tmp_path, 30), output, SETTINGS, model, start=late, meet=meet)
    assert outcome.exit_code == 0
    assert errors(output) == {}
    assert len(model.ledger.accepted) == 60


def test_an_answer_to_a_poll_that_can_t_be_decoded_is_its_row_s_failure_and_no_outage(
    tmp_path: Path, output: Path
) -> None:
    model, asked = steady(), Counter[str]()

    async def meet(call: Sending) -> Reply:
        if call.is_poll and call.operation_id in poisoned(model, 6):
            asked[call.operation_id] += 1
            raise UndecodableError("DecodingError: incorrect header check")
        return await call.onward()

    outcome, end = simulate(rows(tmp_path, 20), output, SETTINGS, model, meet=meet)
    assert outcome.exit_code == 3
    assert set(asked.values()) == {5}
    assert {e["code"] for e in errors(output).values()} == {"undecodable"}
    assert len(errors(output)) == 6
    assert end - EVENING < 300


@pytest.mark.promise("P5")
def test_an_answer_to_a_submit_that_can_t_be_decoded_is_a_doubt_and_no_outage(
    tmp_path: Path, output: Path
) -> None:
    seen = Counter[bytes]()

    async def meet(call: Sending) -> Reply:
        seen[call.body] += call.is_submit
        reply = await call.onward()
        if call.is_submit and seen[call.body] == 1 and not call.says("row 1."):
            raise UndecodableError("DecodingError: incorrect header check")
        return reply

    outcome, end = simulate(rows(tmp_path, 20), output, SETTINGS, steady(), meet=meet)
    assert outcome.exit_code == 0
    assert outcome.totals.doubt_count == 19
    # Nobody probed: every row went again at once.
    assert end - EVENING < 60


# A row that conflicts with something of its own.


@pytest.mark.promise("P17")
def test_a_row_that_always_draws_a_409_waits_apart_and_is_given_up(
    tmp_path: Path, output: Path
) -> None:
    tries = list[float]()

    async def meet(call: Sending) -> Reply:
        if call.is_submit and call.says("row 1."):
            tries.append(call.at - EVENING)
            return Reply(409, {"x-request-id": "r-9"}, refusal("aborted", 10))
        return await call.onward()

    model = steady()
    outcome, end = simulate(rows(tmp_path, 50), output, SETTINGS, model, meet=meet)

    assert outcome.exit_code == 3
    assert errors(output) == {
        1: {"stage": "submit", "code": "ABORTED", "message": "aborted", "request_id": "r-9"}
    }
    assert len(lines(output)) == 49
    assert len(tries) == 11
    waits = [round(b - a) for a, b in pairwise(tries)]
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300, 300]
    # The others did not wait for it.
    assert model.submit_times[-1] - EVENING < 10
    assert end - EVENING < 30 * 60
    assert outcome.totals.doubt_count == 0


def test_a_row_that_draws_a_409_for_a_while_is_answered(tmp_path: Path, output: Path) -> None:
    async def meet(call: Sending) -> Reply:
        if call.is_submit and call.says("row 3.") and call.at < EVENING + 60:
            return Reply(409, {}, refusal("aborted", 10))
        return await call.onward()

    outcome, _ = simulate(rows(tmp_path, 5), output, SETTINGS, steady(), meet=meet)
    assert outcome.exit_code == 0
    assert {line["submits"] for line in lines(output)} == {1}


# An operation id handed out twice.


def texts(output: Path) -> list[str]:
    return [line["text"] for line in lines(output)]


class _Doubts:
    """A view that remembers how many doubts it was shown last."""

    interval = 3600.0
    shown = 0

    def show(self, scene: Scene) -> None:
        self.shown = scene.counts.doubts

    def close(self) -> None:
        pass


@pytest.mark.promise("P5")
@pytest.mark.promise("P10")
def test_doubts_at_the_end_of_a_process_are_those_that_the_next_one_counts(
    tmp_path: Path, output: Path
) -> None:
    """Those that were noted, and those of POSTs that had no answer when the process ended."""

    async def meet(call: Sending) -> Reply:
        if call.is_submit and any(call.says(f"row {n}.") for n in (2, 5, 7)):
            return await black_hole(HOUR)
        if call.is_submit and call.says("row 4."):
            raise NoAnswerError("lost")
        return await call.onward()

    view, told = _Doubts(), list[str]()
    path, model = rows(tmp_path, 12), steady(HOUR)
    outcome, _ = simulate(path, output, SETTINGS, model, meet=meet, stop_after=3, view=view)
    left = [state for state in pending(output).values() if isinstance(state, Intended)]
    assert len(left) == 3
    count = outcome.totals.doubt_count
    assert count == view.shown > len(left)
    simulate(path, output, SETTINGS, model, say=told.append, start=EVENING + 60)
    assert any(sentence.endswith(f"doubts so far: {count}.") for sentence in told)


def test_the_id_of_another_row_s_operation_is_a_doubt_and_nobody_gets_another_s_answer(
    tmp_path: Path, output: Path
) -> None:
    model, seen = steady(), Counter[bytes]()

    async def meet(call: Sending) -> Reply:
        if call.is_submit and call.says("row 2."):
            seen[call.body] += 1
            if seen[call.body] == 1:
                return Reply(200, {}, encode({"id": next(iter(model.ledger.accepted))}))
        return await call.onward()

    outcome, _ = simulate(rows(tmp_path, 3), output, SETTINGS, model, meet=meet)
    assert outcome.exit_code == 0
    assert outcome.totals.doubt_count == 1
    assert len({line["operation_id"] for line in lines(output)}) == 3
    assert numbers(output) == each_once(3)


def test_the_id_of_an_operation_that_is_over_is_a_doubt_too(tmp_path: Path, output: Path) -> None:
    model, seen = steady(1), Counter[bytes]()

    async def meet(call: Sending) -> Reply:
        if call.is_submit and call.says("row 2."):
            seen[call.body] += 1
            if seen[call.body] == 1:
                await asyncio.sleep(60)
                return Reply(200, {}, encode({"id": next(iter(model.ledger.accepted))}))
        return await call.onward()

    outcome, _ = simulate(rows(tmp_path, 3), output, SETTINGS, model, meet=meet)
    assert outcome.totals.doubt_count == 1
    assert len({line["operation_id"] for line in lines(output)}) == 3


def test_an_id_that_two_answers_bring_at_once_is_a_doubt_for_one_of_them(
    tmp_path: Path, output: Path
) -> None:
    model, both = steady(), asyncio.Barrier(2)
    first = dict[bytes, bytes]()

    async def meet(call: Sending) -> Reply:
        if not call.is_submit or call.says("row 1.") or call.body in first or len(first) == 2:
            return await call.onward()
        first[call.body] = b""
        reply = await call.onward()
        first[call.body] = reply.body
        await both.wait()
        return Reply(200, {}, next(iter(first.values())))

    outcome, _ = simulate(rows(tmp_path, 3), output, SETTINGS, model, meet=meet, disk=0.01)
    assert outcome.totals.doubt_count == 1
    assert len({line["operation_id"] for line in lines(output)}) == 3


@pytest.mark.promise("P15")
def test_a_lost_row_that_is_given_another_s_operation_has_been_replaced_once(
    tmp_path: Path, output: Path
) -> None:
    model, posts = steady(HOUR), Counter[bytes]()

    async def meet(call: Sending) -> Reply:
        if call.is_poll and call.operation_id == next(iter(model.ledger.accepted)):
            return Reply(404, {}, refusal("unknown operation", 5))
        posts[call.body] += call.is_submit
        if call.is_submit and call.says("row 1.") and posts[call.body] == 2:
            return Reply(200, {}, encode({"id": list(model.ledger.accepted)[1]}))
        return await call.onward()

    path = rows(tmp_path, 2)
    simulate(path, output, SETTINGS, model, stop_after=10, meet=meet)
    late = EVENING + 4 * DAY
    outcome, _ = simulate(path, output, SETTINGS, model, start=late, meet=meet)
    assert outcome.exit_code == 0
    assert outcome.totals.doubt_count == 1
    # Both were lost, each once.
    replaced = [t.sums.rows for t in outcome.totals.tallies if t.outcome == "replaced"]
    assert replaced == [2]


# A limit.


def test_of_a_limit_is_told_only_where_it_left_rows_out(tmp_path: Path, output: Path) -> None:
    path, service, said = rows(tmp_path, 30), steady(), list[str]()
    ends = [
        simulate(path, output, replace(SETTINGS, limit=limit), service, say=said.append)[0]
        for limit in (20, 10, 30, None)
    ]
    assert [end.limited for end in ends] == [20, 20, None, None]
    assert all(isinstance(end.end, Complete) for end in ends)
    # Rows begun are no fewer than they are.
    assert [line[:33] for line in said if " done" in line] == [
        "Nothing is left to do: 20 rows do",
        "Continuing: 20 of 30 rows done, o",
        "Nothing is left to do: 30 rows do",
    ]


# Files that are changed or break while the run goes on.


@pytest.mark.promise("P6")
def test_a_row_whose_line_was_changed_before_it_is_submitted_again_ends_the_run(
    tmp_path: Path, output: Path
) -> None:
    path, posts = rows(tmp_path, 20), Counter[bytes]()

    async def meet(call: Sending) -> Reply:
        posts[call.body] += call.is_submit
        if call.is_submit and call.says("row 7."):
            path.write_text(path.read_text().replace("row 7.", "ROW 7."))
            raise NoAnswerError("ReadTimeout")
        return await call.onward()

    outcome, _ = simulate(path, output, SETTINGS, steady(), meet=meet)
    assert isinstance(outcome.end, BadData)
    assert outcome.exit_code == 65
    assert "prompts.jsonl:7: the line was changed while the run went on" in str(outcome.end)
    assert set(posts.values()) <= {0, 1}
    assert not any(b"ROW 7." in body for body in posts)


def losing(
    path: Path, lose: Callable[[Path], object], when: str
) -> Callable[[Sending], Awaitable[Reply]]:
    """A file is lost at the first submit whose body says `when`; row 1 is refused."""
    ways = [lose]

    async def meet(call: Sending) -> Reply:
        if call.is_submit and call.says("row 1."):
            return Reply(400, {}, refusal("invalid role"))
        if call.is_submit and call.says(when) and ways:
            ways.pop()(path)
        return await call.onward()

    return meet


def moved(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def replaced(path: Path) -> None:
    moved(path)
    path.write_bytes(b"somebody's own")


def deleted_and_replaced(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"somebody's own")


SLOW = replace(SETTINGS, rates=(Rate(1, 1.0),))
NAMES = ["results.jsonl", "results.errors.jsonl"]


@pytest.mark.promise("P1")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("when", ["row 15.", "row 40."])
def test_a_file_that_is_deleted_while_the_run_goes_on_is_put_back(
    tmp_path: Path, output: Path, name: str, when: str
) -> None:
    said = list[str]()
    meet = losing(tmp_path / name, Path.unlink, when)
    outcome, _ = simulate(rows(tmp_path, 40), output, SLOW, steady(), meet=meet, say=said.append)
    assert isinstance(outcome.end, Complete)
    assert [line for line in said if f"{name} was deleted" in line]
    assert numbers(output) == each_once(40)
    assert list(errors(output)) == [1]
    again, _ = simulate(tmp_path / "prompts.jsonl", output, SLOW, steady())
    assert isinstance(again.end, Complete)


@pytest.mark.promise("P9")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lose", [moved, replaced])
def test_where_a_file_is_moved_nothing_more_is_submitted_and_back_in_place_it_goes_on(
    tmp_path: Path, output: Path, name: str, lose: Callable[[Path], object]
) -> None:
    service, path = steady(), tmp_path / name
    meet = losing(path, lose, "row 15.")
    outcome, _ = simulate(rows(tmp_path, 40), output, SLOW, service, meet=meet)
    assert isinstance(outcome.end, Displaced)
    assert outcome.exit_code == 74
    assert f"{name} was moved while the run went on." in outcome.end.told
    assert len(service.ledger.submits) <= 16
    if lose is replaced:
        assert path.read_bytes() == b"somebody's own"
    left = looked_at(Paths(output).checkpoint, Snapshot.left)
    assert isinstance(left, Departure)
    assert (left.exit, left.why) == (74, outcome.end.told)
    (tmp_path / "elsewhere").replace(path)
    after, _ = simulate(tmp_path / "prompts.jsonl", output, SETTINGS, service)
    assert isinstance(after.end, Complete)
    assert numbers(output) == each_once(40)
    assert after.totals.doubt_count == 0


@pytest.mark.promise("P9")
def test_where_another_file_takes_the_place_of_a_deleted_one_all_answers_stand_beside_it(
    tmp_path: Path, output: Path
) -> None:
    service, saved = steady(), tmp_path / "results.jsonl.saved"
    meet = losing(output, deleted_and_replaced, "row 15.")
    outcome, _ = simulate(rows(tmp_path, 40), output, SLOW, service, meet=meet)
    assert isinstance(outcome.end, Displaced)
    assert f"another file was put at {output}" in outcome.end.told
    assert f"`mv {saved} {output}`" in outcome.end.told
    assert output.read_bytes() == b"somebody's own"
    saved.replace(output)
    after, _ = simulate(tmp_path / "prompts.jsonl", output, SETTINGS, service)
    assert isinstance(after.end, Complete)
    assert numbers(output) == each_once(40)


@pytest.mark.promise("P9")
def test_one_file_that_is_moved_keeps_no_other_from_being_put_back(
    tmp_path: Path, output: Path
) -> None:
    def lose(path: Path) -> None:
        (tmp_path / "results.errors.jsonl").unlink()
        moved(path)

    service = steady()
    outcome, _ = simulate(
        rows(tmp_path, 40), output, SLOW, service, meet=losing(output, lose, "row 15.")
    )
    assert isinstance(outcome.end, Displaced)
    assert "results.jsonl was moved while the run went on." in outcome.end.told
    (tmp_path / "elsewhere").replace(output)
    after, _ = simulate(tmp_path / "prompts.jsonl", output, SETTINGS, service)
    assert isinstance(after.end, Complete)
    assert list(errors(output)) == [1]


@pytest.mark.promise("P9")
def test_a_checkpoint_that_is_moved_ends_the_run(tmp_path: Path, output: Path) -> None:
    service = steady()
    meet = losing(Paths(output).checkpoint, moved, "row 15.")
    outcome, _ = simulate(rows(tmp_path, 40), output, SLOW, service, meet=meet)
    assert isinstance(outcome.end, Displaced)
    assert "results.jsonl.checkpoint was moved or deleted" in outcome.end.told
    assert len(service.ledger.submits) <= 16


@pytest.mark.promise("P10")
@pytest.mark.parametrize(("lose", "end"), [(Path.unlink, Stopped), (moved, Displaced)])
def test_a_signal_is_no_reason_not_to_look_whether_files_are_in_place(
    tmp_path: Path,
    output: Path,
    lose: Callable[[Path], object],
    end: type[Stopped] | type[Displaced],
) -> None:
    # Nothing is left to be submitted, and no answer comes before the signal.
    meet = losing(output, lose, "row 3.")
    outcome, _ = simulate(
        rows(tmp_path, 3), output, SETTINGS, steady(3600.0), meet=meet, stop_after=60.0
    )
    assert isinstance(outcome.end, end)
    assert output.exists() == (end is Stopped)


@pytest.mark.promise("P9")
def test_a_totals_line_that_can_t_be_written_is_exit_74_and_the_same_command_writes_it(
    tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def full(fd: int, data: bytes) -> int:
        if data.startswith(b'{"totals":'):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    model, path = steady(), rows(tmp_path, 5)
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.files.output.os.write", full)
        outcome, end = simulate(path, output, SETTINGS, model)
    assert isinstance(outcome.end, StorageFailed)
    assert outcome.exit_code == 74
    assert outcome.totals.rows("ok") == 5

    outcome, _ = simulate(path, output, SETTINGS, model, start=end)
    assert outcome.exit_code == 0
    assert json.loads(output.read_text().splitlines()[-1])["totals"]["rows"] == 5
    assert len(model.ledger.accepted) == 5


# Clocks that are set between two processes.


Through = Callable[[ModelCarrier, Clock], ModelCarrier]


def other_clock(model: Service, start: float) -> Through:
    """For `through`: the service goes by a clock of its own."""

    def through(_: ModelCarrier, __: Clock) -> ModelCarrier:
        clock = Clock(asyncio.get_running_loop().time, start)
        return ModelCarrier(model, clock, lambda: 0.02)

    return through


@pytest.mark.promise("P14")
@pytest.mark.parametrize(
    ("wrong_first", "wrong_then"),
    [
        pytest.param(-5 * DAY, 0.0, id="ours was slow and is right now"),
        pytest.param(0.0, 5 * DAY, id="ours was right and is fast now"),
    ],
)
def test_a_clock_set_forward_between_processes_ends_no_operation(
    tmp_path: Path, output: Path, wrong_first: float, wrong_then: float
) -> None:
    model, path = steady(300), rows(tmp_path, 5)
    simulate(
        *(path, output, SETTINGS, model),
        start=EVENING + wrong_first,
        stop_after=20,
        through=other_clock(model, EVENING),
    )
    outcome, _ = simulate(
        *(path, output, SETTINGS, model),
        start=EVENING + 30 + wrong_then,
        through=other_clock(model, EVENING + 30),
    )
    assert outcome.exit_code == 0
    assert len(model.ledger.accepted) == 5


@pytest.mark.promise("P13")
@pytest.mark.promise("P17")
def test_a_clock_set_back_between_processes_does_not_stall_the_pace(
    tmp_path: Path, output: Path
) -> None:
    model, path = steady(20), rows(tmp_path, 100)
    settings = Settings(RECIPE, rates=(Rate(10, 1.0), Rate(50, 60.0)))
    simulate(
        *(path, output, settings, model),
        start=EVENING + 10 * DAY,
        stop_after=10,
        through=other_clock(model, EVENING),
    )
    outcome, end = simulate(
        *(path, output, settings, model),
        start=EVENING + 10,
        through=other_clock(model, EVENING + 10),
    )
    assert outcome.exit_code == 0
    assert not model.violations
    assert end - EVENING < 5 * 60


@pytest.mark.promise("P17")
def test_operations_accepted_by_a_clock_since_set_back_are_fetched_soon(
    tmp_path: Path, output: Path
) -> None:
    model, path = Service(Config(latency_median=60, latency_sigma=1)), rows(tmp_path, 300)
    simulate(
        *(path, output, SETTINGS, model),
        start=EVENING + 10 * DAY,
        stop_after=15,
        through=other_clock(model, EVENING),
    )
    outcome, end = simulate(
        *(path, output, SETTINGS, model),
        start=EVENING + 15,
        through=other_clock(model, EVENING + 15),
    )
    assert outcome.exit_code == 0
    assert end - EVENING < HOUR


# Doubts that an outage begins with.


@pytest.mark.promise("P5")
@pytest.mark.promise("P12")
@pytest.mark.parametrize("disk", [0.0, 0.01])
@pytest.mark.parametrize("attempts", [3, 1])
def test_submits_that_fail_together_and_make_an_outage_lose_no_attempt(
    tmp_path: Path, output: Path, disk: float, attempts: int
) -> None:
    together = asyncio.Barrier(5)

    async def meet(call: Sending) -> Reply:
        if call.is_submit and not call.says("row 1."):
            await together.wait()
            raise NoAnswerError("ReadError")
        return await call.onward()

    settings = Settings(RECIPE, policy=Policy(attempts), concurrency=5)
    outcome, _ = simulate(
        *(rows(tmp_path, 6), output, settings, steady(HOUR)),
        meet=meet,
        stop_after=4,
        disk=disk,
    )
    assert outcome.totals.doubt_count == 5
    states = pending(output)
    assert {states.get(line) for line in range(2, 7)} == {Doubtful(1, 0)}


@pytest.mark.promise("P12")
@pytest.mark.parametrize("disk", [0.0, 0.01])
@pytest.mark.parametrize("attempts", [3, 1])
@pytest.mark.parametrize("concurrency", [1, 2])
def test_submits_that_fail_one_after_another_and_make_an_outage_lose_no_attempt(
    tmp_path: Path, output: Path, disk: float, attempts: int, concurrency: int
) -> None:
    async def meet(call: Sending) -> Reply:
        if call.is_submit and not call.says("row 1."):
            return FAILED
        return await call.onward()

    settings = Settings(RECIPE, policy=Policy(attempts), concurrency=concurrency)
    outcome, _ = simulate(
        *(rows(tmp_path, 12), output, settings, steady(HOUR)),
        meet=meet,
        stop_after=4,
        disk=disk,
    )
    states = pending(output)
    assert isinstance(states.pop(1), Running)
    # Three make an outage; the last of them can have had company.
    assert states == dict.fromkeys(range(2, 4 + concurrency), Doubtful(1, 0))
    assert outcome.totals.doubt_count == len(states)


@pytest.mark.promise("P5")
def test_a_row_whose_submits_always_fail_while_the_host_answers_others_has_three_attempts(
    tmp_path: Path, output: Path
) -> None:
    """Each doubt goes on when another POST is answered, or a probe."""
    tries = list[float]()

    async def meet(call: Sending) -> Reply:
        if call.is_submit and call.says("row 2."):
            tries.append(call.at - EVENING)
            return FAILED
        return await call.onward()

    settings = Settings(RECIPE, concurrency=1)
    outcome, _ = simulate(rows(tmp_path, 20), output, settings, steady(), meet=meet)
    assert outcome.exit_code == 4
    assert [(line, e["stage"], e["code"]) for line, e in errors(output).items()] == [
        (2, "doubt", "attempts")
    ]
    assert outcome.totals.doubt_count == 3
    # First among the others, then after them all, then once more.
    assert len(tries) == 3
    assert tries[1] < 10
    assert 1 < tries[2] - tries[1] < 10


@pytest.mark.promise("P12")
@pytest.mark.parametrize(
    "attempts",
    [
        3,
        1,
    ],
)
def test_submits_that_vanish_one_after_another_are_nobody_s_failure(
    tmp_path: Path, output: Path, attempts: int
) -> None:
    async def meet(call: Sending) -> Reply:
        if not call.is_poll and not call.says("row 1.") and call.at < EVENING + HOUR:
            return await black_hole(120)
        return await call.onward()

    settings = Settings(RECIPE, policy=Policy(attempts), concurrency=1)
    outcome, _ = simulate(rows(tmp_path, 6), output, settings, steady(), meet=meet)
    assert errors(output) == {}
    assert outcome.exit_code == 0


def refuses_submits_of(*words: str) -> Callable[[Sending], Awaitable[Reply]]:
    """For an hour the host answers neither the submits of these rows nor probes."""

    async def meet(call: Sending) -> Reply:
        is_hit = not call.is_submit or any(map(call.says, words))
        if is_hit and not call.is_poll and call.at < EVENING + HOUR:
            return FAILED
        return await call.onward()

    return meet


@pytest.mark.promise("P12")
@pytest.mark.parametrize(
    "attempts",
    [
        3,
        1,
    ],
)
def test_an_outage_when_one_row_is_left_is_not_that_row_s_failure(
    tmp_path: Path, output: Path, attempts: int
) -> None:
    settings = Settings(RECIPE, policy=Policy(attempts), concurrency=1)
    meet = refuses_submits_of("row 3.")
    outcome, end = simulate(rows(tmp_path, 3), output, settings, steady(), meet=meet)
    assert outcome.exit_code == 0
    assert errors(output) == {}
    assert HOUR < end - EVENING < HOUR + 120


@pytest.mark.promise("P12")
def test_an_outage_when_a_row_in_doubt_is_left_is_not_that_row_s_failure(
    tmp_path: Path, output: Path
) -> None:
    """Doubts are submitted after everything else, so they are what is left."""
    meet = refuses_submits_of("row 2.")
    settings = Settings(RECIPE, concurrency=1)
    outcome, _ = simulate(rows(tmp_path, 3), output, settings, steady(), meet=meet)
    assert outcome.exit_code == 0


# A host that is back, but not yet proved to be.


def _away_at_first(away: Callable[[float], bool]) -> Callable[[Sending], Awaitable[Reply]]:
    async def meet(call: Sending) -> Reply:
        if call.is_submit and not call.says("row 1.") and away(call.at - EVENING):
            return FAILED
        return await call.onward()

    return meet


@pytest.mark.promise("P12")
def test_a_run_that_may_not_submit_for_longer_than_patience_is_not_out_of_reach(
    tmp_path: Path, output: Path
) -> None:
    settings = Settings(RECIPE, rates=(Rate(7, HOUR),), patience=600)
    meet = _away_at_first(lambda second: second < 60)
    outcome, end = simulate(rows(tmp_path, 6), output, settings, steady(), meet=meet)
    assert outcome.exit_code == 0
    assert outcome.totals.rows("ok") == 6
    assert end - EVENING > HOUR


@pytest.mark.promise("P12")
def test_one_failure_after_a_long_wait_for_the_quota_is_no_outage_beyond_patience(
    tmp_path: Path, output: Path
) -> None:
    settings = Settings(RECIPE, rates=(Rate(6, HOUR),), patience=600)
    failures = iter([True])
    meet = _away_at_first(lambda second: second < 60 or next(failures, False))
    outcome, _ = simulate(rows(tmp_path, 6), output, settings, steady(), meet=meet)
    assert outcome.exit_code == 0


# Quotas that only the service knows.


@pytest.mark.promise("P13")
@pytest.mark.parametrize("kind", ["submit", "poll"])
def test_after_a_429_nobody_asks_before_its_time_and_then_one_asks_alone(
    tmp_path: Path, output: Path, kind: str
) -> None:
    calls = list[float]()

    async def meet(call: Sending) -> Reply:
        if not (call.is_submit if kind == "submit" else call.is_poll):
            return await call.onward()
        calls.append(call.at)
        if len(calls) == 20:
            return Reply(429, {"retry-after": "30"}, refusal("slow down", 8))
        return await call.onward()

    settings = Settings(RECIPE, rates=(Rate(10, 1.0),), poll_rates=(Rate(10, 1.0),))
    arguments = (rows(tmp_path, 60), output, settings, steady(3))
    outcome, _ = simulate(*arguments, meet=meet, delay=lambda: 0.25)

    assert outcome.totals.rows("ok") == 60
    refused_at = calls[19]
    # What had left before the 429 was heard of is not called back.
    first, second, *_ = [moment for moment in calls if moment > refused_at + 0.6]
    assert first - refused_at >= 30
    assert second - first >= 0.5


# Secrets.

SECRET = "AQVN-not-for-anybody-s-eyes_0123456789=="  # noqa: S105 - nobody's
ESCAPED = SECRET.replace("=", "\\u003d")
SHAPES = {
    "error": '{"error":{"grpcCode":3,"message":"not for Api-Key %s","details":[]}}',
    "page": "<pre>authorization: Api-Key %s</pre>",
    "operation": '{"done":true,"error":{"code":3,"message":"not for Api-Key %s"}}',
}


def echoes() -> list[tuple[str, int, str, str]]:
    """Answers that hold what was sent: method, status, shape and the words in it."""
    refusals = [
        (method, status, shape, SECRET)
        for method in ("POST", "GET")
        for status in (400, 401, 403, 500)
        for shape in ("error", "page")
    ]
    return [
        *refusals,
        ("POST", 409, "error", SECRET),
        ("POST", 200, "error", SECRET),
        ("POST", 200, "page", SECRET),
        ("GET", 200, "page", SECRET),
        ("GET", 200, "operation", SECRET),
        ("POST", 400, "error", ESCAPED),
        ("POST", 403, "error", ESCAPED),
        ("GET", 400, "error", ESCAPED),
    ]


@pytest.mark.promise("P18")
@pytest.mark.parametrize(("method", "status", "shape", "words"), echoes())
def test_a_credential_that_the_service_echoes_is_nowhere_to_be_read(
    tmp_path: Path,
    output: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    method: str,
    status: int,
    shape: str,
    words: str,
) -> None:
    said = list[str]()
    caplog.set_level("DEBUG")

    async def meet(call: Sending) -> Reply:
        assert SECRET in call.headers["authorization"]
        is_first = call.is_submit and call.says("row 1.")
        if is_first or call.method != method or not (call.is_submit or call.is_poll):
            return await call.onward()
        return Reply(status, {}, (SHAPES[shape] % words).encode())

    outcome, _ = simulate(
        *(rows(tmp_path, 8), output, Settings(RECIPE, patience=60), steady()),
        meet=meet,
        credential=Credential("Api-Key", SECRET, is_users=False),
        say=said.append,
    )
    assert outcome.exit_code != 0
    seen = "\n".join([*said, str(outcome.end), caplog.text, *capfd.readouterr()])
    files = [path.read_bytes() for path in tmp_path.iterdir()]
    assert len(files) >= 3
    for held in seen.encode(), *files:
        assert SECRET.encode() not in held
        assert ESCAPED.encode() not in held


def test_a_row_that_is_not_sent_is_no_submit_and_takes_no_place(tmp_path: Path) -> None:
    """Its id is another row's, which is known only once both are announced."""
    path = tmp_path / "prompts.jsonl"
    path.write_text(
        "".join(json.dumps({"prompt": f"{n}.", "id": n // 2}) + "\n" for n in range(9))
    )
    outcome, _ = simulate(path, tmp_path / "results.jsonl", SETTINGS, steady())
    assert (outcome.totals.rows("ok"), outcome.totals.rows("failed")) == (5, 4)
    assert outcome.use.calls == 5
    assert {window.used for window in outcome.use.windows} == {5}


# The last look.


def test_what_is_seen_last_is_what_the_summary_says(
    tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a lane was ended while the line of its row was on its way to the disk."""
    seen: list[Scene] = []
    finish = Course.finish

    async def stopped_meanwhile(course: Course, end: End, asking: Asking | None = None) -> None:
        if course.counts.ok >= 20:
            course.ending.set(Stopped(15))
        await finish(course, end, asking)

    class Watching:
        interval = 1.0

        def show(self, scene: Scene) -> None:
            seen.append(deepcopy(scene))

        def close(self) -> None: ...

    monkeypatch.setattr(Course, "finish", stopped_meanwhile)
    outcome, _ = simulate(rows(tmp_path, 60), output, SETTINGS, steady(), view=Watching())
    assert isinstance(outcome.end, Stopped)
    last = seen[-1]
    assert 20 < last.counts.ok == outcome.totals.rows("ok") < 60
    assert last.spent is not None
    assert last.spent.amount == outcome.totals.cost(price_table(None))
