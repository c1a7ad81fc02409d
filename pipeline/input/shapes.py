"""The shapes that a line may have, and what each asks for in the API's own terms.

The shape is recognised line by line, by the names of the fields alone. Fields that are neither
the shape's nor settings are the user's own columns; only a request body passes on what is not
known here, since there the API is the judge.
"""

from msgspec import Struct, field
from msgspec.structs import replace

from pipeline.codec import Json
from pipeline.input.messages import (
    Fields,
    LineError,
    max_tokens_of,
    messages_of,
    name_of,
    object_of,
    shown,
    temperature_of,
    text_of,
)

IDS = ("id", "custom_id")
PROMPTS = ("prompt", "messages", "request")
FIELDS_LISTED = 8

_BODY_MARKS = ("modelUri", "completionOptions")
_BODY_ONLY = {"tools", "jsonObject", "jsonSchema", "parallelToolCalls", "toolChoice"}
_SETTINGS = {"model", "system", "temperature", "max_tokens", "json_schema"}
_PLACED = {*IDS, *_BODY_MARKS, "messages"}
_TOOL_MODES = {"none": "NONE", "auto": "AUTO", "required": "REQUIRED"}


class Asked(Struct, frozen=True):
    """What a line asks for; None where it leaves the choice to the command."""

    messages: list[Json]
    model: str | None = None
    system: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    options: Fields = field(default_factory=dict)  # further completion options, as given
    extra: Fields = field(default_factory=dict)  # what follows the messages, as given


def asked_by(fields: Fields) -> Asked:
    """Recognise the shape and read it.

    Raises:
        LineError: no shape, two at once, or a field that can't be sent.

    """
    if not fields.keys().isdisjoint(_BODY_MARKS):
        return _request_body(fields)
    match _prompts(fields):
        case ["prompt"]:
            return _with_settings(fields, user(text_of(fields["prompt"], "prompt")), {})
        case ["messages"]:
            return _messages(fields)
        case ["request"]:
            return _with_settings(fields, messages_of(fields["request"], "request"), {})
        case [] if "custom_id" in fields and "body" in fields:
            return _openai_line(fields)
        case []:
            raise _nothing_to_ask(fields)
        case names:
            which = " and ".join(f'"{name}"' for name in names)
            raise LineError("two_prompts", f"The line has {which}: keep one of them")


def failed_row(fields: Fields) -> Json:
    """The row inside a line of an errors file; any other line is its own row."""
    if fields.get("status") != "failed" or "input" not in fields:
        return fields
    # No line of an errors file has these; a row with columns of such names does.
    if "prompt" in fields or "messages" in fields:
        return fields
    return fields["input"]


def user(text: str) -> list[Json]:
    return [{"role": "user", "text": text}]


def _prompts(fields: Fields) -> list[str]:
    names = [name for name in PROMPTS if fields.get(name) is not None]
    if len(names) > 1 and "request" in names and not isinstance(fields["request"], list):
        names.remove("request")
    return names


def _nothing_to_ask(fields: Fields) -> LineError:
    given = [shown(name) for name, value in fields.items() if value is not None]
    names = ", ".join(given[:FIELDS_LISTED]) or "none"
    why = f'The line has no "prompt" and no "messages" (its fields: {names}): add one, '
    return LineError("no_prompt", why + "or say with --template how fields become a prompt")


def _with_settings(fields: Fields, messages: list[Json], extra: Fields) -> Asked:
    if fields.keys().isdisjoint(_SETTINGS):
        return Asked(messages, extra=extra)
    model, system, schema = fields.get("model"), fields.get("system"), fields.get("json_schema")
    if schema is not None:
        extra = {**extra, "jsonSchema": {"schema": object_of(schema, "json_schema")}}
    return Asked(
        messages,
        model=None if model is None else name_of(model, "model"),
        system=None if system is None else text_of(system, "system"),
        temperature=temperature_of(fields.get("temperature"), "temperature"),
        max_tokens=max_tokens_of(fields.get("max_tokens"), "max_tokens"),
        extra=extra,
    )


