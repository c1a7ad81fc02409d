"""What tokens cost, from a dated table. Money is Decimal; an unknown price is None, never zero."""

import tomllib
from dataclasses import dataclass
from decimal import Decimal

# The longest prompt and answer together that the models of the asynchronous mode take.
CONTEXT_TOKENS = 32_768


@dataclass(frozen=True, slots=True)
class Price:
    """For 1,000 tokens."""

    input: Decimal
    output: Decimal

    def of(self, input_tokens: int, output_tokens: int) -> Decimal:
        return (self.input * input_tokens + self.output * output_tokens) / 1000


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices by model name, valid from `date` (ISO)."""

    date: str
    currency: str
    prices: dict[str, Price]

    @classmethod
    def parse(cls, text: str) -> "PriceTable":
        """Read the TOML of `prices.toml`."""
        table = tomllib.loads(text)
        prices = {
            model: Price(Decimal(entry["input"]), Decimal(entry["output"]))
            for entry in table["price"]
            for model in entry["models"]
        }
        return cls(table["date"], table["currency"], prices)

    def find(self, model: str) -> Price | None:
        """The price of a model by name or URI; a fine-tuned model costs what its base does."""
        name = _name(model)
        return self.prices.get(name) or self.prices.get(_without_branch(name))

    def worst(self, model: str, input_bound: int, output_bound: int | None) -> Decimal | None:
        """The most that one request can cost: both bounds, within the model's context."""
        price = self.find(model)
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
    name = model.split("://", 1)[1].partition("/")[2] if "://" in model else model
    return name.partition("/")[0] if "@" in name else name


def _without_branch(name: str) -> str:
    """A branch that the table does not price apart costs what the model does.

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
