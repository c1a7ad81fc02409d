"""The life of a row: what can happen to it, what can't, and how often it is submitted at most."""

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.life.facts import Begin, Cursor, Move, Span, columns_of, state_of
from pipeline.life.item import (
    Accepted,
    Announced,
    Chosen,
    Doubted,
    Doubtful,
    Event,
    Forgiven,
    GiveUp,
    Gone,
    IllegalEventError,
    Intended,
    Lost,
    Policy,
    Poll,
    Running,
    Settle,
    State,
    Stay,
    Step,
    Submit,
    Twin,
    Waiting,
    Withdrawn,
    after,
    next_step,
)
from pipeline.life.records import Failure
from pipeline.store.checkpoint import Checkpoint

AT = 7.0
DOUBTFUL, GONE = Doubtful(2, 1), Gone("op", 2, 1)
STATES: list[State] = [
    Waiting(),
    Waiting(3),
    Intended(1.0, Waiting(3)),
    DOUBTFUL,
    GONE,
    Intended(1.0, Waiting()),
    Intended(1.0, DOUBTFUL),
    Intended(1.0, GONE),
    Running("op", 1.0, 2, 2),
    Twin(2),
]
EVENTS: list[Event] = [
    Announced(AT),
    Accepted("new", AT),
    Withdrawn(),
    Doubted(),
    Forgiven(),
    Lost(),
    Chosen(),
]
LEGAL: list[tuple[State, Event, State]] = [
    (Waiting(), Announced(AT), Intended(AT, Waiting())),
    (DOUBTFUL, Announced(AT), Intended(AT, DOUBTFUL)),
    (GONE, Announced(AT), Intended(AT, GONE)),
    (Intended(1.0, Waiting()), Accepted("new", AT), Running("new", AT, 1, 1)),
    (Intended(1.0, DOUBTFUL), Accepted("new", AT), Running("new", AT, 3, 2)),
    (Intended(1.0, GONE), Accepted("new", AT), Running("new", AT, 3, 2)),
    (Waiting(3), Announced(AT), Intended(AT, Waiting(3))),
    (Intended(1.0, Waiting(3)), Accepted("new", AT), Running("new", AT, 4, 1)),
    (Intended(1.0, Waiting(3)), Doubted(), Doubtful(4, 1)),
    (Intended(1.0, Waiting(3)), Withdrawn(), Waiting(3)),
    (Intended(1.0, Waiting()), Withdrawn(), Waiting()),
    (Intended(1.0, DOUBTFUL), Withdrawn(), DOUBTFUL),
    (Intended(1.0, GONE), Withdrawn(), GONE),
    (Intended(1.0, Waiting()), Doubted(), Doubtful(1, 1)),
    (Intended(1.0, DOUBTFUL), Doubted(), Doubtful(3, 2)),
    (Intended(1.0, GONE), Doubted(), Doubtful(3, 2)),
    (DOUBTFUL, Forgiven(), Doubtful(2, 0)),
    (Running("op", 1.0, 2, 2), Lost(), Gone("op", 2, 2)),
    (Twin(2), Chosen(), Waiting(2)),
]
ILLEGAL = [
    (state, event)
    for state in STATES
    for event in EVENTS
    if not any((state, event) == legal[:2] for legal in LEGAL)
]


@pytest.mark.parametrize(("state", "event", "then"), LEGAL)
def test_a_legal_event_leads_where_the_picture_says(
    state: State, event: Event, then: State
) -> None:
    assert after(state, event) == then


@pytest.mark.parametrize(("state", "event"), ILLEGAL)
def test_an_illegal_event_raises_and_nothing_changed(state: State, event: Event) -> None:
    before = columns_of(state)
    with pytest.raises(IllegalEventError):
        after(state, event)
    assert columns_of(state) == before


def test_every_pair_of_state_and_event_is_either() -> None:
    assert len(LEGAL) + len(ILLEGAL) == len(STATES) * len(EVENTS)


# What to do next.


def failure(step: Step) -> Failure:
    assert isinstance(step, GiveUp)
    return step.failure


def test_a_row_never_posted_goes_before_those_that_were() -> None:
    assert next_step(Waiting(), Policy()) == Submit(again=False)
    assert next_step(DOUBTFUL, Policy()) == Submit(again=True)


@pytest.mark.promise("P5")
def test_an_intent_whose_process_died_is_settled_first() -> None:
    assert next_step(Intended(AT, Waiting()), Policy()) == Settle()


@pytest.mark.promise("P4")
@pytest.mark.parametrize("policy", [Policy(), Policy(1, False, False)])
def test_an_operation_is_polled_however_often_its_row_was_submitted(policy: Policy) -> None:
    running = Running("op", AT, 9, 9)
    assert next_step(running, policy) == Poll(running)


@pytest.mark.promise("P5")
def test_a_row_that_another_is_sent_for_stays_where_it_is() -> None:
    assert next_step(Twin(), Policy()) == Stay()


def test_a_doubt_is_submitted_again_after_everything_else() -> None:
    assert next_step(Doubtful(2, 2), Policy()) == Submit(again=True)


@pytest.mark.promise("P5")
def test_a_doubt_is_held_where_the_user_wants_so() -> None:
    held = failure(next_step(Doubtful(1, 1), Policy(resubmit_doubts=False)))
    assert (held.stage, held.code) == ("doubt", "held")


@pytest.mark.promise("P5")
def test_a_doubt_without_attempts_left_becomes_an_error_line() -> None:
    given_up = failure(next_step(Doubtful(4, 3), Policy(attempts=3)))
    assert (given_up.stage, given_up.code) == ("doubt", "attempts")
    assert "4 times" in given_up.message


