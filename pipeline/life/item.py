"""The life of one row: its states, what happens to it, and what to do next.

    Waiting ──Announced──▶ Intended ──Accepted──▶ Running ──(answer written)──▶ finished
                            │    │                   └──Lost──▶ Gone ──Announced──▶ Intended
                            │    └──Doubted──▶ Doubtful ──Announced──▶ Intended
                            └──Withdrawn──▶ what it was before
    Twin ──Chosen──▶ Waiting

Everything here is pure. What the checkpoint holds of a row is exactly its state, so a row that was
carried by one process and a row taken over by the next stand in the same place by construction.
A finished row has no state here: its line in the output is its end; one that the user asks for
again waits as at first, but for the submits that it had.

`submits` counts a row's POSTs that were or may have been accepted, `spent` those of them that
count as attempts.
"""

from dataclasses import dataclass
from typing import assert_never

from msgspec import Struct

from pipeline.life.records import Failure


class Waiting(Struct, frozen=True):
    """Not submitted, as far as money goes, since the run began it or a retry put it back.

    `submits` are those before that retry; as attempts they count no more.
    """

    submits: int = 0
    spent = 0


class Doubtful(Struct, frozen=True):
    """The acceptance of its last POST can't be known."""

    submits: int
    spent: int


class Gone(Struct, frozen=True):
    """The service has forgotten the operation that this row was submitted as."""

    operation_id: str
    submits: int
    spent: int


class Twin(Struct, frozen=True):
    """Another row asks the same, and is sent for both: its answer will be this one's too.

    `submits` are as in `Waiting`.
    """

    submits: int = 0
    spent = 0


Submittable = Waiting | Doubtful | Gone


class Intended(Struct, frozen=True):
    """Announced on disk at `at`: a POST may be under way."""

    at: float
    before: Submittable

    @property
    def submits(self) -> int:
        return self.before.submits + 1

    @property
    def spent(self) -> int:
        return self.before.spent + 1


class Running(Struct, frozen=True, gc=False):
    """The service gave an operation id, at `at` by our clock.

    There may be a hundred thousand at once: none of the collector's time.
    """

    operation_id: str
    at: float
    submits: int
    spent: int


State = Submittable | Intended | Running | Twin


class Announced(Struct, frozen=True):
    """The intent to POST is to be written down."""

    at: float


class Accepted(Struct, frozen=True):
    """The POST was answered with an operation id."""

    operation_id: str
    at: float


class Withdrawn(Struct, frozen=True):
    """The POST was certainly not accepted: not sent, or refused."""


class Doubted(Struct, frozen=True):
    """The POST had no answer that tells, or the process died before one came."""


class Forgiven(Struct, frozen=True):
    """The doubt turned out to be part of an outage, which is nobody's failure."""


class Lost(Struct, frozen=True):
    """The service denies the operation, past retention."""


class Chosen(Struct, frozen=True):
    """The row that was sent for it has failed: it is sent itself, for all others that wait."""


Event = Announced | Accepted | Withdrawn | Doubted | Forgiven | Lost | Chosen


class IllegalEventError(Exception):
    """An event that can't happen in this state: a bug, never the user's data."""


def after(state: State, event: Event) -> State:
    """Where a row stands after an event.

    Raises:
        IllegalEventError: the event is impossible in this state.

    """
    match state, event:
        case ((Waiting() | Doubtful() | Gone()), Announced(at)):
            return Intended(at, state)
        case Intended(), Accepted(operation_id, at):
            return Running(operation_id, at, state.submits, state.spent)
        case Intended(before=before), Withdrawn():
            return before
        case Intended(), Doubted():
            return Doubtful(state.submits, state.spent)
        case Doubtful(), Forgiven():
            return Doubtful(state.submits, state.spent - 1)
        case Running(operation_id), Lost():
            return Gone(operation_id, state.submits, state.spent)
        case Twin(submits), Chosen():
            return Waiting(submits)
        case _:
            raise IllegalEventError(f"{event} in {state}")


@dataclass(frozen=True, slots=True)
class Policy:
    """What the user wants done with rows that may be or were paid for in vain."""

    attempts: int = 3
    resubmit_doubts: bool = True
    resubmit_lost: bool = True


class Submit(Struct, frozen=True):
    """POST it, after everything that was never POSTed if `again`."""

    again: bool


class Settle(Struct, frozen=True):
    """A process died between intent and answer: record the doubt, then ask anew."""


class Poll(Struct, frozen=True):
    """Ask the service for the operation."""

    running: Running


class GiveUp(Struct, frozen=True):
    """Write an error line; the row is never POSTed again unless the user asks."""

    failure: Failure


class Stay(Struct, frozen=True):
    """Nothing: another row's end decides."""


Step = Submit | Settle | Poll | GiveUp | Stay


def next_step(state: State, policy: Policy) -> Step:
    """What to do with a row that no call is under way for."""
    match state:
        case Waiting():
            return Submit(again=False)
        case Intended():
            return Settle()
        case Running():
            return Poll(state)
        case Twin():
            return Stay()
        case Doubtful():
            return _again(state, policy, "doubt", wanted=policy.resubmit_doubts)
        case Gone():
            return _again(state, policy, "lost", wanted=policy.resubmit_lost)
        case _:
            assert_never(state)


_WHY = {
    "doubt": "it can't be known whether the service accepted this row; it may have been billed",
    "lost": "the service no longer knows this row's operation; it may have been billed",
}


def _again(state: Doubtful | Gone, policy: Policy, stage: str, *, wanted: bool) -> Step:
    if not wanted:
        return GiveUp(Failure(stage, "held" if stage == "doubt" else "lost", _WHY[stage]))
    if state.spent >= policy.attempts:
        times = f"{_WHY[stage]}; submitted {state.submits} times, the last --attempts allows"
        return GiveUp(Failure(stage, "attempts", times))
    return Submit(again=True)
