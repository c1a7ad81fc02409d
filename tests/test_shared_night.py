"""Runs that share a folder through a night, under virtual time: two real runs in one loop."""

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.clock import Clock
from pipeline.emulator.model import Config, Service
from pipeline.ending.prospect import SHARE
from pipeline.errors import Exit
from pipeline.input.rows import Recipe
from pipeline.network.carrier import Carrier, Reply
from pipeline.pacing.rates import Rate
from pipeline.settings import Settings
from pipeline.view.progress import View
from pipeline.view.scene import Scene
from tests.scratch import busiest
from tests.simulation import EVENING, AwayCarrier, ModelCarrier, VirtualLoop, bad_gateway, live

HOUR = 3600.0


@dataclass(slots=True)
class Told:
    """Notes when each POST left, in seconds since the evening."""

    inner: Carrier
    loop: asyncio.AbstractEventLoop
    posts: list[float] = field(default_factory=list)

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Reply:
        if method == "POST":
            self.posts.append(self.loop.time())
        return await self.inner.send(method, url, headers, body, timeout)

    async def close(self) -> None: ...


@dataclass(slots=True)
class Run:
    """One of the runs of a night, and what became of it."""

    rows: int
    begins: float = 0.0
    view: View | None = None
    wall: float = EVENING
    away: tuple[float, float] | None = None
    posts: list[float] = field(default_factory=list)
    code: int = -1
    said: list[str] = field(default_factory=list)


def night(
    folder: Path,
    model: Service,
    settings: Settings,
    runs: list[Run],
    *,
    delay: Callable[[], float] = lambda: 0.02,
    state: str = "state/folder.quota",
) -> None:
    """Carry all the runs in one loop; they share one machine, and one folder's quotas."""

    async def one(number: int, run: Run) -> None:
        loop = asyncio.get_running_loop()
        rows = folder / f"{number}.jsonl"
        prompts = (f"row {n} of run {number}" for n in range(run.rows))
        rows.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
        service = Clock(loop.time, EVENING)
        await asyncio.sleep(run.begins)
        carrier: Carrier = ModelCarrier(model, service, delay)
        if run.away is not None:
            carrier = AwayCarrier(carrier, service, run.away, bad_gateway)  # type: ignore[arg-type]
        told = Told(carrier, loop, run.posts)
        outcome, _ = await live(
            *(rows, folder / f"{number}.out.jsonl", settings),
            *(Clock(loop.time, run.wall + run.begins), told),
            say=run.said.append,
            state=folder / state,
            view=run.view,
        )
        run.code = outcome.exit_code

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for number, run in enumerate(runs):
                group.create_task(one(number, run))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(all_of_them())


def settings(**changes: object) -> Settings:
    recipe = Recipe(model="yandexgpt-lite", folder=Config().folder)
    return Settings(recipe=recipe, **changes)  # type: ignore[arg-type]


def within(posts: list[float], begin: float, end: float) -> int:
    return sum(begin <= at < end for at in posts)


@pytest.mark.promise("P13")
@pytest.mark.timeout(400)
def test_two_runs_use_5000_an_hour_together_and_never_pass_it(folder: Path) -> None:
    model = Service(Config(latency_median=60, latency_sigma=0.8))
    chance = random.Random(5)  # noqa: S311 - a simulated network
    # The wall clock is set back by an hour before the second one begins.
    first, second = Run(7700), Run(2900, begins=600.0, wall=EVENING - HOUR)

    night(
        *(folder, model, settings(), [first, second]),
        delay=lambda: chance.uniform(0.001, 0.02),
    )

    assert (first.code, second.code) == (Exit.OK, Exit.OK)
    assert not model.violations
    times = list(model.submit_times)
    assert len(times) == 10_600
    assert busiest(times, 1.0) <= 10
    assert busiest(times, HOUR) <= 5000
    # Whoever wastes nothing makes the 10,600th submit after two hours and a minute.
    assert (2 * HOUR + 59.9) / (times[-1] - times[0]) >= 0.99
    # While both want, each gets half.
    halves = [within(run.posts, HOUR, HOUR + 400) for run in (first, second)]
    assert sum(halves) >= 0.95 * 4000
    assert abs(halves[0] - halves[1]) <= 0.05 * 2000


