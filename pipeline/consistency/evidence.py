"""What an audit looks at: lines as they stand in files, rows as the checkpoint has them. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from pipeline import codec
from pipeline.codec import Json
from pipeline.errors import BadData
from pipeline.input.form import AnyObject, Form, fitting
from pipeline.input.rows import Recipe
from pipeline.input.template import Template
from pipeline.life.facts import Columns, Span

OUTCOMES = ("ok", "failed", "held")
_LONGEST = 80


class Stood(Struct, frozen=True):
    """A line as it stands in a file. `whole`: a newline ends it."""

    number: int
    span: Span
    data: bytes
    whole: bool


class Recorded(Struct, frozen=True):
    """A row as the checkpoint has it; `columns` are those of its state.

    `same_as` is the row that was sent for it, or is; `asks` a digest of what both ask, or of what
    it is sent for itself.
    """

    line: int
    span: Span
    id: str | None
    model: str | None
    kept: bytes | None
    input_bound: int | None
    output_bound: int | None
    columns: Columns
    place: Span | None
    same_as: int | None = None
    asks: bytes | None = None

    @property
    def shown_id(self) -> str:
        return self.id or f"line-{self.line}"

    @property
    def state(self) -> str:
        return self.columns[0]

    @property
    def submits(self) -> int:
        return self.columns[2]

    @property
    def spent(self) -> int:
        return self.columns[3]

    @property
    def operation_id(self) -> str | None:
        return self.columns[4]


class Kept(Struct, frozen=True):
    """A row, how many doubts of it are on record, and its submits when it was last retried."""

    row: Recorded
    doubts: int
    before: int = 0


class Doubted(Struct, frozen=True):
    """A doubt as the checkpoint has it; `fits`: its row is there and says the same."""

    line: int
    model: str | None
    fits: bool


class Ways(Struct, frozen=True):
    """What rows and lines owe to the settings of their run."""

    recipe: Recipe
    emulator: bool

    @classmethod
    def of(cls, settings: Mapping[str, Json]) -> "Ways":
        """Read the settings as a checkpoint keeps them.

        Raises:
            BadData: they are none.

        """
        try:
            found = msgspec.convert(settings, _Settings)
            template = None if found.template is None else Template.parse(found.template)
            form = _form(found)
        except ValueError as error:
            why = f"the checkpoint's settings can't be read: {error}."
            raise BadData(why, "Restore the checkpoint from a copy.") from None
        recipe = Recipe(
            *(found.model, found.folder_id, found.system, template),
            *(found.temperature, found.max_tokens, found.keep, form),
        )
        return cls(recipe, found.emulator)


def _form(found: "_Settings") -> Form | None:
    if found.json_schema is not None:
        return fitting(found.json_schema)
    return AnyObject() if found.json_object else None


class _Settings(msgspec.Struct, rename="kebab"):
    model: str
    emulator: bool
    folder_id: str | None = None
    system: str | None = None
    template: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    keep: tuple[str, ...] = ()
    json_object: bool = False
    json_schema: dict[str, Any] | None = None
    dedupe: bool = False


class Peekable:
    """Rows one after another, with a look at the next one."""

    def __init__(self, rows: Iterable[Recorded]) -> None:
        self._rows = iter(rows)
        self.first = next(self._rows, None)

    def take(self) -> Recorded:
        taken = self.first
        assert taken is not None  # noqa: S101 - looked at before
        self.first = next(self._rows, None)
        return taken

    def before(self, line: int) -> Iterator[Recorded]:
        """Take those of earlier lines; of rows that come in order of the input."""
        while self.first is not None and self.first.line < line:
            yield self.take()

    def until(self, line: int) -> Iterator[Recorded]:
        """Take those that come before the row of this line."""
        while self.first is not None and self.first.line != line:
            yield self.take()

    def rest(self) -> Iterator[Recorded]:
        while self.first is not None:
            yield self.take()


def where_is(name: str, line: Stood) -> str:
    return f"{name}:{line.number} (byte {line.span.offset:,})"


def shown(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    said = codec.encode(value).decode()
    return said if len(said) <= _LONGEST else said[: _LONGEST - 1] + "…"


def of_model(model: str) -> str:
    return f" of {model}" if model else ""
