"""When a run ends: through windows as they stand, by latencies as they were learned; in words."""

import math
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from benchmarks.eta import HOURLY, Scenario, Told, share_within, told
from benchmarks.polling import TWO_PEAKS, lognormal
from pipeline.clock import stamp
from pipeline.ending.ends import EVEN, FAST, SLOW, Tail, beyond
from pipeline.ending.eta import Situation, estimate, hindrance
from pipeline.ending.prospect import (
    ANSWERS,
    CONCURRENCY,
    IN_FLIGHT,
    OTHERS,
    POLLS,
    QUOTA,
    SERVICE,
    SHARE,
    Eta,
    as_json,
    is_soon,
    phrases,
    sentence,
    words,
)
from pipeline.life.item import Running
from pipeline.operations.agenda import Agenda, Flight
from pipeline.operations.latency import Latency
from pipeline.operations.polling import RETENTION, Asking
from pipeline.pacing.curve import Achieved, Curve, Tempo
from pipeline.pacing.pace import Pace
from pipeline.pacing.rates import Rate

NOW = 1_790_000_000.0
MINUTE, HOUR = 60.0, 3600.0
PER_HOUR = Rate(5000, HOUR)


def learned(typical: float = 60.0, sigma: float = 0.8, operations: int = 500) -> Latency:
    latency, chance = Latency(), Random(1)  # noqa: S311 - the same each time
    for _ in range(operations):
        age = typical * math.exp(chance.gauss(0.0, sigma))
        latency.still_ran(0.0, age * 0.95)
        latency.ended(age * 0.95, age * 1.05)
    return latency


def local(moment: float) -> str:
    """As the clock writes it, in UTC: ``2026-09-21 14:13``."""
    return stamp(moment)[:16].replace("T", " ")


def situation(**changes: object) -> Situation:
    known = learned()
    seen = Situation(NOW, 0, 10, (), [Flight(known, 0.0, 10.0, 10)], [(1.0, known)])
    return replace(seen, **changes)  # type: ignore[arg-type]


# When the last row is submitted.


def walked(rates: list[Rate], ended: list[float], rows: int) -> float:
    """When the last row starts, by the pace itself, one row after another."""
    pace, now = Pace(rates), NOW
    pace.restore(ended)
    for _ in range(rows):
        now = max(now, pace.opens_at(now))
        pace.begin()
        pace.end(now)
    return now


@pytest.mark.parametrize(
    "rates",
    [
        [Rate(10, 1.0)],
        [Rate(10, 1.0), Rate(500, HOUR)],
        [Rate(10, 1.0), Rate(300, MINUTE), Rate(5000, HOUR)],
        [Rate(3, 20.0), Rate(100, HOUR)],
    ],
    ids=str,
)
@pytest.mark.parametrize("rows", [1, 2, 99, 100, 101, 499, 500, 501, 1000, 1234])
@pytest.mark.parametrize("calls_before", [0, 60, 480])
def test_the_last_row_starts_when_the_pace_lets_it(
    rates: list[Rate], rows: int, calls_before: int
) -> None:
    chance = Random(calls_before)  # noqa: S311 - the same each time
    before = sorted(NOW - chance.uniform(0, HOUR) for _ in range(calls_before))
    pace = Pace(rates)
    pace.restore(before)
    told = Curve(pace.windows, NOW, rows).at(rows - 1)
    true = walked(rates, before, rows)
    assert told == pytest.approx(true, abs=max(0.03 * (true - NOW), 2.0))


def test_a_night_of_40_000_rows_takes_seven_hours_and_the_last_burst() -> None:
    windows = Pace([Rate(10, 1.0), PER_HOUR]).windows
    assert Curve(windows, NOW, 40_000).at(39_999) - NOW == pytest.approx(7 * HOUR + 500, abs=15)


def test_rows_before_the_last_start_as_their_turns_come() -> None:
    curve = Curve(Pace([Rate(10, 1.0), PER_HOUR]).windows, NOW, 40_000)
    for row in (0, 4_000, 9_000, 14_000, 39_000):
        expected = row // 5000 * HOUR + row % 5000 / 10
        assert curve.at(row) - NOW == pytest.approx(expected, abs=30)


def test_nothing_starts_before_the_gate_opens() -> None:
    windows = Pace([Rate(10, 1.0)]).windows
    assert Curve(windows, NOW, 20, begin=NOW + 50).at(19) == pytest.approx(NOW + 51, abs=0.1)


