"""A line of the input as a row with its request, or why it can't be one.

Pure: the same line and the same recipe give the same bytes, so that a row which is read again
after a crash is the row that was read before. No line raises; what is wrong with one is a
`BadRow`. Whether an id was seen before is the checkpoint's to know.
"""

from dataclasses import dataclass

from msgspec import Struct

from pipeline.codec import Json, NotJson, TooDeep, decode, encode
from pipeline.input.form import BadSchema, Form, form_of, request_fields
from pipeline.input.messages import Fields, LineError, has_system, name_of, shown
from pipeline.input.shapes import IDS, Asked, asked_by, failed_row, user
from pipeline.input.template import Template

_BOM = b"\xef\xbb\xbf"
# The one recorded chat template takes 14 tokens around a message; these are far above it.
_TOKENS_AROUND_A_MESSAGE = 64
_TOKENS_AROUND_TOOLS_AND_SCHEMA = 512
_TOO_DEEP = ("too_deep", "The line is nested too deeply to be read")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the command says of every row."""

    model: str
    folder: str | None
    system: str | None = None
    template: Template | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    keep: tuple[str, ...] = ()
    form: Form | None = None


class Row(Struct, frozen=True):
    """A line that can be asked.

    `line` counts from 1, blank lines too. `model` is as asked for, a name or a URI. `kept` is a
    JSON object. `input_bound` and `output_bound` are tokens: the first can't be passed since no
    token is shorter than a byte, the second is what the request allows, None without a limit.
    `form` is what the answer must be; `own_form`: the line says so, not the command.
    """

    line: int
    id: str
    own_id: bool
    model: str
    own_model: bool
    body: bytes
    kept: bytes | None
    input_bound: int
    output_bound: int | None
    form: Form | None = None
    own_form: bool = False


class BadRow(Struct, frozen=True):
    """A line that can't be asked: `code` is stable, `message` is one sentence for people."""

    line: int
    id: str
    own_id: bool
    code: str
    message: str


def is_blank(data: bytes) -> bool:
    """Whether a line is to be skipped; it counts as a line all the same."""
    return not data or data.isspace() or (data.startswith(_BOM) and not data[3:].strip())


def parse_row(line: int, data: bytes, recipe: Recipe) -> Row | BadRow:
    """Read a line without its LF; it may end in CR and start with a BOM."""
    own: str | None = None
    try:
        outer = _object(data)
        own = _own_id(outer)
        fields = _row_in(outer)
        if own is None and fields is not outer:
            own = _own_id(fields)
        return _row(line, own, fields, recipe)
    except LineError as error:
        code, message = error.code, str(error)
    except RecursionError:
        # It could just be read, but a request holds it a level deeper.
        code, message = _TOO_DEEP
    return BadRow(line, own or f"line-{line}", own is not None, code, message)


def fields_of(data: bytes) -> Fields:
    """The fields of a line as ``--keep`` sees them; none where it can't be read."""
    try:
        return _row_in(_object(data))
    except (LineError, RecursionError):
        return {}


def model_uri(model: str, folder: str | None) -> str:
    """Give a model's URI; one that is a URI already stays as it is.

    Raises:
        ValueError: a name needs the folder, and there is none.

    """
    if "://" in model:
        return model
    if folder is None:
        raise ValueError(f"The model {shown(model)} needs a folder: set one with --folder-id")
    return f"gpt://{folder}/{model}"


def folder_of(uri: str) -> str:
    """Give the folder that a model's URI names: the one whose quotas a call with it takes."""
    return uri.partition("://")[2].partition("/")[0]


def _object(data: bytes) -> Fields:
    data = data.removeprefix(_BOM)
    try:
        value = decode(data)
    except NotJson as error:
        raise _unreadable(data, error) from None
    return _the_object(value)


def _the_object(value: Json) -> Fields:
    if isinstance(value, dict):
        return value
    why = f"The line must be a JSON object, got {shown(value)}"
    raise LineError("not_object", why + ': write {"prompt": "…"}')


