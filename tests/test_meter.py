"""What a process used of its quota: counted, and told only where it is known."""

from pipeline.pacing.gate import Throttle
from pipeline.pacing.meter import Meter, Use
from pipeline.pacing.pace import Pace
from pipeline.pacing.rates import Rate

START = 1_800_000_000.0
TEN = Rate(10, 1.0)
HOURLY = Rate(100, 3600.0)


def play(pace: Pace, calls: int, *, late: float = 0.0, start: float = START) -> tuple[Use, float]:
    """Calls that take no time, each so many seconds after it may begin; and when the last was."""
    meter, now = Meter(pace), start
    for call in range(calls):
        now = pace.opens_at(now) + (late if call else 0.0)
        pace.begin()
        meter.left(now)
        pace.end(now)
        meter.answered(now)
    return meter.use(), now


def used(use: Use) -> dict[str, int]:
    return {str(full.rate): full.used for full in use.windows}


def test_calls_as_fast_as_windows_allow_use_all_that_can_be_had() -> None:
    use, last = play(Pace([TEN, HOURLY]), 150)
    assert last - START > 3600
    assert (use.calls, used(use)) == (150, {"10/s": 10, "100/h": 100})
    assert use.share is not None
    assert use.share > 0.999


def test_time_that_was_lost_is_a_share_that_was_not_used() -> None:
    pace = Pace([TEN])
    use, last = play(pace, 201, late=0.02)
    least, _ = play(Pace([TEN]), 201)
    assert least.share is not None
    assert use.share is not None
    assert 0.4 < use.share < least.share
    assert abs(use.share - 20.0 / (last - START)) < 0.01


def test_calls_of_the_process_before_take_places_and_are_no_loss() -> None:
    pace = Pace([TEN, HOURLY])
    pace.restore([START - 1800.0] * 90)
    use, last = play(pace, 30)
    assert last - START > 1800
    assert (use.calls, used(use)["100/h"]) == (30, 100)
    assert use.share is not None
    assert use.share > 0.999


def test_a_few_seconds_tell_nothing_of_a_share() -> None:
    use, _ = play(Pace([TEN, HOURLY]), 60)
    assert use.share is None
    assert use.words == "60 submits, at the fullest 60 of 100 an hour"


def test_without_windows_there_is_no_share() -> None:
    use, _ = play(Pace([]), 1000)
    assert (use.words, used(use)) == ("1,000 submits", {})


def test_a_quota_that_changed_on_the_way_leaves_the_share_unknown() -> None:
    pace = Pace([TEN, Rate(1000, 3600.0)])
    meter = Meter(pace)
    for second in range(30):
        pace.begin()
        meter.left(START + second)
        pace.end(START + second)
        meter.answered(START + second)
    later = START + 30.0
    for _ in range(170):
        pace.begin()
        meter.left(later)
        pace.end(later)
        meter.answered(later)
    assert meter.use().share is not None
    pace.throttled(Throttle(quota="xPerHour", allowed=195), later + 1.0, later + 1.0)
    assert pace.rates[1].limit == 195
    assert meter.use().share is None
    # What a window held is told beside what it could hold then.
    assert meter.use().words == "200 submits, at the fullest 200 of 1,000 an hour"


def test_a_window_that_was_in_force_for_a_while_is_not_told_of() -> None:
    pace = Pace([TEN])
    meter = Meter(pace)
    for call in range(300):
        if call in (100, 200):
            pace.change([HOURLY] if call == 100 else [Rate(5, 1.0)], START + call)
            meter.disturb()
        pace.begin()
        meter.left(START + call)
        pace.end(START + call)
        meter.answered(START + call)
    assert (meter.use().words, used(meter.use())) == ("300 submits", {"10/s": 2})


def test_a_call_that_was_never_sent_is_not_counted() -> None:
    meter = Meter(Pace([TEN]))
    assert meter.use() == Use()
    meter.left(START)
    meter.undone()
    assert (meter.use().calls, meter.use().words) == (0, "0 submits")


def test_calls_that_never_were_answered_held_their_places_too() -> None:
    pace = Pace([TEN, HOURLY])
    meter = Meter(pace)
    for second in range(5):
        pace.begin()
        meter.left(START + second)
        if second < 3:
            pace.end(START + second)
            meter.answered(START + second)
    assert meter.use().words == "5 submits, at the fullest 5 of 100 an hour"


def test_scripts_have_the_same_as_fields() -> None:
    use, _ = play(Pace([TEN, HOURLY]), 150)
    assert use.to_json() == {
        "count": 150,
        "share": 1.0,
        "windows": [
            {"rate": "10/s", "limit": 10, "used": 10},
            {"rate": "100/h", "limit": 100, "used": 100},
        ],
    }
    assert (
        use.words
        == "150 submits, at the fullest 100 of 100 an hour, 100.0 % of what the rates allow"
    )
