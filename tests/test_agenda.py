"""Which operation is asked for next, and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from benchmarks.polling import Scenario, lognormal, measure
from pipeline.api.outcomes import Answer, Failed, Garbled, NotSent, PollOutcome, StillRunning
from pipeline.codec import encode
from pipeline.life.item import Running
from pipeline.operations.agenda import Agenda
from pipeline.operations.polling import RETENTION, AskAgain, Asking, after_poll
from tests.builders import ANSWER, PROBLEM
from tests.strategies import any_json

BORN = 1_790_000_000.0
HOUR, DAY = 3600.0, 86400.0


def asking(line: int, accepted_at: float = BORN, model: str | None = None) -> Asking:
    return Asking(line, Running(f"op-{line}", accepted_at, 1, 1), model)


def heard(line: int, accepted_at: float, age: float) -> Asking:
    return replace(asking(line, accepted_at), heard_at=accepted_at + age)


def answer(seconds: int) -> Answer:
    minutes, rest = divmod(seconds, 60)
    finished = f"2026-01-01T{minutes // 60:02}:{minutes % 60:02}:{rest:02}Z"
    return replace(ANSWER, created_at="2026-01-01T00:00:00Z", finished_at=finished)


def teach(agenda: Agenda, *seconds: int, model: str | None = None) -> None:
    for took in seconds:
        agenda.hear(asking(1, model=model), answer(took), BORN + took + 1)


def first_asked(agenda: Agenda, model: str | None = None) -> float:
    """At which age an operation of this model is first asked for."""
    agenda.put(asking(1, model=model), None)
    due = agenda.due_at(BORN)
    assert due is not None
    agenda.pop(due)
    return due - BORN


# Those with a time of their own.


@pytest.mark.promise("P14")
@given(
    st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), max_size=40),
    st.lists(st.floats(0, 3), min_size=1, max_size=10),
)
def test_of_those_due_the_oldest_comes_first_and_none_comes_early(
    entries: list[tuple[float, float]], pauses: list[float]
) -> None:
    agenda = Agenda()
    for line, (at, accepted_at) in enumerate(entries):
        agenda.put(asking(line, accepted_at), at)
    waiting, now = dict(enumerate(entries)), 0.0
    for pause in [*pauses, 10.0]:
        now += pause
        while due := [(born, line) for line, (at, born) in waiting.items() if at <= now]:
            assert agenda.due_at(now) == now
            assert agenda.pop(now).line == min(due)[1]
            del waiting[min(due)[1]]
            assert len(agenda) == len(waiting)
        assert agenda.due_at(now) == min((at for at, _ in waiting.values()), default=None)
    assert len(agenda) == 0


def test_operations_that_were_denied_are_known_until_they_are_asked_for_again() -> None:
    agenda, denied = Agenda(), replace(asking(1), denied_at=BORN + 5)
    agenda.put(asking(2), None)
    agenda.put(denied, BORN + 65)
    assert agenda.denied() == [denied]
    assert [flight.count for flight in agenda.flights(BORN + 10, 64)] == [1]
    assert agenda.pop(BORN + 65) == denied
    assert agenda.denied() == []
    assert 600 <= (denied.denied_until or 0) - BORN - 5 <= 660
    assert replace(denied, denied_at=BORN + RETENTION).denied_until is None
    assert asking(2).denied_until is None


def test_an_agenda_with_nothing_due_has_nothing_to_hand_out() -> None:
    agenda = Agenda()
    assert agenda.due_at(1.0) is None
    assert agenda.take(1.0) is None
    with pytest.raises(LookupError):
        agenda.pop(1.0)
    agenda.put(asking(1), 2.0)
    assert agenda.due_at(1.0) == 2.0
    with pytest.raises(LookupError):
        agenda.pop(1.0)
    assert len(agenda) == 1


def test_an_operation_put_back_waits_for_its_new_time() -> None:
    agenda = Agenda()
    agenda.put(asking(1, 100.0), 201.0)
    agenda.put(asking(2, 200.0), 202.0)
    agenda.put(agenda.pop(210.0), 220.0)
    assert [agenda.pop(210.0).line, agenda.due_at(210.0)] == [2, 220.0]
    assert agenda.pop(220.0).line == 1


@pytest.mark.promise("P14")
def test_all_that_a_resume_asks_at_once_are_asked_before_any_other_the_oldest_first() -> None:
    agenda = Agenda()
    teach(agenda, *[10] * 50)
    agenda.put(asking(9), None)
    for line, age in (1, 30.0), (2, HOUR), (3, 2.0):
        agenda.put(asking(line, BORN - age), BORN + 60)
    assert [agenda.pop(BORN + 60).line for _ in range(4)] == [2, 1, 3, 9]


# Those that are asked for when they are likely to be over.


def test_an_operation_is_asked_for_around_the_time_that_others_took() -> None:
    agenda = Agenda()
    teach(agenda, *range(90, 110))
    assert 90 < first_asked(agenda) < 130


def test_what_is_learned_moves_operations_that_wait_already() -> None:
    agenda = Agenda()
    agenda.put(asking(7), None)
    before = agenda.due_at(BORN)
    teach(agenda, *[100] * 50)
    after = agenda.due_at(BORN)
    assert before is not None
    assert after is not None
    assert before < BORN + 2
    assert after > BORN + 90


def test_models_are_known_apart() -> None:
    agenda = Agenda()
    teach(agenda, *[5] * 50)
    teach(agenda, *[300] * 50, model="yandexgpt")
    assert first_asked(agenda) < 10
    assert first_asked(agenda, "yandexgpt") > 250
    assert first_asked(agenda, "another") < 2


def test_of_very_many_models_the_later_ones_share_what_is_known_of_the_run_s_own() -> None:
    agenda = Agenda()
    teach(agenda, *[300] * 50)
    for n in range(30):
        agenda.hear(asking(1, model=f"model-{n}"), StillRunning(), BORN + 1)
    assert first_asked(agenda, "model-29") > 100
    assert len(agenda) == 0


def test_where_more_are_due_than_can_be_asked_the_likeliest_to_be_over_goes_first() -> None:
    agenda = Agenda()
    teach(agenda, *(round(10 + n) for n in range(100)))
    now = BORN + 1000
    agenda.put(heard(1, now - 700, 600), None)
    agenda.put(asking(2, now - 105), None)
    agenda.put(heard(3, now - 80, 20), None)
    asked = [agenda.pop(now).line for _ in range(3) if agenda.due_at(now) == now]
    assert asked[0] == 2
    assert asked.index(2) < asked.index(3)


@pytest.mark.promise("P14")
def test_operations_that_expire_soon_outrank_all_others() -> None:
    agenda = Agenda()
    teach(agenda, *[10] * 50)
    now = BORN + 3 * DAY
    agenda.put(asking(1, now - 20), None)
    agenda.put(asking(2, now - 30), now)
    agenda.put(heard(3, now - RETENTION + 60, RETENTION - HOUR), None)
    agenda.put(asking(4, now - RETENTION / 2), None)
    assert [agenda.pop(now).line for _ in range(4)] == [3, 4, 2, 1]


@pytest.mark.promise("P14")
@pytest.mark.promise("P17")
@given(
    st.lists(st.integers(0, 6000), max_size=30),
    st.sampled_from([StillRunning(), Garbled(PROBLEM), NotSent(PROBLEM)]),
    st.booleans(),
)
def test_an_operation_that_never_ends_is_asked_for_ever_more_rarely_and_to_its_end(
    seconds: list[int], outcome: PollOutcome, are_last: bool
) -> None:
    agenda = Agenda()
    agenda.are_last = are_last
    teach(agenda, *seconds)
    agenda.put(asking(1), None)
    now, asked = BORN, list[float]()
    for _ in range(2000):
        due = agenda.due_at(now)
        assert due is not None
        # To the resolution of a clock of seconds since 1970.
        assert due - now <= RETENTION / 4 + 1
        assert due - now >= 0.2
        now = due
        one = agenda.pop(now)
        asked.append(now)
        agenda.hear(one, outcome, now)
        verdict = after_poll(one, outcome, now)
        if not isinstance(verdict, AskAgain) or now > BORN + RETENTION:
            break
        agenda.put(verdict.asking, verdict.at)
    if isinstance(outcome, StillRunning):
        assert BORN + RETENTION <= now <= BORN + RETENTION + 61
        assert len(asked) < 300


def test_an_operation_accepted_in_the_future_is_asked_for_all_the_same() -> None:
    """Our clock has been set back since: its age tells nothing, and is not learned from."""
    agenda = Agenda()
    one, now = asking(1, BORN + DAY), BORN
    for _ in range(5):
        outcome: PollOutcome = StillRunning()
        agenda.hear(one, outcome, now)
        verdict = after_poll(one, outcome, now)
        assert isinstance(verdict, AskAgain)
        agenda.put(verdict.asking, verdict.at)
        due = agenda.due_at(now)
        assert due is not None
        assert now < due < now + 60
        now = due
        one = agenda.pop(now)
    agenda.hear(one, ANSWER, now)
    assert agenda.known == 0


# Probing.


@pytest.mark.promise("P12")
def test_a_probe_takes_those_that_are_due_first_and_then_the_others() -> None:
    agenda = Agenda()
    for line in range(5):
        agenda.put(asking(line), 100.0 * line)
    agenda.due_at(250.0)
    taken = [agenda.take(250.0) for _ in range(5)]
    assert [one.line for one in taken if one is not None] == [0, 1, 2, 3, 4]
    assert len(agenda) == 0


@pytest.mark.promise("P12")
def test_a_probe_leaves_those_that_have_failed_before_for_last() -> None:
    """It may be their own fault, and not the host's."""
    agenda = Agenda()
    agenda.put(asking(1), BORN + 1)
    agenda.put(asking(2), None)
    agenda.put(asking(3, BORN - 10), None)
    taken = [agenda.take(BORN + 2) for _ in range(3)]
    assert [one.line for one in taken if one is not None] == [3, 2, 1]


