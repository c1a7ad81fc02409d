"""Nights in which somebody pauses the run and changes its rates, judged by when calls came."""

import asyncio
import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.cli import steered
from pipeline.clock import Clock, local_day_and_time, stamp
from pipeline.emulator.model import Config, Service
from pipeline.ending import prospect
from pipeline.ending.prospect import IN_FLIGHT, Eta, words
from pipeline.engine import steering
from pipeline.files.paths import Paths
from pipeline.input.rows import Recipe
from pipeline.life.facts import ETA, Fact, Note
from pipeline.network.carrier import Reply
from pipeline.outside import bystander
from pipeline.pacing.rates import NONE, Rate
from pipeline.settings import Settings
from pipeline.state import control_file
from pipeline.state.board import Outcome
from pipeline.state.control import Change, Control
from pipeline.store.recorder import Recorder
from pipeline.view.scene import Scene
from tests.oracle import check
from tests.simulation import (
    EVENING,
    Between,
    ModelCarrier,
    Sending,
    VirtualLoop,
    live,
    simulate,
)

ME = "this process"
RECIPE = Recipe(model="yandexgpt-lite", folder=Config().folder, max_tokens=60)
FREE = Config(latency_median=30, submit_rates=(), poll_rates=())
# From asking on, it takes the run so long to do as it is told.
HEARS = 1.1


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every process have the name that changes are asked of."""
    monkeypatch.setattr(steering, "uuid4", lambda: SimpleNamespace(hex=ME))


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody asks, so many seconds after the process began."""

    at: float
    change: Change | None = None
    paused: bool = False


class Hand:
    """A view that is shown nothing, and writes the control file when the time has come."""

    interval = 1e6

    def __init__(self, output: Path, deeds: Sequence[Deed]) -> None:
        self._path = Paths(output).control
        self._deeds = list(deeds)

    def show(self, scene: Scene) -> None:  # noqa: ARG002
        loop = asyncio.get_running_loop()
        for deed in self._deeds:
            loop.call_at(deed.at, self._do, deed)
        self._deeds.clear()

    def _do(self, deed: Deed) -> None:
        since = EVENING if deed.paused else None
        control_file.write(
            self._path, lambda before: Control(before.number + 1, since, ME, deed.change)
        )

    def close(self) -> None: ...


def rows(folder: Path, count: int) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"слово {n}"}) + "\n" for n in range(count)))
    return path


def texts(rates: Sequence[Rate]) -> tuple[str, ...]:
    return tuple(map(str, rates))


def to(at: float, rates: Sequence[Rate]) -> Deed:
    return Deed(at, Change(rates=texts(rates)))


Period = tuple[float, float, Sequence[Rate]]


def check_windows(times: Sequence[float], periods: Sequence[Period]) -> None:
    """Whenever a call is made, no window that holds then has too many, whatever held before."""
    for begin, end, rates in periods:
        for number, at in enumerate(times):
            if begin <= at < end:
                for rate in rates:
                    first = bisect_right(times, at - rate.seconds)
                    assert number + 1 - first <= rate.limit, (at - EVENING, str(rate))


def periods(
    deeds: Sequence[Deed], first: Sequence[Rate], start: float, end: float
) -> list[Period]:
    """Which rates hold when; while a change is on its way, none that it changes."""
    found: list[Period] = []
    begin, rates = start, first
    for deed in deeds:
        if deed.change is not None and deed.change.rates is not None:
            found.append((begin, start + deed.at, rates))
            begin = start + deed.at + HEARS
            rates = [Rate.parse(text) for text in deed.change.rates]
    return [*found, (begin, end, rates)]


def within(times: Sequence[float], begin: float, end: float) -> int:
    return sum(EVENING + begin <= at < EVENING + end for at in times)


