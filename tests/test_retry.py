"""A retry: rows that failed are sent again, whatever happens on the way, and nothing else is."""

import copy
import errno
import gc
import json
import os
import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from pipeline.cli.retry import retry
from pipeline.consistency.matching import number_of
from pipeline.emulator.api import Api
from pipeline.emulator.model import Config, Service
from pipeline.engine.retry import Budget, Retry
from pipeline.errors import BadData, BudgetReached, StorageFailed
from pipeline.files import output
from pipeline.files.paths import Paths
from pipeline.input.rows import Recipe
from pipeline.life.item import Policy
from pipeline.money.prices import PriceTable
from pipeline.network.carrier import NoAnswerError, Reply
from pipeline.results import audit as audits
from pipeline.results.audit import audit
from pipeline.results.case import Report
from pipeline.settings import Settings
from pipeline.state.board import Outcome
from pipeline.store.retrial import STAGES, Choice
from tests.builders import Place, price_table, refusal
from tests.oracle import Story, check, checkpoint_at, whole_lines
from tests.proof.crashes import Died, Mortal, mortal
from tests.simulation import EVENING, Sending, simulate

ALL, SOME = Choice(), Choice(stages=frozenset({"submit", "doubt", "answer", "input"}))
SETTINGS = Settings(
    Recipe("yandexgpt-lite", Config().folder, max_tokens=60),
    rates=(),
    poll_rates=(),
    policy=Policy(resubmit_doubts=False),
    concurrency=1,
)
_ROWS = [
    '{"prompt":"слово 1"}',
    '{"prompt":"ошибка 2"}',
    '{"prompt":7}',
    '{"prompt":"слово 4","id":"четыре"}',
    '{"prompt":"отказ 5","model":"yandexgpt"}',
    '{"prompt":"пропал 6"}',
    '{"prompt":"пусто 7"}',
    '{"prompt":"забыт 8"}',
    '{"prompt":"слово 9","id":"четыре"}',
]
OK, FAILED = {1, 4}, {2, 3, 5, 6, 7, 8, 9}
PRICES: PriceTable = price_table()


@pytest.fixture(autouse=True)
def nothing_left_over() -> Iterator[None]:
    """Find what a process that died left open while that may still be ignored."""
    yield
    gc.collect()


