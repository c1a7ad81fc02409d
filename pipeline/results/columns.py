"""Lines of results as cells of a table, and with fields of the input added to them. Pure.

A cell is a number, text or nothing. Other values of kept fields are written as JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from pipeline import codec
from pipeline.codec import Json

Cell = int | str | None
Fields = Mapping[str, Json]

NUMBERS = frozenset(
    (
        *("line", "input_tokens", "completion_tokens", "reasoning_tokens", "total_tokens"),
        *("submits", "same_as"),
    )
)
NAMES = (
    *("line", "id", "status", "text", "finish"),
    *("input_tokens", "completion_tokens", "reasoning_tokens", "total_tokens"),
    *("model", "model_version", "operation_id", "created_at", "finished_at", "submits"),
    *("tool_calls", "data", "error_stage", "error_code", "error_message", "request_id"),
    "same_as",
)


class _Usage(msgspec.Struct, gc=False):
    input_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    total_tokens: int


class _Error(msgspec.Struct, gc=False):
    stage: str
    code: str
    message: str
    request_id: str | None = None


class _Other(msgspec.Struct, gc=False):
    line: int


class _Line(msgspec.Struct):
    line: int
    id: str
    status: str
    text: str | None = None
    finish: str | None = None
    usage: _Usage | None = None
    model: str | None = None
    model_version: str | None = None
    operation_id: str | None = None
    created_at: str | None = None
    finished_at: str | None = None
    submits: int | None = None
    tool_calls: Any = None
    data: Any = None
    kept: dict[str, Any] | None = None
    error: _Error | None = None
    same_as: _Other | None = None


_decode = msgspec.json.Decoder(_Line).decode
# Of a usage and of an error alike.
_NONE = (None, None, None, None)


@dataclass(frozen=True, slots=True)
class Result:
    """A row that is finished: its line, and what that does not say.

    `fields` are those of the input that were asked for.
    """

    line: bytes
    model: str
    submits: int
    fields: Fields


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table. `by_run` are fields of the input that the run kept; `now` others."""

    by_run: tuple[str, ...] = ()
    now: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """All of them; a field with the name of another column is told apart."""
        return [*NAMES, *(f"kept_{name}" if name in NAMES else name for name in self._kept)]

    @property
    def _kept(self) -> list[str]:
        """The fields, each once."""
        return list(dict.fromkeys((*self.by_run, *self.now)))

    def cells(self, result: Result) -> list[Cell]:
        """A cell for each.

        Raises:
            ValueError: the line is none of ours.

        """
        line = _read(result.line)
        fields = {**(line.kept or {}), **result.fields}
        return [
            *(line.line, line.id, line.status, line.text, line.finish),
            *(_NONE if line.usage is None else msgspec.structs.astuple(line.usage)),
            *(line.model or result.model, line.model_version, line.operation_id),
            *(line.created_at, line.finished_at, line.submits or result.submits),
            *(_cell(line.tool_calls), _cell(line.data)),
            *(_NONE if line.error is None else msgspec.structs.astuple(line.error)),
            None if line.same_as is None else line.same_as.line,
            *(_cell(fields.get(name)) for name in self._kept),
        ]


def with_fields(line: bytes, fields: Fields, *, kept: bool) -> bytes:
    """A line with fields of its row under `kept`; `kept`: some may stand there already."""
    if not fields:
        return line
    if not kept:
        return b'%b,"kept":%b}' % (line[:-1], codec.encode(fields))
    found = codec.decode(line)
    assert isinstance(found, dict)  # noqa: S101 - it is a line of ours
    before = found.get("kept")
    found["kept"] = {**(before if isinstance(before, dict) else {}), **fields}
    return codec.encode(found)


def _read(data: bytes) -> _Line:
    try:
        return _decode(data)
    except msgspec.DecodeError:
        # Lone surrogates take the long way.
        return msgspec.convert(codec.decode(data), _Line)


def _cell(value: Json) -> Cell:
    if value is None or isinstance(value, str):
        return value
    return codec.encode(value).decode()


def in_utf8(text: str) -> bytes:
    """Text as UTF-8; lone surrogates, which that can't hold, as their escapes."""
    return text.encode("utf-8", "backslashreplace")
