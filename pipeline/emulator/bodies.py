"""What the service's answers look like as JSON: keys in the recorded order, int64 as strings.

Operations are printed as the REST documentation prints them, which is not one way: a pending one
shows ``done`` and ``metadata``, a finished one begins with ``done`` and has no ``metadata``.
Errors have three shapes: the AI services nest them, their gateway prints the text twice, the
operation service and IAM print a bare ``google.rpc.Status``.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from pipeline.clock import stamp
from pipeline.codec import Json
from pipeline.emulator.answers import Answer, Call, Text, Usage
from pipeline.emulator.issued import IamToken, Issued
from pipeline.emulator.model import Accepted, Service
from pipeline.emulator.refusals import Refusal
from pipeline.emulator.states import Finished, Misprint, Misprinted, Running, State
from pipeline.emulator.tokens import Token

_DESCRIPTION = "Async GPT Completion"
_RESPONSE = "type.googleapis.com/yandex.cloud.ai.foundation_models.v1.CompletionResponse"
_REQUEST_INFO = "type.googleapis.com/google.rpc.RequestInfo"
_HUGE = Usage(10**18, 10**18, 0)
_PHRASES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}


def operation(state: State, created_by: str) -> Json:
    """Print an operation, as far as it has come."""
    match state:
        case Running():
            return pending(state, created_by)
        case Finished():
            return finished(state, created_by)
        case Misprinted():
            return misprinted(state, created_by)
        case _:
            assert_never(state)


def pending(operation: Running, created_by: str) -> Json:
    """Print an operation that is not done."""
    created = stamp(operation.created)
    return {
        "id": operation.operation_id,
        "description": _DESCRIPTION,
        "createdAt": created,
        "createdBy": created_by,
        "modifiedAt": created,
        "done": False,
        "metadata": None,
    }


def finished(operation: Finished, created_by: str) -> Json:
    """Print an operation that is done."""
    response = _response(completion(operation.answer))
    return {"done": True, "response": response, **_origin(operation, created_by)}


def misprinted(operation: Misprinted, created_by: str) -> Json:
    """Print an operation that is done as the service never should."""
    shown = operation.finished
    parts = _misprinted(completion(_said(shown.answer, operation.how)), operation.how)
    return {"done": True, **parts, **_origin(shown, created_by)}


def completion(answer: Answer) -> dict[str, Json]:
    """Print a CompletionResponse."""
    return {
        "alternatives": [
            {"message": _message(answer.said), "status": f"ALTERNATIVE_STATUS_{answer.status}"}
        ],
        "usage": _usage(answer.usage),
        "modelVersion": answer.version,
    }


def tokenized(tokens: Iterable[Token], version: str) -> Json:
    """Print what the tokenizer found."""
    return {"tokens": [_token(token) for token in tokens], "modelVersion": version}


def iam_token(token: IamToken, expires: float) -> Json:
    """Print what IAM gives for a JWT; `expires` is by the service's clock."""
    return {"iamToken": token.text, "expiresAt": stamp(expires)}


def access_token(token: IamToken, now: float) -> Json:
    """Print a token as the metadata service does."""
    left = int(token.ends - now)
    return {"access_token": token.text, "expires_in": left, "token_type": "Bearer"}


def service_account(account: str, folder: str) -> Json:
    """Print a service account; its name and its age are made up."""
    return {"id": account, "folderId": folder, "createdAt": stamp(0), "name": "emulator"}


def nested(refusal: Refusal, message: str) -> Json:
    """Print an error as the AI services do."""
    return {
        "error": {
            "grpcCode": refusal.code,
            "httpCode": refusal.status,
            "message": message,
            "httpStatus": _PHRASES[refusal.status],
            "details": [],
        }
    }


def doubled(refusal: Refusal) -> Json:
    """Print an error as the gateway before the AI services does: ``error`` is a string."""
    message = str(refusal)
    return {"error": message, "code": refusal.code, "message": message, "details": []}


def flat(refusal: Refusal, request_id: str) -> Json:
    """Print an error as the operation service and IAM do."""
    details: list[Json] = [{"@type": _REQUEST_INFO, "requestId": request_id}]
    return {"code": refusal.code, "message": str(refusal), "details": details}


