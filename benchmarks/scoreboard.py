"""Tables of what was measured: medians of the rounds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.gauge import Run

_MB = 1 << 20
_HEAD = (
    "| | calls a row | CPU a row, ms | CPU a call, ms | CPU to start, s | rows/s |"
    " first request, s | peak memory, MB | install, MB |\n"
    "| --- | --: | --: | --: | --: | --: | --: | --: | --: |"
)
_HEAD_AGAIN = (
    "| {rows:,} rows done, nothing to do | s | CPU, s | peak memory, MB | calls |"
    " peak memory of the first run, MB |\n"
    "| --- | --: | --: | --: | --: | --: |"
)


@dataclass(slots=True)
class Standing:
    """What is known of one contender; `why_not`: why there is no more of it.

    `starts` are of one row, `wholes` of all of them.
    """

    name: str
    size: int = 0
    starts: list[Run] = field(default_factory=list)
    wholes: list[Run] = field(default_factory=list)
    first: Run | None = None
    again: list[Run] = field(default_factory=list)
    why_not: str | None = None


def table(standings: Sequence[Standing], rows: int) -> str:
    """The runs from nothing, of so many rows each."""
    return "\n".join([_HEAD, *(_line(one, rows) for one in standings)])


def table_again(standings: Sequence[Standing], rows: int) -> str:
    """The runs that had nothing left to do."""
    head = _HEAD_AGAIN.format(rows=rows)
    return "\n".join([head, *(_line_again(one) for one in standings)])


def _line(one: Standing, rows: int) -> str:
    if one.why_not is not None:
        return _absent(one)
    calls = _middle(one.wholes, lambda run: run.calls) / rows
    start = _middle(one.starts, lambda run: run.cpu)
    whole = _middle(one.wholes, lambda run: run.cpu)
    # What a row takes once the command is under way; a single row is part of the start.
    call = (whole - start) / (rows - 1) / calls
    told = (
        f"{calls:.3g}",
        f"{1000 * whole / rows:.2f}",
        f"{1000 * call:.2f}",
        f"{start:.2f}",
        f"{_middle(one.wholes, lambda run: rows / (run.seconds - (run.first or 0.0))):,.0f}",
        f"{_middle(one.wholes, lambda run: run.first or 0.0):.1f}",
        f"{_middle(one.wholes, lambda run: run.memory) / _MB:.0f}",
        f"{one.size / _MB:.0f}",
    )
    return f"| {one.name} | " + " | ".join(told) + " |"


def _line_again(one: Standing) -> str:
    if one.why_not is not None or one.first is None:
        return _absent(one)
    told = (
        f"{_middle(one.again, lambda run: run.seconds):.1f}",
        f"{_middle(one.again, lambda run: run.cpu):.1f}",
        f"{_middle(one.again, lambda run: run.memory) / _MB:.0f}",
        f"{_middle(one.again, lambda run: run.calls):.0f}",
        f"{one.first.memory / _MB:.0f}",
    )
    return f"| {one.name} | " + " | ".join(told) + " |"


def _absent(one: Standing) -> str:
    return f"| {one.name} | {one.why_not} |"


def _middle(runs: Sequence[Run], figure: Callable[[Run], float]) -> float:
    return median(map(figure, runs))


def spreads(standings: Sequence[Standing], rows: int) -> Iterator[str]:
    """How far apart the rounds were, in a line for each."""
    for one in standings:
        if one.why_not is None:
            found = sorted(1000 * run.cpu / rows for run in one.wholes)
            yield f"{one.name}: {found[0]:.2f} to {found[-1]:.2f} ms of CPU a row"