@pytest.mark.promise("P13")
def test_no_window_is_passed_however_rates_change_and_pauses_come(folder: Path) -> None:
    usual = (Rate(5, 1.0), Rate(150, 600.0))
    tight, loose = (Rate(1, 1.0), Rate(30, 600.0)), (Rate(10, 1.0), Rate(250, 600.0))
    deeds = [
        to(100, tight),
        to(900, loose),
        to(1300, tight),
        to(1400, usual),
        Deed(1500, Change(rates=texts(usual)), paused=True),
        Deed(2400, Change(rates=texts(usual))),
        to(2500, (Rate(60, 20.0),)),
        to(2530, ()),
        to(2532, usual),
        to(3400, (Rate(5, 1.0), Rate(2000, 7200.0))),
        to(4400, (Rate(40, 60.0),)),
        to(4600, loose),
    ]
    prompts, output = rows(folder, 2600), folder / "results.jsonl"
    model = Service(FREE)
    settings = Settings(RECIPE, rates=usual)
    hand = Hand(output, deeds)
    outcome, killed = simulate(
        *(prompts, output, settings, model), view=hand, steered=True, stop_after=4700.0
    )
    assert outcome.exit_code == 143
    times = list(model.submit_times)
    check_windows(times, periods(deeds, usual, EVENING, killed))
    # Nothing while it was paused, and what each rate lets through while it held.
    assert within(times, 1500 + HEARS, 2400) == 0
    assert within(times, 0, 100) == 150
    assert within(times, 100 + HEARS, 600) == 0
    assert 240 <= within(times, 900, 1300) <= 250
    assert within(times, 2400, 2500) == 150
    assert within(times, 2530, 2532 + HEARS) > 200
    assert within(times, 2532 + HEARS, 3000) == 0
    assert within(times, 3400, 4000) > 300

    # The next process goes by its own rates, knows what was sent, and what is longer ago if asked.
    longer = (Rate(10, 1.0), Rate(2400, 7200.0))
    later = [to(30, longer)]
    outcome, end = simulate(
        *(prompts, output, settings, model),
        start=killed + 5,
        view=Hand(output, later),
        steered=True,
    )
    assert outcome.exit_code == 0
    times = list(model.submit_times)
    check_windows(times, periods(later, usual, killed + 5, end))
    assert len(times) == 2600
    check(prompts, output, recipe=RECIPE)


@pytest.mark.promise("P13")
def test_polls_keep_to_changed_rates_too(folder: Path) -> None:
    first = (Rate(5, 1.0),)
    changed = [
        (60.0, (Rate(1, 1.0), Rate(30, 60.0))),
        (300.0, (Rate(20, 1.0),)),
        (330.0, (Rate(100, 300.0),)),
        (1200.0, ()),
        (1230.0, (Rate(3, 1.0), Rate(400, 900.0))),
    ]
    deeds = [Deed(at, Change(poll_rates=texts(rates))) for at, rates in changed]
    prompts, output = rows(folder, 2100), folder / "results.jsonl"
    model = Service(FREE)
    settings = Settings(RECIPE, rates=(Rate(1, 1.0),), poll_rates=first)
    outcome, killed = simulate(
        *(prompts, output, settings, model),
        view=Hand(output, deeds),
        steered=True,
        stop_after=1900.0,
    )
    assert outcome.exit_code == 143
    as_submits = [to(at, rates) for at, rates in changed]
    times = list(model.poll_times)
    check_windows(times, periods(as_submits, first, EVENING, killed))
    assert within(times, 300, 330) > 150
    # What an earlier process may have asked counts in the windows of a change as well.
    later = (Rate(10, 1.0), Rate(500, 600.0))
    deeds = [Deed(20.0, Change(poll_rates=texts(later)))]
    outcome, end = simulate(
        *(prompts, output, settings, model),
        start=killed + 1,
        view=Hand(output, deeds),
        steered=True,
    )
    assert outcome.exit_code == 0
    moments = [*periods([to(20.0, later)], first, killed + 1, end)]
    check_windows(list(model.poll_times), moments)
    check(prompts, output, recipe=RECIPE)


