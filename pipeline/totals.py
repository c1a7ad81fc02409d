"""The totals of a run: a fold over sums that were stored with the rows that they sum."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pipeline.codec import Json
from pipeline.prices import PriceTable, money


@dataclass(frozen=True, slots=True)
class Sums:
    """Tokens of several rows; `unknown` rows among them have no usage to count."""

    rows: int = 0
    unknown: int = 0
    input_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    total_tokens: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.rows + other.rows,
            self.unknown + other.unknown,
            self.input_tokens + other.input_tokens,
            self.completion_tokens + other.completion_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.total_tokens + other.total_tokens,
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """The sums of the rows that share outcome (ok, failed, held), model and finish.

    Outcome `replaced` sums what was paid for and superseded: these are no lines.
    """

    outcome: str
    model: str
    finish: str | None
    sums: Sums


@dataclass(frozen=True, slots=True)
class DoubtTally:
    """Doubts that share model and bounds, and how many there are."""

    model: str
    input_bound: int
    output_bound: int | None
    count: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Everything that the totals line is made of."""

    tallies: Sequence[Tally]
    doubts: Sequence[DoubtTally]

    @property
    def _lines(self) -> list[Tally]:
        return [t for t in self.tallies if t.outcome != "replaced"]

    def rows(self, outcome: str | None = None) -> int:
        if outcome is None:
            return sum(t.sums.rows for t in self._lines)
        return sum(t.sums.rows for t in self.tallies if t.outcome == outcome)

    @property
    def doubt_count(self) -> int:
        return sum(d.count for d in self.doubts)

    def doubt_cost(self, prices: PriceTable) -> Decimal | None:
        """What the doubts can have cost at worst; None where a price is unknown."""
        return _sum(
            None
            if (worst := prices.worst(d.model, d.input_bound, d.output_bound)) is None
            else worst * d.count
            for d in self.doubts
        )

    def to_json(self, prices: PriceTable) -> dict[str, Json]:
        """The object under ``totals``."""
        by_model = _by_model(self._lines)
        costs = {model: _cost(model, sums, prices) for model, sums in by_model.items()}
        return {
            "rows": self.rows(),
            "ok": self.rows("ok"),
            "failed": self.rows("failed"),
            "usage": _usage(_add(t.sums for t in self._lines)),
            "cost": _cost_object(_sum(costs.values()), prices),
            "by_model": [
                {
                    "model": model,
                    "rows": sums.rows,
                    "usage": _usage(sums),
                    "cost": money(costs[model]),
                }
                for model, sums in by_model.items()
            ],
            "doubts": self.doubt_count,
            "doubt_cost": money(self.doubt_cost(prices)),
            "replaced_usage": _usage(
                _add(t.sums for t in self.tallies if t.outcome == "replaced")
            ),
            "finish": _finishes(self._lines),
        }


def _by_model(tallies: Iterable[Tally]) -> dict[str, Sums]:
    models: dict[str, Sums] = {}
    for tally in tallies:
        models[tally.model] = models.get(tally.model, Sums()) + tally.sums
    return dict(sorted(models.items()))


def _finishes(tallies: Iterable[Tally]) -> dict[str, Json]:
    counts: dict[str, int] = {}
    for tally in tallies:
        if tally.finish is not None:
            counts[tally.finish] = counts.get(tally.finish, 0) + tally.sums.rows
    return dict(sorted(counts.items()))


def _cost(model: str, sums: Sums, prices: PriceTable) -> Decimal | None:
    price = prices.find(model)
    if price is None:
        return Decimal(0) if sums.total_tokens == 0 and sums.unknown == 0 else None
    return price.of(sums.input_tokens, sums.completion_tokens)


def _cost_object(amount: Decimal | None, prices: PriceTable) -> dict[str, Json]:
    return {"amount": money(amount), "currency": prices.currency, "prices": prices.date}


def _usage(sums: Sums) -> dict[str, Json]:
    return {
        "input_tokens": sums.input_tokens,
        "completion_tokens": sums.completion_tokens,
        "reasoning_tokens": sums.reasoning_tokens,
        "total_tokens": sums.total_tokens,
        "unknown": sums.unknown,
    }


def _add(parts: Iterable[Sums]) -> Sums:
    whole = Sums()
    for part in parts:
        whole += part
    return whole


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """The sum, unknown as soon as one part is."""
    whole = Decimal(0)
    for amount in amounts:
        if amount is None:
            return None
        whole += amount
    return whole
