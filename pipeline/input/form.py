"""The form that an answer must have, where JSON was asked for: an object, or what fits a schema.

The service promises the form and keeps to it as a rule; whether it did is decided here, for each
answer. What stands as a whole inside one Markdown fence is taken out of it, since that is what
models write where they forget the promise; nothing else may stand around JSON. An answer that was
cut off does not fit, even if what there is would, nor does what the content filter says instead. A
call of a tool is no answer yet, and is left alone.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn

from msgspec import Struct
from msgspec.structs import replace

from pipeline import codec
from pipeline.api.outcomes import Answer, Data
from pipeline.codec import Json

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

_FENCE = "```"
_PLAIN = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_LONGEST_MESSAGE = 300
# Of so many schemas what it takes to check with them is kept.
_KEPT = 256
_STOPPED = {
    "truncated": "the answer was cut off by the limit on its tokens: raise max_tokens",
    "content_filter": "the content filter answered, and not the model",
}


class AnyObject(Struct, frozen=True):
    """Any JSON object."""


class Fitting(Struct, frozen=True):
    """What fits a schema, which stands here as JSON text."""

    schema: bytes


Form = AnyObject | Fitting


class Misfit(Struct, frozen=True):
    """Why an answer does not have its form: `code` is for scripts, `message` for people."""

    code: str
    message: str


class BadSchema(ValueError):
    """The JSON is no JSON Schema; ``str()`` says where and why."""


def form_of(fields: Mapping[str, Json]) -> Form | None:
    """The form that a request asks for, from its fields beside the messages.

    Raises:
        BadSchema: it asks for what fits a schema, and that is none.

    """
    wanted = fields.get("jsonSchema")
    if wanted is not None:
        schema = wanted.get("schema") if isinstance(wanted, dict) else None
        if not isinstance(schema, dict):
            raise BadSchema('"jsonSchema" must hold an object under "schema"')
        return fitting(schema)
    return AnyObject() if fields.get("jsonObject") is True else None


def fitting(schema: Json) -> Fitting:
    """The form of what fits a schema.

    Raises:
        BadSchema: as `form_of`.

    """
    if not isinstance(schema, dict):
        raise BadSchema("it must be a JSON object")
    form = _interned(codec.encode(schema))
    _validator(form.schema)
    return form


def request_fields(form: Form | None) -> dict[str, Json]:
    """What asks the service for a form."""
    match form:
        case None:
            return {}
        case AnyObject():
            return {"jsonObject": True}
        case Fitting(schema):
            return {"jsonSchema": {"schema": codec.decode(schema)}}


def in_form(form: Form | None, answer: Answer) -> Answer | Misfit:
    """The answer with its data, or why it has not the form that was asked for."""
    if form is None or answer.finish == "tool_calls":
        return answer
    if answer.finish in _STOPPED:
        return Misfit(answer.finish, _STOPPED[answer.finish])
    try:
        value = _value(answer.text)
        misfit = _misfit(form, value)
    except codec.NotJson as error:
        return Misfit("not_json", f"the answer is {error}")
    except RecursionError:
        return Misfit("not_json", "the answer is nested too deeply to be read")
    except ValueError as error:
        # A pattern, say, that takes too many steps.
        return Misfit("schema", f"the answer can't be checked: {error}")
    return misfit or replace(answer, data=Data(value))


def _value(text: str | None) -> Json:
    if text is None or not text.strip():
        raise codec.NotJson("empty")
    # Half a character can only stand in a string, where its escape means the same.
    value = codec.decode(_unfenced(text).encode("utf-8", "backslashreplace"))
    # A line of the output will hold it a level deeper.
    codec.encode([value])
    return value


def _unfenced(text: str) -> str:
    """What stands inside a fence that is all there is; any other text as it is."""
    stripped = text.strip()
    opening, _, rest = stripped.partition("\n")
    name = opening.removeprefix(_FENCE).strip()
    is_fenced = opening.startswith(_FENCE) and rest.endswith(_FENCE)
    return rest.removesuffix(_FENCE) if is_fenced and (not name or name.isalnum()) else text


def _misfit(form: Form, value: Json) -> Misfit | None:
    match form:
        case AnyObject() if isinstance(value, dict):
            return None
        case AnyObject():
            return Misfit("not_object", f"the answer is JSON, but no object: {_short(value)}")
        case Fitting(schema):
            error = _first_error(schema, value)
            return None if error is None else Misfit("schema", f"at {_told(error)}")


def _first_error(schema: bytes, value: Json) -> "ValidationError | None":
    try:
        return next(_validator(schema).iter_errors(value), None)
    except UnicodeEncodeError:
        # Half a character is to the library as good as any that it can read.
        whole = codec.decode(codec.encode(value).replace(b"\\ud", b"\\ue"))
        return next(_validator(schema).iter_errors(whole), None)


@lru_cache(maxsize=_KEPT)
def _interned(schema: bytes) -> Fitting:
    """One object for all rows that have the same."""
    return Fitting(schema)


@lru_cache(maxsize=_KEPT)
def _validator(schema: bytes) -> "Validator":
    # Where no schema is in use, nobody is to wait for it.
    import jsonschema_rs  # noqa: PLC0415

    try:
        return jsonschema_rs.validator_for(schema.decode(), retriever=_refuse)
    except jsonschema_rs.ValidationError as error:
        raise BadSchema(_wrong(error)) from None
    except ValueError as error:
        raise BadSchema(str(error).splitlines()[0]) from None


def _wrong(error: "ValidationError") -> str:
    """What is wrong with a schema; what it refers to has no place in it."""
    if not error.instance_path:
        return error.message.splitlines()[0]
    if error.instance_path[-1] == "type" and isinstance(error.instance, str):
        return f"at {_path(error.instance_path)}: {_short(error.instance)} is no type"
    return f"at {_told(error)}"


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is not fetched: put it under $defs")


def _told(error: "ValidationError") -> str:
    """Where and what: ``$.tags[9]: 5 is not of type "string"``."""
    message = error.message.splitlines()[0]
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[:_LONGEST_MESSAGE]}…"
    return f"{_path(error.instance_path)}: {message}"


def _path(steps: list[str | int]) -> str:
    """A JSON path."""
    return "$" + "".join(map(_step, steps))


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _PLAIN.fullmatch(step) else f"[{codec.encode(step).decode()}]"


def _short(value: Json) -> str:
    text = codec.encode(value).decode()
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"