def test_rows_start_no_faster_than_experience_says() -> None:
    windows = Pace([Rate(10, 1.0)]).windows
    assert Curve(windows, NOW, 101, apart=2.0).at(100) == pytest.approx(NOW + 200, abs=1)
    assert Curve((), NOW, 101, apart=2.0).at(100) == pytest.approx(NOW + 200)
    assert Curve((), NOW, 101).at(100) == NOW


# How fast rows are submitted.


def looked(tempo: Tempo, *, seconds: int, rows: float, by: str | None, since: float = 0.0) -> None:
    for n in range(seconds + 1):
        done = int(since + n * rows)
        tempo.look(NOW + since + n, done, by, is_free=True, is_steady=by == IN_FLIGHT)


def test_a_rate_is_what_was_submitted_while_it_was_free_to() -> None:
    tempo = Tempo()
    looked(tempo, seconds=100, rows=4, by=CONCURRENCY)
    achieved = tempo.achieved()
    assert achieved is not None
    assert achieved.per_second == pytest.approx(4, rel=0.05)
    assert achieved.hindrance == CONCURRENCY


def test_time_in_which_a_long_window_is_full_tells_nothing_of_the_rate() -> None:
    tempo = Tempo()
    for n in range(1000):
        tempo.look(NOW + n, min(n, 50), None, is_free=n < 50, is_steady=False)
    achieved = tempo.achieved()
    assert achieved is not None
    assert achieved.per_second == pytest.approx(1, rel=0.05)


def test_nothing_is_said_of_a_rate_after_a_few_seconds() -> None:
    tempo = Tempo()
    assert tempo.achieved() is None
    looked(tempo, seconds=5, rows=1, by=None)
    assert tempo.achieved() is None


