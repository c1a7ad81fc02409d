"""Who gets which places: never one too many, equal parts, and nothing for those who want none."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.pacing.margin import held_for
from pipeline.pacing.purse import AHEAD, Statement
from pipeline.pacing.rates import Rate
from pipeline.shared_quota import sharing
from pipeline.shared_quota.sharing import (
    IN_FLIGHT,
    Anchor,
    Sharer,
    anchored,
    granted,
    openings,
    windows,
)
from tests import sharers as game

NOW = 1000.0
TEN = (Rate(10, 1.0),)
DEFAULT = (Rate(10, 1.0), Rate(5000, 3600.0))


# What all together may do.


@pytest.mark.parametrize(
    ("every", "limits"),
    [
        ([TEN], {1.0: 10}),
        ([DEFAULT, DEFAULT], {1.0: 10, 3600.0: 5000}),
        # A gentle one keeps to its rate by itself; it does not hold the others back.
        ([DEFAULT, (Rate(2, 1.0),)], {1.0: 10, 3600.0: 7200}),
        ([DEFAULT, (Rate(1, 20.0),)], {1.0: 10, 20.0: 200, 3600.0: 5000}),
        ([(Rate(600, 60.0),), (Rate(5, 1.0),)], {60.0: 600, 1.0: 600}),
    ],
)
@pytest.mark.promise("P13")
def test_together_they_stay_within_what_the_most_generous_might_have_sent_alone(
    every: list[tuple[Rate, ...]], limits: Mapping[float, int]
) -> None:
    assert windows(Sharer(rates) for rates in every) == limits


# When places come free.


def first(
    count: int, held: int, ends: Mapping[float, sharing.Ends], rates: object = None
) -> object:
    limits = {3.0: 2} if rates is None else rates
    return list(islice(openings(limits, ends, held, NOW), count))  # type: ignore[arg-type]


def test_places_come_free_one_window_after_the_ends_in_order() -> None:
    ends = {3.0: [(NOW - 2.0, 1), (NOW - 1.0, 1)]}
    assert first(9, 0, ends) == [NOW - 2.0 + held_for(3.0), NOW - 1.0 + held_for(3.0)]
    assert first(9, 0, {}) == [NOW, NOW]
    assert first(9, 1, {}) == [NOW]
    assert first(9, 1, ends) == [NOW - 1.0 + held_for(3.0)]
    assert first(9, 2, ends) == []


def test_calls_that_ended_by_the_same_moment_free_as_many_places() -> None:
    assert first(9, 0, {3.0: [(NOW - 1.0, 2)]}) == [NOW - 1.0 + held_for(3.0)] * 2
    assert first(9, 1, {3.0: [(NOW - 1.0, 2)]}) == [NOW - 1.0 + held_for(3.0)]


def test_a_place_must_be_free_in_every_window() -> None:
    ends = {1.0: [(NOW - 0.5, 1)], 60.0: [(NOW - 20.0, 2)]}
    limits = {1.0: 2, 60.0: 3}
    assert first(9, 0, ends, limits) == [NOW, NOW - 20.0 + held_for(60.0)]


# Turns.


def shares(
    wants: Mapping[int, int], limit: int = 12, *, rounds: int = 1, who: tuple[int, ...] = ()
) -> dict[int, int]:
    """How many places each sharer has had when all asked in turn, for some windows of 1 s."""
    now, rates = NOW, (Rate(limit, 1.0),)
    table = {n: Sharer(rates, want=want, until=NOW + 1) for n, want in wants.items()}
    total = dict.fromkeys(wants, 0)
    for _ in range(rounds):
        for slot in who or wants:
            got = granted(table, slot, wants[slot], {}, now, AHEAD)
            table[slot] = got.sharer
            total[slot] += len(got.places)
        # All calls end at once, and the window passes.
        table = {n: replace(sharer, held=0) for n, sharer in table.items()}
        now += 1.1
        table = {n: replace(sharer, until=now + 1) for n, sharer in table.items()}
    return total


@pytest.mark.promise("P13")
def test_all_who_want_calls_get_equal_parts() -> None:
    assert shares({1: 100}) == {1: 12}
    assert shares({1: 100, 2: 100}) == {1: 6, 2: 6}
    assert shares({1: 100, 2: 100, 3: 100}) == {1: 4, 2: 4, 3: 4}


@pytest.mark.promise("P13")
def test_what_one_does_not_want_the_others_get() -> None:
    assert shares({1: 100, 2: 2, 3: 0}) == {1: 10, 2: 2, 3: 0}
    assert shares({1: 1, 2: 1}) == {1: 1, 2: 1}


@pytest.mark.promise("P13")
@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 100))
def test_nobody_starves_however_few_the_places_are(limit: int, count: int, rounds: int) -> None:
    total = shares(dict.fromkeys(range(1, count + 1), 50), limit, rounds=rounds)
    assert sum(total.values()) == limit * rounds
    assert max(total.values()) - min(total.values()) <= 1


@pytest.mark.promise("P13")
def test_a_newcomer_gets_an_equal_part_from_now_on_and_nothing_for_the_past() -> None:
    table = {1: Sharer(TEN, had=5000, want=50, until=NOW + 1), 2: Sharer(TEN)}
    grant = granted(table, 2, 50, {}, NOW, AHEAD)
    assert len(grant.places) == 5
    assert grant.sharer.had == 5005


@pytest.mark.promise("P13")
def test_a_want_that_was_not_stated_again_holds_nobody_back() -> None:
    stopped = Sharer(TEN, want=50, until=NOW)
    table = {1: stopped, 2: Sharer(TEN, want=50, until=NOW + 1)}
    assert len(granted(table, 2, 50, {}, NOW, AHEAD).places) == 10


def test_places_are_taken_a_little_ahead_and_no_further() -> None:
    ends = {1.0: [(NOW - 0.9, 2), (NOW - 0.6, 3), (NOW - 0.1, 5)]}
    table = {1: Sharer(TEN)}
    grant = granted(table, 1, 10, ends, NOW, AHEAD)
    soon, later = NOW - 0.9 + held_for(1.0), NOW - 0.6 + held_for(1.0)
    assert grant.places == pytest.approx((soon, soon, later, later, later))
    assert grant.next_at == pytest.approx(NOW - 0.1 + held_for(1.0))
    assert (grant.sharer.held, grant.sharer.want) == (5, 5)
    assert grant.sharer.until == pytest.approx(grant.next_at + 1.0)
    assert sharing.ask_again_at(grant, AHEAD) == pytest.approx(later)


def test_who_has_all_that_it_wants_need_not_ask_again() -> None:
    grant = granted({1: Sharer(TEN)}, 1, 4, {}, NOW, AHEAD)
    assert grant.sharer.want == 0
    assert sharing.ask_again_at(grant, AHEAD) == float("inf")


def test_a_want_that_still_counts_is_not_stated_again() -> None:
    full = {1: Sharer(TEN, held=10)}
    grant = granted(full, 1, 3, {}, NOW, AHEAD)
    assert grant.places == ()
    assert grant.sharer.until == NOW + 1.0
    again = granted({1: grant.sharer}, 1, 3, {}, NOW + 0.2, AHEAD)
    assert again.sharer == grant.sharer
    assert granted({1: grant.sharer}, 1, 3, {}, NOW + 0.6, AHEAD).sharer.until == NOW + 1.6


# The windows of the service.


class Memory:
    """An allowance without a file: the decisions alone."""

    def __init__(self, rates: tuple[Rate, ...]) -> None:
        self.game: game.Game
        self.rates = rates
        self.sharers: dict[int, Sharer] = {}
        self.dead: set[int] = set()
        self.ends: dict[float, dict[float, int]] = {rate.seconds: {} for rate in rates}
        self.slots = 0

    def come(self) -> "MemoryPart":
        self.slots += 1
        self.sharers[self.slots] = Sharer(self.rates)
        return MemoryPart(self, self.slots)

    def add(self, at: float, calls: int) -> None:
        for seconds, ends in self.ends.items():
            kept = sharing.kept_as(at, seconds)
            ends[kept] = ends.get(kept, 0) + calls

    def settle(self) -> None:
        for slot in self.dead:
            self.add(self.game.now + IN_FLIGHT, self.sharers.pop(slot).held)
        self.dead = set()


class MemoryPart:
    """One sharer's way into it."""

    def __init__(self, memory: Memory, slot: int) -> None:
        self._memory = memory
        self._slot = slot

    def exchange(self, told: Statement) -> tuple[float, ...]:
        memory, slot = self._memory, self._slot
        memory.settle()
        for at in told.ended:
            memory.add(at, 1)
        before = memory.sharers[slot]
        held = before.held - len(told.ended) - told.spare
        memory.sharers[slot] = replace(before, held=held, had=before.had - told.spare)
        ends = {seconds: sorted(of.items()) for seconds, of in memory.ends.items()}
        grant = granted(memory.sharers, slot, told.want, ends, memory.game.now, AHEAD)
        memory.sharers[slot] = grant.sharer
        return grant.places

    def leave(self, told: Statement, still_open: int) -> None:
        for at in told.ended:
            self._memory.add(at, 1)
        self._memory.add(self._memory.game.now + IN_FLIGHT, still_open)
        del self._memory.sharers[self._slot]

    def die(self) -> None:
        self._memory.dead.add(self._slot)


