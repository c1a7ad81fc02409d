"""What a call can come to: the outcomes of a POST, of a GET and of a count, as types.

`wire` reads them from what the service sent, `service` makes those of calls without an answer, and
`submitting` and `polling` decide what each means.
"""

from typing import NewType

from msgspec import Struct

from pipeline.codec import Json
from pipeline.pacing.gate import Throttle

OperationId = NewType("OperationId", str)


class Problem(Struct, frozen=True):
    """Why the service said no: a code (gRPC's name, else ``HTTP_nnn``), its words, its id."""

    code: str
    message: str
    request_id: str | None = None


class Accepted(Struct, frozen=True):
    """The POST created an operation."""

    operation_id: OperationId


class Refused(Struct, frozen=True):
    """Not accepted, and never will be. `shared`: for a reason that is not the row's own."""

    problem: Problem
    shared: bool = False


class Throttled(Struct, frozen=True):
    """Refused for now: a quota."""

    throttle: Throttle
    problem: Problem


class Unauthorized(Struct, frozen=True):
    """The credential was not accepted."""

    problem: Problem


class Forbidden(Struct, frozen=True):
    """The credential was accepted, the call was not."""

    problem: Problem


class NotFound(Struct, frozen=True):
    """For a POST the model or path, for a GET the operation."""

    problem: Problem


class Conflict(Struct, frozen=True):
    """Refused for now, by the service's own account."""

    problem: Problem


class Misdirected(Struct, frozen=True):
    """The host does not offer the call, or points elsewhere."""

    problem: Problem


class NotSent(Struct, frozen=True):
    """No byte of the call left this machine."""

    problem: Problem


class Unsure(Struct, frozen=True):
    """Sent, and what became of it is unknown. `outage`: the host failed rather than answered."""

    problem: Problem
    outage: bool = True


class StillRunning(Struct, frozen=True):
    """The operation is not done. `age` in seconds, by the service's own clock alone."""

    age: float | None = None


class Usage(Struct, frozen=True):
    """Tokens as the service counted them."""

    input_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    total_tokens: int


class Data(Struct, frozen=True):
    """A JSON value; null is one."""

    value: Json


class Answer(Struct, frozen=True):
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


class Failed(Struct, frozen=True):
    """The operation ended with an error, or with nothing that could be an answer."""

    problem: Problem
    stage: str = "operation"
    usage: Usage | None = None


class Garbled(Struct, frozen=True):
    """A 200 that can't be read as this operation."""

    problem: Problem


class Counted(Struct, frozen=True):
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
