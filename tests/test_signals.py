"""What a signal means beside the one before; how a run ends by them, the e2e tests see."""

import signal
from collections.abc import Iterator

import pytest

from pipeline import signals
from pipeline.clock import Clock
from pipeline.signals import Signals

_HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = [(number, signal.getsignal(number)) for number in _HEARD]
    yield
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    for number, what in before:
        signal.signal(number, what)


@pytest.fixture
def died(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    found = list[int]()
    monkeypatch.setattr(signals, "die_by", found.append)
    return found


def terminated_twice(apart: float) -> Signals:
    """Signals of which two came, so many seconds apart."""
    now, heard = [0.0], list[int]()
    listening = Signals(Clock(lambda: now[0], 0.0))
    listening.tell(heard.append)
    signal.raise_signal(signal.SIGTERM)
    now[0] += apart
    signal.raise_signal(signal.SIGTERM)
    assert heard == [signal.SIGTERM]
    return listening


@pytest.mark.promise("P10")
@pytest.mark.parametrize("apart", [0.051, 30.0])
def test_a_second_signal_leaves_at_once(died: list[int], apart: float) -> None:
    terminated_twice(apart)
    assert died == [signal.SIGTERM]


@pytest.mark.promise("P10")
@pytest.mark.parametrize("apart", [0.0, 0.049])
def test_one_that_comes_with_the_first_leaves_a_moment_later(
    died: list[int], apart: float
) -> None:
    """GNU timeout sends each of its signals twice; that should not make doubts."""
    terminated_twice(apart)
    assert died == []
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    assert 0 < left <= 0.25
    signal.raise_signal(signal.SIGALRM)
    assert died == [signal.SIGTERM]


@pytest.mark.promise("P10")
def test_a_run_that_is_over_by_then_ends_in_order(died: list[int]) -> None:
    terminated_twice(0.0).rest()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert died == []
