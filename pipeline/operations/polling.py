"""What an answer to a poll means for its operation: asked again, over, or lost.

`after_poll` decides, given what was heard of the operation before. When one that still runs is
asked for again is the `agenda`'s to say.
"""

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from pipeline.api import outcomes
from pipeline.api.outcomes import Answer, PollOutcome, Problem
from pipeline.input.form import Form, Misfit, in_form
from pipeline.life.item import Running
from pipeline.life.records import Failure

RETENTION = 3 * 86400.0
_GRACE = 86400.0
_DENIALS_APART = 60.0
_DENIED_FOR = 600.0
# So many answers in a row that can't be used are the operation's end.
_LIMITS: dict[type[outcomes.Garbled | outcomes.Refused], int] = {
    outcomes.Garbled: 5,
    outcomes.Refused: 3,
}
_SHORTEST = 1.0
_LONGEST = 60.0
_SHARE_OF_AGE = 0.5


class Useless(Struct, frozen=True, gc=False):
    """So many answers of one kind in a row."""

    kind: type[outcomes.Garbled | outcomes.Refused]
    times: int


class Asking(Struct, frozen=True, gc=False):
    """An operation being asked for, and what came of it so far; a struct for the same reasons.

    Its age counts from `accepted_at` by our own clock, so that a skewed clock of the service does
    not expire it. `model` is the row's own, if it names one; `heard_at`: when it last was said to
    run; `form`: what its answer must be.
    """

    line: int
    state: Running
    model: str | None = None
    heard_at: float | None = None
    denied_at: float | None = None
    unsure_at: float | None = None
    useless: Useless | None = None
    form: Form | None = None

    @property
    def operation_id(self) -> str:
        return self.state.operation_id

    @property
    def accepted_at(self) -> float:
        return self.state.at

    @property
    def born_at(self) -> float:
        """When it was accepted; if our clock was set back since, when it was last heard of."""
        accepted_at = self.state.at
        return accepted_at if self.heard_at is None else min(accepted_at, self.heard_at)

    @property
    def denied_until(self) -> float | None:
        """When the row has its line at the latest if nothing but denials comes; else None.

        An operation past retention has no such moment: its row is submitted again.
        """
        if self.denied_at is None or self.denied_at - self.accepted_at >= RETENTION:
            return None
        return self.denied_at + _DENIED_FOR + _DENIALS_APART

    @property
    def heard_age(self) -> float:
        """At which age it was last said to run; 0 if never."""
        return 0.0 if self.heard_at is None else self.heard_at - self.born_at


class AskAgain(Struct, frozen=True):
    """At `at`, or, where it is None, when the operation is likely enough to be over."""

    asking: Asking
    at: float | None


class Conclude(Struct, frozen=True):
    """The operation is over: with an answer, or with a failure that is the row's."""

    end: Answer | Failure
    usage: outcomes.Usage | None


class GiveUpLost(Struct, frozen=True):
    """The service has forgotten the operation."""


Verdict = AskAgain | Conclude | GiveUpLost


def after_poll(asking: Asking, outcome: PollOutcome, now: float) -> Verdict:
    """What an answer means for its operation."""
    match outcome:
        case Answer():
            return Conclude(_end(asking.form, outcome), outcome.usage)
        case outcomes.Failed(problem, stage, usage):
            return Conclude(_failure(stage, problem), usage)
        case outcomes.StillRunning(age):
            heard = Asking(asking.line, asking.state, asking.model, now, form=asking.form)
            return _running(heard, now - asking.accepted_at, age)
        case _:
            return _after_no_news(asking, outcome, now)


def _end(form: Form | None, answer: Answer) -> Answer | Failure:
    """An answer without the form that was asked for is the row's failure, paid for as it is."""
    match in_form(form, answer):
        case Misfit(code, message):
            return Failure("answer", code, message, text=answer.text)
        case fit:
            return fit


def _after_no_news(asking: Asking, outcome: PollOutcome, now: float) -> Verdict:
    """What it means that an answer did not tell whether the operation still runs."""
    again = _next_at(asking, now)
    # Only answers of the same kind in a row add up.
    calm = replace(asking, useless=None)
    match outcome:
        case outcomes.NotFound(problem) | outcomes.Forbidden(problem):
            return _denied(calm, problem, now)
        case outcomes.Garbled(problem) | outcomes.Refused(problem):
            useless = _once_more(asking.useless, type(outcome))
            if useless.times >= _LIMITS[useless.kind]:
                return Conclude(_failure("operation", problem), None)
            return AskAgain(replace(asking, useless=useless), again)
        case outcomes.Unsure(problem) | outcomes.Conflict(problem):
            return _unsure(calm, problem, now, again)
        case _:
            return AskAgain(calm, again)


def _once_more(before: Useless | None, kind: type[outcomes.Garbled | outcomes.Refused]) -> Useless:
    in_a_row = before.times if before is not None and before.kind is kind else 0
    return Useless(kind, in_a_row + 1)


def told_seconds(answer: Answer) -> float | None:
    """How long the operation took by the service's own stamps; whole seconds, None if unknown."""
    if answer.created_at is None or answer.finished_at is None:
        return None
    created = datetime.fromisoformat(answer.created_at)
    return (datetime.fromisoformat(answer.finished_at) - created).total_seconds()


def _next_at(asking: Asking, now: float) -> float:
    """When to ask again what was not told: after half the age, a second to a minute."""
    age = now - asking.accepted_at
    return now + min(max(age * _SHARE_OF_AGE, _SHORTEST), _LONGEST)


def _running(asking: Asking, age: float, told_age: float | None) -> Verdict:
    """Our clock may be wrong or have been set since; what the service's own tells goes first."""
    if (age if told_age is None else told_age) < RETENTION and age < 2 * RETENTION:
        return AskAgain(asking, None)
    message = "the operation was still running 3 days after it was created"
    return Conclude(Failure("operation", "never_done", message), None)


def _unsure(asking: Asking, problem: Problem, now: float, again: float) -> Verdict:
    """Give up on what has expired long since, or could not be asked for a whole day after."""
    first = now if asking.unsure_at is None else asking.unsure_at
    age = now - asking.accepted_at
    unheard_of = age >= RETENTION + _GRACE and now - first >= _GRACE
    if unheard_of or age >= 2 * RETENTION:
        return Conclude(_failure("operation", problem), None)
    return AskAgain(replace(asking, unsure_at=first), again)


def _denied(asking: Asking, problem: Problem, now: float) -> Verdict:
    """Lost: past retention and denied twice, a minute apart. Else asked for 10 minutes more."""
    first = now if asking.denied_at is None else asking.denied_at
    past_retention = now - asking.accepted_at >= RETENTION
    if past_retention and now - first >= _DENIALS_APART:
        return GiveUpLost()
    if not past_retention and now - first >= _DENIED_FOR:
        message = f"the service denied the operation for 10 minutes: {problem.message}"
        return Conclude(Failure("lost", "denied", message, problem.request_id), None)
    return AskAgain(replace(asking, denied_at=first), now + _DENIALS_APART)


def _failure(stage: str, problem: Problem) -> Failure:
    return Failure(stage, problem.code, problem.message, problem.request_id)
