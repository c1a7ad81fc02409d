"""What lines of results come to: a few sums, however many lines there are. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, NamedTuple

import msgspec

from pipeline import codec
from pipeline.day import Day, day_of
from pipeline.input.rows import Recipe, Row, parse_row
from pipeline.money.totals import DoubtTally, Sums, Tally

NO_MODEL = "(unknown)"
"""The model of a row that names none, where that of its run is not known."""
_TOTALS = b'{"totals":'
_SHOWN = 3


class Part(NamedTuple):
    """Sums of lines that are alike, and whether the emulator answered them: then nobody pays."""

    tally: Tally
    emulator: bool


@dataclass(frozen=True, slots=True)
class Said:
    """What a totals line says of what no line of a row can tell."""

    doubts: int
    doubt_cost: Decimal | None
    currency: str
    replaced: Sums
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """The same, and how rows were read, from the run's checkpoint."""

    recipe: Recipe
    doubts: Sequence[DoubtTally]
    replaced: Sequence[Tally]
    unknowns: Sequence[DoubtTally] = ()


@dataclass(frozen=True, slots=True)
class Bill:
    """What the rows of one output used; `aside` knows of doubts, None where nothing does."""

    output: str
    parts: Sequence[Part]
    aside: Known | Said | None
    unread: int = 0


_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Usage(msgspec.Struct, gc=False):
    input_tokens: _Count
    completion_tokens: _Count
    reasoning_tokens: _Count = 0
    total_tokens: _Count | None = None


class _Error(msgspec.Struct, gc=False):
    stage: str | None = None


class _Other(msgspec.Struct, gc=False):
    line: int


class Line(msgspec.Struct, gc=False):
    """What of a line matters here. Lines of every version have these, or lack some."""

    status: str | None = None
    finish: str | None = None
    usage: _Usage | None = None
    model: str | None = None
    operation_id: str | None = None
    created_at: str | None = None
    finished_at: str | None = None
    emulator: bool = False
    error: _Error | None = None
    same_as: _Other | None = None


class _Money(msgspec.Struct):
    currency: str


class _Model(msgspec.Struct):
    model: str


class _Totals(msgspec.Struct):
    doubts: _Count
    doubt_cost: str | None
    cost: _Money
    by_model: list[_Model]
    replaced_usage: dict[str, _Count]


class _TotalsLine(msgspec.Struct):
    totals: _Totals


_decode = msgspec.json.Decoder(Line).decode
Key = tuple[str, str, str | None, Day | None, bool]
"""Outcome, model ('' is the run's), finish, day, and whether the emulator answered."""
Seen = Callable[[Key, Line, bytes], None]
"""Is shown each line that counts, where it counts and what of it is decoded."""


