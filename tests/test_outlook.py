"""What a watching person and `status` are told while a run goes on, under virtual time."""

import asyncio
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec import convert

from pipeline.clock import local_day_and_time, stamp
from pipeline.emulator.ailments import Ailments
from pipeline.emulator.model import Config, Service
from pipeline.emulator.schedules import Fault
from pipeline.ending.prospect import ANSWERS, DENIED, IN_FLIGHT, SERVICE, Eta, is_soon, words
from pipeline.files.paths import Paths
from pipeline.input.rows import Recipe
from pipeline.life.facts import COSTS, ETA, End, Fact, Note
from pipeline.network.carrier import Reply
from pipeline.outside.snapshot import looked_at
from pipeline.pacing.rates import Rate
from pipeline.settings import Settings
from pipeline.state.board import Counts
from pipeline.store.recorder import Recorder
from pipeline.view.progress import JsonLines
from pipeline.view.scene import Scene
from tests.simulation import EVENING, AwayCarrier, Sending, black_hole, refused, simulate

HOUR = 3600.0
PER_HOUR = Rate(100, HOUR)


def _shown(eta: Eta) -> str:
    return words(eta, local_day_and_time)


class Watching:
    """Keeps what is shown."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.notes: list[str] = []
        self.etas: list[Eta] = []

    def show(self, scene: Scene) -> None:
        eta = scene.eta
        self.notes.append("" if eta is None else _shown(eta))
        if eta is not None:
            self.etas.append(eta)

    def close(self) -> None: ...


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"{n}"}) + "\n" for n in range(250)))
    return path


def _settings(**changes: object) -> Settings:
    recipe = Recipe(model="yandexgpt-lite", folder=Config().folder)
    return Settings(recipe, rates=(Rate(10, 1.0), PER_HOUR), **changes)  # type: ignore[arg-type]


def _model(latency: float = 60.0) -> Service:
    rates = (Rate(10, 1.0), PER_HOUR)
    return Service(Config(latency_median=latency, latency_sigma=0.5, submit_rates=rates))


def test_the_end_is_told_hours_before_and_comes_then(rows: Path, tmp_path: Path) -> None:
    view = Watching(60.0)
    _, end = simulate(rows, tmp_path / "out.jsonl", _settings(), _model(), view=view)
    # The first answers have come in; two more windows are to open.
    early = [eta for eta in view.etas if EVENING + 300 < eta.at < EVENING + 2 * HOUR - 60]
    assert len(early) > 90
    assert {eta.bound_by for eta in early} == {PER_HOUR}
    for eta in early:
        assert eta.submitted == pytest.approx(EVENING + 2 * HOUR + 5, abs=5)
        assert eta.earliest is not None
        assert eta.latest is not None
        assert eta.earliest - 60 < end < eta.latest + 60
    assert any(note.endswith("bound by 100 an hour (100.0 % used)") for note in view.notes)
    last = next(eta for eta in view.etas if eta.at > EVENING + 2 * HOUR + 20)
    assert last.bound_by == ANSWERS
    assert view.notes[-1] == ""


@pytest.mark.parametrize("interval", [5.0, 3600.0])
def test_whoever_looks_from_outside_is_told_too(
    rows: Path, tmp_path: Path, interval: float
) -> None:
    output, view = tmp_path / "out.jsonl", Watching(interval)
    simulate(rows, output, _settings(), _model(), view=view, stop_after=600.0)
    eta = looked_at(Paths(output).checkpoint, lambda seen: seen.eta())
    assert eta is not None
    assert EVENING + 60 < eta.at < EVENING + 600
    assert eta.bound_by == PER_HOUR
    assert "bound by 100 an hour" in _shown(eta)


def test_who_goes_on_takes_back_what_an_earlier_process_told(rows: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    model = _model()
    simulate(rows, output, _settings(), model, stop_after=600.0)
    simulate(rows, output, _settings(), model, start=EVENING + 700, stop_after=0.5)
    assert looked_at(Paths(output).checkpoint, lambda seen: seen.eta()) is None


def test_an_end_that_is_known_is_noted_once_a_minute_at_most(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[str | None] = []
    post = Recorder.post

    def posted(recorder: Recorder, *facts: Fact) -> None:
        noted.extend(fact.value for fact in facts if isinstance(fact, Note) and fact.name == ETA)
        post(recorder, *facts)

    monkeypatch.setattr(Recorder, "post", posted)
    simulate(rows, tmp_path / "out.jsonl", _settings(), _model(), view=Watching(20.0))
    etas = [json.loads(value) for value in noted if value]
    moments = [eta["at"] for eta in etas if eta["likely"]]
    assert 5 < len(moments) < 2 * 60 + 60
    far = [moment for moment in moments if moment < EVENING + 2 * HOUR - 180]
    assert min(b - a for a, b in pairwise(far)) >= 59.9
    assert 0 < len(etas) - len(moments) < 20


def test_what_answers_cost_is_noted_as_it_is_learned_and_when_the_process_ends(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[int] = []
    post = Recorder.post

    def posted(recorder: Recorder, *facts: Fact) -> None:
        costs = (fact for fact in facts if isinstance(fact, Note) and fact.name == COSTS)
        noted.extend(json.loads(fact.value or "{}")["count"] for fact in costs)
        post(recorder, *facts)

    monkeypatch.setattr(Recorder, "post", posted)
    fast, output = replace(_settings(), rates=()), tmp_path / "out.jsonl"
    model = Service(Config(latency_median=1.0, submit_rates=(), poll_rates=()))
    outcome, _ = simulate(rows, output, fast, model, stop_after=3.0)
    answered = outcome.totals.rows("ok")
    assert 50 < answered < 250
    assert noted[:3] == [5, 10, 15]
    assert noted[-1] == answered
    assert max(b - a for a, b in pairwise(noted)) <= max(answered // 20, 5)


def test_a_row_whose_line_is_being_written_stays_submitted(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Recorder.write

    async def slowly(recorder: Recorder, *ends: End) -> None:
        await asyncio.sleep(0.7)
        await write(recorder, *ends)

    monkeypatch.setattr(Recorder, "write", slowly)
    seen: list[tuple[int, int]] = []

    class Counting(Watching):
        def show(self, scene: Scene) -> None:
            seen.append((scene.counts.submitted, scene.counts.arrived))

    fast = replace(_settings(limit=40), rates=(Rate(10, 1.0),))
    simulate(rows, tmp_path / "out.jsonl", fast, _model(5.0), view=Counting(0.2))
    assert max(arrived for _, arrived in seen) > 3
    assert all(a <= b for (a, _), (b, _) in pairwise(seen))
    assert seen[-1] == (40, 0)


def test_while_the_service_is_away_there_is_no_end(rows: Path, tmp_path: Path) -> None:
    view = Watching(20.0)
    simulate(
        *(rows, tmp_path / "out.jsonl", _settings(), _model()),
        view=view,
        through=lambda inner, clock: AwayCarrier(
            inner, clock, (EVENING + 3, EVENING + 500), refused
        ),
    )
    away = [eta for eta in view.etas if EVENING + 60 < eta.at < EVENING + 400]
    assert {(eta.bound_by, eta.likely) for eta in away} == {(SERVICE, None)}
    assert "waiting for the service" in view.notes


def test_an_end_that_is_near_is_noted_every_few_seconds(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[str] = []
    post = Recorder.post

    def posted(recorder: Recorder, *facts: Fact) -> None:
        noted.extend(f.value for f in facts if isinstance(f, Note) and f.name == ETA and f.value)
        post(recorder, *facts)

    monkeypatch.setattr(Recorder, "post", posted)
    fast = replace(_settings(), rates=(Rate(10, 1.0),))
    config = Config(latency_median=20.0, latency_sigma=0.5, submit_rates=(), poll_rates=())
    model = Service(config)
    model.suffer(Ailments((Fault.parse("forgotten@100"),), 1, EVENING))
    view = Watching(1.0)
    _, end = simulate(rows, tmp_path / "out.jsonl", fast, model, view=view)
    etas = [json.loads(text) for text in noted]
    denied = [eta for eta in etas if eta["bound_by"] == DENIED]
    assert end > EVENING + 600
    assert {(eta["denied"], eta["likely"]) for eta in denied} == {(1, None)}
    assert all(end - 61 < eta["latest"] - 1 for eta in denied)
    last = [eta for eta in view.etas if EVENING + 120 < eta.at < end - 60]
    assert len(last) > 400
    assert all(eta.bound_by == DENIED and end <= (eta.latest or 0) <= end + 120 for eta in last)
    assert not any(is_soon(eta) for eta in last)
    # Who looks from outside reads what a watching person read a few seconds before.
    for eta in view.etas:
        if eta.at > EVENING + 10:
            known = [told for told in etas if told["at"] <= eta.at][-1]
            recent = (seen for seen in view.etas if -1.1 < eta.at - seen.at < 6.1)
            assert _shown(convert(known, Eta)) in map(_shown, recent)


def test_machines_get_the_end_as_values(capsys: pytest.CaptureFixture[str]) -> None:
    eta = Eta(
        EVENING, 5, PER_HOUR, 0.994, EVENING + 60, EVENING + 90, EVENING + 120, EVENING + 180
    )
    JsonLines().show(Scene(Counts(total=10), eta=eta))
    JsonLines().show(Scene(Counts()))
    known, unknown = map(json.loads, capsys.readouterr().err.splitlines())
    assert known["eta"]["likely"] == stamp(EVENING + 120)
    assert (known["bound_by"], known["used"]) == ("100/h", 0.994)
    assert known["note"].endswith(", bound by 100 an hour (99.4 % used)")
    assert set(unknown["eta"].values()) == {unknown["bound_by"]} == {unknown["used"]} == {None}


def test_while_no_post_comes_back_the_end_is_not_known(rows: Path, tmp_path: Path) -> None:
    async def meet(call: Sending) -> Reply:
        if call.is_submit and EVENING + 20 < call.at < EVENING + 40:
            return await black_hole(50.0)
        return await call.onward()

    view = Watching(1.0)
    settings = replace(_settings(), rates=(Rate(2, 1.0),))
    model = Service(Config(latency_median=1.0, latency_sigma=0.5))
    simulate(rows, tmp_path / "out.jsonl", settings, model, view=view, meet=meet)
    hung = [eta for eta in view.etas if EVENING + 36 < eta.at < EVENING + 68]
    assert len(hung) > 20
    assert {(eta.bound_by, eta.likely) for eta in hung} == {(SERVICE, None)}
    assert {eta.submitted for eta in hung} == {None}
    assert all(eta.likely for eta in view.etas if EVENING + 10 < eta.at < EVENING + 20)


def test_no_end_but_that_is_in_sight_while_a_run_stops(rows: Path, tmp_path: Path) -> None:
    async def meet(call: Sending) -> Reply:
        if call.is_submit and call.at > EVENING + 9:
            return await black_hole(50.0)
        return await call.onward()

    view = Watching(1.0)
    _, end = simulate(
        *(rows, tmp_path / "out.jsonl", _settings(), _model(1.0)),
        stop_after=10.0,
        view=view,
        meet=meet,
    )
    # It waited for requests that were being sent.
    assert end > EVENING + 19
    assert len(view.notes) > 18
    assert EVENING + 8 < max(eta.at for eta in view.etas) <= EVENING + 10


def test_places_in_flight_that_are_never_all_taken_bind_nothing(
    rows: Path, tmp_path: Path
) -> None:
    view, settings = Watching(0.5), replace(_settings(max_in_flight=60), rates=(Rate(10, 1.0),))
    model = Service(Config(latency_median=1.0, latency_sigma=0.2))
    simulate(rows, tmp_path / "out.jsonl", settings, model, view=view)
    early = [eta for eta in view.etas if eta.at < EVENING + 20]
    assert len(early) > 30
    assert {eta.bound_by for eta in early} == {Rate(10, 1.0)}


def test_no_end_is_told_before_it_is_seen_how_fast_places_in_flight_come_free(
    rows: Path, tmp_path: Path
) -> None:
    view, settings = Watching(1.0), replace(_settings(max_in_flight=3), rates=(Rate(2, 1.0),))
    model = Service(Config(latency_median=6.0, latency_sigma=0.1))
    _, end = simulate(rows, tmp_path / "out.jsonl", settings, model, view=view)
    soon = [eta for eta in view.etas if EVENING + 3 < eta.at < EVENING + 9]
    assert {(eta.bound_by, eta.submitted, eta.likely) for eta in soon} == {(IN_FLIGHT, None, None)}
    known = [eta for eta in view.etas if EVENING + 30 < eta.at < EVENING + 60 and eta.likely]
    assert len(known) > 20
    # At the quota's pace it would be over in two minutes.
    assert all(EVENING + 200 < eta.likely < end + 600 for eta in known if eta.likely)
