"""Which rows to have counted, so that the tokens of all are known well enough.

A first draw from every group shows how far rows lie from the line through their group (`fit`);
then more are drawn where that, the number of rows and their price make most of the error (Neyman's
allocation), until the interval is a hundredth of the total or some thousands are counted. An
interval wider than a tenth is not left alone while there are rows to draw.
"""

import math
from collections.abc import Mapping, Sequence

from pipeline.estimate.census import Group, Met
from pipeline.estimate.fit import Estimate, Fit, total

GROUPS = 12
"""So many are made of a large input, of one model."""
_FIRST, _FIRST_EACH = 240, 12
_AIM, _ENOUGH = 0.01, 0.1
_MOST = 2000
_TO_SPARE = 1.2
_ROUNDS = 5


class Survey:
    """What was counted so far. `prices` weigh models; without any, tokens weigh alike."""

    def __init__(
        self, groups: Sequence[Group], prices: Mapping[str, float], confidence: float
    ) -> None:
        self._groups = groups
        self._weights = [prices.get(group.model, 1.0) for group in groups]
        self._confidence = confidence
        self._drawn = [0] * len(groups)
        self._known: list[list[tuple[float, float]]] = [[] for _ in groups]
        self._rounds = 0

    @property
    def counted(self) -> int:
        return sum(map(len, self._known))

    def draw(self) -> list[tuple[int, Met]]:
        """The rows to count next, each with its group; none when it is enough."""
        self._rounds += 1
        if self._rounds == 1:
            first = max(_FIRST, _FIRST_EACH * len(self._groups))
            wanted = allotted(self._groups, first, _FIRST_EACH, [1.0] * len(self._groups))
        elif self._rounds <= _ROUNDS:
            wanted = self._wanted()
        else:
            return []
        return [one for place in range(len(wanted)) for one in self._more(place, wanted[place])]

    def hear(self, place: int, met: Met, tokens: int) -> None:
        """A row of a group has so many tokens."""
        self._known[place].append((met.characters, tokens))

    def totals(self) -> dict[str, Estimate]:
        """The tokens of all rows, by model."""
        found: dict[str, Estimate] = {}
        for group, known in zip(self._groups, self._known, strict=True):
            part = Fit.of(known).among(group.count, group.characters)
            found[group.model] = found.get(group.model, Estimate()) + part
        return found

    def _more(self, place: int, wanted: int) -> list[tuple[int, Met]]:
        drawn = self._drawn[place]
        rows = self._groups[place].rows[drawn : max(wanted, drawn)]
        self._drawn[place] += len(rows)
        return [(place, met) for met in rows]

    def _wanted(self) -> list[int]:
        """How many rows of each group should be known, by what is seen."""
        fits = [Fit.of(known) for known in self._known]
        seen = total(
            fit.among(group.count, group.characters).times(weight)
            for fit, group, weight in zip(fits, self._groups, self._weights, strict=True)
        )
        relative = seen.relative(self._confidence)
        if relative <= _AIM:
            return [0] * len(fits)
        spreads = [math.sqrt(fit.spread) for fit in fits]
        deviation = math.sqrt(seen.variance) / relative
        aimed = _neyman(self._groups, self._weights, spreads, _AIM * deviation)
        enough = _neyman(self._groups, self._weights, spreads, _ENOUGH * deviation)
        most = max(_MOST, sum(enough) if relative > _ENOUGH else 0)
        share = min(most / (sum(aimed) or 1.0), 1.0)
        return [math.ceil(count * share) for count in aimed]


def allotted(
    groups: Sequence[Group], rows: int, least: int, weights: Sequence[float]
) -> list[int]:
    """So many rows, in proportion to the groups' sizes and weights, but `least` of each.

    There are fewer where groups have no more. `least` of all must not be more than `rows`.
    """
    shares = [group.count * weight for group, weight in zip(groups, weights, strict=True)]
    whole = sum(shares) or 1.0
    wanted = [
        min(max(round(rows * share / whole), least), group.count)
        for group, share in zip(groups, shares, strict=True)
    ]
    while sum(wanted) > rows:
        wanted[wanted.index(max(wanted))] -= 1
    return wanted


def _neyman(
    groups: Sequence[Group], weights: Sequence[float], spreads: Sequence[float], aim: float
) -> list[float]:
    """Rows of each group, so that the standard error of the weighted total is `aim`."""
    parts = list(zip(groups, weights, spreads, strict=True))
    errors = [group.count * weight * spread for group, weight, spread in parts]
    finite = sum(group.count * (weight * spread) ** 2 for group, weight, spread in parts)
    rows = _TO_SPARE * sum(errors) ** 2 / (aim**2 + finite)
    return [rows * error / (sum(errors) or 1.0) for error in errors]
