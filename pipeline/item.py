"""The life of one row: its states, what happens to it, and what to do next.

    Waiting ──Announced──▶ Intended ──Accepted──▶ Running ──(answer written)──▶ finished
       ▲──────Withdrawn───────┤  └─────Doubted──▶ Doubtful ──Announced──▶ Intended
                              │                      └──Forgiven (an outage: no attempt lost)
                              └──────── Lost (from Running) ──▶ Gone ──Announced──▶ Intended

Everything here is pure. What the checkpoint holds of a row is exactly its state, so a row that was
carried by one process and a row taken over by the next stand in the same place by construction.
A finished row has no state here: its line in the output is its end.
"""

from dataclasses import dataclass, replace
from typing import assert_never

from pipeline.records import Failure


@dataclass(frozen=True, slots=True)
class Waiting:
    """No POST of this row is open.

    `submits` of them were or may have been accepted; `spent` of these count as attempts.
    """

    submits: int = 0
    spent: int = 0


@dataclass(frozen=True, slots=True)
class Intended:
    """Announced on disk at `at`: its POST, counted in `submits`, may be under way."""

    at: float
    submits: int
    spent: int


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A POST whose acceptance can't be known."""

    at: float
    submits: int
    spent: int


@dataclass(frozen=True, slots=True)
class Running:
    """The service gave an operation id, at `at` by our clock."""

    operation_id: str
    at: float
    submits: int
    spent: int


@dataclass(frozen=True, slots=True)
class Gone:
    """The service has forgotten the operation that this row was submitted as."""

    operation_id: str
    at: float
    submits: int
    spent: int


State = Waiting | Intended | Doubtful | Running | Gone


@dataclass(frozen=True, slots=True)
class Announced:
    """The intent to POST is to be written down."""

    at: float


@dataclass(frozen=True, slots=True)
class Accepted:
    """The POST was answered with an operation id."""

    operation_id: str
    at: float


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The POST was certainly not accepted: not sent, or refused for now."""


@dataclass(frozen=True, slots=True)
class Doubted:
    """The POST had no answer that tells, or the process died before one came."""

    at: float


@dataclass(frozen=True, slots=True)
class Forgiven:
    """The doubt turned out to be part of an outage, which is nobody's failure."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The service denies the operation, past retention."""

    at: float


Event = Announced | Accepted | Withdrawn | Doubted | Forgiven | Lost


class IllegalEventError(Exception):
    """An event that can't happen in this state: a bug, never the user's data."""


def after(state: State, event: Event) -> State:
    """Where a row stands after an event.

    Raises:
        IllegalEventError: the event is impossible in this state.

    """
    match state, event:
        case ((Waiting() | Doubtful() | Gone()), Announced(at)):
            return Intended(at, state.submits + 1, state.spent + 1)
        case Intended(), Accepted(operation_id, at):
            return Running(operation_id, at, state.submits, state.spent)
        case Intended(), Withdrawn():
            return Waiting(state.submits - 1, state.spent - 1)
        case Intended(), Doubted(at):
            return Doubtful(at, state.submits, state.spent)
        case Doubtful(), Forgiven():
            return replace(state, spent=state.spent - 1)
        case Running(), Lost(at):
            return Gone(state.operation_id, at, state.submits, state.spent)
        case _:
            raise IllegalEventError(f"{event} in {state}")


@dataclass(frozen=True, slots=True)
class Policy:
    """What the user wants done with rows that may be or were paid for in vain."""

    attempts: int = 3
    resubmit_doubts: bool = True
    resubmit_lost: bool = True


@dataclass(frozen=True, slots=True)
class Submit:
    """POST it, after everything that was never POSTed if `again`."""

    again: bool


@dataclass(frozen=True, slots=True)
class Settle:
    """A process died between intent and answer: record the doubt, then ask anew."""


@dataclass(frozen=True, slots=True)
class Poll:
    """Ask the service for the operation."""

    running: Running


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Write an error line; the row is never POSTed again unless the user asks."""

    failure: Failure


Step = Submit | Settle | Poll | GiveUp


def next_step(state: State, policy: Policy) -> Step:
    """What to do with a row that no call is under way for."""
    match state:
        case Waiting():
            return Submit(again=state.submits > 0)
        case Intended():
            return Settle()
        case Running():
            return Poll(state)
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
