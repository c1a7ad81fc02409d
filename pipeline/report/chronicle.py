"""What a report tells of the lines of a run beside their sums: a fold in constant memory. Pure.

The order of lines makes no difference. Times are the service's own stamps, in whole seconds;
lines of rows that failed have none.
"""

import math
import re
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from pipeline import codec
from pipeline.day import Day
from pipeline.money.bill import Key, Line
from pipeline.money.prices import PriceTable
from pipeline.report.buckets import Buckets
from pipeline.report.shortlist import Cited, Shortlist, beginning
from pipeline.report.spread import Spread
from pipeline.report.stamps import second_of

_NUMBER = re.compile(rb'\{"line":\s?(\d{1,18}),')
_MOST_KINDS = 500


@dataclass(frozen=True, slots=True)
class Trouble:
    """How many rows failed alike, and the first of them in the input."""

    count: int
    line: int
    id: str
    message: str


@dataclass(slots=True)
class Chronicle:
    """Takes each line that counts, as `bill.Fold` shows it.

    `model` is the run's, for rows that name none. Rows without usage or price are not among the
    costliest. `untimed` are answers that lack a stamp, or are over before they began.
    """

    prices: PriceTable
    model: str = ""
    submitted: Buckets = field(default_factory=Buckets)
    finished: Buckets = field(default_factory=Buckets)
    latency: Spread = field(default_factory=Spread)
    slowest: Shortlist = field(default_factory=Shortlist)
    costliest: Shortlist = field(default_factory=Shortlist)
    troubles: dict[tuple[str, str], Trouble] = field(default_factory=dict)
    first: int | None = None
    last: int | None = None
    untimed: int = 0
    other_troubles: int = 0
    _rates: dict[tuple[str, Day | None], tuple[float, float]] = field(default_factory=dict)

    def see(self, key: Key, line: Line, data: bytes) -> None:
        outcome, model, _, day, _ = key
        was_sent = outcome == "ok" and line.same_as is None
        seconds = self._time(line) if was_sent else None
        if seconds is not None and self.slowest.admits(seconds):
            _cite(self.slowest, seconds, data, _Row(model or self.model, day, line, seconds))
        if line.usage is not None:
            cost = self._cost(model, day, line.usage.input_tokens, line.usage.completion_tokens)
            if cost and self.costliest.admits(cost):
                _cite(self.costliest, cost, data, _Row(model or self.model, day, line, seconds))
        if outcome != "ok":
            self._fail(data)

    def _time(self, line: Line) -> int | None:
        """Count when it was submitted and finished; return how many seconds lie between."""
        begun, ended = second_of(line.created_at), second_of(line.finished_at)
        if begun is None or ended is None or ended < begun:
            self.untimed += 1
            return None
        self.submitted.add(begun)
        self.finished.add(ended)
        if self.first is None or begun < self.first:
            self.first = begun
        if self.last is None or ended > self.last:
            self.last = ended
        seconds = ended - begun
        self.latency.add(seconds)
        return seconds

    def _cost(self, model: str, day: Day | None, given: int, taken: int) -> float:
        """Nearly, and in thousandths: to compare rows by; 0 without a price."""
        found = self._rates.get((model, day))
        if found is None:
            price = self.prices.find(model or self.model, day)
            found = (float(price.input), float(price.output)) if price else (0.0, 0.0)
            self._rates[model, day] = found
        try:
            return found[0] * given + found[1] * taken
        except OverflowError:
            return math.inf

    def _fail(self, data: bytes) -> None:
        fields = _fields(data)
        error = _error(fields)
        kind = beginning(error.get("stage") or "?"), beginning(error.get("code") or "?")
        before = self.troubles.get(kind)
        if before is None and len(self.troubles) >= _MOST_KINDS:
            self.other_troubles += 1
            return
        line = _line(fields)
        if before is not None and before.line <= line:
            self.troubles[kind] = replace(before, count=before.count + 1)
            return
        message = beginning(error.get("message") or "")
        count = 1 if before is None else before.count + 1
        self.troubles[kind] = Trouble(count, line, _id(fields), message)


class _Row(NamedTuple):
    model: str
    day: Day | None
    line: Line
    seconds: int | None


def _cite(into: Shortlist, value: float, data: bytes, row: _Row) -> None:
    """Look at the whole line only where it is one of the few."""
    number = _NUMBER.match(data)
    if number is not None and not into.admits_line(value, int(number[1])):
        return
    fields, usage = _fields(data), row.line.usage
    said = fields.get("text") if row.line.status != "failed" else _error(fields).get("message")
    cited = Cited(
        *(_line(fields), _id(fields), beginning("" if said is None else said)),
        *(row.model, row.day),
        None if usage is None else usage.input_tokens,
        None if usage is None else usage.completion_tokens,
        row.seconds,
    )
    into.add(value, cited)


def _fields(data: bytes) -> dict[str, codec.Json]:
    """All of a line; nothing of one that only what matters for its sums can be read of."""
    try:
        value = codec.decode(data)
    except codec.NotJson:
        return {}
    return value if isinstance(value, dict) else {}


def _error(fields: dict[str, codec.Json]) -> dict[str, codec.Json]:
    error = fields.get("error")
    return error if isinstance(error, dict) else {}


def _line(fields: dict[str, codec.Json]) -> int:
    line = fields.get("line")
    return line if type(line) is int else 0


def _id(fields: dict[str, codec.Json]) -> str:
    return beginning(fields.get("id") or f"line-{_line(fields)}")
