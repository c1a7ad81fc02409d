"""No window of the service ever sees too many calls, and none of its room is wasted."""

import heapq
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.pacing.gate import Gate, Throttle
from pipeline.pacing.margin import held_for
from pipeline.pacing.pace import Pace
from pipeline.pacing.rates import Rate
from pipeline.pacing.window import Window
from tests.scratch import busiest

PER_SECOND = Throttle(quota="ai.textGenerationAsyncRequestsPerSecond", allowed=10)
PER_HOUR = Throttle(quota="ai.textGenerationAsyncRequestsPerHour", allowed=5000)


# Rates.


@pytest.mark.parametrize(
    ("text", "limit", "seconds"),
    [
        ("10/s", 10, 1.0),
        ("5000/h", 5000, 3600.0),
        ("100/20s", 100, 20.0),
        (" 1/2m ", 1, 120.0),
        ("7/d", 7, 86400.0),
        ("7/24h", 7, 86400.0),
    ],
)
def test_a_rate_is_read_as_a_person_writes_it(text: str, limit: int, seconds: float) -> None:
    assert Rate.parse(text) == Rate(limit, seconds)


@pytest.mark.parametrize(
    "text",
    [
        *("", "10", "10/", "/s", "0/s", "10/0s", "10/00m", "-1/s", "1.5/s", "10/w", "10/s/h"),
        *("10/2d", "none", "1e3/s", "10 / s", "10/1.5s", "1000000/s", "9" * 50 + "/s"),
    ],
)
def test_what_is_no_rate_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a rate"):
        Rate.parse(text)


@given(st.integers(1, 999_999), st.integers(1, 86400))
def test_a_rate_is_shown_as_it_can_be_read_again(limit: int, seconds: int) -> None:
    rate = Rate(limit, float(seconds))
    assert Rate.parse(str(rate)) == rate


# Windows, against a service that may count a call at any moment that it is under way.


def simulated(
    rates: list[Rate], calls: int, seed: int, latency: float
) -> list[tuple[float, float]]:
    """Calls as (start, end): each starts as soon as it may, or a little later."""
    chance, pace, now = random.Random(seed), Pace(rates), 0.0  # noqa: S311 - a test's dice
    ends: list[float] = []
    made: list[tuple[float, float]] = []
    while len(made) < calls:
        opens = pace.opens_at(now)
        next_end = ends[0] if ends else math.inf
        if opens > now or chance.random() < 0.1:
            # Something else happens first: a call ends, a wait passes, or nothing for a while.
            now = min(next_end, opens if opens > now else now + chance.uniform(0, 2))
            assert now < math.inf, "nobody could ever start again"
            while ends and ends[0] <= now:
                pace.end(heapq.heappop(ends))
            continue
        pace.begin()
        took = chance.choice([0.0, chance.uniform(0, latency), latency])
        heapq.heappush(ends, now + took)
        made.append((now, now + took))
    return made


RATES = st.lists(
    st.builds(Rate, st.integers(1, 6), st.sampled_from([0.5, 1.0, 3.0, 20.0])),
    min_size=1,
    max_size=3,
)


@pytest.mark.promise("P13")
@settings(deadline=None)
@given(RATES, st.integers(0, 2**32), st.sampled_from([0.0, 0.01, 1.0, 30.0]))
def test_no_window_of_the_service_is_passed_wherever_it_counts_the_calls(
    rates: list[Rate], seed: int, latency: float
) -> None:
    calls = simulated(rates, 60, seed, latency)
    chance = random.Random(seed + 1)  # noqa: S311 - a test's dice
    counted = [
        [start for start, _ in calls],
        [end for _, end in calls],
        [chance.uniform(*call) for call in calls],
        [chance.choice(call) for call in calls],
        # The worst that a network can do: early ones held back, late ones hurried.
        [end if n % 7 < 4 else start for n, (start, end) in enumerate(calls)],
    ]
    for rate in rates:
        for moments in counted:
            assert busiest(moments, rate.seconds) <= rate.limit
        for n, (_, end) in enumerate(calls):
            late = [end if other <= n else start for other, (start, end) in enumerate(calls)]
            assert busiest(late, rate.seconds) <= rate.limit, f"held back up to {end}"


@pytest.mark.promise("P13")
@given(st.integers(1, 20), st.sampled_from([0.5, 1.0, 3600.0]))
def test_all_room_is_used_at_once_and_again_when_the_window_has_passed(
    limit: int, seconds: float
) -> None:
    pace = Pace([Rate(limit, seconds)])
    for _ in range(limit):
        assert pace.opens_at(0.0) == 0.0
        pace.begin()
        pace.end(0.0)
    again = held_for(seconds)
    assert pace.opens_at(0.0) == pytest.approx(again)
    for _ in range(limit):
        assert pace.opens_at(again) == again
        pace.begin()
        pace.end(again)
    assert pace.opens_at(again) == pytest.approx(2 * again)


