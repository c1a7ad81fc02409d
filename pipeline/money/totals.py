"""The totals of a run: a fold over sums that were stored with the rows that they sum."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import astuple

from pipeline.codec import Json
from pipeline.day import Day
from pipeline.money.prices import PriceTable, money
from pipeline.wording import so_many, so_much


class Sums(Struct, frozen=True):
    """Tokens of several rows; `unknown` rows among them have no usage to count."""

    rows: int = 0
    unknown: int = 0
    input_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    total_tokens: int = 0

    def __neg__(self) -> "Sums":
        return Sums(*(-number for number in astuple(self)))

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
    """The sums of the rows that share outcome (ok, failed, held), model, finish and day.

    Outcome `replaced` sums what was paid for and superseded: these are no lines. Without a `day`
    the newest prices hold.
    """

    outcome: str
    model: str
    finish: str | None
    sums: Sums
    day: Day | None = None

    def cost(self, prices: PriceTable) -> Decimal | None:
        """None where something was used and has no price."""
        price, sums = prices.find(self.model, self.day), self.sums
        if price is None:
            return Decimal(0) if sums.total_tokens == 0 and sums.unknown == 0 else None
        return price.of(sums.input_tokens, sums.completion_tokens)


class DoubtTally(Struct, frozen=True):
    """Doubts that share model, bounds and day, and how many there are."""

    model: str
    input_bound: int
    output_bound: int | None
    count: int
    day: Day | None = None

    def cost(self, prices: PriceTable) -> Decimal | None:
        """What they can have cost at worst; None where there is no price."""
        worst = prices.worst(self.model, self.input_bound, self.output_bound, self.day)
        return None if worst is None else worst * self.count

    def most(self, prices: PriceTable) -> Decimal | None:
        """The same, if the operations were priced on any later day."""
        most = prices.most(self.model, self.input_bound, self.output_bound, self.day)
        return None if most is None else most * self.count


@dataclass(frozen=True, slots=True)
class Totals:
    """Everything that the totals line is made of.

    `unknowns` are operations whose usage is not known, with what they can have cost at worst: no
    line tells of them but by their number.
    """

    tallies: Sequence[Tally]
    doubts: Sequence[DoubtTally]
    unknowns: Sequence[DoubtTally] = ()

    @property
    def lines(self) -> list[Tally]:
        """Those of rows that have a line."""
        return [t for t in self.tallies if t.outcome != "replaced"]

    def rows(self, outcome: str | None = None) -> int:
        if outcome is None:
            return sum(t.sums.rows for t in self.lines)
        return sum(t.sums.rows for t in self.tallies if t.outcome == outcome)

    @property
    def used(self) -> Sums:
        """What all lines used."""
        return add(self.lines)

    @property
    def doubt_count(self) -> int:
        return sum(d.count for d in self.doubts)

    def doubt_cost(self, prices: PriceTable) -> Decimal | None:
        """What the doubts can have cost at worst; None where a price is unknown."""
        return sum_of(doubt.cost(prices) for doubt in self.doubts)

    def cost(self, prices: PriceTable) -> Decimal | None:
        """What the lines' known usage cost; None where a price is unknown."""
        return sum_of(tally.cost(prices) for tally in self.lines)

    def exposure(self, prices: PriceTable) -> Decimal | None:
        """What the service has billed for all this, or can have; None where a price is unknown."""
        known = (tally.cost(prices) for tally in self.tallies)
        return sum_of([*known, *(part.most(prices) for part in (*self.doubts, *self.unknowns))])

    def unpriced(self, prices: PriceTable) -> list[str]:
        """The models of which something was used, or is in doubt, that has no price."""
        parts: list[Tally | DoubtTally] = [*self.tallies, *self.doubts, *self.unknowns]
        return sorted({part.model for part in parts if part.cost(prices) is None})

    def to_json(self, prices: PriceTable) -> dict[str, Json]:
        """The object under ``totals``."""
        by_model = _by_model(self.lines)
        costs = {
            model: sum_of(tally.cost(prices) for tally in tallies)
            for model, tallies in by_model.items()
        }
        return {
            "rows": self.rows(),
            "ok": self.rows("ok"),
            "failed": self.rows("failed"),
            "usage": usage_object(self.used),
            "cost": cost_object(sum_of(costs.values()), prices),
            "by_model": [
                {
                    "model": model,
                    "rows": add(tallies).rows,
                    "usage": usage_object(add(tallies)),
                    "cost": money(costs[model]),
                }
                for model, tallies in by_model.items()
            ],
            "doubts": self.doubt_count,
            "doubt_cost": money(self.doubt_cost(prices)),
            "replaced_usage": usage_object(
                add(tally for tally in self.tallies if tally.outcome == "replaced")
            ),
            "finish": _finishes(self.lines),
        }