def _unreadable(data: bytes, error: NotJson) -> LineError:
    if isinstance(error, TooDeep):
        return LineError(*_TOO_DEEP)
    try:
        data.decode()
    except UnicodeDecodeError as bad:
        where = f"byte {data[bad.start]:#04x} at position {bad.start}"
        why = f"The line is not UTF-8 ({where}): save the file as UTF-8"
        return LineError("not_utf8", why)
    return LineError("not_json", f"The line is {error}: write one whole object on each line")


def _bytes_of(line: str) -> bytes:
    """The line that an errors file holds as a string, where bytes no UTF-8 are surrogates."""
    try:
        return line.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return line.encode("utf-8", "surrogatepass")


def _row_in(outer: Fields) -> Fields:
    inner = failed_row(outer)
    if isinstance(inner, str):
        # An errors file holds a line that is no JSON as a string: perhaps it was mended by now.
        return _object(_bytes_of(inner))
    return _the_object(inner)


def _own_id(fields: Fields) -> str | None:
    for name in IDS:
        value = fields.get(name)
        match value:
            case None:
                continue
            case str():
                return name_of(value, name, code="bad_id")
            case bool() | list() | dict():
                why = f'"{name}" must be a string or a number, got {shown(value)}'
                raise LineError("bad_id", why)
            case _:
                return encode(value).decode()
    return None


def _row(line: int, own: str | None, fields: Fields, recipe: Recipe) -> Row:
    asked = _asked(fields, recipe.template)
    model = asked.model or recipe.model
    messages = _with_system(asked, recipe.system)
    max_tokens = asked.max_tokens or recipe.max_tokens
    own_form = _own_form(asked.extra)
    extra = asked.extra if own_form else {**asked.extra, **request_fields(recipe.form)}
    return Row(
        line=line,
        id=own or f"line-{line}",
        own_id=own is not None,
        model=model,
        own_model=asked.model is not None,
        body=encode(
            {
                "modelUri": _uri(model, recipe.folder),
                "completionOptions": _options(asked, recipe.temperature, max_tokens),
                "messages": messages,
                **extra,
            }
        ),
        kept=encode({name: fields.get(name) for name in recipe.keep}) if recipe.keep else None,
        input_bound=_input_bound(messages, extra),
        output_bound=max_tokens,
        form=own_form or recipe.form,
        own_form=own_form is not None,
    )


def _own_form(extra: Fields) -> Form | None:
    try:
        return form_of(extra)
    except BadSchema as error:
        raise LineError("bad_schema", f"The row's JSON schema can't be used: {error}") from None


def _asked(fields: Fields, template: Template | None) -> Asked:
    if template is None:
        return asked_by(fields)
    text = template.fill(fields)
    if not text or text.isspace():
        raise LineError("empty_text", "The template's fields are empty: there is nothing to send")
    return Asked(user(text))


def _uri(model: str, folder: str | None) -> str:
    try:
        return model_uri(model, folder)
    except ValueError as error:
        raise LineError("no_folder", str(error)) from None


def _with_system(asked: Asked, command: str | None) -> list[Json]:
    system = asked.system
    if system is None and command is not None and not has_system(asked.messages):
        system = command
    if system is None:
        return asked.messages
    return [{"role": "system", "text": system}, *asked.messages]


def _options(asked: Asked, temperature: float | None, max_tokens: int | None) -> Fields:
    options: Fields = {"stream": False}
    if asked.temperature is not None:
        temperature = asked.temperature
    if temperature is not None:
        options["temperature"] = temperature
    if max_tokens is not None:
        options["maxTokens"] = str(max_tokens)
    return options | asked.options


def _input_bound(messages: list[Json], extra: Fields) -> int:
    # JSON is never shorter than the text that it holds.
    bound = len(encode(messages)) + _TOKENS_AROUND_A_MESSAGE * len(messages)
    if extra:
        bound += len(encode(extra)) + _TOKENS_AROUND_TOOLS_AND_SCHEMA
    return bound