class Scene:
    """A run of one row of each way to fail, in a folder."""

    def __init__(self, folder: Path, model: Service | None = None) -> None:
        self.input, self.output = folder / "in.jsonl", folder / "0" / "out.jsonl"
        self.model = model or Service(Config(submit_rates=(), poll_rates=(), latency_median=5))
        self.now = EVENING
        self.heals = False

    @property
    def paths(self) -> Paths:
        return Paths(self.output)

    def begin(self) -> "Scene":
        self.output.parent.mkdir(parents=True)
        self.write(*_ROWS)
        outcome = self.run()
        assert outcome.exit_code == 4
        assert {line["line"] for line in whole_lines(self.output)[:-1]} == OK
        assert {line["line"] for line in whole_lines(self.paths.errors)} == FAILED
        self.heals = True
        return self

    def write(self, *rows: str) -> None:
        self.input.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")

    def run(
        self, choice: Choice | None = None, settings: Settings = SETTINGS, **others: Any
    ) -> Outcome:
        """Carry the run, as a retry of what is chosen."""
        said: list[str] = []
        limit = settings.budget
        budget = None if limit is None else Budget(limit, PRICES)
        retry = None if choice is None else Retry(choice, settings.recipe, said.append, budget)
        outcome, end = simulate(
            *(self.input, self.output, settings, self.model),
            start=self.now,
            meet=self._meet,
            retry=retry,
            say=said.append,
            **others,
        )
        self.now, self.said = end, said
        return outcome

    async def _meet(self, call: Sending) -> Reply:
        if self.heals:
            return await call.onward()
        if call.is_submit and call.says("отказ"):
            return Reply(400, {}, refusal("too rude a question"))
        reply = await call.onward()
        if call.is_submit and call.says("пропал"):
            raise NoAnswerError("ReadTimeout")
        return self._told(call, reply) if call.is_poll else reply

    def _told(self, call: Sending, reply: Reply) -> Reply:
        asked = self.model.ledger.accepted[call.operation_id].body.decode()
        operation = json.loads(reply.body)
        if "забыт" in asked:
            return Reply(404, {}, refusal("unknown operation", 5))
        if operation.get("done") and "ошибка" in asked:
            del operation["response"]
            operation["error"] = {"code": 13, "message": "broken"}
        if operation.get("done") and "пусто" in asked:
            operation["response"]["alternatives"] = []
        return Reply(200, {}, json.dumps(operation).encode())

    def audit(self, *, quick: bool = False) -> Report:
        return audit(self.paths, PRICES, given_input=self.input, quick=quick)

    def ledger(self) -> Any:
        return json.loads(
            Api(self.model).respond("GET", "/emulator/ledger", {}, b"", self.now).body
        )

    def check(self) -> Story:
        """Let the oracle judge the complete run."""
        return check(self.input, self.output, self.ledger(), recipe=SETTINGS.recipe)

    def retries(self) -> int:
        """How many the checkpoint knows of."""
        with checkpoint_at(self.output) as db:
            found = db.execute("SELECT value FROM meta WHERE key = 'retries'").fetchone()
            return int(found[0]) if found else 0

    def shown(self) -> list[int]:
        """The rows in both files as a reader sees them who ignores a torn end."""
        files = [path.read_bytes() for path in (self.output, self.paths.errors) if path.exists()]
        lines = [line for data in files for line in data.split(b"\n")[:-1]]
        numbers = [number_of(line) for line in lines if b"\0" not in line]
        return [number for number in numbers if number is not None]

    def failed(self) -> dict[int, Any]:
        return {line["line"]: line for line in whole_lines(self.paths.errors)}

    def results(self) -> dict[int, Any]:
        lines = whole_lines(self.output)
        return {line["line"]: line for line in lines if "totals" not in line}

    def copied(self, folder: Path) -> "Scene":
        """The same in another folder, with a service of its own."""
        shutil.copytree(self.input.parent, folder)
        other = Scene(folder, copy.deepcopy(self.model))
        other.now, other.heals = self.now, self.heals
        return other


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A scene that nobody changes."""
    return Scene(tmp_path_factory.mktemp("retry") / "begun").begin()


@pytest.fixture
def scene(begun: Scene, folder: Path) -> Scene:
    return begun.copied(folder / "scene")


@pytest.mark.promise("P1")
@pytest.mark.promise("P15")
def test_every_row_that_failed_is_sent_again_and_what_it_cost_stays_counted(scene: Scene) -> None:
    before = scene.failed()
    outcome = scene.run(ALL)
    assert outcome.exit_code == 3
    # What no line says otherwise fails as before.
    assert {line: one["error"]["code"] for line, one in scene.failed().items()} == {
        3: "bad_field",
        9: "repeated_id",
    }
    submits = {line: one["submits"] for line, one in scene.results().items()}
    assert submits == {1: 1, 2: 2, 4: 1, 5: 1, 6: 2, 7: 2, 8: 2}
    story = scene.check()
    assert (story.doubts, story.replaced, story.paid_twice) == (1, 3, 4)
    replaced = story.totals["replaced_usage"]
    known = before[7]["usage"]
    assert replaced == known | {"unknown": 2}
    assert "Rows among them that still can't be sent, and fail again: 2." in scene.said


def test_a_retry_says_what_it_puts_back(scene: Scene) -> None:
    scene.run(ALL)
    assert scene.said[0] == (
        "Put back: input bad_field: 1 row; input repeated_id: 1 row; submit INVALID_ARGUMENT: "
        "1 row; operation INTERNAL: 1 row; answer no_alternative: 1 row; lost denied: 1 row; "
        "doubt held: 1 row."
    )


@pytest.mark.parametrize(
    ("choice", "rows"),
    [
        (Choice(stages=frozenset({"doubt"})), {6}),
        (Choice(stages=frozenset({"operation", "answer"})), {2, 7}),
        (Choice(codes=frozenset({"denied", "INTERNAL"})), {2, 8}),
        (Choice(frozenset({"lost", "submit"}), frozenset({"denied"})), {8}),
        (Choice(codes=frozenset({"unheard_of"})), set()),
    ],
)
@pytest.mark.promise("P4")
def test_only_rows_that_were_chosen_are_sent_again(
    scene: Scene, choice: Choice, rows: set[int]
) -> None:
    posts = len(scene.model.ledger.submits)
    scene.run(choice)
    assert set(scene.results()) == OK | rows
    assert set(scene.failed()) == FAILED - rows
    assert len(scene.model.ledger.submits) == posts + len(rows)
    scene.check()


@pytest.mark.promise("P4")
def test_a_run_after_a_retry_sends_nothing_again(scene: Scene) -> None:
    scene.run(ALL)
    posts, files = len(scene.model.ledger.submits), scene.output.read_bytes()
    assert scene.run().exit_code == 3
    assert scene.output.read_bytes() == files
    assert len(scene.model.ledger.submits) == posts


@pytest.mark.promise("P5")
def test_attempts_begin_afresh_and_submits_are_counted_on(scene: Scene) -> None:
    """A row that is in doubt each time has all its attempts again, under names of their own."""
    scene.heals = False
    tries = replace(SETTINGS, policy=Policy(attempts=2))
    scene.run(Choice(stages=frozenset({"doubt"})), tries)
    scene.run(Choice(stages=frozenset({"doubt"})), tries)
    assert scene.failed()[6]["error"]["code"] == "attempts"
    assert scene.audit().findings == []
    posts = [one for one in scene.model.ledger.submits if "пропал" in one.body.decode()]
    assert len({one.client_request_id for one in posts}) == len(posts) == 5
    scene.heals = True
    scene.run(Choice(stages=frozenset({"doubt"})))
    assert scene.results()[6]["submits"] == 6
    assert scene.check().doubts == 5


@pytest.mark.promise("P15")
def test_what_was_spent_on_failed_rows_leaves_no_room_in_a_budget(scene: Scene) -> None:
    spent = scene.run(Choice(codes=frozenset({"none"}))).totals.exposure(PRICES)
    assert spent is not None
    before = scene.output.read_bytes(), scene.paths.errors.read_bytes()
    with pytest.raises(BudgetReached, match="No row was put back") as refused:
        scene.run(ALL, replace(SETTINGS, budget=spent))
    assert refused.value.exit_code == 80
    assert (scene.output.read_bytes(), scene.paths.errors.read_bytes()) == before
    assert scene.audit().findings == []
    assert "is enough for the 4 rows among them that were sent before, at the" in (
        refused.value.advice
    )
    # For the cheapest row that was sent there is enough, for all of them there is not.
    cheap = scene.run(ALL, replace(SETTINGS, budget=spent + Decimal("0.02")))
    assert cheap.exit_code == 80
    assert scene.audit().findings == []
    assert scene.run(settings=replace(SETTINGS, budget=spent + Decimal(1))).exit_code == 3
    scene.check()


@pytest.mark.promise("P15")
def test_the_amount_that_a_refused_retry_names_is_enough(scene: Scene) -> None:
    sent = Choice(stages=frozenset({"operation", "doubt", "answer", "lost"}))
    spent = scene.run(Choice(codes=frozenset({"none"}))).totals.exposure(PRICES)
    assert spent is not None
    with pytest.raises(BudgetReached) as refused:
        scene.run(sent, replace(SETTINGS, budget=spent))
    (enough,) = re.findall(
        r"go on: --budget ([\d.]+) is enough for the 4 rows to be sent again", refused.value.advice
    )
    short = scene.run(sent, replace(SETTINGS, budget=spent + (Decimal(enough) - spent) / 4))
    assert short.exit_code == 80
    assert scene.run(settings=replace(SETTINGS, budget=Decimal(enough))).exit_code == 3
    scene.check()


@pytest.mark.promise("P15")
def test_operations_under_way_leave_less_of_a_budget_for_rows_that_failed(scene: Scene) -> None:
    scene.write(*_ROWS, '{"prompt":"слово 10"}')
    scene.run(stop_after=2.0)
    totals = scene.run(Choice(codes=frozenset({"none"})), stop_after=0.5).totals
    spent = totals.exposure(PRICES)
    assert spent is not None
    # Without the one that is under way there would be enough.
    tight = replace(SETTINGS, budget=spent + Decimal("0.02"))
    with pytest.raises(BudgetReached, match="No row was put back"):
        scene.run(ALL, tight)


def test_every_stage_can_be_chosen() -> None:
    (stage,) = [one for one in retry.params if one.name == "stage"]
    assert isinstance(stage.type, click.Choice)
    assert tuple(stage.type.choices) == STAGES


# Lines that were mended.


@pytest.mark.promise("P6")
def test_a_row_that_was_never_accepted_may_be_mended_in_its_line(scene: Scene) -> None:
    rows = list(_ROWS)
    rows[2] = '{"prompt":"слово 3, nun lesbar","id":"drei","max_tokens":7}'
    rows[4] = '{"prompt":"слово 5"}'
    rows[8] = '{"prompt":"слово 9","id":"neun"}'
    scene.write(*rows)
    with pytest.raises(BadData, match=r"in.jsonl:3: .*not what it was") as refused:
        scene.run()
    assert "yagpt-batch retry" in refused.value.advice
    outcome = scene.run(ALL)
    assert outcome.exit_code == 0
    assert {line: one["id"] for line, one in scene.results().items() if line in {3, 5, 9}} == {
        3: "drei",
        5: "line-5",
        9: "neun",
    }
    assert scene.check().totals["ok"] == 9
    scene.write(*rows, '{"prompt":"слово 10"}')
    assert scene.run().exit_code == 0
    assert scene.check().totals["ok"] == 10


@pytest.mark.parametrize(
    ("line", "row", "told"),
    [
        (1, '{"prompt":"слово 2"}', "in.jsonl:1: "),
        (2, '{"prompt":"слово 2"}', "in.jsonl:2: "),
        (6, '{"prompt":"слово 6"}', "in.jsonl:6: "),
        (3, "", "in.jsonl:3: "),
        (3, '{"prompt":"a"}\n{"prompt":"b"}', "in.jsonl:4: "),
    ],
    ids=["answered", "failed as operation", "in doubt", "blank", "two lines"],
)
@pytest.mark.promise("P6")
def test_any_other_line_that_was_changed_is_refused_and_nothing_is_changed(
    scene: Scene, line: int, row: str, told: str
) -> None:
    before = [path.read_bytes() for path in (scene.output, scene.paths.errors)]
    rows = list(_ROWS)
    rows[line - 1] = row
    scene.write(*rows)
    with pytest.raises(BadData, match=told):
        scene.run(ALL)
    assert [path.read_bytes() for path in (scene.output, scene.paths.errors)] == before
    scene.write(*_ROWS)
    assert scene.run(ALL).exit_code == 3
    scene.check()


@pytest.mark.promise("P6")
def test_a_mended_row_that_is_not_chosen_is_refused(scene: Scene) -> None:
    scene.write(*_ROWS[:2], '{"prompt":"слово 3"}', *_ROWS[3:])
    with pytest.raises(BadData, match=r"in.jsonl:3: ") as raised:
        scene.run(Choice(stages=frozenset({"doubt"})))
    assert "or retry them too: --stage input" in raised.value.told


@pytest.mark.promise("P6")
def test_lines_taken_off_the_input_s_end_are_refused(scene: Scene) -> None:
    scene.write(*_ROWS[:-1])
    with pytest.raises(BadData, match=r"in.jsonl:9: "):
        scene.run(ALL)


def test_rows_exchange_their_ids(scene: Scene) -> None:
    rows = list(_ROWS)
    rows[2], rows[8] = '{"prompt":"слово 3","id":"a"}', '{"prompt":7,"id":"b"}'
    scene.write(*rows)
    scene.run(ALL)
    assert scene.failed()[9]["id"] == "b"
    rows[8] = '{"prompt":"слово 9","id":"line-3"}'
    scene.write(*rows)
    assert scene.run(ALL).exit_code == 0
    assert (scene.results()[3]["id"], scene.results()[9]["id"]) == ("a", "line-3")
    scene.check()


def test_a_last_line_that_is_mended_may_lose_its_newline_and_get_it_again(scene: Scene) -> None:
    rows = [*_ROWS[:8], '{"prompt":7,"id":"neun"}']
    scene.input.write_text("\n".join(rows), encoding="utf-8")
    scene.run(ALL)
    assert scene.audit().findings == []
    scene.write(*rows, '{"prompt":"слово 10"}')
    scene.run()
    assert set(scene.results()) == {1, 2, 4, 5, 6, 7, 8, 10}
    scene.check()


# Deaths and disks.


def _dies(scene: Scene, step: int, heir: Path, *, power_cut: bool) -> bool:
    """Let a retry die at a step; the scene is what it leaves. False if it ended before."""
    chance = random.Random(step)  # noqa: S311 - a simulation
    paths = scene.paths
    life = Mortal(paths, Paths(heir / paths.output.name), step, chance)
    life.is_power_cut = power_cut
    try:
        with mortal(life):
            scene.run(SOME, through=lambda carrier, _: _Dying(carrier, life))
    except Died:
        scene.output = heir / paths.output.name
        return True
    return False


class _Dying:
    """A network that dies with the process."""

    def __init__(self, inner: Any, life: Mortal) -> None:
        self._inner, self._life = inner, life

    async def send(self, *call: Any) -> Reply:
        self._life.step()
        reply: Reply = await self._inner.send(*call)
        self._life.step()
        return reply

    async def close(self) -> None: ...


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.promise("P1")
@pytest.mark.promise("P2")
@pytest.mark.promise("P4")
@pytest.mark.promise("P15")
@pytest.mark.parametrize(
    ("power_cut", "mended"),
    [(False, False), (True, False), (True, True)],
    ids=["kill", "power cut", "power cut, mended input"],
)
def test_a_retry_that_dies_at_any_step_loses_nothing_and_pays_nothing_twice(
    begun: Scene, folder: Path, power_cut: bool, mended: bool
) -> None:
    """Up to where the run goes on as any other does, once by `run` and once by `retry`."""
    committed = 0
    for step in range(1, 100):
        scene = begun.copied(folder / f"step-{step}")
        if mended:
            scene.write(*_ROWS[:2], '{"prompt":"слово 3"}', *_ROWS[3:])
        posts = len(scene.model.ledger.submits)
        assert _dies(scene, step, folder / f"step-{step}" / "1", power_cut=power_cut)
        put_back = scene.retries() == 1
        committed += put_back
        if put_back or not mended:
            for quick in (False, True):
                assert scene.audit(quick=quick).findings == [], f"after a death at step {step}"
        shown = scene.shown()
        assert len(shown) == len(set(shown)), "a row has two lines"
        by_run = (step + power_cut) % 2 and (put_back or not mended)
        code = scene.run(None if by_run else ALL).exit_code
        assert not scene.paths.rewritten.exists()
        story = scene.check()
        is_held = any(line["error"]["stage"] == "doubt" for line in story.failures.values())
        assert code == (4 if is_held else 3)
        assert set(story.results) >= OK
        assert put_back or not by_run or set(story.results) == OK
        new = len(scene.model.ledger.submits) - posts
        assert new <= 5 + mended + (story.doubts - 1), "something was paid for twice"
        shutil.rmtree(folder / f"step-{step}")
        if committed == 20:
            break
    assert step - committed > 10


@pytest.mark.promise("P9")
def test_a_disk_that_fails_at_any_sync_of_a_retry_loses_nothing(
    begun: Scene, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for fails_at in range(1, 30):
        scene, syncs = begun.copied(folder / f"at-{fails_at}"), count(1)

        def sync(fd: int, syncs: Iterator[int] = syncs, fails_at: int = fails_at) -> None:
            if next(syncs) == fails_at:
                raise OSError(errno.EIO, "the disk is broken")
            os.fsync(fd)

        system = SimpleNamespace(**{name: getattr(os, name) for name in dir(os)})
        system.fsync = sync
        with monkeypatch.context() as patch:
            patch.setattr(output, "os", system)
            patch.setattr(output, "_sync", sync)
            try:
                ended = scene.run(SOME)
            except StorageFailed:
                ended = None
        if ended is not None and ended.exit_code == 3:
            break
        assert scene.audit().findings == []
        assert scene.run(SOME).exit_code in {3, 4}
        story = scene.check()
        assert story.paid_twice <= story.doubts + story.replaced
    assert fails_at > 8


@pytest.mark.promise("P6")
def test_a_new_errors_file_that_is_gone_before_it_took_its_place_is_refused(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object, **__: object) -> None:
        raise StorageFailed("the disk is away.")

    with monkeypatch.context() as patch:
        patch.setattr(output, "replace", dies)
        with pytest.raises(StorageFailed):
            scene.run(SOME)
    aside = scene.paths.rewritten.rename(scene.input.parent / "aside")
    with pytest.raises(BadData, match=r"errors.jsonl.retry, which a retry wrote .* is missing"):
        scene.run()
    assert not scene.audit().agrees
    aside.rename(scene.paths.rewritten)
    assert "did not come to its end" in scene.audit().remarks[0]
    assert scene.run().exit_code == 3
    scene.check()


@pytest.mark.promise("P6")
def test_an_errors_file_that_was_changed_is_refused_whatever_its_time_says(scene: Scene) -> None:
    errors = scene.paths.errors
    status, data = errors.stat(), errors.read_bytes()
    errors.write_bytes(data.replace("слово 9".encode(), "слова 9".encode()))
    os.utime(errors, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(BadData, match="is not what this run wrote"):
        scene.run(Choice(stages=frozenset({"doubt"})))


def test_an_audit_that_a_retry_crosses_looks_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove, retries = audits._prove_files, iter([True])  # noqa: SLF001 - where they may cross

    with Place(scene.input, scene.paths).opened(settings=SETTINGS) as files:

        def late(*case: Any) -> None:
            if next(retries, False):
                Retry(SOME, SETTINGS.recipe, lambda _: None)(files, scene.now)
            prove(*case)

        monkeypatch.setattr(audits, "_prove_files", late)
        report = scene.audit()
    assert report.findings == []
    assert (report.outcomes, report.pending) == ({"ok": 2, "failed": 2, "held": 0}, 5)