# What is learned from whom.


def test_operations_that_fail_teach_how_long_they_took() -> None:
    agenda = Agenda()
    for _ in range(50):
        agenda.hear(asking(1), StillRunning(), BORN + 90)
        agenda.hear(replace(asking(1), heard_at=BORN + 90), Failed(PROBLEM), BORN + 100)
    assert 90 < first_asked(agenda) < 120


@pytest.mark.parametrize("outcome", [Garbled(PROBLEM), NotSent(PROBLEM)])
def test_an_answer_that_tells_nothing_teaches_nothing(outcome: PollOutcome) -> None:
    agenda = Agenda()
    before = first_asked(agenda)
    for _ in range(50):
        agenda.hear(asking(1), outcome, BORN + 100)
    assert first_asked(agenda) == before


# What survives a restart.


def test_what_was_learned_survives_a_restart() -> None:
    before, after = Agenda(), Agenda()
    teach(before, *range(90, 150))
    teach(before, *range(20, 80), model="yandexgpt")
    after.recall(before.learned())
    for model in None, "yandexgpt":
        assert first_asked(after, model) == pytest.approx(first_asked(before, model), rel=0.15)


@given(
    st.text() | any_json(["model", "known", "ended", "at_risk"]).map(lambda j: encode(j).decode())
)
def test_any_text_in_place_of_what_was_learned_does_no_harm(text: str) -> None:
    agenda = Agenda()
    agenda.recall(text)
    assert first_asked(agenda) < 2


