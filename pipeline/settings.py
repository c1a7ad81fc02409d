"""What a run is to do: resolved once, from flags, environment and file, and frozen."""

from dataclasses import dataclass, field
from decimal import Decimal

from pipeline.codec import encode
from pipeline.input.form import AnyObject, Fitting
from pipeline.input.rows import Recipe
from pipeline.life.item import Policy
from pipeline.pacing.rates import Rate

DEFAULT_RATES = (Rate(10, 1.0), Rate(5000, 3600.0))
DEFAULT_POLL_RATES = (Rate(50, 1.0),)
_FEWEST_POLL_LANES = 32
DEDUPE = "dedupe"
# Of what takes no value, or has none.
_GIVEN = {"true": "given", "false": "not given", "null": "not given", "[]": "not given"}
_LONGEST_SHOWN, _SHOWN_BEFORE = 80, 20


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything but the files, the account and the hosts.

    Attributes:
        auto_rate: `rates` are what is known, and more is tried now and then.
        budget: what may be spent at most, in the price table's currency.
        finish_by: when all answers are to be back, in seconds since 1970.
        dedupe: the same request at temperature 0 is sent once, for all rows that make it.

    """

    recipe: Recipe
    rates: tuple[Rate, ...] = DEFAULT_RATES
    auto_rate: bool = False
    poll_rates: tuple[Rate, ...] = DEFAULT_POLL_RATES
    policy: Policy = field(default_factory=Policy)
    concurrency: int = 8
    max_in_flight: int | None = None
    limit: int | None = None
    patience: float = 12 * 3600.0
    raw: bool = False
    totals: bool = True
    emulator: bool = False
    budget: Decimal | None = None
    finish_by: float | None = None
    dedupe: bool = False

    @property
    def poll_lanes(self) -> int:
        """How many polls may be in flight: more than POSTs, each of which brings one or more.

        A poll's lane waits for its row's line too; as many as for POSTs would fall behind.
        """
        return max(_FEWEST_POLL_LANES, self.concurrency * 3 // 2)

    def identity(self) -> dict[str, str]:
        """What makes two calls the same run: option names and their values, as JSON text."""
        recipe = self.recipe
        values: dict[str, object] = {
            "model": recipe.model,
            "folder-id": recipe.folder,
            "system": recipe.system,
            "template": None if recipe.template is None else recipe.template.text,
            "temperature": recipe.temperature,
            "max-tokens": recipe.max_tokens,
            "keep": list(recipe.keep),
            "raw": self.raw,
            "emulator": self.emulator,
        }
        named = {name: encode(value).decode() for name, value in values.items()}
        return named | _form(recipe) | ({DEDUPE: "true"} if self.dedupe else {})


def _form(recipe: Recipe) -> dict[str, str]:
    """Named only where there is one, as in runs that were begun before there were any."""
    match recipe.form:
        case None:
            return {}
        case AnyObject():
            return {"json-object": "true"}
        case Fitting(schema):
            return {"json-schema": schema.decode()}


def difference(name: str, before: str, now: str) -> str:
    """How an option was, and is now, as JSON text; of long texts no more than where they part."""
    before, now = (_GIVEN.get(text, text) for text in (before, now))
    if max(len(before), len(now)) <= _LONGEST_SHOWN:
        return f"--{name} was {before}, is now {now}"
    at = next((n for n, (a, b) in enumerate(zip(before, now, strict=False)) if a != b), None)
    at = max((min(len(before), len(now)) if at is None else at) - _SHOWN_BEFORE, 0)
    was, is_now = (_from(text, at) for text in (before, now))
    return f"--{name} was {was}, is now {is_now}"


def _from(text: str, start: int) -> str:
    shown = text[start : start + _LONGEST_SHOWN]
    return f"{'…' if start else ''}{shown}{'…' if start + len(shown) < len(text) else ''}"
