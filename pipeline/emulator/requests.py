"""What clients may ask for: a CompletionRequest or a tokenizer's request, read and checked.

Reading (`read_completion`, `read_tokenize`) is the gateway's part: names and types, `Malformed`.
Checking (`check_completion`) is the service's: which values it takes, `Invalid`. Rules that public
sources leave open are decided strictly, so that what passes here passes there.
"""

from dataclasses import dataclass

from pipeline.codec import Json, encode
from pipeline.emulator import tokens
from pipeline.emulator.fields import Fields
from pipeline.emulator.refusals import InSession, Invalid, Malformed
from pipeline.emulator.uris import CONTEXT, ModelUri

MAX_TEXT = 100_000
ROLES = ("system", "user", "assistant")

_REASONING_MODES = ("REASONING_MODE_UNSPECIFIED", "DISABLED", "ENABLED_HIDDEN")
_CHOICE_MODES = ("TOOL_CHOICE_MODE_UNSPECIFIED", "NONE", "AUTO", "REQUIRED")


@dataclass(frozen=True, slots=True)
class TextMessage:
    """Somebody said something."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class ToolCalls:
    """The model's earlier calls, as (function, arguments)."""

    role: str
    calls: tuple[tuple[str, dict[str, Json]], ...]


@dataclass(frozen=True, slots=True)
class ToolResults:
    """What the called functions gave, as (function, content)."""

    role: str
    results: tuple[tuple[str, str], ...]