def test_a_run_that_has_learned_nothing_recalls_nothing() -> None:
    agenda = Agenda()
    agenda.recall(None)
    assert agenda.learned() == "[]"


# All together.


@pytest.mark.parametrize("sigma", [0.6, 1.0])
def test_an_operation_takes_two_polls_and_is_fetched_almost_as_soon_as_can_be(
    sigma: float,
) -> None:
    scenario = Scenario("", lognormal(sigma), rows=3000, measured=(1000, 2700), seeds=1)
    found = measure(scenario, Agenda)
    assert found.polls <= 2.0
    assert found.ratio is not None
    assert found.ratio < 1.15


# What a watching person is told.


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.integers(0, 9), st.none() | st.integers(0, 20)),
            st.tuples(st.just("pop"), st.integers(0, 30), st.none()),
            st.tuples(st.just("take"), st.integers(0, 30), st.none()),
        )
    )
)
def test_the_oldest_that_waits_is_known_whatever_has_happened(
    steps: list[tuple[str, int, int | None]],
) -> None:
    agenda, waiting = Agenda(), dict[int, float]()
    for line, (step, number, at) in enumerate(steps):
        if step == "put":
            agenda.put(asking(line, BORN + number), None if at is None else BORN + at)
            waiting[line] = BORN + number
        elif step == "take":
            taken = agenda.take(BORN + number)
            waiting.pop(-1 if taken is None else taken.line, None)
        elif agenda.due_at(BORN + number) == BORN + number:
            del waiting[agenda.pop(BORN + number).line]
        assert agenda.oldest() == min(waiting.values(), default=None)