@pytest.mark.promise("P13")
def test_with_a_short_window_three_runs_come_and_go_and_little_is_lost(folder: Path) -> None:
    model = Service(Config(latency_median=5, submit_rates=(Rate(10, 1.0),)))
    runs = [Run(1000), Run(200, begins=20.0), Run(85, begins=30.0)]

    night(folder, model, settings(rates=(Rate(10, 1.0),)), runs)

    assert [run.code for run in runs] == [0, 0, 0]
    assert not model.violations
    times = list(model.submit_times)
    # A round trip of 40 ms is lost in each second in any case.
    assert (len(times) / 10) / (times[-1] - times[0]) >= 0.94
    thirds = [within(run.posts, 35.0, 50.0) for run in runs]
    assert max(thirds) - min(thirds) <= 10
    # Within about a second the others have what a run has no more use for.
    end = runs[2].posts[-1] + 1.0
    assert sum(within(run.posts, end, end + 10.0) for run in runs[:2]) >= 90


def test_who_is_alone_again_is_told_so_within_seconds(folder: Path) -> None:
    told: list[tuple[float, object]] = []

    class Watching:
        interval = 1.0

        def show(self, scene: Scene) -> None:
            if scene.eta is not None:
                told.append((scene.now - EVENING, scene.eta.bound_by))

        def close(self) -> None: ...

    rates = (Rate(10, 1.0),)
    model = Service(Config(latency_median=5, submit_rates=rates))
    runs = [Run(1500, view=Watching()), Run(300, begins=20.0)]
    night(folder, model, settings(rates=rates), runs)
    over = runs[1].posts[-1]
    assert SHARE in {by for at, by in told if 40 < at < over}
    # Its last answers come in some seconds later; then it lets go.
    alone = [by for at, by in told if over + 30 < at < over + 60]
    assert len(alone) > 25
    assert set(alone) == set(rates)


@pytest.mark.promise("P13")
def test_polls_are_shared_as_well(folder: Path) -> None:
    polls = (Rate(5, 1.0),)
    config = Config(latency_median=3, submit_rates=(), poll_rates=polls)
    model = Service(config)
    runs = [Run(150), Run(150)]

    night(folder, model, settings(rates=(Rate(50, 1.0),), poll_rates=polls), runs)

    assert [run.code for run in runs] == [0, 0]
    assert not model.violations
    times = list(model.poll_times)
    assert busiest(times, 1.0) <= 5
    assert (len(times) / 5) / (times[-1] - times[0]) >= 0.9


@pytest.mark.promise("P12")
def test_an_outage_ends_for_runs_that_share_as_it_does_for_one(folder: Path) -> None:
    model = Service(Config(latency_median=5, latency_sigma=0))
    away = (EVENING + 20.0, EVENING + 320.0)
    runs = [Run(400, away=away), Run(400, away=away)]

    night(folder, model, settings(), runs)

    assert [run.code for run in runs] == [0, 0]
    assert not model.violations
    for run in runs:
        assert within(run.posts, 320.0, 320.0 + 60.0) > 100


@pytest.mark.promise("P13")
def test_a_state_that_can_t_be_used_stops_nobody(folder: Path) -> None:
    (folder / "state").write_text("a file")
    run = Run(30)
    night(folder, Service(Config(latency_median=5)), settings(), [run])
    assert run.code == 0
    assert [said for said in run.said if "alone" in said] == [
        f"The folder's quota can't be shared with other runs ({folder}/state/folder.quota: "
        "File exists): this run keeps to its own windows alone."
    ]
