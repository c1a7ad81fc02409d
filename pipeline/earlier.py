"""Earlier results as a pattern: how long answers were, for prompts of which length."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline import codec
from pipeline.codec import Json
from pipeline.fit import Estimate, Fit

LEAST = 30
"""From fewer answers nothing is told of others."""

_Pair = tuple[float, float]


@dataclass(slots=True)
class Earlier:
    """Input and completion tokens of earlier answers, by model as their rows named it."""

    by_model: dict[str, list[_Pair]] = field(default_factory=dict)
    failed: int = 0
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
        pair = usage_of(result)
        if pair is None:
            self.failed += 1
            return
        self.truncated += result.get("finish") == "truncated"
        self.emulated += result.get("emulator") is True
        self.by_model.setdefault(str(result.get("model")), []).append(pair)

    def outputs(
        self, rows: Mapping[str, int], inputs: Mapping[str, Estimate]
    ) -> dict[str, Estimate]:
        """The completion tokens of as many new rows, by model, from their input tokens.

        A model that is not among the earlier answers is taken to answer as these did.
        """
        of_all = Fit.of(self._all())
        fits = {
            model: Fit.of(pairs) if len(pairs := self.by_model.get(model, [])) >= LEAST else of_all
            for model in rows
        }
        # Where a model has few answers, theirs scatter as those of all do.
        relative = of_all.spread / (of_all.mean_y**2 or 1.0)
        return {
            model: _answered(fit.scattered(relative), rows[model], inputs[model])
            for model, fit in fits.items()
        }

    def _all(self) -> list[_Pair]:
        return [pair for pairs in self.by_model.values() for pair in pairs]

    def lacks(self, models: Iterable[str]) -> list[str]:
        """Models of which there are too few answers to go by."""
        return [model for model in models if len(self.by_model.get(model, ())) < LEAST]


def _answered(fit: Fit, rows: int, asked: Estimate) -> Estimate:
    told = fit.anew(rows, asked.centre + (asked.low + asked.high) / 2)
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
