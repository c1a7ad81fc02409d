"""What a signal means beside the one before; how a run ends by them, the e2e tests see."""

import signal
from collections.abc import Iterator

import pytest

from pipeline import signals
from pipeline.clock import Clock


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    hangup = signal.getsignal(signal.SIGHUP)
    yield
    for number, what in (*before, (signal.SIGHUP, hangup)):
        signal.signal(number, what)


@pytest.mark.promise("P10")
@pytest.mark.parametrize(("apart", "deaths"), [(0.0, 0), (0.001, 0), (0.003, 1), (30.0, 1)])
def test_signals_that_come_together_are_one(
    monkeypatch: pytest.MonkeyPatch, apart: float, deaths: int
) -> None:
    """GNU timeout sends each of its signals twice; that must not make doubts."""
    now, died, heard = [0.0], list[int](), list[int]()
    monkeypatch.setattr(signals, "die_by", died.append)
    signals.Signals(Clock(lambda: now[0], 0.0)).tell(heard.append)
    signal.raise_signal(signal.SIGTERM)
    now[0] += apart
    signal.raise_signal(signal.SIGTERM)
    assert heard[:1] == [signal.SIGTERM]
    assert died == [signal.SIGTERM] * deaths
