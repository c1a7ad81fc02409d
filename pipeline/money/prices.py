"""What tokens cost, by dated lists. Money is Decimal; an unknown price is None, never zero."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal

from msgspec import Struct

from pipeline.day import Day

# The longest prompt and answer together that any model of the asynchronous mode takes.
LONGEST_CONTEXT = 131_072
_TUNED_ELSEWHERE = "ds://"


class Units(Struct, frozen=True):
    """Billing units per token."""

    input: Decimal
    output: Decimal

    def of(self, input_tokens: int, output_tokens: int) -> int:
        """What the bill counts: the sum is rounded up to a whole number, as documented."""
        exact = self.input * input_tokens + self.output * output_tokens
        return int(exact.to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True)
class Price:
    """For 1,000 tokens; `units` where it is documented how the bill counts them.

    `context`: the longest prompt and answer together, where that is known.
    """

    input: Decimal
    output: Decimal
    units: Units | None = None
    context: int | None = None

    def of(self, input_tokens: int, output_tokens: int) -> Decimal:
        return (self.input * input_tokens + self.output * output_tokens) / 1000

    def worst(self, input_bound: int, output_bound: int | None) -> Decimal:
        """The most that one request can cost, from the most tokens that it can take."""
        longest = self.context or LONGEST_CONTEXT
        answer = longest if output_bound is None else output_bound
        if self.context is None:
            return self.of(input_bound, answer)
        prompt, answer = min(input_bound, longest), min(answer, longest)
        if self.output >= self.input:
            return self.of(min(prompt, longest - answer), answer)
        return self.of(prompt, min(answer, longest - prompt))


class PriceList(Struct, frozen=True):
    """Prices by model name, valid from the day `since` on."""

    since: Day
    prices: Mapping[str, Price]
    vat_included: bool = True
    source: str = ""


@dataclass(frozen=True, slots=True)
class PriceTable:
    """The lists of one currency, oldest first; there is one at least.

    `also` are the tables of other currencies, in which costs are told as well. `today` says which
    of the lists is the present one: the newest, if nobody says.
    """

    currency: str
    lists: Sequence[PriceList]
    also: tuple["PriceTable", ...] = ()
    today: Day | None = None

    def as_of(self, today: Day) -> "PriceTable":
        """The same, with lists that are announced for later told apart from today's."""
        also = tuple(other.as_of(today) for other in self.also)
        return replace(self, also=also, today=today)

    @property
    def present(self) -> PriceList:
        """The list that is valid today; the first one where all are of later."""
        valid = None if self.today is None else self.list_on(self.today)
        return valid or self.lists[0 if self.today else -1]

    @property
    def date(self) -> Day:
        """The first day of today's list: what names the table."""
        return self.present.since

    def list_on(self, day: Day | None = None) -> PriceList | None:
        """The list that is valid on a day; today's where the day is not known."""
        if day is None:
            return self.present
        place = bisect_right(self.lists, day, key=lambda dated: dated.since)
        return self.lists[place - 1] if place else None

    def find(self, model: str, day: Day | None = None) -> Price | None:
        """The price of a model by name or URI; a fine-tuned model costs what its base does."""
        valid = self.list_on(day)
        return None if valid is None else _priced(valid, model)

    def worst(
        self, model: str, input_bound: int, output_bound: int | None, day: Day | None = None
    ) -> Decimal | None:
        """The most that one request of a day can cost: both bounds, within the model's context."""
        price = self.find(model, day)
        return None if price is None else price.worst(input_bound, output_bound)

    def most(
        self, model: str, input_bound: int, output_bound: int | None, since: Day | None
    ) -> Decimal | None:
        """The most that it can cost if it was accepted on a day and is priced on that or later.

        None where it has no price on one of these days; without a day, any day counts.
        """
        first = self.list_on(since) if since is not None else self.lists[0]
        later = [known for known in self.lists if first is None or known.since > first.since]
        lists = [*([] if first is None else [first]), *later]
        found = [_priced(known, model) for known in lists]
        # A model that came later had no price before, and could not be asked.
        prices = [price for price in found if price is not None]
        if not prices or found[-1] is None:
            return None
        return max(price.worst(input_bound, output_bound) for price in prices)


def _priced(valid: PriceList, model: str) -> Price | None:
    name = _name(model)
    return valid.prices.get(name) or valid.prices.get(_without_branch(name))


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
