"""What the service says when it refuses a call, or an operation failed: its code and its words.

Three shapes of error bodies are read, and pages that are no JSON at all.
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from pipeline import codec
from pipeline.api.outcomes import (
    Conflict,
    Forbidden,
    Misdirected,
    NotFound,
    Problem,
    Refused,
    Throttled,
    Unauthorized,
    Unsure,
)
from pipeline.codec import Json
from pipeline.pacing.gate import Throttle

Headers = Mapping[str, str]

_GRPC_NAMES = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
]
# As in: ai.someRequestsPerHour.rate rate quota limit exceed: allowed 100 requests
_QUOTA = re.compile(r"([\w.-]+)\.(?:rate|count)\b.*?allowed (\d+) requests")
# 400s that speak of what all rows share, as the service words them.
_SHARED = re.compile(r"model_?\s?uri|folder id", re.IGNORECASE)
_NUMBER = re.compile(r"-?[0-9]{1,10}")
_LONGEST_MESSAGE = 1000


def read_refusal(
    status: int, headers: Headers, body: bytes, now: float
) -> Refused | Throttled | Unauthorized | Forbidden | NotFound | Conflict | Misdirected | Unsure:
    """What an answer without a status of success means."""
    problem = read_problem(status, headers, body)
    match status:
        case 401:
            return Unauthorized(problem)
        case 403:
            return Forbidden(problem)
        case 404:
            return NotFound(problem)
        case 409:
            return Conflict(problem)
        case 429:
            return Throttled(_throttle(headers, problem.message, now), problem)
        case 408 | 499:
            return Unsure(problem)
        # 407: a proxy in between wants a credential of its own.
        case 407 | 501:
            return Misdirected(problem)
        case _ if 400 <= status < 500:
            return Refused(problem, shared=status == 400 and bool(_SHARED.search(problem.message)))
        case _ if 500 <= status < 600:
            return Unsure(problem)
        case _:
            return Misdirected(problem)


def read_problem(status: int, headers: Headers, body: bytes) -> Problem:
    """Code, words and request id from any of the documented error bodies, or from a page."""
    request_id = headers.get("x-request-id")
    parsed = as_object(body)
    if parsed is None:
        return Problem(f"HTTP_{status}", f"HTTP {status}: {shown(body)}", request_id)
    nested = parsed.get("error")
    inner = nested if isinstance(nested, dict) else parsed
    words = inner.get("message") or (nested if isinstance(nested, str) else None)
    code = _grpc_name(inner.get("grpcCode", inner.get("code"))) or f"HTTP_{status}"
    has_words = isinstance(words, str) and words.strip()
    message = str(words) if has_words else f"HTTP {status}: {shown(body)}"
    return Problem(code, shortened(message), request_id or _named_request(inner))


def status_problem(error: dict[str, Json], request_id: str | None) -> Problem:
    """The same of the status with which an operation failed."""
    given = error.get("code")
    number = given if isinstance(given, int | str) and _NUMBER.fullmatch(str(given)) else "unknown"
    code = _grpc_name(given) or f"code_{number}"
    message = error.get("message")
    words = message if isinstance(message, str) and message else "the operation failed"
    return Problem(code, shortened(words), _named_request(error) or request_id)


def _grpc_name(code: Json) -> str | None:
    if isinstance(code, bool) or not isinstance(code, int):
        return None
    return _GRPC_NAMES[code] if 0 < code < len(_GRPC_NAMES) else None


def _named_request(error: dict[str, Json]) -> str | None:
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and isinstance(detail.get("requestId"), str):
            return str(detail["requestId"])
    return None


def _throttle(headers: Headers, message: str, now: float) -> Throttle:
    named = _QUOTA.search(message)
    return Throttle(
        retry_after=_retry_after(headers.get("retry-after"), now),
        quota=named[1] if named else None,
        allowed=int(named[2]) if named and len(named[2]) < 19 else None,
    )


def _retry_after(value: str | None, now: float) -> float | None:
    """Seconds from now, from either form that RFC 9110 allows; None for anything else."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        return max(parsedate_to_datetime(value).timestamp() - now, 0.0)
    except (ValueError, OverflowError):
        return None


def as_object(body: bytes) -> dict[str, Json] | None:
    """The JSON object that it is, or None."""
    try:
        value = codec.decode(body)
    except codec.NotJson:
        return None
    return value if isinstance(value, dict) else None


def shown(body: bytes) -> str:
    """The beginning of what can't be read, for people."""
    return repr(body[:200].decode("utf-8", "replace")) if body else "an empty body"


def shortened(message: str) -> str:
    """The message; pages of words are cut."""
    return message if len(message) <= _LONGEST_MESSAGE else message[:_LONGEST_MESSAGE] + "…"
