"""Intervals hold the bill: a short form of `benchmarks/estimate.py`, the same trials each time."""

from functools import cache

import pytest

from benchmarks.estimate import Trial, judged

_SEEDS, _CANARY = 12, 400


@cache
def _found() -> dict[str, list[Trial]]:
    return judged(range(_SEEDS), _CANARY)


@pytest.mark.parametrize(
    ("way", "widest"),
    [
        ("input tokens", 0.03),
        ("--like", 0.10),
        (f"--canary {_CANARY}, same answers", 0.10),
        (f"--canary {_CANARY}, answers anew", 0.10),
    ],
)
def test_the_interval_holds_what_is_billed_and_is_narrow(way: str, widest: float) -> None:
    trials = _found()[way]
    assert sum(trial.holds() for trial in trials) == _SEEDS
    assert max(trial.width for trial in trials) <= widest


def test_an_interval_of_less_confidence_is_narrower_and_holds_less_often() -> None:
    trials = _found()[f"--canary {_CANARY}, answers anew"]
    assert all(trial.found.relative(0.5) < 0.6 * trial.width for trial in trials)
    assert sum(trial.holds(0.5) for trial in trials) < _SEEDS
