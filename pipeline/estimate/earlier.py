"""Earlier results as a pattern: how long answers were, for prompts of which length."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from msgspec import Struct

from pipeline import codec
from pipeline.codec import Json
from pipeline.estimate.fit import Estimate, Fit

LEAST = 30
"""From fewer answers nothing is told of others."""

# Prompts so many times longer than all that are known are still like them.
_LITTLE_MORE = 1.1
_Pair = tuple[float, float]
_NONE: Mapping[str, int | None] = MappingProxyType({})


class Reach(Struct, frozen=True):
    """Lengths of prompts, in tokens, between which answers are known."""

    shortest: float
    longest: float

    def holds(self, length: float) -> bool:
        """Whether these answers tell of such prompts, on average."""
        return self.shortest / _LITTLE_MORE <= length <= self.longest * _LITTLE_MORE

    def nearest(self, length: float) -> float:
        return min(max(length, self.shortest), self.longest)


@dataclass(slots=True)
class Earlier:
    """Input and completion tokens of earlier answers, by model as their rows named it.

    An answer that was paid for is one, also where its row `failed` by it. `unknown` are answers
    whose tokens nobody told.
    """

    by_model: dict[str, list[_Pair]] = field(default_factory=dict)
    failed: int = 0
    unknown: int = 0
    truncated: int = 0
    emulated: int = 0

    @property
    def answers(self) -> int:
        return sum(map(len, self.by_model.values()))

    def hear(self, line: bytes) -> None:
        """Take a line of an output or errors file; what is neither is passed over."""
        try:
            result = codec.decode(line)
        except codec.NotJson:
            return
        if not isinstance(result, dict) or "status" not in result:
            return
        if result.get("same_as"):
            # The answer of another row, whose line tells of it.
            return
        error, is_ok = result.get("error"), result["status"] == "ok"
        why = error if isinstance(error, dict) else {}
        # A doubt that is held has no answer, but did not fail.
        self.failed += not is_ok and why.get("stage") != "doubt"
        pair = usage_of(result)
        if pair is None:
            self.unknown += is_ok
            return
        self.truncated += "truncated" in (result.get("finish"), why.get("code"))
        self.emulated += result.get("emulator") is True
        self.by_model.setdefault(str(result.get("model")), []).append(pair)

    def outputs(
        self,
        rows: Mapping[str, int],
        inputs: Mapping[str, Estimate],
        limits: Mapping[str, int | None] = _NONE,
    ) -> dict[str, Estimate]:
        """The completion tokens of as many new rows, by model, from their input tokens.

        A model that is not among the earlier answers is taken to answer as these did, and none to
        answer more than the limit of its rows, where there is one.
        """
        return {model: self._outputs(model, rows[model], inputs[model], limits) for model in rows}

    def _outputs(
        self, model: str, rows: int, asked: Estimate, limits: Mapping[str, int | None]
    ) -> Estimate:
        limit = limits.get(model)
        every, fit = Fit.of(_cut(self._all(), limit)), Fit.of(_cut(self._own(model), limit))
        reach = self.reach(model)
        if not reach.holds(_middle(asked) / rows):
            return _beyond(fit, reach, rows, asked, limit)
        # Where a model has few answers, theirs scatter as those of all do.
        return _answered(fit.scattered(every.spread / (every.mean_y**2 or 1.0)), rows, asked)

    def reach(self, model: str) -> Reach:
        """From the shortest to the longest prompt of those that tell how this model answers."""
        lengths = [asked for asked, _ in self._own(model)]
        return Reach(min(lengths), max(lengths))

    def out_of_reach(
        self, rows: Mapping[str, int], inputs: Mapping[str, Estimate]
    ) -> Iterator[tuple[float, Reach]]:
        """How many tokens prompts have, where all earlier ones were clearly shorter or longer."""
        for model, count in rows.items():
            length, reach = _middle(inputs[model]) / count, self.reach(model)
            if not reach.holds(length):
                yield length, reach

    def longer_than(self, limits: Mapping[str, int | None]) -> int:
        """How many earlier answers a limit would have cut off."""
        found = ((limits.get(model), pairs) for model, pairs in self.by_model.items())
        return sum(said > limit for limit, pairs in found if limit for _, said in pairs)

    def _all(self) -> list[_Pair]:
        return [pair for pairs in self.by_model.values() for pair in pairs]

    def _own(self, model: str) -> list[_Pair]:
        """Those that tell how a model answers: its own, or all where it has too few."""
        own = self.by_model.get(model, [])
        return own if len(own) >= LEAST else self._all()

    def lacks(self, models: Iterable[str]) -> list[str]:
        """Models of which there are too few answers to go by."""
        return [model for model in models if len(self.by_model.get(model, ())) < LEAST]


def _cut(pairs: Iterable[_Pair], limit: int | None) -> list[_Pair]:
    """The pairs as they would have been with a limit on answers."""
    return [(asked, said if limit is None else min(said, limit)) for asked, said in pairs]


def _beyond(fit: Fit, reach: Reach, rows: int, asked: Estimate, limit: int | None) -> Estimate:
    """What other prompts draw: as the nearest do, more or less by the line, or in proportion."""
    length = _middle(asked) / rows
    known = reach.nearest(length)
    nearest = fit.at(known)
    # In proportion to what has no length nobody can tell.
    ways = (nearest, fit.at(length), nearest * length / (known or length))
    each = [min(way, limit or way) for way in ways]
    return Estimate(low=rows * min(each), high=rows * max(each))


def _middle(found: Estimate) -> float:
    return found.centre + (found.low + found.high) / 2


def _answered(fit: Fit, rows: int, asked: Estimate) -> Estimate:
    told = fit.anew(rows, _middle(asked))
    return told + Estimate(variance=asked.variance * fit.slope**2, freedom=asked.freedom)


def usage_of(result: Mapping[str, Json]) -> _Pair | None:
    """Input and completion tokens of a line of results; None where it has none."""
    usage = result.get("usage")
    if not isinstance(usage, dict):
        return None
    asked, said = usage.get("input_tokens"), usage.get("completion_tokens")
    if type(asked) is not int or type(said) is not int or asked < 0 or said < 0:
        return None
    return float(asked), float(said)
