"""A few rows that are really asked and paid for, chosen so that they tell most of all others.

Groups of rows are drawn from in proportion to what their answers cost. The run that follows asks
the same rows again and answers differ from one time to the next, so nothing of what the canary was
answered counts as certain.
"""

from collections.abc import Mapping, Sequence

from pipeline.errors import BadData
from pipeline.estimate.census import Census, Met
from pipeline.estimate.fit import Estimate, Fit
from pipeline.estimate.survey import allotted
from pipeline.wording import so_many

LEAST = 30
"""From fewer answers nothing is told of others."""
_EACH, _LEAST_EACH = 25, 8


_ADVISED, _SHARE = 300, 10
"""So many are advised, but no more than a tenth of all rows; half of them at the very most."""


def canary_for(rows: int) -> int | None:
    """How many of so many rows to ask; None where a canary would not be much less than a run."""
    return max(min(_ADVISED, rows // _SHARE), LEAST) if rows >= 2 * LEAST else None


def _too_few(rows: int) -> BadData:
    return BadData(
        f"A canary needs {LEAST} rows at least, and has only {rows}.",
        "Estimate with --max-tokens, or just run them.",
    )


class Canary:
    """Which rows to ask, and what their answers tell. `prices` are those of answers, by model."""

    def __init__(self, census: Census, count: int, prices: Mapping[str, float]) -> None:
        if census.rows < LEAST:
            raise _too_few(census.rows)
        count = min(count, census.rows)
        self._groups = census.groups(census.rows * _EACH / count)
        if len(self._groups) * _LEAST_EACH > count:
            raise BadData(
                f"{count} rows are too few for a canary of {len(self._groups)} kinds of rows.",
                f"Give --canary {len(self._groups) * _LEAST_EACH} or more.",
            )
        shares = [prices.get(group.model, 1.0) for group in self._groups]
        wanted = allotted(self._groups, count, _LEAST_EACH, shares)
        self._chosen = [
            list(group.rows[:most]) for group, most in zip(self._groups, wanted, strict=True)
        ]
        self.rows: Sequence[Met] = sorted(
            (met for chosen in self._chosen for met in chosen), key=lambda met: met.line
        )

        if len(self.rows) < LEAST:
            raise _too_few(len(self.rows))

    def outputs(self, answers: Mapping[int, float]) -> dict[str, Estimate]:
        """The completion tokens of all rows by model; `answers` are those by line of the input.

        Raises:
            BadData: too few rows were answered.

        """
        if len(answers) < LEAST // 2:
            raise BadData(
                f"the canary has only {so_many(len(answers), 'answer')}: that tells nothing.",
                "Look at why the others failed.",
            )
        found: dict[str, Estimate] = {}
        for group, chosen in zip(self._groups, self._chosen, strict=True):
            part = self._fit(chosen, answers).anew(group.count, group.characters)
            found[group.model] = found.get(group.model, Estimate()) + part
        return found

    def _fit(self, chosen: Sequence[Met], answers: Mapping[int, float]) -> Fit:
        """Of a group; a group without two answers is taken to be like all others."""
        pairs = [(met.characters, answers[met.line]) for met in chosen if met.line in answers]
        if len(pairs) < 2:
            pairs = [(m.characters, answers[m.line]) for m in self.rows if m.line in answers]
        return Fit.of(pairs)
