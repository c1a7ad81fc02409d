"""Prompts with places in braces, which the fields of a line fill."""

import re

from msgspec import Struct

from pipeline.codec import encode
from pipeline.input.messages import Fields, LineError, shown
from pipeline.input.shapes import FIELDS_LISTED

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NOT_IN_A_NAME = frozenset(".[]!:\"'")


class Slot(Struct, frozen=True):
    """A place in a template where a field's value goes."""

    field: str


class Template(Struct, frozen=True):
    """A prompt with slots, as ``--template`` gives it."""

    parts: tuple[str | Slot, ...]

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Read ``Translate to {language}: {text}``; ``{{`` and ``}}`` stand for the braces.

        Raises:
            ValueError: a brace without its pair, a slot that is no plain name, or no slot at all.

        """
        parts: list[str | Slot] = []
        end = 0
        for found in _BRACES.finditer(text):
            parts += [text[end : found.start()], _part(found)]
            end = found.end()
        parts.append(text[end:])
        if not any(isinstance(part, Slot) for part in parts):
            raise ValueError("The template names no field: write one in braces, like {text}")
        return cls(tuple(part for part in parts if part))

    @property
    def text(self) -> str:
        """The template as it was given."""
        return "".join(
            f"{{{part.field}}}"
            if isinstance(part, Slot)
            else part.replace("{", "{{").replace("}", "}}")
            for part in self.parts
        )

    def fill(self, fields: Fields) -> str:
        """Put the values in: strings as they are, anything else as JSON.

        Raises:
            LineError: a field is missing or null.

        """
        return "".join(
            part if isinstance(part, str) else _value(fields, part.field) for part in self.parts
        )


def _part(found: re.Match[str]) -> str | Slot:
    match found[0]:
        case "{{":
            return "{"
        case "}}":
            return "}"
        case "{" | "}" as brace:
            raise ValueError(f"The template has a single {brace}: write {brace * 2} for the brace")
        case slot:
            name = found[1]
    if not name or name != name.strip() or not _NOT_IN_A_NAME.isdisjoint(name):
        why = f"{slot} in the template is not the plain name of a field"
        raise ValueError(f"{why}: write {{{{ and }}}} for braces that are text")
    return Slot(name)


def _value(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if isinstance(value, str):
        return value
    if value is not None:
        return encode(value).decode()
    if name in fields:
        why = f"The field {shown(name)} that the template names is null"
        raise LineError("missing_field", why)
    there = ", ".join(shown(other) for other in list(fields)[:FIELDS_LISTED]) or "none"
    why = f"The template names the field {shown(name)}, which the line does not have"
    raise LineError("missing_field", f"{why} (its fields: {there})")