@pytest.mark.promise("P12")
def test_a_doubt_that_is_forgiven_leaves_its_attempt() -> None:
    doubt = Doubtful(3, 3)
    assert isinstance(next_step(doubt, Policy(attempts=3)), GiveUp)
    assert next_step(after(doubt, Forgiven()), Policy(attempts=3)) == Submit(again=True)


@pytest.mark.promise("P14")
def test_a_lost_row_is_submitted_again_or_fails_as_the_user_wants() -> None:
    gone = Gone("op", 1, 1)
    assert next_step(gone, Policy()) == Submit(again=True)
    lost = failure(next_step(gone, Policy(resubmit_lost=False)))
    assert lost.stage == "lost"
    spent = failure(next_step(Gone("op", 3, 3), Policy(attempts=3)))
    assert (spent.stage, spent.code) == ("lost", "attempts")


@pytest.mark.promise("P5")
def test_a_doubt_whose_next_post_was_refused_for_now_is_still_held_if_wanted() -> None:
    state = after(after(Doubtful(1, 1), Announced(AT)), Withdrawn())
    step = next_step(state, Policy(resubmit_doubts=False))
    assert isinstance(step, GiveUp)


@pytest.mark.promise("P5")
def test_no_row_is_submitted_more_often_than_the_attempts_of_this_call() -> None:
    state = after(after(Doubtful(3, 3), Announced(AT)), Withdrawn())
    assert isinstance(next_step(state, Policy(attempts=3)), GiveUp)


# Any life that the shell can lead.

WORDS = st.sampled_from(["accepted", "withdrawn", "doubted", "forgiven", "lost", "died"])
POLICIES = st.builds(Policy, st.integers(1, 4), st.booleans(), st.booleans())


@dataclass(slots=True)
class Life:
    """A row as the shell carries it: only steps that were asked for, only events that fit."""

    policy: Policy
    line: int = 1
    states: list[State] = field(default_factory=lambda: [Waiting()])
    posts: int = 0
    uncounted: int = 0
    now: float = 1.0
    over: bool = False

    @property
    def state(self) -> State:
        return self.states[-1]

    def become(self, event: Event) -> None:
        self.states.append(after(self.state, event))

    def live(self, word: str) -> None:
        self.now += 1.5
        match next_step(self.state, self.policy):
            case Submit():
                self.become(Announced(self.now))
                self.posts += 1
                self.answered(word)
            case Settle():
                self.become(Doubted())
            case Poll():
                if word == "lost":
                    self.become(Lost())
            case GiveUp():
                self.over = True

    def answered(self, word: str) -> None:
        match word:
            case "accepted":
                self.become(Accepted(f"op-{self.line}-{self.posts}", self.now))
            case "withdrawn":
                self.become(Withdrawn())
                self.uncounted += 1
            case "doubted":
                self.become(Doubted())
            case "forgiven":
                self.become(Doubted())
                self.become(Forgiven())
                self.uncounted += 1


def life(policy: Policy, words: list[str], line: int = 1) -> Life:
    lived = Life(policy, line)
    for word in words:
        if not lived.over:
            lived.live(word)
    return lived


@given(POLICIES, st.lists(WORDS, max_size=40))
def test_every_state_that_a_row_can_reach_is_what_its_columns_say(
    policy: Policy, words: list[str]
) -> None:
    for state in life(policy, words).states:
        assert state_of(*columns_of(state)) == state
        next_step(state, policy)


@pytest.mark.promise("P5")
@given(POLICIES, st.lists(WORDS, max_size=60))
def test_no_row_is_submitted_more_often_than_its_attempts(
    policy: Policy, words: list[str]
) -> None:
    lived = life(policy, words)
    assert lived.posts - lived.uncounted <= policy.attempts
    for state in lived.states:
        assert 0 <= state.spent <= min(state.submits, policy.attempts)


@pytest.mark.promise("P5")
@given(st.lists(WORDS, max_size=60))
def test_submits_count_every_post_that_was_or_may_have_been_accepted(words: list[str]) -> None:
    lived = Life(Policy(attempts=3))
    withdrawn = 0
    for word in words:
        if lived.over:
            break
        posts = lived.posts
        lived.live(word)
        withdrawn += lived.posts > posts and word == "withdrawn"
    assert lived.state.submits == lived.posts - withdrawn


@pytest.mark.promise("P4")
@given(POLICIES, st.lists(WORDS, max_size=40))
def test_a_row_with_an_operation_is_posted_again_only_once_that_is_lost(
    policy: Policy, words: list[str]
) -> None:
    states = life(policy, words).states
    for before, behind in pairwise(states):
        if isinstance(before, Running):
            assert isinstance(behind, Gone)
            assert behind.operation_id == before.operation_id


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(WORDS, max_size=12), min_size=1, max_size=8))
def test_a_checkpoint_opened_again_knows_every_row_as_it_stood(lives: list[list[str]]) -> None:
    ends = {line: life(Policy(), words, line) for line, words in enumerate(lives, start=1)}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        first = Checkpoint(path)
        for line, lived in ends.items():
            span, cursor = Span(line * 10, 9, b"12345678"), Cursor(line * 10 + 10, line + 1, line)
            row = Begin(line, span, cursor, None, None, None, 100, 100, lived.states[0])
            first.record([row, *(Move(line, state) for state in lived.states[1:])], {})
        first.close()
        again = Checkpoint(path)
        pending = {row.line: row.state for row in again.pending()}
        again.close()
    assert pending == {line: lived.state for line, lived in ends.items()}
