"""Answers and usage that follow from the request and from nothing else.

The text says in the prompt's language that it is the emulator's, quotes the prompt and counts its
words: plainly no model's work, plainly about this row. The same request gets the same answer, so
that runs can be compared. A prompt that contains `FILTER_MARKER` is refused by the content filter;
tools are called only where the request demands it; reasoning costs as many tokens as the prompt.
"""

import re
from dataclasses import dataclass
from typing import Literal, assert_never

from pipeline.codec import Json, encode
from pipeline.emulator import tokens
from pipeline.emulator.requests import (
    AnyJson,
    CompletionRequest,
    FreeText,
    JsonBySchema,
    MustCall,
    TextMessage,
    Tool,
    ToolResults,
)
from pipeline.emulator.schemas import example
from pipeline.emulator.uris import ModelUri

FILTER_MARKER = "emulator:content-filter"
DEFAULT_MAX_TOKENS = 2000

_WORD = re.compile(r"[^\W\d_]+")
_CYRILLIC = re.compile(r"[Ѐ-ӿ]")
_QUOTED = 160

Status = Literal["PARTIAL", "TRUNCATED_FINAL", "FINAL", "CONTENT_FILTER", "TOOL_CALLS"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request; those of reasoning are part of the completion's."""

    input: int
    completion: int
    reasoning: int

    @property
    def total(self) -> int:
        """What is billed."""
        return self.input + self.completion


@dataclass(frozen=True, slots=True)
class Text:
    """The answer is text."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """The answer is a call of one tool."""

    name: str
    arguments: Json


@dataclass(frozen=True, slots=True)
class Answer:
    """One alternative, with what it cost and which model gave it."""

    said: Text | Call
    status: Status
    usage: Usage
    version: str


def answer_to(request: CompletionRequest) -> Answer:
    """Answer a checked request."""
    uri = ModelUri.parse(request.model_uri)
    size = tokens.count_conversation(request.turns())
    budget = request.max_tokens or DEFAULT_MAX_TOKENS
    reasoning = min(size, budget // 2) if request.reasoning and uri.reasons else 0
    said, status = _limited(*_spoken(request), budget - reasoning)
    usage = Usage(size, reasoning + _cost(said), reasoning)
    return Answer(said, status, usage, uri.version)


def _spoken(request: CompletionRequest) -> tuple[Text | Call, Status]:
    prompt = _prompt(request)
    if FILTER_MARKER in prompt:
        refusal = _pick(prompt, "Я не могу обсуждать эту тему.", "I can't discuss this.")
        return Text(refusal), "CONTENT_FILTER"
    answered = isinstance(request.messages[-1], ToolResults)
    if isinstance(request.tool_choice, MustCall) and not answered:
        return _called(_chosen(request, request.tool_choice), prompt), "TOOL_CALLS"
    return Text(_written(request, prompt)), "FINAL"


def _limited(said: Text | Call, status: Status, limit: int) -> tuple[Text | Call, Status]:
    match said:
        case Text(text=text) if tokens.count(text) > limit:
            return Text(tokens.cut(text, limit)), "TRUNCATED_FINAL"
        case _:
            return said, status


def _cost(said: Text | Call) -> int:
    match said:
        case Text(text=text):
            return tokens.count(text)
        case Call(name=name, arguments=arguments):
            return tokens.count(name) + tokens.count(encode(arguments).decode())


def _prompt(request: CompletionRequest) -> str:
    said = [message for message in request.messages if isinstance(message, TextMessage)]
    asked = [message.text for message in said if message.role == "user"]
    return (asked or [message.text for message in said] or [""])[-1]


def _chosen(request: CompletionRequest, choice: MustCall) -> Tool:
    return next(tool for tool in request.tools if choice.name in (None, tool.name))


def _called(tool: Tool, prompt: str) -> Call:
    parameters: dict[str, Json] = {"type": "object", **tool.parameters}
    return Call(tool.name, example(parameters, _quoted(prompt)))


def _written(request: CompletionRequest, prompt: str) -> str:
    match request.form:
        case FreeText():
            return _prose(prompt)
        case AnyJson():
            return encode({"emulator": True, "prompt": _quoted(prompt)}).decode()
        case JsonBySchema(schema=schema):
            return encode(example(schema, _quoted(prompt))).decode()
        case _:
            assert_never(request.form)


def _prose(prompt: str) -> str:
    words = _WORD.findall(prompt)
    longer = list(dict.fromkeys(word for word in words if len(word) > 3))[:12]
    russian = (
        f"Это ответ эмулятора, а не YandexGPT. Запрос: «{_quoted(prompt)}». "
        f"В нём слов: {len(words)}, знаков: {len(prompt)}."
    )
    english = (
        f"This answer is the emulator's, not YandexGPT's. The prompt: \"{_quoted(prompt)}\". "
        f"Words in it: {len(words)}, characters: {len(prompt)}."
    )
    return "\n".join([_pick(prompt, russian, english), *(f"- {word}" for word in longer)])


def _quoted(prompt: str) -> str:
    line = " ".join(prompt.split())
    return line if len(line) <= _QUOTED else line[:_QUOTED].rstrip() + "…"


def _pick(prompt: str, russian: str, english: str) -> str:
    letters = sum(map(len, _WORD.findall(prompt)))
    return russian if 2 * len(_CYRILLIC.findall(prompt)) > letters else english