@pytest.mark.promise("P19")
def test_a_pause_stands_through_kills_until_it_is_taken_back(folder: Path) -> None:
    prompts, output = rows(folder, 400), folder / "results.jsonl"
    model, said, now = Service(FREE), list[str](), EVENING
    settings = Settings(RECIPE, rates=(Rate(5, 1.0),))
    go_on: Callable[..., Any] = lambda **more: simulate(  # noqa: E731
        *(prompts, output, settings, model), steered=True, say=said.append, **more
    )
    outcome, now = go_on(view=Hand(output, [Deed(20, paused=True)]), stop_after=300)
    assert (outcome.exit_code, outcome.totals.rows("ok")) == (143, len(model.submit_times))
    submitted = len(model.submit_times)
    assert 100 <= submitted <= 110
    for _ in range(2):
        said.clear()
        outcome, now = go_on(start=now, stop_after=100)
        assert outcome.exit_code == 143
        assert len(model.submit_times) == submitted
        (told,) = (sentence for sentence in said if sentence.startswith("Paused since "))
        assert told.endswith(f"To go on: yagpt-batch unpause {output}")
    outcome, _ = go_on(start=now, view=Hand(output, [Deed(50)]))
    assert outcome.exit_code == 0
    assert min(at for at in model.submit_times if at > now) >= now + 50
    assert not Paths(output).control.exists()


@pytest.mark.promise("P15")
def test_a_change_is_forgotten_with_its_process_and_that_is_said(folder: Path) -> None:
    prompts, output = rows(folder, 300), folder / "results.jsonl"
    model, said = Service(FREE), list[str]()
    settings = Settings(RECIPE, rates=(Rate(5, 1.0),), budget=Decimal("0.3"))
    raised = [Deed(5, Change(budget="0.9", rates=("7/s",)))]
    outcome, now = simulate(
        *(prompts, output, settings, model),
        steered=True,
        view=Hand(output, raised),
        say=said.append,
    )
    assert outcome.exit_code == 80
    assert said[-1] == "It was changed to --rate 7/s --budget 0.9: that ends with this process."
    said.clear()
    assert "the budget of 0.90 RUB" in str(outcome.end)
    paid = len(model.submit_times)
    # The file still says so, to a process that is no more.
    control = Paths(output).control
    text = control.read_text()
    assert ME in text
    control.write_text(text.replace(ME, "another process"))
    outcome, _ = simulate(
        *(prompts, output, settings, model), steered=True, start=now, say=said.append
    )
    assert outcome.exit_code == 80
    assert "the budget of 0.30 RUB" in str(outcome.end)
    assert len(model.submit_times) == paid
    assert (
        "The process before this one was changed to --rate 7/s --budget 0.9; that ended with it."
        in said
    )


@pytest.mark.parametrize(
    "strange",
    [
        *(b"", b"{", b"\xff", b"[]", b'"x"', b"null", b"{}", b'{"version":2,"number":1}'),
        b'{"version":1,"number":-1}',
        b'{"version":1,"number":1,"paused_since":"now"}',
        b'{"version":1,"number":1,"process":"this process","change":{"rates":["0/s"]}}',
        b'{"version":1,"number":1,"process":"this process","change":{"budget":"-5"}}',
        b'{"version":1,"number":1,"process":"this process","change":{"max_in_flight":0}}',
        b" " * 70_000,
    ],
)
def test_a_strange_control_file_is_said_once_and_changes_nothing(
    folder: Path, strange: bytes
) -> None:
    prompts, output = rows(folder, 60), folder / "results.jsonl"
    Paths(output).control.write_bytes(strange)
    model, said = Service(FREE), list[str]()
    settings = Settings(RECIPE, rates=(Rate(2, 1.0),))
    outcome, end = simulate(*(prompts, output, settings, model), steered=True, say=said.append)
    assert outcome.exit_code == 0
    assert Counter("can be understood" in sentence for sentence in said)[True] == 1
    assert len(model.submit_times) == 60
    assert end > EVENING + 29


def test_what_is_no_file_asks_for_nothing(folder: Path) -> None:
    prompts, output = rows(folder, 5), folder / "results.jsonl"
    Paths(output).control.mkdir()
    said = list[str]()
    settings = Settings(RECIPE)
    outcome, _ = simulate(
        *(prompts, output, settings, Service(FREE)), steered=True, say=said.append
    )
    assert outcome.exit_code == 0
    assert any("it is no file" in sentence for sentence in said)


