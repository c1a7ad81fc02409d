"""What a run holds of a shared allowance, gives back, and asks for."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.pacing.pace import Pace
from pipeline.pacing.purse import AHEAD, PERIOD, Purse, Statement
from pipeline.pacing.rates import Rate

NOW = 1000.0
ROOM = 100


class Rings:
    """Counts how often somebody was called at once."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def rings() -> Rings:
    return Rings()


@pytest.fixture
def purse(rings: Rings) -> Purse:
    return Purse(rings)


def test_without_a_place_no_call_starts_and_the_want_is_told_at_once(
    purse: Purse, rings: Rings
) -> None:
    assert purse.opens_at(NOW, NOW) == math.inf
    assert purse.opens_at(NOW, NOW) == math.inf
    assert rings.count == 1
    assert purse.statement(NOW, ROOM).want == 2


def test_a_place_is_good_from_its_moment_on(purse: Purse) -> None:
    purse.receive([NOW + 0.3, NOW + 0.1])
    assert purse.opens_at(NOW, NOW) == NOW + 0.1
    assert purse.opens_at(NOW + 0.2, NOW + 0.2) == NOW + 0.2
    purse.begin()
    assert purse.opens_at(NOW + 0.2, NOW + 0.2) == NOW + 0.3


def test_the_run_s_own_windows_hold_as_well(purse: Purse) -> None:
    purse.receive([NOW])
    assert purse.opens_at(NOW, NOW + 0.1) == NOW + 0.1
    assert purse.opens_at(NOW, math.inf) == math.inf


def test_who_may_not_start_a_call_soon_wants_no_place(purse: Purse, rings: Rings) -> None:
    assert purse.opens_at(NOW, NOW + AHEAD + 1) == NOW + AHEAD + 1
    assert rings.count == 0
    assert purse.statement(NOW, ROOM) == Statement()
    assert purse.is_at_rest


def test_ends_are_told_once(purse: Purse) -> None:
    purse.receive([NOW, NOW])
    purse.begin()
    purse.begin()
    assert purse.open == 2
    purse.end(NOW + 0.1)
    purse.end(NOW + 0.2)
    assert purse.statement(NOW + 0.3, ROOM).ended == (NOW + 0.1, NOW + 0.2)
    assert purse.statement(NOW + 0.3, ROOM).ended == ()
    assert purse.open == 0


def test_a_call_that_was_never_sent_leaves_its_place_to_the_next(purse: Purse) -> None:
    purse.receive([NOW])
    purse.begin()
    purse.undo(NOW)
    assert purse.open == 0
    assert purse.opens_at(NOW, NOW) == NOW


@pytest.mark.promise("P13")
def test_a_place_that_lies_idle_is_given_back(purse: Purse) -> None:
    purse.receive([NOW, NOW, NOW + 0.4])
    assert purse.statement(NOW + PERIOD / 2, ROOM).spare == 0
    assert purse.statement(NOW + PERIOD, ROOM).spare == 2
    assert purse.statement(NOW + 0.4, ROOM).spare == 0
    assert purse.statement(NOW + 0.4 + PERIOD, ROOM).spare == 1
    assert purse.is_at_rest


def use_all(purse: Purse, now: float) -> int:
    """Start calls, which end at once, for as long as there are places."""
    count = 0
    while purse.opens_at(now, now) <= now:
        purse.begin()
        purse.end(now)
        count += 1
    return count


@pytest.mark.promise("P13")
def test_who_misses_places_asks_for_more_each_time_up_to_what_may_start(purse: Purse) -> None:
    now, wants = NOW, list[int]()
    for _ in range(6):
        used = use_all(purse, now)
        told = purse.statement(now, 40)
        assert len(told.ended) == used
        wants.append(told.want)
        purse.receive([now] * told.want)
        now += 0.02
    assert wants == [2, 6, 14, 30, 40, 40]


def test_who_misses_nothing_asks_for_as_many_as_it_used(purse: Purse) -> None:
    purse.receive([NOW] * 10)
    for _ in range(4):
        purse.begin()
    assert purse.statement(NOW, ROOM).want == 0
    for _ in range(5):
        purse.begin()
    assert purse.statement(NOW + 0.1, ROOM).want == 4


def test_while_nothing_comes_the_want_stays_and_is_told_no_second_time(
    purse: Purse, rings: Rings
) -> None:
    purse.receive([NOW] * 5)
    use_all(purse, NOW)
    assert rings.count == 1
    wants = [purse.statement(NOW + n, ROOM).want for n in range(5)]
    assert wants == [12] * 5
    purse.opens_at(NOW + 5, NOW + 5)
    assert rings.count == 1


# Within a pace.


@pytest.mark.promise("P13")
def test_a_pace_asks_for_no_more_than_its_own_windows_let_through_soon(rings: Rings) -> None:
    pace = Pace([Rate(3, 1.0), Rate(5, 60.0)])
    purse = pace.purse = Purse(rings)
    assert pace.opens_at(NOW) == math.inf
    purse.receive([NOW] * 3)
    for _ in range(3):
        assert pace.opens_at(NOW) == NOW
        pace.begin()
        pace.end(NOW)
    # The second is used up: nothing is wanted until it nearly has passed.
    assert pace.opens_at(NOW) == pytest.approx(NOW + 1.0, abs=0.01)
    assert pace.statement(purse, NOW).want == 0
    assert pace.opens_at(NOW + 0.7) == math.inf
    assert pace.statement(purse, NOW + 0.7).want == 2


@given(st.lists(st.sampled_from(["tell", "start", "end", "undo", "wait"]), max_size=80))
def test_every_place_is_used_given_back_or_still_there(moves: list[str]) -> None:
    purse, now, got, back = Purse(lambda: None), NOW, 0, 0
    for move in moves:
        match move:
            case "tell":
                told = purse.statement(now, ROOM)
                back += told.spare + len(told.ended)
                purse.receive([now] * told.want)
                got += told.want
            case "start" if purse.opens_at(now, now) <= now:
                purse.begin()
            case "end" if purse.open:
                purse.end(now)
            case "undo" if purse.open:
                purse.undo(now)
            case _:
                now += 0.15
    while purse.opens_at(now, now) <= now:
        purse.begin()
    assert got == back + purse.open + len(purse.statement(now, ROOM).ended)
