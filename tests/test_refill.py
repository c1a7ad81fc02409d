"""A run's dealings with the allowance where its file hangs."""

import asyncio
from threading import Event

import pytest

from pipeline import refill
from pipeline.allowance import Allowance
from pipeline.clock import Clock
from pipeline.pace import Pace
from pipeline.rates import Rate
from pipeline.refill import Opener, Refill


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