@pytest.mark.promise("P13")
def test_runs_that_share_go_on_sharing_when_one_gives_its_rates_up_and_takes_others(
    folder: Path,
) -> None:
    ten = (Rate(10, 1.0),)
    model = Service(Config(latency_median=5, submit_rates=(), poll_rates=()))
    posts: dict[str, list[float]] = {"a": [], "b": []}
    deeds = [
        to(30, ()),
        to(33, ten),
        to(80, (Rate(2, 1.0),)),
        to(120, (Rate(4, 1.0), Rate(20, 10.0))),
    ]

    async def one(name: str, count: int, view: Hand) -> Outcome:
        loop = asyncio.get_running_loop()
        clock = Clock(loop.time, EVENING)
        (folder / name).mkdir()
        prompts, output = rows(folder / name, count), folder / f"{name}.jsonl"

        async def meet(call: Sending) -> Reply:
            if call.is_submit:
                posts[name].append(call.at)
            return await call.onward()

        carrier = Between(ModelCarrier(model, clock, lambda: 0.01), clock, meet)
        outcome, _ = await live(
            *(prompts, output, Settings(RECIPE, rates=ten), clock, carrier),
            view=view,
            steered=True,
            state=folder / "state" / "folder.quota",
        )
        return outcome

    async def both() -> list[Outcome]:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(one("a", 1700, Hand(folder / "a.jsonl", deeds)))
            second = group.create_task(one("b", 1100, Hand(folder / "b.jsonl", [])))
        return [first.result(), second.result()]

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert [outcome.exit_code for outcome in runner.run(both())] == [0, 0]
    every = sorted([*posts["a"], *posts["b"]])
    limits = [(0, 30, ten), (33 + HEARS + 1, 1e6, ten)]
    check_windows(every, [(EVENING + a, EVENING + b, rates) for a, b, rates in limits])
    check_windows(posts["a"], periods(deeds, ten, EVENING, EVENING + 1e6))
    # Alone with the other's places while it took none, and each its half before and after.
    assert within(posts["a"], 30 + HEARS, 33) > 500
    assert within(posts["b"], 30 + HEARS, 33) > 12
    for begin in (5, 50):
        halves = [within(times, begin, begin + 20) for times in posts.values()]
        assert min(halves) >= 80
    assert within(posts["a"], 90, 110) <= 40
    assert within(posts["b"], 90, 110) >= 140


class Watching(Hand):
    """The same, that keeps what it is shown."""

    interval = 5.0

    def __init__(self, output: Path, deeds: Sequence[Deed]) -> None:
        super().__init__(output, deeds)
        self.etas: list[Eta | None] = []

    def show(self, scene: Scene) -> None:
        super().show(scene)
        self.etas.append(scene.eta)


def test_while_it_is_paused_a_watching_person_is_told_since_when_and_how_to_go_on(
    folder: Path,
) -> None:
    prompts, output = rows(folder, 200), folder / "results.jsonl"
    view = Watching(output, [Deed(10, paused=True), Deed(100)])
    settings = Settings(RECIPE, rates=(Rate(5, 1.0),))
    outcome, _ = simulate(*(prompts, output, settings, Service(FREE)), steered=True, view=view)
    assert outcome.exit_code == 0
    paused = [eta for eta in view.etas if eta is not None and eta.pause is not None]
    assert 16 <= len(paused) <= 19
    since = local_day_and_time(EVENING).partition(" ")[2]
    assert {words(eta, local_day_and_time) for eta in paused} == {
        f"paused since {since}, to go on: yagpt-batch unpause {output}"
    }
    assert prospect.as_json(paused[-1], stamp)["bound_by"] == "paused"
    assert view.etas[-2] is not None
    assert view.etas[-2].pause is None


