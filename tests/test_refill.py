"""A run's dealings with the allowance where its file hangs."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from threading import Event

import pytest

from pipeline.clock import Clock
from pipeline.pacing.pace import Pace
from pipeline.pacing.rates import Kind, Rate
from pipeline.shared_quota import refill
from pipeline.shared_quota.allowance import Allowance
from pipeline.shared_quota.refill import Opener, Refill


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refill, "_PATIENCE", 0.2)
    monkeypatch.setattr(refill, "_PATIENCE_AT_THE_END", 0.2)


@pytest.mark.promise("P17")
def test_a_file_that_hangs_is_given_up_and_holds_up_no_end() -> None:
    released, said, woken = Event(), list[str](), list[int]()

    def hang(_: object) -> Allowance:
        released.wait()
        raise AssertionError

    pace = Pace([Rate(10, 1.0)])

    async def run(opener: Opener) -> None:
        dealings = Refill(opener, Clock(), said.append)
        dealings.attach("submits", pace, lambda: woken.append(1))
        await dealings.watch()
        dealings.leave()

    try:
        asyncio.run(run(hang))
    finally:
        released.set()
    assert pace.purse is None
    assert len(said) == len(woken) == 1
    assert "did not answer" in said[0]


@pytest.mark.parametrize("others", [0, 1])
def test_a_run_knows_whether_it_shares_the_quota_with_another(tmp_path: Path, others: int) -> None:
    """Alone it is not to say that other runs hold it up; one that died is none."""
    path, slow = tmp_path / "quota", Rate(10, 1.0)
    rates: dict[Kind, tuple[Rate, ...]] = {"submits": (slow,)}
    pace = Pace([slow])

    def opener(kept_to: Mapping[Kind, tuple[Rate, ...]]) -> Allowance:
        return Allowance(path, kept_to, Clock())

    async def run() -> None:
        clock, has_places = Clock(), asyncio.Event()
        dealings = Refill(opener, clock, lambda _: None)
        dealings.attach("submits", pace, has_places.set)
        pace.opens_at(clock.now())
        watching = asyncio.get_running_loop().create_task(dealings.watch())
        await has_places.wait()
        watching.cancel()
        dealings.leave()

    Allowance(path, rates, Clock()).abandon()
    company = [Allowance(path, rates, Clock()) for _ in range(others)]
    asyncio.run(run())
    for one in company:
        one.abandon()
    assert pace.purse is not None
    assert pace.purse.has_company == (others > 0)


class Prepared:
    """A thread that has its one result when it is told to."""

    def __init__(self) -> None:
        self.future: Future[None] = Future()

    def submit(self, *_: object) -> Future[None]:
        return self.future


@pytest.mark.promise("P17")
@pytest.mark.parametrize("steps", range(6))
def test_an_end_that_comes_together_with_the_file_s_answer_is_heard(steps: int) -> None:
    """Or the run would wait for ever for a task that goes on."""

    async def end_with_the_answer() -> None:
        sharing, thread = Refill(None, Clock(), print), Prepared()
        sharing._thread = thread  # type: ignore[assignment] # noqa: SLF001 - to choose the moment
        asked = sharing._in_thread(print)  # noqa: SLF001 - as above
        asking = asyncio.get_running_loop().create_task(asked)
        await asyncio.sleep(0)
        thread.future.set_result(None)
        for _ in range(steps):
            await asyncio.sleep(0)
        if asking.cancel():
            with pytest.raises(asyncio.CancelledError):
                await asking

    asyncio.run(end_with_the_answer())
