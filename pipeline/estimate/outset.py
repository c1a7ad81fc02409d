"""What a run that begins will come to, in one line: from the characters of its first rows alone.

Nobody is asked, so tokens are a range, and of answers no more is known than their limits. What
costs time to find out, `estimate` finds out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.estimate.census import Stratum, characters_of
from pipeline.estimate.fit import total
from pipeline.estimate.forecast import (
    Part,
    Sum,
    bounded_outputs,
    duration_of,
    parts_of,
    rough_inputs,
    unlimited_rows,
)
from pipeline.estimate.quote import lasting, range_of, unlimited
from pipeline.input.rows import Row
from pipeline.money.prices import PriceTable
from pipeline.pacing.rates import Rate
from pipeline.wording import so_many


@dataclass(slots=True)
class Outset:
    """The rows looked at that are fit, by model."""

    strata: dict[str, Stratum] = field(default_factory=dict)

    def meet(self, row: Row) -> None:
        """Count a row."""
        stratum = self.strata.setdefault(row.model, Stratum((row.model, 0, 0, False)))
        stratum.take(row, characters_of(row.body))

    @property
    def rows(self) -> int:
        return sum(stratum.count for stratum in self.strata.values())

    def sentence(
        self,
        rows: int | None,
        table: PriceTable,
        rates: Sequence[Rate],
        poll_rates: Sequence[Rate],
    ) -> str:
        """What to tell; `rows` is how many there are in all, None if that is not known."""
        parts = self._parts(table)
        share = 1.0 if rows is None else rows / self.rows
        sent = self.rows if rows is None or rows == self.rows else _rounded(rows)
        low, high = total(part.input for part in parts).times(share).interval(1.0)
        # Of the number that is told: one row more can take an hour more.
        duration = duration_of(sent, rates, poll_rates)
        return (
            f"{self._named(rows)}: roughly {_rounded(low):,} to {_rounded(high):,} tokens in; "
            f"{self._cost(parts, share, table)}; {lasting(duration)}."
        )

    def _parts(self, table: PriceTable) -> list[Part]:
        strata = list(self.strata.values())
        inputs = rough_inputs(strata)
        counts = {model: stratum.count for model, stratum in self.strata.items()}
        return parts_of(counts, inputs, bounded_outputs(strata, inputs, table), table)

    def _named(self, rows: int | None) -> str:
        if rows is None:
            return f"To send, at first {so_many(self.rows, 'row')}"
        if rows == self.rows:
            return f"To send, {so_many(rows, 'row')}"
        return f"To send, about {_rounded(rows):,} rows, judging by the first {self.rows:,}"

    def _cost(self, parts: Sequence[Part], share: float, table: PriceTable) -> str:
        costs = [part.cost for part in parts]
        unpriced = [part.model for part in parts if part.price is None]
        if unpriced:
            return f"cost unknown, since no price is known of {', '.join(unpriced)}"
        cost = total(one for one in costs if one is not None).times(share)
        why = unlimited(unlimited_rows(self.strata.values()), self.rows)
        return f"{range_of(Sum.of(cost, 1.0), table)}, {why or 'by how long answers will be'}"


def _rounded(number: float) -> int:
    """Two digits are as much as is known."""
    return round(float(f"{number:.2g}"))
