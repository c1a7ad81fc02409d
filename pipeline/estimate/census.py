"""All rows of an input in one pass: how many of which kind, and a fair sample of each kind.

Kinds (strata) differ by model, by the longest answer allowed, by alphabet and by size, in steps of
half an octave; these are what tokens and prices go by. Of each the first so many lines are kept,
and later ones take their places by chance (reservoir). So one pass is enough for an input that
can't be read again, and memory does not grow with it. Chance is a function from outside: 0 to 1.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby

from pipeline.codec import Json, decode, encode
from pipeline.input.rows import Row

Chance = Callable[[], float]

_STEPS = 2
_MOST_STRATA = 300
_MOST_KEPT, _LEAST_KEPT = 500, 30
_MOST_BYTES = 1_000_000
_GOLDEN = (math.sqrt(5) - 1) / 2

_Key = tuple[str, int, int, bool]
"""Model, step of size, digits of the limit on answers, whether in another alphabet than Latin."""


@dataclass(frozen=True, slots=True)
class Met:
    """A line that is a row, with the characters that it sends."""

    line: int
    data: bytes
    characters: int


@dataclass(slots=True)
class Stratum:
    """Rows of one kind.

    `caps` sums the limits on answers of the rows that have one; `longest` is the largest.
    """

    key: _Key
    count: int = 0
    characters: int = 0
    capped: int = 0
    caps: int = 0
    longest: int = 0
    kept: list[Met] = field(default_factory=list)

    @property
    def model(self) -> str:
        return self.key[0]

    def take(self, row: Row, characters: int) -> None:
        """Count a row of this kind."""
        self.count += 1
        self.characters += characters
        self.capped += row.output_bound is not None
        self.caps += row.output_bound or 0
        self.longest = max(self.longest, row.output_bound or 0)


@dataclass(frozen=True, slots=True)
class Group:
    """Strata of one model that are estimated together.

    `rows` are lines in the order in which they are to be drawn: each beginning of it is a fair
    sample of all `count` rows.
    """

    model: str
    count: int
    characters: int
    rows: Sequence[Met]


class Census:
    """Counts rows as they come."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._strata: dict[_Key, Stratum] = {}

    @property
    def rows(self) -> int:
        return sum(stratum.count for stratum in self._strata.values())

    @property
    def strata(self) -> list[Stratum]:
        """In order of model and size, those of like rows beside each other."""
        return [self._strata[key] for key in sorted(self._strata)]

    def by_model(self) -> dict[str, int]:
        """Rows by model."""
        return {
            model: sum(stratum.count for stratum in members)
            for model, members in groupby(self.strata, key=lambda stratum: stratum.model)
        }

    def meet(self, row: Row, data: bytes) -> None:
        """Count a row; `data` is its line."""
        characters = characters_of(row.body)
        stratum = self._stratum(row, characters)
        stratum.take(row, characters)
        room = min(max(_MOST_BYTES // (len(data) + 1), _LEAST_KEPT), _MOST_KEPT)
        met = Met(row.line, data, characters)
        if len(stratum.kept) == stratum.count - 1 and len(stratum.kept) < room:
            stratum.kept.append(met)
        elif (place := int(self._chance() * stratum.count)) < len(stratum.kept):
            stratum.kept[place] = met

    def _stratum(self, row: Row, characters: int) -> Stratum:
        cap = 0 if row.output_bound is None else row.output_bound.bit_length()
        # Letters of another alphabet take two bytes.
        is_foreign = len(row.body) - len(row.body.decode()) > 0.3 * characters
        size = int(_STEPS * math.log2(characters + 16))
        key = (row.model, size, cap, is_foreign)
        if key not in self._strata and len(self._strata) >= _MOST_STRATA:
            key = (row.model, size, 0, False)
        return self._strata.setdefault(key, Stratum(key))

    def groups(self, least: float) -> list[Group]:
        """Strata beside each other, put together until each group has `least` rows, say."""
        return [self._group(members) for members in _together(self.strata, least)]

    def _group(self, members: Sequence[Stratum]) -> Group:
        return Group(
            members[0].model,
            sum(stratum.count for stratum in members),
            sum(stratum.characters for stratum in members),
            list(self._drawn(members)),
        )

    def _drawn(self, members: Sequence[Stratum]) -> Iterator[Met]:
        """Each beginning spread evenly over the sizes, for as long as rows are at hand.

        Steps of the golden section around a circle on which every row has the same room: from
        a start that chance gives, no stretch of it is left out for long (Weyl's sequence).
        """
        kept = [self._shuffled(stratum.kept) for stratum in members]
        left = [stratum.count for stratum in members]
        ends = list(accumulate(left))
        place = self._chance()
        while any(left):
            place = (place + _GOLDEN) % 1.0
            at = min(bisect_right(ends, place * ends[-1]), len(ends) - 1)
            if not left[at]:
                continue
            if not kept[at]:
                return
            left[at] -= 1
            yield kept[at].pop()

    def _shuffled(self, rows: Iterable[Met]) -> list[Met]:
        keyed = [(self._chance(), place, met) for place, met in enumerate(rows)]
        return [met for _, _, met in sorted(keyed, key=lambda one: one[:2])]


def characters_of(body: bytes) -> int:
    """The characters of a request's texts, tools and schema."""
    request = decode(body)
    fields = request if isinstance(request, dict) else {}
    messages = fields.pop("messages", None)
    given = sum(map(_size, messages)) if isinstance(messages, list) else 0
    extra = {key: v for key, v in fields.items() if key not in ("modelUri", "completionOptions")}
    return given + (len(encode(extra).decode()) if extra else 0)


def _size(message: Json) -> int:
    text = message.get("text") if isinstance(message, dict) else None
    return len(text) if isinstance(text, str) else len(encode(message).decode())


def _together(strata: Iterable[Stratum], least: float) -> Iterator[list[Stratum]]:
    """What is left over of a model when its groups are made joins the last of them."""
    for _, of_model in groupby(strata, key=lambda stratum: stratum.model):
        made: list[list[Stratum]] = [[]]
        for stratum in of_model:
            if sum(one.count for one in made[-1]) >= least:
                made.append([])
            made[-1].append(stratum)
        if len(made) > 1 and sum(one.count for one in made[-1]) < least:
            made[-2:] = [[*made[-2], *made[-1]]]
        yield from made