def test_places_come_free_one_by_one_as_they_were_taken() -> None:
    window = Window(Rate(3, 10.0))
    for end in 1.0, 2.0, 4.0:
        window.begin()
        window.end(end)
    for end in 1.0, 2.0, 4.0:
        opens = window.opens_at(5.0)
        assert opens == pytest.approx(end + held_for(10.0))
        assert window.opens_at(opens) == opens
        window.begin()
        window.end(opens)


def test_of_a_limit_that_was_lowered_no_more_than_all_is_used() -> None:
    pace, fewer = Pace([Rate(10, 60.0)]), Rate(4, 60.0)
    for _ in range(6):
        pace.begin()
        pace.end(1.0)
    assert [window.used(2.0) for window in pace.windows] == [0.6]
    pace.change([fewer], 2.0, open_ended=False, earlier=[])
    assert [window.used(2.0) for window in pace.windows] == [1.0]


def test_while_open_calls_take_every_place_only_an_end_can_tell() -> None:
    window = Window(Rate(2, 10.0))
    window.begin()
    window.begin()
    assert window.opens_at(1e9) == math.inf
    window.end(5.0)
    assert window.opens_at(6.0) == pytest.approx(5.0 + held_for(10.0))


def test_the_tightest_window_binds() -> None:
    pace = Pace([Rate(10, 1.0), Rate(12, 3600.0)])
    for _ in range(10):
        pace.begin()
        pace.end(0.0)
    assert pace.opens_at(0.0) == pytest.approx(held_for(1.0))
    for _ in range(2):
        pace.begin()
        pace.end(2.0)
    assert pace.opens_at(2.0) == pytest.approx(held_for(3600.0))


def test_a_pace_without_windows_lets_everything_through() -> None:
    pace = Pace([])
    for _ in range(1000):
        assert pace.opens_at(5.0) == 5.0
        pace.begin()
    assert pace.horizon == pytest.approx(held_for(0.0))


def test_a_call_that_was_never_sent_gives_its_place_back_at_once() -> None:
    pace = Pace([Rate(1, 3600.0)])
    for now in 0.0, 1.0, 2.0:
        assert pace.opens_at(now) == now
        pace.begin()
        pace.undo(now)
    assert pace.opens_at(2.0) == 2.0


@pytest.mark.promise("P13")
@settings(deadline=None)
@given(RATES, st.integers(0, 2**32), st.floats(0, 30))
def test_a_restart_at_any_moment_forgets_no_call(
    rates: list[Rate], seed: int, latency: float
) -> None:
    before = simulated(rates, 20, seed, latency)
    now = before[-1][0]
    pace = Pace(rates)
    # What had no end when the process died may arrive as late as now.
    ends = sorted(min(end, now) for _, end in before)
    pace.restore([end for end in ends if end > now - pace.horizon])
    moments = [min(end, now) for _, end in before]
    for _ in range(20):
        now = pace.opens_at(now)
        pace.begin()
        pace.end(now)
        moments.append(now)
    for rate in rates:
        assert busiest(moments, rate.seconds) <= rate.limit


@pytest.mark.promise("P13")
def test_a_pace_that_is_filled_lets_nothing_through_for_a_window() -> None:
    pace = Pace([Rate(50, 1.0), Rate(3, 60.0)])
    pace.fill(100.0, 100.0)
    assert pace.opens_at(100.0) == pytest.approx(100.0 + held_for(60.0))
    assert pace.horizon == pytest.approx(held_for(60.0))


@pytest.mark.parametrize(
    ("text", "words"),
    [("5000/h", "5,000 an hour"), ("10/s", "10 a second"), ("7/20s", "7 in 20 s")],
)
def test_a_rate_is_said_as_people_say_it(text: str, words: str) -> None:
    assert Rate.parse(text).words == words


# The gate.


def closed(throttle: Throttle = PER_SECOND, now: float = 10.0) -> Gate:
    gate = Gate()
    assert gate.throttled(throttle, begun=now - 1, now=now)
    return gate


def probed(gate: Gate, now: float, throttle: Throttle = PER_SECOND) -> float:
    """Let one call probe and be refused; return how long the gate stays closed then."""
    assert gate.opens_at(now) == now
    gate.begin()
    assert not gate.throttled(throttle, begun=now, now=now)
    return gate.opens_at(now) - now


def test_an_open_gate_holds_nobody_back() -> None:
    gate = Gate()
    for _ in range(5):
        assert gate.opens_at(3.0) == 3.0
        gate.begin()