def test_a_limit_that_was_lifted_is_not_said_to_bind(folder: Path) -> None:
    prompts, output = rows(folder, 400), folder / "results.jsonl"
    view = Watching(output, [Deed(32.5, Change(rates=texts([Rate(1, 1.0)]), max_in_flight=NONE))])
    view.interval = 1.0
    settings = Settings(RECIPE, rates=(Rate(5, 1.0),), max_in_flight=3)
    model = Service(replace(FREE, latency_median=5.0, latency_sigma=0.1))
    simulate(*(prompts, output, settings, model), steered=True, view=view, stop_after=60.0)
    bound = [(eta.at - EVENING, eta.bound_by) for eta in view.etas if eta is not None]
    assert {by for at, by in bound if 3 < at < 32} == {IN_FLIGHT}
    assert {by for at, by in bound if at > 32.5 + HEARS} == {Rate(1, 1.0)}


def test_a_deadline_that_was_lifted_ends_nothing(folder: Path) -> None:
    prompts, output = rows(folder, 400), folder / "results.jsonl"
    settings = Settings(RECIPE, rates=(Rate(5, 1.0),), finish_by=EVENING + 40.0)
    said: list[str] = []
    hand = Hand(output, [Deed(20.0, Change(finish_by=NONE))])
    outcome, _ = simulate(
        *(prompts, output, settings, Service(FREE)), steered=True, view=hand, say=said.append
    )
    assert (outcome.exit_code, outcome.totals.rows("ok")) == (0, 400)
    (told,) = [line for line in said if line.startswith("Changed from outside: ")]
    assert told.startswith("Changed from outside: no end set (before: to finish by ")


def test_whoever_looks_from_outside_is_told_of_a_change_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[dict[str, Any]] = []
    post = Recorder.post

    def posted(recorder: Recorder, *facts: Fact) -> None:
        notes = (fact for fact in facts if isinstance(fact, Note) and fact.name == ETA)
        noted.extend(json.loads(note.value) if note.value else {} for note in notes)
        post(recorder, *facts)

    monkeypatch.setattr(Recorder, "post", posted)
    usual, fewer = (Rate(5, 1.0), Rate(150, 600.0)), (Rate(30, 60.0),)
    deeds = [
        to(400, fewer),
        Deed(430, Change(rates=texts(fewer)), paused=True),
        Deed(440, Change(rates=texts(fewer))),
    ]
    prompts, output = rows(folder, 1000), folder / "results.jsonl"
    model, hand = Service(FREE), Hand(output, deeds)
    settings = Settings(RECIPE, rates=usual)
    simulate(*(prompts, output, settings, model), view=hand, steered=True, stop_after=450.0)
    paused = max(place for place, eta in enumerate(noted) if not eta)
    changed = next(eta for eta in noted if eta and eta["at"] >= EVENING + 400)
    unpaused = noted[paused + 1]
    assert changed["bound_by"] == {"limit": 30, "seconds": 60.0}
    assert 400 <= changed["at"] - EVENING < 400 + HEARS + 0.1
    assert EVENING + 400 < noted[paused - 1]["at"] <= EVENING + 430 + HEARS
    assert 440 <= unpaused["at"] - EVENING < 440 + HEARS + 0.1
    assert unpaused["likely"] is not None


def test_after_a_change_no_end_is_told_that_only_the_rates_allow(folder: Path) -> None:
    told: list[tuple[float, str | None, float | None]] = []

    class Watching(Hand):
        interval = 1.0

        def show(self, scene: Scene) -> None:
            super().show(scene)
            if scene.eta is not None:
                told.append((scene.now - EVENING, str(scene.eta.bound_by), scene.eta.likely))

    many = (Rate(10, 1.0), Rate(300, 3600.0))
    prompts, output = rows(folder, 5000), folder / "results.jsonl"
    hand = Watching(output, [Deed(100.0, Change(rates=(), max_in_flight=40))])
    model = Service(replace(FREE, latency_median=5.0))
    settings = Settings(RECIPE, rates=many)
    simulate(prompts, output, settings, model, view=hand, steered=True, stop_after=240.0)
    changed = [one for one in told if one[0] > 100 + HEARS]
    soon = [one for one in changed if one[0] < 109]
    assert {(by, likely) for _, by, likely in soon} == {("max-in-flight", None)}
    # 40 at once, of about 6 seconds each: some 700 seconds for 4,700 rows.
    later = [likely for at, _, likely in changed if at > 130]
    assert all(likely is not None and 600 < likely - EVENING < 1200 for likely in later)