def in_money(totals: Totals, prices: PriceTable, cost: str = "cost") -> str:
    """What to tell of tokens, and of what they cost."""
    usage, known = add(totals.lines), totals.cost(prices)
    amount = "unknown" if known is None else so_much(known, prices.currency)
    unknown = f", unknown for {so_many(usage.unknown, 'row')}" if usage.unknown else ""
    return (
        f"{usage.input_tokens:,} tokens in, {usage.completion_tokens:,} out{unknown}, "
        f"{cost} {amount} (prices of {prices.date})"
    )


def beside(totals: Totals, prices: PriceTable) -> Iterator[str]:
    """What to tell of operations that no line's cost holds, and that a budget counts all the same.

    They, and doubts, are all by which the sum that a budget goes by is more than the cost.
    """
    replaced = [tally for tally in totals.tallies if tally.outcome == "replaced"]
    known = add(replaced).rows - add(replaced).unknown
    unknown = sum(part.count for part in totals.unknowns)
    told = []
    if known:
        cost = sum_of(tally.cost(prices) for tally in replaced)
        told.append(f"{so_many(known, 'superseded operation')}, {so_much(cost, prices.currency)}")
    if unknown:
        most = sum_of(part.most(prices) for part in totals.unknowns)
        worst = so_much(most, prices.currency)
        told.append(f"{so_many(unknown, 'operation')} of unknown usage, at worst {worst}")
    if told:
        yield f"Not in that cost, but in what --budget counts: {'; '.join(told)}."


def no_price(models: Sequence[str]) -> str:
    """What to tell whoever asks for a cost that is not known."""
    return (
        f"No price is known for {', '.join(models)}: what was used is counted, what it cost is "
        "unknown. Give prices with --prices FILE; `yagpt-batch prices --toml` shows the form."
    )


def in_doubt(count: int, worst: Decimal | None, currency: str) -> str:
    """What to tell of doubts."""
    return (
        f"Submits whose acceptance can't be known: {count:,}; "
        f"at worst they cost {so_much(worst, currency)}."
    )


def _by_model(tallies: Iterable[Tally]) -> dict[str, list[Tally]]:
    models: dict[str, list[Tally]] = {}
    for tally in tallies:
        models.setdefault(tally.model, []).append(tally)
    return dict(sorted(models.items()))


def _finishes(tallies: Iterable[Tally]) -> dict[str, Json]:
    counts: dict[str, int] = {}
    for tally in tallies:
        if tally.finish is not None:
            counts[tally.finish] = counts.get(tally.finish, 0) + tally.sums.rows
    return dict(sorted(counts.items()))


def cost_object(amount: Decimal | None, prices: PriceTable) -> dict[str, Json]:
    return {"amount": money(amount), "currency": prices.currency, "prices": prices.date}


def usage_object(sums: Sums) -> dict[str, Json]:
    return {
        "input_tokens": sums.input_tokens,
        "completion_tokens": sums.completion_tokens,
        "reasoning_tokens": sums.reasoning_tokens,
        "total_tokens": sums.total_tokens,
        "unknown": sums.unknown,
    }


def add(tallies: Iterable[Tally]) -> Sums:
    whole = Sums()
    for tally in tallies:
        whole += tally.sums
    return whole


def sum_of(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """The sum, unknown as soon as one part is."""
    whole = Decimal(0)
    for amount in amounts:
        if amount is None:
            return None
        whole += amount
    return whole