Message = TextMessage | ToolCalls | ToolResults


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call; `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: dict[str, Json]


@dataclass(frozen=True, slots=True)
class FreeText:
    """The answer may be any text."""


@dataclass(frozen=True, slots=True)
class AnyJson:
    """The answer must be a JSON object."""


@dataclass(frozen=True, slots=True)
class JsonBySchema:
    """The answer must be JSON that fits the schema."""

    schema: dict[str, Json]


Form = FreeText | AnyJson | JsonBySchema


@dataclass(frozen=True, slots=True)
class MayCall:
    """The model chooses whether to call a tool (this emulator never does), or may not."""


@dataclass(frozen=True, slots=True)
class MustCall:
    """The model has to call some tool, or the one that is named."""

    name: str | None = None


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One request for a completion."""

    model_uri: str
    stream: bool
    temperature: float | None
    max_tokens: int | None
    reasoning: bool
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    form: Form
    tool_choice: MayCall | MustCall

    def turns(self) -> list[tokens.Turn]:
        """Everything that costs input tokens, as roles and texts."""
        turns = [(message.role, _spoken(message)) for message in self.messages]
        if self.tools:
            described = [(tool.name, tool.description, tool.parameters) for tool in self.tools]
            turns.append(("system", encode(described).decode()))
        if isinstance(self.form, JsonBySchema):
            turns.append(("system", encode(self.form.schema).decode()))
        return turns


@dataclass(frozen=True, slots=True)
class TokenizeRequest:
    """One request to take a text apart."""

    model_uri: str
    text: str


def read_tokenize(body: Json) -> TokenizeRequest:
    """Read a tokenizer's request, or raise `Malformed`."""
    fields = Fields(body, "modelUri text")
    return TokenizeRequest(fields.text("modelUri"), fields.text("text"))


def read_completion(body: Json) -> CompletionRequest:
    """Read a CompletionRequest, or raise `Malformed`."""
    fields = Fields(
        body,
        "modelUri completionOptions messages tools jsonObject jsonSchema parallelToolCalls"
        " toolChoice",
    )
    fields.flag("parallelToolCalls")
    known = "stream temperature maxTokens reasoningOptions"
    options = fields.message("completionOptions", known)
    mode = options.message("reasoningOptions", "mode").choice("mode", _REASONING_MODES)
    messages = fields.messages("messages", "role text toolCallList toolResultList")
    return CompletionRequest(
        model_uri=fields.text("modelUri"),
        stream=options.flag("stream"),
        temperature=options.number("temperature"),
        max_tokens=options.integer("maxTokens"),
        reasoning=mode == "ENABLED_HIDDEN",
        messages=tuple(_message(message) for message in messages),
        tools=tuple(_tool(tool) for tool in fields.messages("tools", "function")),
        form=_form(fields),
        tool_choice=_tool_choice(fields.message("toolChoice", "mode functionName")),
    )


def check_completion(request: CompletionRequest, folder: str, models: frozenset[str]) -> int:
    """Check every value; return the number of input tokens.

    Raises:
        Invalid: the service would not take it; `InSession` where the message names the session.

    """
    ModelUri.parse(request.model_uri).check(folder, models)
    _check_options(request)
    _check_tools(request)
    if not request.messages:
        raise InSession("empty messages list")
    for message in request.messages:
        _check_message(message)
    size = tokens.count_conversation(request.turns())
    if size > CONTEXT:
        raise InSession(f"number of input tokens must be no more than {CONTEXT}, got {size}")
    return size


def check_text(text: str) -> None:
    """Check one text's length, or raise `InSession`."""
    if not text:
        raise InSession("empty message text")
    if len(text) > MAX_TEXT:
        size = len(text)
        raise InSession(f"text length is {size}, which is outside the range (0, {MAX_TEXT}]")


def _spoken(message: Message) -> str:
    match message:
        case TextMessage(text=text):
            return text
        case ToolCalls(calls=calls):
            return encode(calls).decode()
        case ToolResults(results=results):
            return encode(results).decode()


def _message(fields: Fields) -> Message:
    role = fields.text("role")
    match fields.one_of("text", "toolCallList", "toolResultList"):
        case "toolCallList":
            calls = fields.message("toolCallList", "toolCalls")
            return ToolCalls(role, tuple(map(_call, calls.messages("toolCalls", "functionCall"))))
        case "toolResultList":
            results = fields.message("toolResultList", "toolResults")
            found = results.messages("toolResults", "functionResult")
            return ToolResults(role, tuple(map(_result, found)))
        case _:
            return TextMessage(role, fields.text("text"))


def _call(fields: Fields) -> tuple[str, dict[str, Json]]:
    call = fields.message("functionCall", "name arguments")
    return call.text("name"), call.struct("arguments")


def _result(fields: Fields) -> tuple[str, str]:
    result = fields.message("functionResult", "name content")
    return result.text("name"), result.text("content")


def _tool(fields: Fields) -> Tool:
    function = fields.message("function", "name description parameters strict")
    function.flag("strict")
    return Tool(function.text("name"), function.text("description"), function.struct("parameters"))


def _form(fields: Fields) -> Form:
    match fields.one_of("jsonObject", "jsonSchema"):
        case "jsonSchema":
            schema = fields.message("jsonSchema", "schema")
            if "schema" not in schema:
                raise Malformed("invalid value for field jsonSchema: schema is missing")
            return JsonBySchema(schema.struct("schema"))
        case _:
            return AnyJson() if fields.flag("jsonObject") else FreeText()


def _tool_choice(fields: Fields) -> MayCall | MustCall:
    if fields.one_of("mode", "functionName") == "functionName":
        return MustCall(fields.text("functionName"))
    required = fields.choice("mode", _CHOICE_MODES) == "REQUIRED"
    return MustCall() if required else MayCall()


def _check_options(request: CompletionRequest) -> None:
    if request.temperature is not None and not 0 <= request.temperature <= 1:
        raise InSession(f"temperature must be in range [0, 1], got {request.temperature:g}")
    if request.max_tokens is not None and request.max_tokens <= 0:
        raise InSession(f"max_tokens must be greater than 0, got {request.max_tokens}")


def _check_tools(request: CompletionRequest) -> None:
    names = [tool.name for tool in request.tools]
    if "" in names:
        raise InSession("empty function name")
    match request.tool_choice:
        case MustCall(name=None) if not names:
            raise InSession("tool choice is REQUIRED, but there are no tools")
        case MustCall(name=str(name)) if name not in names:
            raise InSession(f"tool choice names an unknown function '{name}'")
        case _:
            return


def _check_message(message: Message) -> None:
    match message:
        case TextMessage(role=role, text=text):
            if role not in ROLES:
                raise InSession(f"invalid message role '{role}'")
            check_text(text)
        case ToolCalls(calls=pairs) | ToolResults(results=pairs):
            if message.role not in ("", *ROLES):
                raise InSession(f"invalid message role '{message.role}'")
            if not pairs or any(not name for name, _ in pairs):
                raise InSession("empty tool list or function name")


def check_async(request: CompletionRequest) -> None:
    """Check what only the asynchronous mode asks for, or raise `Invalid`."""
    if request.stream:
        raise Invalid("stream is not available in the asynchronous mode")