@pytest.mark.promise("P13")
@pytest.mark.parametrize(
    ("throttle", "seconds"),
    [
        (Throttle(), 1.0),
        (PER_SECOND, 1.0),
        (Throttle(quota="x.RequestsPerMinute"), 15.0),
        (PER_HOUR, 60.0),
        (Throttle(quota="x.RequestsPerDay"), 60.0),
        (Throttle(quota="x.SessionsCount"), 1.0),
        (Throttle(retry_after=7.0, quota=PER_HOUR.quota), 7.0),
        (Throttle(retry_after=0.0), 1.0),
        (Throttle(retry_after=-5.0), 1.0),
        (Throttle(retry_after=0.99), 1.0),
        (Throttle(retry_after=1.5), 1.5),
        (Throttle(retry_after=3600.0), 3600.0),
        (Throttle(retry_after=1e12), 3600.0),
        (Throttle(retry_after=math.inf), 3600.0),
    ],
)
def test_the_gate_stays_closed_as_told_or_by_the_quota_s_kind(
    throttle: Throttle, seconds: float
) -> None:
    assert closed(throttle).opens_at(10.0) == 10.0 + seconds


@pytest.mark.promise("P13")
def test_one_episode_closes_the_gate_once_however_many_calls_were_under_way() -> None:
    gate = Gate()
    for begun in range(8):
        gate.begin()
        assert gate.opens_at(float(begun)) == float(begun)
    assert gate.throttled(PER_HOUR, begun=0.0, now=10.0)
    for begun in range(1, 8):
        assert not gate.throttled(PER_HOUR, begun=float(begun), now=12.0)
    assert gate.opens_at(12.0) == 70.0


@pytest.mark.promise("P13")
def test_a_closed_gate_lets_one_call_through_and_waits_for_it() -> None:
    gate = closed()
    assert gate.in_episode
    gate.begin()
    assert gate.opens_at(1e9) == math.inf
    gate.passed(begun=11.0)
    assert [gate.opens_at(12.0) for _ in range(2)] == [12.0, 12.0]
    gate.begin()
    assert gate.opens_at(12.0) == 12.0


def test_what_was_begun_before_the_closing_opens_nothing() -> None:
    gate = closed(PER_HOUR)
    gate.passed(begun=5.0)
    gate.undecided(begun=5.0)
    assert gate.opens_at(11.0) == 70.0
    gate.begin()
    gate.passed(begun=5.0)
    gate.undecided(begun=5.0)
    assert gate.opens_at(80.0) == math.inf


def test_a_probe_that_tells_nothing_makes_room_for_the_next() -> None:
    gate = closed()
    gate.begin()
    gate.undecided(begun=11.0)
    assert gate.in_episode
    assert gate.opens_at(12.0) == 12.0
    gate.begin()
    assert gate.opens_at(13.0) == math.inf


@pytest.mark.promise("P13")
def test_refused_probes_come_ever_more_seldom_up_to_a_minute() -> None:
    gate, now, waits = closed(), 11.0, list[float]()
    for _ in range(20):
        waits.append(probed(gate, now))
        now = gate.opens_at(now)
    assert waits[:6] == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0]
    assert set(waits[6:]) == {60.0}


@pytest.mark.promise("P13")
def test_a_quota_per_hour_is_probed_once_a_minute() -> None:
    gate, now = closed(PER_HOUR), 70.0
    for _ in range(10):
        assert probed(gate, now, PER_HOUR) == 60.0
        now += 60.0


def test_a_new_episode_begins_with_a_short_wait_again() -> None:
    gate, now = closed(), 11.0
    for _ in range(5):
        probed(gate, now)
        now = gate.opens_at(now)
    gate.begin()
    gate.passed(begun=now)
    assert gate.throttled(PER_SECOND, begun=now, now=now + 1)
    assert gate.opens_at(now + 1) == now + 2


def test_a_probe_that_was_never_sent_frees_the_gate() -> None:
    pace = Pace([Rate(10, 1.0)])
    assert pace.throttled(Throttle(), begun=0.0, now=1.0) is not None
    pace.begin()
    assert pace.opens_at(5.0) == math.inf
    pace.undo(5.0)
    assert pace.opens_at(5.0) == 5.0


@pytest.mark.promise("P17")
@given(st.lists(st.sampled_from(["429", "passed", "undecided"]), max_size=50))
def test_after_any_answer_the_gate_opens_within_a_minute(answers: list[str]) -> None:
    gate, now = Gate(), 0.0
    for answer in answers:
        now = max(gate.opens_at(now), now + 0.25)
        gate.begin()
        begun, now = now, now + 0.25
        match answer:
            case "429":
                gate.throttled(PER_SECOND, begun, now)
            case "passed":
                gate.passed(begun)
            case _:
                gate.undecided(begun)
        assert gate.opens_at(now) <= now + 60.0