@pytest.mark.promise("P13")
@settings(deadline=None)
@given(st.sampled_from(game.RATES), st.integers(0, 2**32), st.integers(1, 4))
def test_no_window_is_passed_whoever_asks_calls_leaves_or_dies(
    rates: tuple[Rate, ...], seed: int, most: int
) -> None:
    memory = Memory(rates)
    memory.game = game.Game(memory.come, seed, most)
    calls = memory.game.play(400)
    game.check(calls, {rate.seconds: rate.limit for rate in rates}, seed)


@given(st.floats(1e9, 2e9), st.sampled_from([1.0, 6.0, 3600.0, 86400.0]))
def test_an_end_is_never_kept_as_an_earlier_one(moment: float, seconds: float) -> None:
    kept = sharing.kept_as(moment, seconds)
    assert moment - 2e-4 <= kept < moment + seconds / 1000
    assert sharing.kept_as(kept, seconds) == pytest.approx(kept, abs=seconds / 1000)


def test_a_window_that_is_new_knows_the_calls_of_before_and_none_of_the_future() -> None:
    rough = [(NOW - 4000.0, 5), (NOW - 50.0, 7), (NOW + 40.0, 9)]
    assert sharing.made_of_longer(rough, 60.0, NOW) == [(NOW - 50.0, 7), (NOW + IN_FLIGHT, 9)]