def test_of_a_few_rows_a_rate_is_told_only_after_a_minute() -> None:
    tempo = Tempo()
    for n in range(50):
        tempo.look(NOW + n, n // 12, CONCURRENCY, is_free=True, is_steady=False)
    assert tempo.achieved() is None
    tempo.look(NOW + 62, 5, CONCURRENCY, is_free=True, is_steady=False)
    achieved = tempo.achieved()
    assert achieved is not None
    assert achieved.per_second == pytest.approx(1 / 12, rel=0.2)


def test_the_fast_beginning_is_forgotten_once_the_operations_in_flight_are_as_many_as_may_be() -> (
    None
):
    tempo = Tempo()
    looked(tempo, seconds=100, rows=10, by=None)
    for n in range(300):
        tempo.look(NOW + 101 + n, 1000 + n, IN_FLIGHT, is_free=True, is_steady=True)
    achieved = tempo.achieved()
    assert achieved is not None
    assert achieved.hindrance == IN_FLIGHT
    assert achieved.per_second == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize(
    ("seen", "name"),
    [
        ({"throttled": True, "shared": True}, QUOTA),
        ({"full_by": IN_FLIGHT, "posting_full": True}, IN_FLIGHT),
        ({"posting_full": True, "shared": True}, CONCURRENCY),
        ({"beside_others": True, "posting_full": True}, OTHERS),
        ({"shared": True}, SHARE),
        ({}, None),
    ],
)
def test_the_first_hindrance_is_the_one_that_is_told(
    seen: dict[str, Any], name: str | None
) -> None:
    assert hindrance(**seen) == name


# When the last answer is in.


def test_of_many_the_last_is_later_than_of_few() -> None:
    known = learned()
    ends = [
        Tail(NOW, [Flight(known, 0.0, 10.0, n)], [], []).end(0.5, EVEN) for n in (1, 10, 100, 1000)
    ]
    assert ends == sorted(ends)
    assert ends[0] < ends[-1] - 60


def test_of_one_it_is_what_was_learned() -> None:
    known = learned(sigma=0.5)
    end = Tail(NOW, [Flight(known, 0.0, 0.0, 1)], [], []).end(0.5, EVEN)
    assert end - NOW == pytest.approx(60, rel=0.15)


def test_one_that_has_run_for_long_is_judged_by_those_that_had_too() -> None:
    known = learned(sigma=0.5)
    waits = [
        Tail(NOW, [Flight(known, age, age, 1)], [], []).end(0.5, EVEN) - NOW
        for age in (10.0, 50.0)
    ]
    assert waits[0] == pytest.approx(known.age_of(10.0, 0.5) - 10, rel=0.1)
    assert waits[1] < waits[0]


def test_an_operation_over_long_ago_is_only_fetched_late() -> None:
    known = learned(sigma=0.3)
    end = Tail(NOW, [Flight(known, 0.0, 3000.0, 1)], [], []).end(0.9, SLOW)
    assert end - NOW < 3000 / 20 + 1


@pytest.mark.parametrize("stuck", [1, 3, 6])
def test_one_that_has_long_outlasted_all_others_may_go_on_as_long_again(stuck: int) -> None:
    known = learned(typical=3.0, sigma=0.3)
    heard = 0.0
    while heard < 1000:
        for _ in range(stuck):
            known.still_ran(heard, heard * 1.1 + 1)
        heard = heard * 1.1 + 1
    tail = Tail(NOW, [Flight(known, heard, heard, stuck)], [], [])
    early, late = tail.end(0.1, FAST) - NOW, tail.end(0.9, SLOW) - NOW
    assert early < heard * 3
    assert late > heard


def test_no_operation_outlives_its_three_days() -> None:
    slow = learned(typical=50 * HOUR, sigma=2.0)
    end = Tail(NOW, [Flight(slow, 0.0, 10.0, 1e6)], [], []).end(0.9, SLOW)
    assert end - NOW < RETENTION * 1.01 + HOUR * 4


def test_what_is_known_stays_and_beyond_it_ends_come_sooner_or_later() -> None:
    known = learned(sigma=1.0)
    fast, even, slow = beyond(known)
    near, far = 60, len(known.sums) - 40
    assert fast[near] == even[near] == slow[near] == known.sums[near]
    assert slow[far] < even[far] < fast[far]
    assert all(a <= b for a, b in pairwise(slow))


def test_of_an_empty_latency_nothing_breaks() -> None:
    assert FAST == 0
    for way in beyond(Latency()):
        assert len(way) == len(Latency().sums)


# What binds.


def full_hour() -> Pace:
    pace = Pace([Rate(10, 1.0), PER_HOUR])
    pace.restore([NOW - HOUR / 2 + n * 0.1 for n in range(4970)])
    return pace


def test_an_hour_that_is_full_binds_and_is_told_with_its_use() -> None:
    eta = estimate(situation(to_submit=5000, windows=full_hour().windows))
    assert eta.bound_by == PER_HOUR
    assert eta.used == pytest.approx(0.994)
    assert eta.submitted == pytest.approx(NOW + HOUR / 2 + 500, abs=20)
    assert words(eta, local).endswith(", bound by 5,000 an hour (99.4 % used)")


def test_calls_by_which_more_is_tried_are_no_quota_yet() -> None:
    pace = Pace([PER_HOUR], open_ended=True)
    pace.restore([NOW - 60.0] * 5000)
    (window,) = pace.windows
    window.quota.try_more(NOW)
    assert window.rate.limit > 5000
    assert estimate(situation(to_submit=6000, windows=pace.windows)).bound_by == PER_HOUR


def test_few_rows_are_bound_by_the_second() -> None:
    eta = estimate(situation(to_submit=3000, windows=Pace([Rate(10, 1.0), PER_HOUR]).windows))
    assert eta.bound_by == Rate(10, 1.0)
    assert "used" not in words(eta, local)


def test_places_that_come_free_are_seen_as_they_stand() -> None:
    pace = Pace([Rate(100, HOUR)])
    pace.restore([NOW - HOUR + 60 * n for n in range(1, 51)] + [NOW - 10] * 50)
    soon = estimate(situation(to_submit=20, windows=pace.windows)).submitted
    late = estimate(situation(to_submit=80, windows=pace.windows)).submitted
    assert soon == pytest.approx(NOW + 20 * 60, abs=2)
    assert late == pytest.approx(NOW + HOUR - 10, abs=2)


def test_the_last_answers_are_waited_for() -> None:
    eta = estimate(situation(running=12))
    assert (eta.bound_by, eta.submitted) == (ANSWERS, None)
    assert words(eta, local).endswith("waiting for the last 12 answers")
    assert words(replace(eta, waiting=1), local).endswith("waiting for the last answer")


def test_long_answers_bind_a_run_that_is_soon_submitted() -> None:
    slow = learned(typical=2 * HOUR)
    eta = estimate(
        situation(to_submit=100, windows=Pace([Rate(10, 1.0)]).windows, coming=[(1.0, slow)])
    )
    assert eta.bound_by == ANSWERS
    assert words(eta, local).endswith("bound by how long answers take")


@pytest.mark.parametrize("name", [IN_FLIGHT, CONCURRENCY, OTHERS, SHARE])
def test_what_holds_rows_up_binds_where_it_makes_them_clearly_later(name: str) -> None:
    windows = Pace([Rate(10, 1.0)]).windows
    slowly, hardly = Achieved(1.0, 500, name), Achieved(9.0, 500, name)
    eta = estimate(situation(to_submit=5000, windows=windows, achieved=slowly))
    assert eta.bound_by == name
    assert eta.submitted == pytest.approx(NOW + 5000, rel=0.01)
    eta = estimate(situation(to_submit=5000, windows=windows, achieved=hardly))
    assert eta.bound_by == Rate(10, 1.0)


def test_others_may_end_any_moment_or_become_more() -> None:
    seen = situation(to_submit=5000, windows=Pace([Rate(10, 1.0)]).windows)
    eta = estimate(replace(seen, achieved=Achieved(5.0, 500, SHARE)))
    alone = estimate(seen)
    assert eta.earliest is not None
    assert alone.earliest is not None
    assert eta.latest is not None
    assert eta.earliest == pytest.approx(alone.earliest, abs=120)
    assert eta.latest > NOW + 2 * 1000


def test_a_closed_gate_puts_everything_off() -> None:
    windows = Pace([Rate(10, 1.0)]).windows
    seen = situation(to_submit=5000, windows=windows)
    eta = estimate(replace(seen, opens_at=NOW + 600, throttled=True))
    assert eta.bound_by == QUOTA
    assert eta.submitted == pytest.approx(NOW + 600 + 500, abs=5)


def test_an_end_that_nobody_lives_to_see_is_not_told() -> None:
    eta = estimate(situation(to_submit=10**7, windows=Pace([Rate(1, 86400.0)]).windows))
    assert words(eta, local) == "bound by 1 a day (0.0 % used)"


def test_while_a_host_is_away_no_end_is_in_sight() -> None:
    eta = estimate(situation(to_submit=5000, away=True))
    assert (eta.bound_by, eta.likely, eta.submitted) == (SERVICE, None, None)
    assert words(eta, local) == "waiting for the service"


def test_a_slow_rate_of_polls_binds() -> None:
    seen = situation(running=5000, to_submit=10, windows=Pace([Rate(10, 1.0)]).windows)
    eta = estimate(replace(seen, poll_rates=[Rate(1, 1.0)]))
    assert eta.bound_by == POLLS
    assert eta.likely == pytest.approx(NOW + 10_000, rel=0.05)


def test_while_nothing_is_known_of_latencies_only_the_submits_are_told() -> None:
    pace = full_hour()
    eta = estimate(situation(to_submit=5000, windows=pace.windows, coming=[], flights=[]))
    assert (eta.earliest, eta.likely, eta.latest) == (None, None, None)
    assert words(eta, local).startswith("all submitted by ")
    eta = estimate(situation(flights=[Flight(learned(operations=3), 0.0, 5.0, 10)]))
    assert words(eta, local) == "waiting for the last 10 answers"


def test_a_run_that_is_over_waits_for_nothing() -> None:
    assert words(estimate(situation(running=0, flights=[])), local) == ""


def test_operations_that_the_service_denies_are_promised_no_end() -> None:
    until = NOW + 560
    only = estimate(situation(running=0, flights=[], denied=2, denied_until=until))
    assert (only.earliest, only.likely, only.latest) == (None, None, until)
    told = "by 14:22 at the latest, waiting for 2 operations that the service denies"
    assert words(only, local) == told
    assert phrases(only, local) == [
        "ends by 14:22 at the latest",
        "waiting for 2 operations that the service denies",
    ]
    assert sentence(only, local) == f"End in sight: {told}."
    assert not is_soon(replace(only, at=until - 5))
    one = estimate(situation(running=0, flights=[], denied=1))
    assert sentence(one, local) == (
        "The end is not known yet: waiting for an operation that the service denies."
    )


def test_denied_operations_bind_only_where_the_others_are_over_sooner() -> None:
    alone = estimate(situation())
    assert alone.likely is not None
    assert alone.latest is not None
    sooner = estimate(situation(denied=1, denied_until=alone.likely - 1))
    assert sooner == replace(alone, denied=1, waiting=11)
    assert words(sooner, local).endswith(
        "the last 11 answers, 1 operation is denied by the service"
    )
    for until in alone.likely + 1, alone.latest + 500:
        later = estimate(situation(denied=1, denied_until=until))
        assert later.latest == max(until, alone.latest)
        assert later.likely is None
        assert "at the latest, waiting for an operation" in words(later, local)


# Words and values.

BETWEEN = Eta(
    NOW, 5, PER_HOUR, 0.994, NOW + HOUR, NOW + HOUR + 60, NOW + HOUR + 300, NOW + HOUR + 900
)


def test_an_interval_is_told_where_it_matters() -> None:
    assert words(BETWEEN, local) == (
        "between 15:14 and 15:28, bound by 5,000 an hour (99.4 % used)"
    )
    near = replace(BETWEEN, earliest=NOW + HOUR + 290, latest=NOW + HOUR + 310)
    assert words(near, local) == "15:18, bound by 5,000 an hour (99.4 % used)"
    far = replace(near, likely=NOW + 9 * HOUR, earliest=NOW + 9 * HOUR - 200)
    assert words(replace(far, latest=NOW + 9 * HOUR + 200), local).startswith("23:13, ")


def test_another_day_is_told_with_its_date() -> None:
    eta = replace(BETWEEN, earliest=NOW + 9.7 * HOUR, latest=NOW + 12 * HOUR)
    assert words(eta, local).startswith("between 23:55 and 2026-09-22 02:13, ")


def test_what_is_over_in_a_minute_has_no_time() -> None:
    soon = replace(BETWEEN, earliest=NOW + 10, likely=NOW + 20, latest=NOW + 30)
    soon = replace(soon, bound_by=ANSWERS, submitted=None)
    assert words(soon, local) == "in less than a minute, waiting for the last 5 answers"
    assert phrases(soon, local) == [
        "ends in less than a minute",
        "waiting for the last 5 answers",
    ]
    assert sentence(soon, local) == (
        "End in sight: in less than a minute, waiting for the last 5 answers."
    )
    assert is_soon(soon)
    assert not is_soon(replace(soon, at=NOW - 31))


def test_an_end_that_is_not_known_is_not_called_one_in_sight() -> None:
    unknown = replace(BETWEEN, earliest=None, likely=None, latest=None)
    assert sentence(unknown, local) == (
        "The end is not known yet: all submitted by 15:13, bound by 5,000 an hour (99.4 % used)."
    )
    assert sentence(replace(unknown, submitted=NOW + 59), local).startswith(
        "The end is not known yet: all submitted in less than a minute, bound"
    )
    away = Eta(NOW, 5, SERVICE)
    assert sentence(away, local) == "The end is not known yet: waiting for the service."
    assert sentence(Eta(NOW), local) == ""
    assert sentence(BETWEEN, local).startswith("End in sight: between 15:14 and 15:28, bound")


def test_values_are_moments_and_names() -> None:
    assert as_json(BETWEEN, stamp) == {
        "eta": {
            "all_submitted": stamp(NOW + HOUR),
            "earliest": stamp(NOW + HOUR + 60),
            "likely": stamp(NOW + HOUR + 300),
            "latest": stamp(NOW + HOUR + 900),
        },
        "bound_by": "5000/h",
        "used": 0.994,
        "denied": 0,
    }
    nothing = as_json(None, stamp)
    assert nothing["denied"] is None
    assert nothing["bound_by"] is None
    assert nothing["eta"] == dict.fromkeys(("all_submitted", "earliest", "likely", "latest"))


# The sample of what is in flight.


def test_a_sample_stands_for_all_that_are_in_flight() -> None:
    agenda, rows = Agenda(), 10_000
    for line in range(rows):
        heard_at = NOW - 1 if line % 3 == 0 else None
        at = NOW + 5 if line % 7 == 0 else None
        agenda.put(Asking(line, Running("", NOW - 10 - line, 1, 1), heard_at=heard_at), at)
    flights = agenda.flights(NOW, 64)
    assert len(flights) < 400
    assert sum(flight.count for flight in flights) == pytest.approx(rows)
    mean_age = sum(flight.age * flight.count for flight in flights) / rows
    assert mean_age == pytest.approx(5010, rel=0.1)
    assert len(agenda) == rows


# Whether ends come when they are said to.

_SEEDS = 10


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario("hour", lognormal(0.8, 120.0), 1200, HOURLY),
        Scenario("latency", lognormal(1.0, 600.0), 600),
        Scenario("two peaks", TWO_PEAKS, 600),
    ],
    ids=lambda scenario: scenario.name,
)
def test_ends_come_within_the_interval_as_often_as_they_should(scenario: Scenario) -> None:
    found: list[Told] = told(scenario, _SEEDS)
    assert len(found) >= _SEEDS * 4
    assert share_within(found) >= 0.75
