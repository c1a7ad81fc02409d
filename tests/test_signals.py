"""What a signal means beside the one before; how a run ends by them, the e2e tests see."""

import signal
from collections.abc import Iterator, Sequence

import pytest

from pipeline.clock import Clock
from pipeline.terminal import signals
from pipeline.terminal.signals import Signals, cleanly

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


def rested(*, after: Sequence[float] = ()) -> list[float]:
    """The clock of signals that rest; before that some came, at these moments."""
    now = [0.0]
    listening = Signals(Clock(lambda: now[0], 0.0))
    for moment in after:
        now[0] = moment
        signal.raise_signal(signal.SIGTERM)
    listening.rest()
    return now


@pytest.mark.promise("P10")
@pytest.mark.parametrize(("earlier", "at"), [((), 0.01), ((0.0,), 0.051)])
def test_once_all_is_recorded_a_signal_leaves_at_once(
    died: list[int], capfd: pytest.CaptureFixture[str], earlier: tuple[float, ...], at: float
) -> None:
    """And it is not told to wait for requests, of which there are none in flight."""
    now = rested(after=earlier)
    capfd.readouterr()
    now[0] = at
    signal.raise_signal(signal.SIGTERM)
    assert died == [signal.SIGTERM]
    assert capfd.readouterr().err == ""


@pytest.mark.promise("P10")
def test_the_second_of_one_instant_is_none_of_its_own_once_all_is_recorded(
    died: list[int],
) -> None:
    now = rested(after=(0.0,))
    now[0] = 0.01
    signal.raise_signal(signal.SIGTERM)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert died == []


@pytest.mark.parametrize(("apart", "cleaned"), [(0.049, True), (0.051, False)])
def test_two_signals_of_one_instant_end_a_block_once(
    died: list[int], apart: float, *, cleaned: bool
) -> None:
    """What it cleans up at the first is not cut short by the second, unless that is meant."""
    now, done = [0.0], list[bool]()
    with cleanly(Clock(lambda: now[0], 0.0)):
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            now[0] += apart
            signal.raise_signal(signal.SIGTERM)
            done.append(True)
    assert bool(done) is cleaned
    assert died == [signal.SIGTERM]


def test_a_signal_waits_for_what_is_to_be_done_whole(died: list[int]) -> None:
    done = list[str]()
    with cleanly() as ear:
        with ear.whole():
            signal.raise_signal(signal.SIGINT)
            done.append("whole")
        done.append("more")
    assert done == ["whole"]
    assert died == [signal.SIGINT]