def ledger(service: Service, *, summary: bool) -> Json:
    """Print what the service has counted; without `summary` also every operation and time."""
    book = service.ledger
    counts: dict[str, Json] = {
        "submits": len(book.submits),
        "polls": len(service.poll_times),
        "operations_polled": len(book.polls),
        "tokenizer_calls": len(service.tokenizer_times),
        "completions": book.completions,
        "refused_submits": {str(status): n for status, n in book.refused_submits.items()},
        "refused_polls": {str(status): n for status, n in book.refused_polls.items()},
        "refused_others": {str(status): n for status, n in book.refused_others.items()},
        "quota_violations": dict(service.violations),
        "faults": dict(book.faults),
        "tokens": _tokens(service.issued),
        "usage": _billed(record.usage for record in book.submits),
    }
    if summary:
        return counts
    operations: list[Json] = [_entry(service, record) for record in book.submits]
    times: dict[str, Json] = {
        "submit_times": list(service.submit_times),
        "poll_times": list(service.poll_times),
        "token_times": {kind: list(times) for kind, times in service.issued.times.items()},
    }
    return counts | {"operations": operations} | times


def _origin(operation: Finished, created_by: str) -> dict[str, Json]:
    return {
        "id": operation.operation_id,
        "description": _DESCRIPTION,
        "createdAt": stamp(operation.created),
        "createdBy": created_by,
        "modifiedAt": stamp(operation.finished),
    }


def _response(answer: dict[str, Json]) -> Json:
    return {"@type": _RESPONSE, **answer}


def _misprinted(answer: dict[str, Json], how: Misprint) -> dict[str, Json]:
    error: Json = {"code": 13, "message": "Internal error", "details": []}
    match how:
        case "neither":
            return {}
        case "fails":
            return {"error": error}
        case "both":
            return {"error": error, "response": _response(answer)}
        case "no-alternatives":
            return {"response": _response(answer | {"alternatives": []})}
        case "no-usage":
            del answer["usage"]
            return {"response": _response(answer)}
        case "huge-usage":
            return {"response": _response(answer | {"usage": _usage(_HUGE)})}
        case "not-json" | "misfit" | "fenced":
            return {"response": _response(answer)}
        case _:
            assert_never(how)


def _said(answer: Answer, how: Misprint) -> Answer:
    """The answer with the text that it is to have."""
    match answer.said, how:
        case Text(text=text), "not-json":
            return replace(answer, said=Text(text[: len(text) // 2]))
        case Text(), "misfit":
            return replace(answer, said=Text("[null]"))
        case Text(text=text), "fenced":
            return replace(answer, said=Text(f"```json\n{text}\n```"))
        case _:
            return answer


def _message(said: Text | Call) -> Json:
    match said:
        case Text(text=text):
            return {"role": "assistant", "text": text}
        case Call(name=name, arguments=arguments):
            call: Json = {"functionCall": {"name": name, "arguments": arguments}}
            return {"role": "assistant", "toolCallList": {"toolCalls": [call]}}


def _usage(usage: Usage) -> Json:
    return {
        "inputTextTokens": str(usage.input),
        "completionTokens": str(usage.completion),
        "totalTokens": str(usage.total),
        "completionTokensDetails": {"reasoningTokens": str(usage.reasoning)},
    }


def _tokens(issued: Issued) -> Json:
    return {
        "issued": {kind: len(times) for kind, times in issued.times.items()},
        "refused": {str(status): n for status, n in issued.refused.items()},
    }


def _token(token: Token) -> Json:
    shown: dict[str, Json] = {"id": str(token.id), "text": token.text}
    return shown | {"special": True} if token.special else shown


def _entry(service: Service, record: Accepted) -> Json:
    return {
        "operation_id": record.operation_id,
        "at": record.at,
        "finishes_at": service.finish_time(record),
        "client_request_id": record.client_request_id,
        "digest": record.digest,
        "usage": _billed([record.usage]),
        "polls": service.ledger.polls[record.operation_id],
    }


def _billed(usages: Iterable[Usage]) -> Json:
    used = list(usages)
    return {
        "input_tokens": sum(usage.input for usage in used),
        "completion_tokens": sum(usage.completion for usage in used),
        "reasoning_tokens": sum(usage.reasoning for usage in used),
        "total_tokens": sum(usage.total for usage in used),
    }