# Time.

FIRST = anchored(None, "one", 100.0, 5000.0)


def test_time_begins_at_what_the_wall_clock_says() -> None:
    assert Anchor("one", 4900.0, 5000.0, 5000.0) == FIRST


@pytest.mark.promise("P13")
@pytest.mark.parametrize("wall", [0.0, 5010.0, 1e9])
def test_setting_the_wall_clock_changes_no_window(wall: float) -> None:
    assert anchored(FIRST, "one", 110.0, wall).at == 5010.0


@pytest.mark.promise("P13")
@pytest.mark.parametrize(
    ("wall", "at"), [(5600.0, 5600.0), (5000.0, 5000.0), (4000.0, 5000.0), (0.0, 5000.0)]
)
def test_after_a_restart_of_the_machine_no_more_time_has_passed_than_the_wall_clock_says(
    wall: float, at: float
) -> None:
    anchor = anchored(FIRST, "two", 20.0, wall)
    assert anchor.at == at
    assert anchored(anchor, "two", 25.0, -1.0).at == at + 5.0


def test_a_restart_is_noticed_by_the_clock_where_nothing_names_it() -> None:
    unnamed = replace(FIRST, boot="")
    assert anchored(unnamed, "", 20.0, 5600.0).at == 5600.0
    # One that is not noticed can only make waits longer.
    assert anchored(unnamed, "", 101.0, 9000.0).at == 5001.0


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 1e6), st.floats(0, 1e9)), min_size=1)
)
def test_time_never_runs_backwards(readings: list[tuple[str, float, float]]) -> None:
    anchor: Anchor | None = None
    for boot, since_boot, wall in readings:
        later = anchored(anchor, boot, since_boot, wall)
        assert anchor is None or later.at >= anchor.at
        anchor = later
