"""What the service says, as outcomes: status, headers and body in; one of a few types out.

This is the project's reading of the API: what each answer to a POST means for money (accepted,
certainly not accepted, or unknown), and what each answer to a GET means for the operation. When it
is unsure whether money was spent, it says `Unsure`. Every documented shape is read: int64 as
strings or numbers, absent fields as their defaults; what is no success, `refusals` reads.
"""

from datetime import datetime
from email.utils import parsedate_to_datetime

from pipeline import codec
from pipeline.api.outcomes import (
    Accepted,
    Answer,
    Counted,
    CountOutcome,
    Failed,
    Garbled,
    OperationId,
    PollOutcome,
    Problem,
    StillRunning,
    SubmitOutcome,
    Unsure,
    Usage,
)
from pipeline.api.refusals import (
    Headers,
    as_object,
    read_refusal,
    shortened,
    shown,
    status_problem,
)
from pipeline.codec import Json

# Sums over millions of rows stay within an int64 below this.
_ABSURD = 2**40


def read_submit(status: int, headers: Headers, body: bytes, now: float) -> SubmitOutcome:
    """What the answer to a POST of `completionAsync` means."""
    if 200 <= status < 300:
        operation = as_object(body)
        operation_id = operation.get("id") if operation is not None else None
        if isinstance(operation_id, str) and operation_id.strip() and codec.is_utf8(operation_id):
            return Accepted(OperationId(operation_id))
        what = f"HTTP {status} without an operation id: {shown(body)}"
        return Unsure(Problem("no_id", what, headers.get("x-request-id")), outage=False)
    return read_refusal(status, headers, body, now)


def read_count(status: int, headers: Headers, body: bytes, now: float) -> CountOutcome:
    """What the answer to a POST to the tokenizer means; its tokens, special ones too."""
    if not 200 <= status < 300:
        return read_refusal(status, headers, body, now)
    answer = as_object(body)
    tokens = answer.get("tokens") if answer is not None else None
    if isinstance(tokens, list):
        return Counted(len(tokens))
    what = f"HTTP {status} without tokens: {shown(body)}"
    return Unsure(Problem("no_tokens", what, headers.get("x-request-id")), outage=False)


def read_poll(asked: str, status: int, headers: Headers, body: bytes, now: float) -> PollOutcome:
    """What the answer to a GET of operation `asked` means."""
    if not 200 <= status < 300:
        return read_refusal(status, headers, body, now)
    operation = as_object(body)
    if operation is None:
        what = f"HTTP {status} that is no JSON object: {shown(body)}"
        return Garbled(Problem("undecodable", what, headers.get("x-request-id")))
    if operation.get("id", asked) != asked:
        what = f"the answer speaks of another operation: {shown(body)}"
        return Garbled(Problem("undecodable", what, headers.get("x-request-id")))
    return read_operation(operation, headers)


def read_operation(operation: dict[str, Json], headers: Headers) -> PollOutcome:
    """What an Operation message means. An error before `done` is an operation still running."""
    if operation.get("done") is not True:
        return StillRunning(_age(operation, headers))
    request_id = headers.get("x-request-id")
    error, response = operation.get("error"), operation.get("response")
    usage = _usage(response)
    if isinstance(error, dict) and error.get("code") not in (None, 0, "0"):
        return Failed(status_problem(error, request_id), usage=usage)
    if not isinstance(response, dict):
        words = error.get("message") if isinstance(error, dict) else None
        what = "the operation is done, with neither a response nor an error"
        message = shortened(f"{what}: {words}") if isinstance(words, str) and words else what
        return Failed(Problem("no_answer", message, request_id))
    return _read_answer(operation, response, usage, request_id)


def _age(operation: dict[str, Json], headers: Headers) -> float | None:
    created = _moment(operation.get("createdAt"))
    try:
        sent = parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, OverflowError):
        return None
    if created is None or sent.tzinfo is None:
        return None
    return (sent - datetime.fromisoformat(created)).total_seconds()


def _read_answer(
    operation: dict[str, Json],
    response: dict[str, Json],
    usage: Usage | None,
    request_id: str | None,
) -> Answer | Failed:
    alternatives = response.get("alternatives")
    first = alternatives[0] if isinstance(alternatives, list) and alternatives else None
    message = first.get("message") if isinstance(first, dict) else None
    if not isinstance(first, dict) or not isinstance(message, dict):
        what = "the response holds no alternative with a message"
        return Failed(Problem("no_alternative", what, request_id), "answer", usage)
    if not isinstance(message.get("text"), str | None):
        return Failed(
            Problem("bad_text", "the answer's text is no text", request_id), "answer", usage
        )
    return Answer(
        text=_text(message.get("text")),
        finish=_finish(first.get("status")),
        tool_calls=_tool_calls(message),
        usage=usage,
        model_version=_text(response.get("modelVersion")),
        created_at=_moment(operation.get("createdAt")),
        finished_at=_moment(operation.get("modifiedAt")),
        response=response,
    )


_FINISH = {
    "ALTERNATIVE_STATUS_FINAL": "final",
    "ALTERNATIVE_STATUS_TRUNCATED_FINAL": "truncated",
    "ALTERNATIVE_STATUS_CONTENT_FILTER": "content_filter",
    "ALTERNATIVE_STATUS_TOOL_CALLS": "tool_calls",
}


def _finish(status: Json) -> str:
    if not isinstance(status, str):
        return "ALTERNATIVE_STATUS_UNSPECIFIED"
    return _FINISH.get(status, status if codec.is_utf8(status) else ascii(status))


def _tool_calls(message: dict[str, Json]) -> Json:
    listed = message.get("toolCallList")
    return listed.get("toolCalls") if isinstance(listed, dict) else None


def _usage(response: Json) -> Usage | None:
    """Tokens, or None where they are missing or make no sense: unknown is not zero."""
    usage = response.get("usage") if isinstance(response, dict) else None
    if not isinstance(usage, dict) or not usage:
        return None
    details = usage.get("completionTokensDetails")
    given = _int64(usage.get("inputTextTokens")), _int64(usage.get("completionTokens"))
    reasoning = _int64(details.get("reasoningTokens") if isinstance(details, dict) else None)
    if given[0] is None or given[1] is None or reasoning is None:
        return None
    named = usage.get("totalTokens")
    total = given[0] + given[1] if named is None else _int64(named)
    if total is None or total > given[0] + given[1]:
        # Some of what is billed is told nowhere.
        return None
    return Usage(given[0], given[1], reasoning, total)


def _int64(value: Json) -> int | None:
    """An int64 of proto JSON, absent meaning 0; None where it is none, or no count of tokens."""
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) < 20):
            return None
        value = int(value)
    elif value is None:
        return 0
    elif isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < _ABSURD else None


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _moment(value: Json) -> str | None:
    """A timestamp as the service wrote it, if it is one, with its time zone."""
    if not isinstance(value, str):
        return None
    try:
        zone = datetime.fromisoformat(value).tzinfo
    except ValueError:
        return None
    return value if zone is not None else None
