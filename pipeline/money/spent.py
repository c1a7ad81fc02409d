"""What a run has spent and will, as it is told. Pure."""

from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from pipeline.codec import Json
from pipeline.money.prices import money
from pipeline.wording import so_much

# Of sums that are only foretold.
_PLACES = 6


class Spent(Struct, frozen=True):
    """What the finished rows cost, and what all rows will; as seen at one moment.

    `amount` None: a price is not known. `low`, `likely`, `high`: the total at the end, with 95 %
    between the outer two; None before enough answers are in to tell. `budget`: the limit, where it
    can end the run before that; `is_certain` where it will, by all that is known. `is_cut`:
    something else does, or has.
    """

    amount: Decimal | None
    currency: str
    low: Decimal | None = None
    likely: Decimal | None = None
    high: Decimal | None = None
    budget: Decimal | None = None
    is_certain: bool = False
    is_cut: bool = False

    def phrases(self) -> list[str]:
        """What is spent, and what will be, if that can be told."""
        if self.amount is None:
            return ["cost unknown"]
        spent = f"{so_much(self.amount, self.currency)} spent"
        if self.likely is None:
            return [spent]
        if self.budget is None:
            return [spent, f"{'all rows' if self.is_cut else 'in the end'} {self.projection}"]
        return [spent, f"all rows {self.projection}", self._ends_it]

    def sentence(self) -> str:
        """What the whole will cost, to whoever looks from outside; empty if that is not known."""
        if self.likely is None:
            return ""
        if self.budget is None and self.is_cut:
            return f"All rows would cost {self.projection}."
        if self.budget is None:
            return f"In the end: {self.projection}."
        return f"All rows would cost {self.projection}; {self._ends_it}."

    @property
    def _ends_it(self) -> str:
        may = "ends" if self.is_certain else "may end"
        return f"the budget of {so_much(self.budget, self.currency)} {may} it before"

    def cut(self) -> "Spent":
        """The same of a run that something else than a budget ends before its last row."""
        return replace(self, is_cut=True)

    def unprojected(self) -> "Spent":
        """The same of a run that goes on no more."""
        return Spent(self.amount, self.currency)

    @property
    def projection(self) -> str:
        """Between what and what the total will be."""
        if self.low is None or self.high is None:
            return "unknown"
        low, high = so_much(self.low), so_much(self.high, self.currency)
        return high if high.startswith(f"{low} ") else f"{low} to {high}"

    def to_json(self) -> dict[str, Json]:
        values = {"low": self.low, "likely": self.likely, "high": self.high}
        projected: Json = None
        if self.likely is not None:
            projected = {
                name: money(None if value is None else round(value, _PLACES))
                for name, value in values.items()
            }
        return {"spent": money(self.amount), "currency": self.currency, "projected": projected}
