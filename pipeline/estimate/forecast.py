"""What a run will come to: tokens, money and hours, from what is known of its rows.

Money is Decimal, rounded away from the middle: the least down, the most up.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from pipeline.ending.eta import Situation
from pipeline.ending.eta import estimate as eta_of
from pipeline.estimate.census import Stratum
from pipeline.estimate.fit import Estimate, total
from pipeline.money.prices import LONGEST_CONTEXT, Price, PriceTable
from pipeline.pacing.rates import Rate
from pipeline.pacing.window import Window

# The documentation's examples have 5.4 (English), 5.8 and 9.5 (Russian) characters a token: a
# common word is one token, however long. Short and mixed text is denser, digits and code are even
# more so than this. The recorded chat template takes 14 tokens.
_MOST_CHARACTERS, _LEAST_CHARACTERS = 10.0, 3.0
_TOKENS_AROUND_A_ROW = 14
# An operation is asked for about twice.
_POLLS_EACH = 2
_EXACTLY = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Part:
    """What the rows of one model come to; no price where the table has none."""

    model: str
    rows: int
    input: Estimate
    output: Estimate
    price: Price | None

    @property
    def cost(self) -> Estimate | None:
        if self.price is None:
            return None
        each = (self.price.input / 1000, self.price.output / 1000)
        return self.input.times(float(each[0])) + self.output.times(float(each[1]))


@dataclass(frozen=True, slots=True)
class Sum:
    """An amount of money: the least, the likely (None where only a range is known), the most."""

    least: Decimal
    likely: Decimal | None
    most: Decimal

    @classmethod
    def of(cls, cost: Estimate, confidence: float) -> "Sum":
        low, high = cost.interval(confidence)
        likely = cost.likely
        return cls(
            _rounded(low, ROUND_HALF_EVEN if cost.is_exact else ROUND_FLOOR),
            None if likely is None else _rounded(likely, ROUND_HALF_EVEN),
            _rounded(high, ROUND_HALF_EVEN if cost.is_exact else ROUND_CEILING),
        )


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds until the last row is submitted at the earliest, and the rate that binds, if any.

    `is_by_polls`: that is the rate of polls, of which each row takes two.
    """

    seconds: float
    bound_by: Rate | None
    is_by_polls: bool = False


@dataclass(frozen=True, slots=True)
class Basis:
    """What tokens are told from: a name, and the rows or answers that were seen for it.

    `unlimited` rows have nothing that ends their answer but their model's context.
    """

    name: str
    seen: int = 0
    unlimited: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """What was really asked for a forecast; no cost where a price is unknown.

    `emulated`: of the emulator, which bills nothing.
    """

    rows: int
    cost: Sum | None
    emulated: bool


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run will come to. `unfit` rows will fail and cost nothing.

    `same` rows ask what one of the others does, and are not sent. What the `canary` asked is not
    in any of it: a run asks these rows again.
    """

    parts: Sequence[Part]
    unfit: int
    same: int
    input_basis: Basis
    output_basis: Basis
    duration: Duration
    confidence: float
    canary: Asked | None = None

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def input(self) -> Estimate:
        return total(part.input for part in self.parts)

    @property
    def output(self) -> Estimate:
        return total(part.output for part in self.parts)

    @property
    def cost(self) -> Estimate | None:
        """None as soon as one model's price is unknown."""
        costs = [part.cost for part in self.parts]
        return None if None in costs else total(cost for cost in costs if cost is not None)

    @property
    def unpriced(self) -> list[str]:
        return [part.model for part in self.parts if part.price is None]


def parts_of(
    rows: Mapping[str, int],
    inputs: Mapping[str, Estimate],
    outputs: Mapping[str, Estimate],
    table: PriceTable,
) -> list[Part]:
    """The parts by model."""
    return [
        Part(model, rows[model], inputs[model], outputs[model], table.find(model))
        for model in sorted(rows)
    ]


def weights(
    models: Iterable[str], table: PriceTable, of: Callable[[Price], Decimal]
) -> dict[str, float]:
    """What a token of each model weighs; nothing where one has no price: then all weigh alike."""
    prices = {model: table.find(model) for model in models}
    known = {model: float(of(price)) for model, price in prices.items() if price is not None}
    return known if len(known) == len(prices) else {}


def rough_inputs(strata: Iterable[Stratum]) -> dict[str, Estimate]:
    """Input tokens by model from characters alone, as a range."""
    found: dict[str, Estimate] = {}
    for stratum in strata:
        around = stratum.count * _TOKENS_AROUND_A_ROW
        part = Estimate(
            low=stratum.characters / _MOST_CHARACTERS + around,
            high=stratum.characters / _LEAST_CHARACTERS + around,
        )
        found[stratum.model] = found.get(stratum.model, Estimate()) + part
    return found


def bounded_outputs(
    strata: Iterable[Stratum], inputs: Mapping[str, Estimate], table: PriceTable
) -> dict[str, Estimate]:
    """Completion tokens by model where only limits are known: from one each up to the limit.

    The answer to a row without a limit of its own can be as long as its model's context allows.
    """
    by_model: dict[str, list[Stratum]] = {}
    for stratum in strata:
        by_model.setdefault(stratum.model, []).append(stratum)
    found = {}
    for model, members in by_model.items():
        rows = sum(stratum.count for stratum in members)
        free = rows - sum(stratum.capped for stratum in members)
        asked = (inputs[model].centre + inputs[model].low) / rows
        room = max(_context(model, table) - asked, 1.0)
        caps = sum(stratum.caps for stratum in members)
        found[model] = Estimate(low=rows, high=caps + free * room)
    return found


def _context(model: str, table: PriceTable) -> int:
    price = table.find(model)
    return (price and price.context) or LONGEST_CONTEXT


def longest_limits(strata: Iterable[Stratum]) -> dict[str, int | None]:
    """The longest answer that any row of a model may have; None where one has no limit."""
    found: dict[str, int | None] = {}
    for stratum in strata:
        longest = stratum.longest if stratum.capped == stratum.count else None
        before = found.get(stratum.model, 0)
        found[stratum.model] = None if longest is None or before is None else max(longest, before)
    return found


def unlimited_rows(strata: Iterable[Stratum]) -> int:
    return sum(stratum.count - stratum.capped for stratum in strata)


def duration_of(rows: int, rates: Sequence[Rate], poll_rates: Sequence[Rate]) -> Duration:
    """How long it takes to submit so many rows, or to ask for them if that takes longer."""
    submits, polls = _duration(rows, rates), _duration(rows * _POLLS_EACH, poll_rates)
    return submits if submits.seconds >= polls.seconds else replace(polls, is_by_polls=True)


def _duration(calls: int, rates: Sequence[Rate]) -> Duration:
    seen = eta_of(Situation(0.0, calls, 0, [Window(rate) for rate in rates]))
    bound_by = seen.bound_by if isinstance(seen.bound_by, Rate) else None
    if seen.submitted is None and bound_by is not None:
        # Further ahead than any calendar need go.
        return Duration(calls * bound_by.seconds / bound_by.limit, bound_by)
    return Duration(seen.submitted or 0.0, bound_by)


def _rounded(amount: float, rounding: str) -> Decimal:
    return Decimal(repr(amount)).quantize(_EXACTLY, rounding)