def test_while_a_window_is_full_a_limit_on_operations_in_flight_counts_for_the_end(
    folder: Path,
) -> None:
    told: list[tuple[float, str | None, float | None]] = []

    class Watching(Hand):
        interval = 5.0

        def show(self, scene: Scene) -> None:
            super().show(scene)
            if scene.eta is not None:
                told.append((scene.now - EVENING, str(scene.eta.bound_by), scene.eta.likely))

    many = (Rate(10, 1.0), Rate(300, 3600.0))
    prompts, output = rows(folder, 3000), folder / "results.jsonl"
    hand = Watching(output, [Deed(600.0, Change(max_in_flight=1))])
    settings = Settings(RECIPE, rates=many)
    simulate(prompts, output, settings, Service(FREE), view=hand, steered=True, stop_after=700.0)
    before = [likely for at, _, likely in told if 500 < at < 600]
    after = [(by, likely) for at, by, likely in told if at > 620]
    assert all(likely is not None and likely - EVENING < 11 * 3600 for likely in before)
    # One at once, of some 35 seconds each: 26 hours for 2,700 rows.
    assert len(after) > 10
    assert {by for by, _ in after} == {"max-in-flight"}
    assert all(likely and 20 * 3600 < likely - EVENING < 40 * 3600 for _, likely in after)


@pytest.mark.promise("P19")
@pytest.mark.parametrize(
    ("asked", "code", "why"),
    [
        ({"budget": Decimal("0.001")}, 80, "the budget of 0.0010 RUB is reached"),
        ({"finish_by": EVENING - 60}, 81, "--finish-by "),
    ],
)
def test_a_change_that_ends_the_run_at_once_says_what_has_happened(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    asked: dict[str, Any],
    code: int,
    why: str,
) -> None:
    rows, output = tmp_path / "prompts.jsonl", tmp_path / "results.jsonl"
    rows.write_text("".join(json.dumps({"prompt": f"{n}"}) + "\n" for n in range(250)))
    slow = Settings(RECIPE, rates=(Rate(3, 60.0),), budget=Decimal(500))
    night = (rows, output, slow, Service(FREE))
    simulate(*night, stop_after=50.0, steered=True)
    write, goes_on = control_file.write, iter([True, True])

    def heard_at_once(*given: Any) -> Control:
        written = write(*given)
        assert simulate(*night, steered=True)[0].exit_code == code
        return written

    monkeypatch.setattr(bystander, "is_running", lambda _: next(goes_on, False))
    monkeypatch.setattr(control_file, "write", heard_at_once)
    limits = {"rate": (), "poll_rate": (), "budget": None, "finish_by": None}
    options = {"output": output, "as_json": False, "max_in_flight": None, **limits, **asked}
    assert steered.change(options) == 0
    said = capsys.readouterr().out
    assert "The run has heard it and ended." in said
    assert "For a later run" not in said
    assert f"with exit code {code}: {why}" in said


def test_what_was_paused_or_changed_back_is_compared_with_no_rates(folder: Path) -> None:
    settings = Settings(RECIPE, rates=(Rate(5, 1.0),))
    shares = {}
    for name, deeds in {
        "undisturbed": [],
        "paused": [Deed(10.0, paused=True), Deed(20.0)],
        "changed": [to(10.0, [Rate(1, 1.0)]), to(20.0, [Rate(5, 1.0)])],
    }.items():
        output = folder / f"{name}.jsonl"
        hand = Hand(output, deeds)
        outcome, _ = simulate(
            *(rows(folder, 200), output, settings, Service(FREE)), steered=True, view=hand
        )
        assert outcome.exit_code == 0
        shares[name] = outcome.use.share
    assert shares["undisturbed"] is not None
    assert (shares["paused"], shares["changed"]) == (None, None)
