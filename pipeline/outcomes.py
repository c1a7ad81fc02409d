"""What a call can come to: the outcomes of a POST, of a GET and of a count, as types.

`wire` reads them from what the service sent, `service` makes those of calls without an answer, and
`submitting` and `polling` decide what each means.
"""

from dataclasses import dataclass
from typing import NewType

from pipeline.codec import Json
from pipeline.gate import Throttle

OperationId = NewType("OperationId", str)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the service said no: a code (gRPC's name, else ``HTTP_nnn``), its words, its id."""

    code: str
    message: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The POST created an operation."""

    operation_id: OperationId


@dataclass(frozen=True, slots=True)
class Refused:
    """Not accepted, and never will be. `shared`: for a reason that is not the row's own."""

    problem: Problem
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Throttled:
    """Refused for now: a quota."""

    throttle: Throttle
    problem: Problem


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """The credential was not accepted."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Forbidden:
    """The credential was accepted, the call was not."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class NotFound:
    """For a POST the model or path, for a GET the operation."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Conflict:
    """Refused for now, by the service's own account."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Misdirected:
    """The host does not offer the call, or points elsewhere."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class NotSent:
    """No byte of the call left this machine."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Unsure:
    """Sent, and what became of it is unknown. `outage`: the host failed rather than answered."""

    problem: Problem
    outage: bool = True


@dataclass(frozen=True, slots=True)
class StillRunning:
    """The operation is not done. `age` in seconds, by the service's own clock alone."""

    age: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the service counted them."""

    input_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    total_tokens: int


@dataclass(frozen=True, slots=True)
class Data:
    """A JSON value; null is one."""

    value: Json


@dataclass(frozen=True, slots=True)
class Answer:
    """What a finished operation says. Times are the operation's own words.

    `data` is the text as JSON, where that was asked for and has the form that was asked for.
    """

    text: str | None
    finish: str
    tool_calls: Json
    usage: Usage | None
    model_version: str | None
    created_at: str | None
    finished_at: str | None
    response: Json
    data: Data | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The operation ended with an error, or with nothing that could be an answer."""

    problem: Problem
    stage: str = "operation"
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Garbled:
    """A 200 that can't be read as this operation."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Counted:
    """What the tokenizer makes of a request, the chat template included."""

    tokens: int


_OfAnyCall = (
    Refused
    | Throttled
    | Unauthorized
    | Forbidden
    | NotFound
    | Conflict
    | Misdirected
    | NotSent
    | Unsure
)
SubmitOutcome = Accepted | _OfAnyCall
CountOutcome = Counted | _OfAnyCall
PollOutcome = StillRunning | Answer | Failed | Garbled | _OfAnyCall
