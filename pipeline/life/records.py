"""What is written: the lines of the output and of the errors file.

The keys and their order are relied on by scripts outside the project.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta, Struct

from pipeline import codec
from pipeline.api.outcomes import Answer, Usage
from pipeline.codec import Json


class Failure(Struct, frozen=True):
    """Why a row failed for good; `request_id` is the handle for the service's support.

    `text` is what an answer said that is none: it was paid for.
    """

    stage: str
    code: str
    message: str
    request_id: str | None = None
    text: str | None = None


class Same(Struct, frozen=True):
    """A row's answer is that of another, which asked the same; `result` is the other's line."""

    line: int
    result: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a row when its line is written."""

    line: int
    id: str
    model: str
    kept: bytes | None
    operation_id: str | None
    submits: int


def result_line(known: Known, answer: Answer, *, raw: bool, emulator: bool) -> bytes:
    """One line of the output, without its newline."""
    line: dict[str, object] = {
        "line": known.line,
        "id": known.id,
        "status": "ok",
        "text": answer.text,
        "finish": answer.finish,
        "usage": usage_object(answer.usage),
        "model": known.model,
        "model_version": answer.model_version,
        "operation_id": known.operation_id,
        "created_at": answer.created_at,
        "finished_at": answer.finished_at,
        "submits": known.submits,
    }
    if answer.tool_calls is not None:
        line["tool_calls"] = answer.tool_calls
    if answer.data is not None:
        line["data"] = answer.data.value
    if known.kept is not None:
        line["kept"] = codec.decode(known.kept)
    if raw:
        line["response"] = answer.response
    if emulator:
        line["emulator"] = True
    return codec.encode(line)


def twin_line(known: Known, same: Same) -> bytes:
    """The line of a row that another was sent for; what is that one's own stands there alone."""
    line: dict[str, object] = {
        **same.result,
        "line": known.line,
        "id": known.id,
        "usage": None,
        "model": known.model,
        "operation_id": None,
        "created_at": None,
        "finished_at": None,
        "submits": known.submits,
        "same_as": {"line": same.line, "id": same.result["id"]},
    }
    if known.kept is not None:
        line["kept"] = codec.decode(known.kept)
    return codec.encode(line)


def failed_line(
    known: Known, failure: Failure, usage: Usage | None, source: bytes, *, emulator: bool
) -> bytes:
    """One line of the errors file, without its newline. `source` is the input's line."""
    line: dict[str, object] = {
        "line": known.line,
        "id": known.id,
        "status": "failed",
        "error": {
            "stage": failure.stage,
            "code": failure.code,
            "message": failure.message,
            "request_id": failure.request_id,
        },
    }
    if known.operation_id is not None:
        line["operation_id"] = known.operation_id
    if usage is not None:
        line["usage"] = usage_object(usage)
    if failure.text is not None:
        line["text"] = failure.text
    line["input"] = original(source)
    if emulator:
        line["emulator"] = True
    return codec.encode(line)


def original(source: bytes) -> Json:
    """The input's line as JSON, or as a string where it is none."""
    text = source.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\r")
    try:
        return codec.decode(text)
    except codec.NotJson:
        # Bytes that are no UTF-8 become lone surrogates, which are read back as the same bytes.
        return text.decode("utf-8", "surrogateescape")


def usage_object(usage: Usage | None) -> dict[str, int] | None:
    """Tokens as every line of ours shows them; None where they are unknown."""
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "completion_tokens": usage.completion_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "total_tokens": usage.total_tokens,
    }


_Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class UsageRead(Struct):
    """The usage of a line, as it stands in a file."""

    input_tokens: _Count
    completion_tokens: _Count
    reasoning_tokens: _Count
    total_tokens: _Count