def _messages(fields: Fields) -> Asked:
    messages = messages_of(fields["messages"], "messages")
    if fields.keys().isdisjoint(_BODY_ONLY):
        return _with_settings(fields, messages, {})
    # A request body that leaves model and options to the command: what is a setting on other
    # lines can only be meant as one here, the API has no such fields.
    extra = {key: value for key, value in fields.items() if key not in _PLACED | _SETTINGS}
    return _with_settings(fields, messages, extra)


_SNAKES = {
    "model_uri": "modelUri",
    "completion_options": "completionOptions",
    "max_tokens": "maxTokens",
    "reasoning_options": "reasoningOptions",
}


def _request_body(fields: Fields) -> Asked:
    if fields.get("messages") is None:
        marks = " and ".join(f'"{mark}"' for mark in _BODY_MARKS if mark in fields)
        why = f'The line has {marks}, so it is a request body, but it has no "messages"'
        raise LineError("no_prompt", f'{why}: add them (beside a "prompt", write "model" instead)')
    given = fields.get("completionOptions")
    options = {} if given is None else dict(object_of(given, "completionOptions"))
    for name in _SNAKES.keys() & {*fields, *options}:
        # The service may know these spellings too, and take them for what we don't look at.
        raise LineError("bad_option", f'The request body has "{name}": write "{_SNAKES[name]}"')
    model = fields.get("modelUri")
    options.pop("stream", None)
    temperature, max_tokens = options.pop("temperature", None), options.pop("maxTokens", None)
    return Asked(
        messages_of(fields["messages"], "messages"),
        model=None if model is None else name_of(model, "modelUri"),
        temperature=temperature_of(temperature, "completionOptions.temperature"),
        max_tokens=max_tokens_of(max_tokens, "completionOptions.maxTokens"),
        options=options,
        extra={key: value for key, value in fields.items() if key not in _PLACED},
    )


def _openai_line(line: Fields) -> Asked:
    body = object_of(line["body"], "body")
    messages = messages_of(body.get("messages"), "body.messages")
    asked = _with_settings(line, messages, _openai_extra(body))
    temperature = temperature_of(body.get("temperature"), "body.temperature")
    tokens = max_tokens_of(body.get("max_completion_tokens"), "body.max_completion_tokens")
    older = max_tokens_of(body.get("max_tokens"), "body.max_tokens")
    return replace(
        asked,
        temperature=asked.temperature if temperature is None else temperature,
        max_tokens=tokens or older or asked.max_tokens,
    )


def _openai_extra(body: Fields) -> Fields:
    extra: Fields = {}
    if (tools := body.get("tools")) is not None:
        extra["tools"] = _tools(tools)
    if (wanted := body.get("response_format")) is not None:
        extra |= _format(object_of(wanted, "body.response_format"))
    if (parallel := body.get("parallel_tool_calls")) is not None:
        extra["parallelToolCalls"] = parallel
    if (choice := body.get("tool_choice")) is not None:
        extra["toolChoice"] = _tool_choice(choice)
    return extra


def _tools(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise LineError("bad_field", f'"body.tools" must be a list, got {shown(value)}')
    places = (f"body.tools[{at}]" for at in range(len(value)))
    return [_tool(*pair) for pair in zip(value, places, strict=True)]


def _tool(value: Json, place: str) -> Fields:
    tool = object_of(value, place)
    return {"function": object_of(tool.get("function"), f"{place}.function")}


def _format(wanted: Fields) -> Fields:
    match wanted.get("type"):
        case "text":
            return {}
        case "json_object":
            return {"jsonObject": True}
        case "json_schema":
            place = "body.response_format.json_schema"
            inner = object_of(wanted.get("json_schema"), place)
            return {"jsonSchema": {"schema": object_of(inner.get("schema"), f"{place}.schema")}}
        case other:
            why = '"body.response_format.type" must be "text", "json_object" or "json_schema"'
            raise LineError("bad_field", f"{why}, got {shown(other)}")


def _tool_choice(value: Json) -> Fields:
    match value:
        case str() if value in _TOOL_MODES:
            return {"mode": _TOOL_MODES[value]}
        case {"type": "function", "function": {"name": str(name)}}:
            return {"functionName": name}
        case _:
            why = '"body.tool_choice" must be "none", "auto", "required" or name a function'
            raise LineError("bad_field", f"{why}, got {shown(value)}")