@dataclass(slots=True)
class Fold:
    """Takes the lines of one output and its errors file; keeps their sums.

    `recipe` is what the run made of its input, where that is known: what failed has its model in
    its row. `results` counts lines taken, `unread` those that are none; `remarks` names some.
    `seen` may look at each line taken.
    """

    recipe: Recipe | None = None
    seen: Seen | None = None
    results: int = 0
    unread: int = 0
    said: Said | None = None
    remarks: list[str] = field(default_factory=list)
    _sums: dict[Key, list[int]] = field(default_factory=dict)
    _name: str = ""
    _lines: int = 0

    def begin(self, name: str) -> None:
        """What is taken from here on are the lines of this file."""
        self._name, self._lines = name, 0

    def take(self, lines: Sequence[bytes]) -> None:
        """Take the next whole lines, without their newlines."""
        for number, data in enumerate(lines, start=self._lines + 1):
            try:
                line = _decode(data)
            except (ValueError, RecursionError):
                self._take_odd(data, number)
            else:
                self._add(line, data, number)
        self._lines += len(lines)

    def take_torn(self, data: bytes) -> None:
        """Take what no newline ends: a whole line all the same, or one that is being written."""
        number = self._lines + 1
        try:
            line = _decode(data)
        except (ValueError, RecursionError):
            if data.strip():
                told = "this last line is not whole, and is not counted."
                self.remarks.append(f"{self._name}:{number}: {told}")
        else:
            self._add(line, data, number)

    def _take_odd(self, data: bytes, number: int) -> None:
        """Text with lone surrogates is read the long way; anything else is no line of ours."""
        if not data.strip():
            return
        try:
            line = msgspec.convert(codec.decode(data), Line)
        except (ValueError, RecursionError):
            self._refuse(number)
        else:
            self._add(line, data, number)

    def _refuse(self, number: int) -> None:
        self.unread += 1
        if self.unread <= _SHOWN:
            told = "this line is no result, and is not counted."
            self.remarks.append(f"{self._name}:{number}: {told}")

    def _add(self, line: Line, data: bytes, number: int) -> None:
        key = self._key(line, data)
        if key is None:
            if data.startswith(_TOTALS):
                self.said = _said(data)
            else:
                self._refuse(number)
            return
        self.results += 1
        if self.seen is not None:
            self.seen(key, line, data)
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = [0] * 6
        sums[0] += 1
        usage = line.usage
        if usage is None:
            was_answered = key[0] == "ok" and line.same_as is None
            sums[1] += was_answered or line.operation_id is not None
            return
        total = usage.total_tokens
        sums[2] += usage.input_tokens
        sums[3] += usage.completion_tokens
        sums[4] += usage.reasoning_tokens
        sums[5] += usage.input_tokens + usage.completion_tokens if total is None else total

    def _key(self, line: Line, data: bytes) -> Key | None:
        """Where a line counts; None where it is no result."""
        if line.status == "ok" or (line.status is None and line.usage is not None):
            day = day_of(line.finished_at, line.created_at)
            return "ok", line.model or "", line.finish, day, line.emulator
        if line.status == "failed":
            is_held = line.error is not None and line.error.stage == "doubt"
            model = _model_of(data, self.recipe)
            return "held" if is_held else "failed", model, None, None, line.emulator
        return None

    def parts(self, model: str) -> Iterator[Part]:
        """The sums; `model` is the run's."""
        for (outcome, own, finish, day, emulator), sums in self._sums.items():
            yield Part(Tally(outcome, own or model, finish, Sums(*sums), day), emulator)

    def last_remarks(self) -> list[str]:
        more = self.unread - _SHOWN
        are = "line is none" if more == 1 else "lines are none"
        return [*self.remarks, *([f"{more:,} more {are} either."] if more > 0 else [])]


_ANY = Recipe(model=NO_MODEL, folder="-")


def _model_of(data: bytes, recipe: Recipe | None) -> str:
    """The model that a row that failed asked for itself; '' where that is its run's."""
    if b'"model' not in data:
        return ""
    try:
        line = codec.decode(data)
        source = line.get("input") if isinstance(line, dict) else None
        row = parse_row(1, codec.encode(source), recipe or _ANY)
    except (ValueError, RecursionError):
        return ""
    return row.model if isinstance(row, Row) and row.own_model else ""


def _said(data: bytes) -> Said | None:
    """What a totals line says; None where it is none of ours."""
    try:
        totals = msgspec.json.decode(data, type=_TotalsLine).totals
        cost = None if totals.doubt_cost is None else Decimal(totals.doubt_cost)
        if cost is not None and not (cost.is_finite() and cost >= 0):
            return None
        replaced = Sums(
            0,
            *(totals.replaced_usage.get(name, 0) for name in ("unknown", "input_tokens")),
            *(totals.replaced_usage.get(f"{name}_tokens", 0) for name in _LATER),
        )
    except (ValueError, ArithmeticError):
        return None
    models = tuple(entry.model for entry in totals.by_model)
    return Said(totals.doubts, cost, totals.cost.currency, replaced, models)


_LATER = ("completion", "reasoning", "total")


def bill(output: str, fold: Fold, known: Known | None) -> Bill:
    """What was taken, with what else is known of it."""
    model = NO_MODEL
    if known is not None:
        model = known.recipe.model
    elif fold.said is not None and len(fold.said.models) == 1:
        (model,) = fold.said.models
    aside = fold.said if known is None else known
    return Bill(output, list(fold.parts(model)), aside, fold.unread)
