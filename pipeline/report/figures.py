"""The pictures of a report: throughput against quota, and how long answers took. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.estimate.quote import span
from pipeline.pacing.curve import Curve
from pipeline.pacing.rates import Rate
from pipeline.pacing.window import Window
from pipeline.report.buckets import WIDTHS, Buckets, width_for
from pipeline.report.plots import Axis, Mark, Plot, Zone, bar, heights, line
from pipeline.report.spread import Bin, Spread
from pipeline.wording import so_many

SUBMITTED, FINISHED, QUOTA = "submitted", "finished", "quota"
BARS = 60
"""So many bars a plot over time has at most."""
_MOST_POINTS, _MOST_BINS, _MOST_MARKS = 240, 40, 5
# A limit that is so far above everything would leave nothing of the bars.
_FAR_ABOVE = 3
_MINUTE, _HOUR = 60, 3600


@dataclass(frozen=True, slots=True)
class Flow:
    """Rows over time: when they were submitted and finished, and how fast they may be submitted.

    Of `rates` None is known; an empty one is no limit at all. They are drawn as if they had held
    all the time; `whose` says which ones they are.
    """

    submitted: Buckets
    finished: Buckets
    rates: Sequence[Rate] | None
    zone: Zone
    whose: str = "the last call's"

    @property
    def span(self) -> tuple[int, int] | None:
        spans = [b.span for b in (self.submitted, self.finished) if b.span is not None]
        if not spans:
            return None
        return min(first for first, _ in spans), max(end for _, end in spans)

    def binding(self, width: int) -> Rate | None:
        """The limit that lets least through in so many seconds."""
        return min(self.rates or (), key=lambda rate: self.ceiling(rate, width), default=None)

    @staticmethod
    def ceiling(rate: Rate, width: int) -> int:
        """The most that it lets through in so many seconds."""
        return rate.limit * math.ceil(width / rate.seconds)

    def width(self, most: int) -> int:
        """Of so many buckets at most, in seconds."""
        first, end = self.span or (0, 0)
        least = max(self.submitted.width, self.finished.width)
        width = width_for(end - first, most, least)
        # Buckets begin at multiples of their width: there may be two more of them.
        return width if (end - first) / width <= most - 2 else _next(width)


def _next(width: int) -> int:
    return next((wider for wider in WIDTHS if wider > width), width)


def per_bucket(flow: Flow) -> Plot | None:
    """Bars of what was submitted, a line of what was finished, and the most that may be."""
    if flow.span is None:
        return None
    width = flow.width(BARS)
    sent, done = flow.submitted.at_least(width), flow.finished.at_least(width)
    along = _along(sent, done)
    most = max([*sent.counts.values(), *done.counts.values()])
    rate = flow.binding(width)
    quota = 0 if rate is None else flow.ceiling(rate, width)
    is_near = quota <= _FAR_ABOVE * most
    up, marks = heights(max(most, quota) if is_near else most)
    bars = [
        bar(along, up, begin, begin + width, count, _told(flow.zone, begin, count, SUBMITTED))
        for begin, count in sent.in_order()
    ]
    traces = [line(along, up, list(_steps(done, along)), FINISHED, "finished")]
    legend = [(SUBMITTED, "submitted"), (FINISHED, "finished")]
    if rate is not None and is_near:
        ends = [(along.low, quota), (along.high, quota)]
        traces.append(line(along, up, ends, QUOTA, "quota"))
        legend.append((QUOTA, f"at most {rate.words}: {flow.whose} limit"))
    name = f"Rows in each {words(width)}"
    return Plot(name, bars, traces, list(flow.zone.marks(along)), marks, legend)


def _along(*counted: Buckets) -> Axis:
    spans = [b.span for b in counted if b.span is not None]
    return Axis(min(first for first, _ in spans), max(end for _, end in spans))


def _told(zone: Zone, begin: int, count: int, what: str) -> str:
    return f"{zone.moment(begin)}: {count:,} {what}"


def _steps(buckets: Buckets, along: Axis) -> Iterator[tuple[float, float]]:
    """A line that is level over each bucket, empty ones included."""
    at = along.low
    for begin, count in buckets.in_order():
        if begin > at:
            yield from ((at, 0), (begin, 0))
        at = begin + buckets.width
        yield from ((begin, count), (at, count))
    if at < along.high:
        yield from ((at, 0), (along.high, 0))


def so_far(flow: Flow) -> Plot | None:
    """Lines of what was submitted and finished up to each moment, and of what the quota lets."""
    if flow.span is None:
        return None
    width = flow.width(_MOST_POINTS)
    sent, done = flow.submitted.at_least(width), flow.finished.at_least(width)
    along = _along(sent, done)
    up, marks = heights(max(sent.total, done.total))
    traces = [
        line(along, up, list(_sums(sent, along)), SUBMITTED, "submitted"),
        line(along, up, list(_sums(done, along)), FINISHED, "finished"),
    ]
    legend = [(SUBMITTED, "submitted"), (FINISHED, "finished")]
    if flow.rates and sent.total:
        ideal = _at_best(flow.rates, min(sent.counts), sent.total, along.high)
        traces.append(line(along, up, ideal, QUOTA, "quota"))
        legend.append((QUOTA, f"as fast as {flow.whose} limits allow"))
    return Plot("Rows so far", [], traces, list(flow.zone.marks(along)), marks, legend)


def _sums(buckets: Buckets, along: Axis) -> Iterator[tuple[float, float]]:
    total, at = 0, along.low
    yield at, 0
    for begin, count in buckets.in_order():
        if begin > at:
            yield begin, total
        total, at = total + count, begin + buckets.width
        yield at, total
    if at < along.high:
        yield along.high, total


def least_seconds(rates: Sequence[Rate], rows: int) -> float:
    """How long it takes at least to submit so many rows, from the first to the last."""
    return Curve([Window(rate) for rate in rates], 0.0, rows).at(rows - 1)


def _at_best(
    rates: Sequence[Rate], begin: int, rows: int, end: float
) -> list[tuple[float, float]]:
    curve = Curve([Window(rate) for rate in rates], float(begin), rows)
    step = max(rows // _MOST_POINTS, 1)
    points = [(float(begin), 0.0)]
    for row in [*range(0, rows - 1, step), rows - 1]:
        moment = curve.at(row)
        if moment > end:
            return points
        points.append((moment, row + 1.0))
    return [*points, (end, float(rows))]


def took(latency: Spread) -> Plot | None:
    """Bars of how many answers took how long."""
    bins = latency.bins(_MOST_BINS)
    if not bins:
        return None
    along = Axis(0, len(bins))
    up, marks = heights(max(found.count for found in bins))
    bars = [
        bar(
            along,
            up,
            place,
            place + 1,
            found.count,
            f"{_range(found)}: {so_many(found.count, 'answer')}",
        )
        for place, found in enumerate(bins)
        if found.count
    ]
    return Plot("How long answers took", bars, [], _edges(bins, along), marks)


def _edges(bins: Sequence[Bin], along: Axis) -> list[Mark]:
    every = -(-len(bins) // _MOST_MARKS)
    return [Mark(along.at(n), words(bins[n].first)) for n in range(0, len(bins), every)]


def _range(found: Bin) -> str:
    if found.end is None:
        return f"{words(found.first)} and more"
    if found.end == found.first + 1:
        return words(found.first)
    return f"{words(found.first)} to under {words(found.end)}"


def words(seconds: int) -> str:
    """A round span in few letters: ``15 s``, ``5 min``, ``12 h``."""
    if seconds and seconds % _HOUR == 0:
        return f"{seconds // _HOUR} h"
    if seconds and seconds % _MINUTE == 0 and seconds < _HOUR:
        return f"{seconds // _MINUTE} min"
    return span(seconds)
