"""The messages of a request, and the checks that the fields of a line go through.

Messages are read as the API writes them (`text`, `toolCallList`, `toolResultList`) and as OpenAI
does (`content`, `tool_calls`, role `tool`), and leave as the API takes them. Every check names the
field as it stands in the line and shows what was got, shortened. Whether the API likes a text's
length or a tool's schema is left to the API.
"""

from pipeline.codec import Json, NotJson, decode, encode

Fields = dict[str, Json]

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_CONTENTS = ("text", "content", "toolCallList", "toolResultList")
_MOST_TOKENS = 2**63 - 1
_LONGEST_SHOWN = 60


class LineError(ValueError):
    """A line can't become a request: `code` is for scripts, ``str()`` for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def messages_of(value: Json, name: str) -> list[Json]:
    """Read a list of messages; `name` is where it stands, for the sentence.

    Raises:
        LineError: a message has a role, a type or a mix of fields that can't be sent.

    """
    if value is None:
        raise LineError("no_prompt", f'"{name}" is missing: it holds what to ask')
    if not isinstance(value, list):
        raise LineError("bad_field", f'"{name}" must be a list of messages, got {shown(value)}')
    if not value:
        raise LineError("no_prompt", f'"{name}" is empty: there is nothing to ask')
    messages: list[Json] = []
    called: dict[str, str] = {}
    results: list[Json] | None = None
    for at, item in enumerate(value):
        place = f"{name}[{at}]"
        fields = object_of(item, place)
        if fields.get("role") != "tool":
            messages.append(_message(fields, place, called))
            results = None
            continue
        if results is None:  # answers to parallel calls are one message to the API
            results = []
            messages.append({"role": "assistant", "toolResultList": {"toolResults": results}})
        results.append(_tool_result(fields, place, called))
    return messages


def has_system(messages: list[Json]) -> bool:
    return any(isinstance(message, dict) and message["role"] == "system" for message in messages)


def text_of(value: Json, name: str) -> str:
    if not isinstance(value, str):
        raise LineError("bad_field", f'"{name}" must be a string, got {shown(value)}')
    if not value or value.isspace():
        raise LineError("empty_text", f'"{name}" is empty: there is nothing to send')
    return value


def name_of(value: Json, name: str, code: str = "bad_field") -> str:
    """Read a text that must fit a database and a terminal too: no lone surrogates."""
    if not isinstance(value, str) or not value or value.isspace():
        raise LineError(code, f'"{name}" must be a text that is not empty, got {shown(value)}')
    try:
        value.encode()
    except UnicodeEncodeError:
        why = f'"{name}" holds half a character (a lone surrogate), got {shown(value)}'
        raise LineError(code, why) from None
    return value


def object_of(value: Json, name: str) -> Fields:
    if not isinstance(value, dict):
        raise LineError("bad_field", f'"{name}" must be an object, got {shown(value)}')
    return value


def temperature_of(value: Json, name: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        why = f'"{name}" must be a number between 0 and 1, got {shown(value)}'
        raise LineError("bad_field", why)
    if not 0 <= value <= 1:
        raise LineError("bad_field", f'"{name}" must be between 0 and 1, got {shown(value)}')
    return value


def max_tokens_of(value: Json, name: str) -> int | None:
    """Read a count: a whole number (also as ``500.0``), or its digits, as the API writes it."""
    if value is None:
        return None
    count = _whole(value)
    if count is None or not 0 < count <= _MOST_TOKENS:
        why = f'"{name}" must be a whole number above 0, got {shown(value)}'
        raise LineError("bad_field", why)
    return count


def shown(value: Json) -> str:
    """The value as JSON, so that a sentence can hold it: on one line, printable, short."""
    text = encode(value).decode()
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def _whole(value: Json) -> int | None:
    match value:
        case bool():
            return None
        case int():
            return value
        case float() if value.is_integer():
            return int(value)
        case str() if value.isascii() and value.isdigit() and len(value) < 20:
            return int(value)
        case _:
            return None


def _message(fields: Fields, place: str, called: dict[str, str]) -> Fields:
    role = _role(fields.get("role"), f"{place}.role")
    if fields.get("tool_calls"):
        return {"role": role, "toolCallList": _tool_calls(fields, place, called)}
    match [kind for kind in _CONTENTS if fields.get(kind) is not None]:
        case ["content"]:
            return {"role": role, "text": _joined(fields["content"], f"{place}.content")}
        case [kind]:
            check = text_of if kind == "text" else object_of
            check(fields[kind], f"{place}.{kind}")
            given = {key: value for key, value in fields.items() if value is not None}
            return {**given, "role": role}
        case []:
            raise LineError("bad_field", f'"{place}" has neither "text" nor "content"')
        case kinds:
            named = " and ".join(f'"{kind}"' for kind in kinds)
            raise LineError("bad_field", f'"{place}" must hold one content, got {named}')


def _role(value: Json, name: str) -> str:
    if isinstance(value, str) and value in _ROLES:
        return _ROLES[value]
    got = "nothing" if value is None else shown(value)
    why = f'"{name}" must be "system", "user" or "assistant", got {got}'
    raise LineError("unknown_role", why)


def _joined(content: Json, name: str) -> str:
    if isinstance(content, list):
        parts = [_part(part, f"{name}[{at}]") for at, part in enumerate(content)]
        return text_of("".join(parts), name)
    return text_of(content, name)


def _part(value: Json, name: str) -> str:
    part = object_of(value, name)
    text = part.get("text")
    if part.get("type") != "text" or not isinstance(text, str):
        why = f'"{name}" must be a part of type "text" (the API takes no others), got '
        raise LineError("bad_field", why + shown(value))
    return text


def _tool_calls(fields: Fields, place: str, called: dict[str, str]) -> Fields:
    if any(fields.get(kind) for kind in _CONTENTS):
        why = f'"{place}" holds tool calls beside a content: the API takes one or the other'
        raise LineError("bad_field", why)
    calls = fields["tool_calls"]
    if not isinstance(calls, list):
        raise LineError("bad_field", f'"{place}.tool_calls" must be a list, got {shown(calls)}')
    places = (f"{place}.tool_calls[{at}]" for at in range(len(calls)))
    return {"toolCalls": [_tool_call(*pair, called) for pair in zip(calls, places, strict=True)]}


def _tool_call(value: Json, place: str, called: dict[str, str]) -> Fields:
    call = object_of(value, place)
    function = object_of(call.get("function"), f"{place}.function")
    name = text_of(function.get("name"), f"{place}.function.name")
    if isinstance(call_id := call.get("id"), str):
        called[call_id] = name
    arguments = _arguments(function.get("arguments"), f"{place}.function.arguments")
    return {"functionCall": {"name": name, "arguments": arguments}}


def _arguments(value: Json, name: str) -> Fields:
    """OpenAI writes the arguments as JSON inside a string, the API as the object itself."""
    if value is None or value == "":
        return {}
    if not isinstance(value, str):
        return object_of(value, name)
    try:
        return object_of(decode(value.encode("utf-8", "surrogatepass")), name)
    except NotJson as error:
        raise LineError("bad_field", f'"{name}" is {error}, got {shown(value)}') from None


def _tool_result(fields: Fields, place: str, called: dict[str, str]) -> Fields:
    """The API knows a result by its function's name, OpenAI by the id of an earlier call."""
    call_id = fields.get("tool_call_id")
    if not isinstance(call_id, str) or call_id not in called:
        why = (
            f'"{place}.tool_call_id" must be the id of an earlier tool call, got {shown(call_id)}'
        )
        raise LineError("bad_field", why)
    content = _joined(fields.get("content"), f"{place}.content")
    return {"functionResult": {"name": called[call_id], "content": content}}
