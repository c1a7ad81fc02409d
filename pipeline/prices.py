"""What tokens cost, by dated lists. Money is Decimal; an unknown price is None, never zero."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from pipeline.day import Day

# The longest prompt and answer together that the models of the asynchronous mode take.
CONTEXT_TOKENS = 32_768
_TUNED_ELSEWHERE = "ds://"


@dataclass(frozen=True, slots=True)
class Units:
    """Billing units per token."""

    input: Decimal
    output: Decimal

    def of(self, input_tokens: int, output_tokens: int) -> int:
        """What the bill counts: the sum is rounded up to a whole number, as documented."""
        exact = self.input * input_tokens + self.output * output_tokens
        return int(exact.to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True)
class Price:
    """For 1,000 tokens; `units` where it is documented how the bill counts them."""

    input: Decimal
    output: Decimal
    units: Units | None = None

    def of(self, input_tokens: int, output_tokens: int) -> Decimal:
        return (self.input * input_tokens + self.output * output_tokens) / 1000


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices by model name, valid from the day `since` on."""

    since: Day
    prices: Mapping[str, Price]
    vat_included: bool = True
    source: str = ""


@dataclass(frozen=True, slots=True)
class PriceTable:
    """The lists of one currency, oldest first; there is one at least.

    `also` are the tables of other currencies, in which costs are told as well.
    """

    currency: str
    lists: Sequence[PriceList]
    also: tuple["PriceTable", ...] = ()

    @property
    def date(self) -> Day:
        """The first day of the newest list: what names the table."""
        return self.lists[-1].since

    def list_on(self, day: Day | None = None) -> PriceList | None:
        """The list that is valid on a day; the newest one where the day is not known."""
        if day is None:
            return self.lists[-1]
        place = bisect_right(self.lists, day, key=lambda dated: dated.since)
        return self.lists[place - 1] if place else None

    def find(self, model: str, day: Day | None = None) -> Price | None:
        """The price of a model by name or URI; a fine-tuned model costs what its base does."""
        valid, name = self.list_on(day), _name(model)
        if valid is None:
            return None
        return valid.prices.get(name) or valid.prices.get(_without_branch(name))

    def worst(
        self, model: str, input_bound: int, output_bound: int | None, day: Day | None = None
    ) -> Decimal | None:
        """The most that one request can cost: both bounds, within the model's context."""
        price = self.find(model, day)
        if price is None:
            return None
        answer = CONTEXT_TOKENS if output_bound is None else min(output_bound, CONTEXT_TOKENS)
        if price.output >= price.input:
            prompt = min(input_bound, CONTEXT_TOKENS - answer)
        else:
            prompt = min(input_bound, CONTEXT_TOKENS)
            answer = min(answer, CONTEXT_TOKENS - prompt)
        return price.of(prompt, answer)


def _name(model: str) -> str:
    """``gpt://folder/base/version@suffix`` and ``base/version@suffix`` both name ``base``."""
    if model.startswith(_TUNED_ELSEWHERE):
        return _TUNED_ELSEWHERE
    name = model.split("://", 1)[1].partition("/")[2] if "://" in model else model
    return name.partition("/")[0] if "@" in name else name


def _without_branch(name: str) -> str:
    """A branch that the list does not price apart costs what the model does.

    `yandexgpt` is the exception: its branches are different models.
    """
    base = name.partition("/")[0]
    return name if base == "yandexgpt" else base


def money(amount: Decimal | None) -> str | None:
    """A decimal string with at least kopecks, exact beyond them."""
    if amount is None:
        return None
    digits = amount.normalize()
    exponent = digits.as_tuple().exponent
    if isinstance(exponent, int) and exponent > -2:
        digits = digits.quantize(Decimal("0.01"))
    return f"{digits:f}"
