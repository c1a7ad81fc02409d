import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.emulator.quota import Quota
from pipeline.emulator.refusals import OverQuota
from pipeline.pacing.rates import Rate
from tests.emulator_caller import START, Caller, request

rates = st.lists(
    st.builds(Rate, st.integers(1, 5), st.sampled_from([0.5, 1.0, 3.0, 60.0])), max_size=3
)
gaps = st.lists(st.one_of(st.just(0.0), st.floats(0, 2), st.sampled_from([0.5, 1.0, 3.0])))


def admits(quota: Quota, now: float) -> bool:
    try:
        quota.admit(now)
    except OverQuota:
        return False
    return True


@given(rates, gaps)
def test_a_call_is_admitted_exactly_when_every_window_has_room(
    limits: list[Rate], steps: list[float]
) -> None:
    quota, admitted, now = Quota("q", limits), list[float](), START
    for step in steps:
        now += step
        recent = [[then for then in admitted if then + rate.seconds > now] for rate in limits]
        room = all(len(inside) < rate.limit for inside, rate in zip(recent, limits, strict=True))
        assert admits(quota, now) is room
        if room:
            admitted.append(now)
    assert list(quota.times) == admitted


@given(rates, gaps)
def test_no_window_that_starts_anywhere_holds_more_than_its_limit(
    limits: list[Rate], steps: list[float]
) -> None:
    quota, now = Quota("q", limits), START
    for step in steps:
        now += step
        admits(quota, now)
    for rate in limits:
        for start in quota.times:
            inside = [then for then in quota.times if start <= then < start + rate.seconds]
            assert len(inside) <= rate.limit


def test_a_burst_at_a_window_s_end_can_t_be_doubled_at_the_next_one_s_start() -> None:
    quota = Quota("q", [Rate(10, 1)])
    assert all(admits(quota, START + 0.9) for _ in range(10))
    assert not admits(quota, START + 1.0)
    assert not admits(quota, START + 1.899)
    assert all(admits(quota, START + 1.9) for _ in range(10))


def test_refused_calls_use_up_nothing() -> None:
    quota = Quota("q", [Rate(1, 10)])
    assert admits(quota, START)
    assert not any(admits(quota, START + second) for second in range(1, 10))
    assert admits(quota, START + 10)
    assert quota.violations == {"ai.q.rate": 9}


@pytest.mark.parametrize(
    ("seconds", "unit"),
    [(1, "PerSecond"), (20, ""), (60, "PerMinute"), (3600, "PerHour"), (86400, "PerDay")],
)
def test_a_quota_s_id_names_the_length_of_its_window(seconds: float, unit: str) -> None:
    quota = Quota("textGenerationAsyncCompletionRequests", [Rate(1, seconds)])
    quota.admit(START)
    text = f"ai.textGenerationAsyncCompletionRequests{unit}.rate rate quota limit exceed"
    with pytest.raises(OverQuota, match=text):
        quota.admit(START)


def test_the_hour_binds_after_the_seconds() -> None:
    caller = Caller(submit_rates=(Rate(10, 1), Rate(25, 3600)))
    statuses = [caller.post(request(), at=START + n / 10).status for n in range(40)]
    assert statuses == [200] * 25 + [429] * 15
    assert caller.ledger()["quota_violations"] == {
        "ai.textGenerationAsyncCompletionRequestsPerHour.rate": 15
    }
    assert caller.post(request(), at=START + 3600).status == 200
    assert caller.post(request(), at=START + 3600).status == 429


def test_polls_and_submits_have_quotas_of_their_own() -> None:
    caller = Caller(submit_rates=(Rate(1, 60),), poll_rates=(Rate(2, 1),))
    operation_id = caller.submit()
    polls = [caller.call("GET", f"/operations/{operation_id}").status for _ in range(3)]
    assert polls == [200, 200, 429]
    ledger = caller.ledger()
    assert ledger["operations"][0]["polls"] == 2
    assert ledger["refused_polls"] == {"429": 1}
    assert ledger["poll_times"] == [START, START]


def test_an_invalid_request_uses_up_no_quota() -> None:
    caller = Caller(submit_rates=(Rate(1, 60),))
    assert caller.post(request("")).status == 400
    assert caller.post(request("ping")).status == 200
