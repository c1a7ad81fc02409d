"""What stands behind the part of a file that the checkpoint knows. Pure.

A process that died may have left whole lines there, which the next start adopts, and a torn one,
which it cuts; a complete run leaves its totals. Anything else was written by somebody else.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pipeline import codec
from pipeline.codec import Json
from pipeline.consistency.evidence import Recorded, Stood, Ways, shown, where_is
from pipeline.consistency.matching import TOTALS, Written, differences, number_of, read_line
from pipeline.money.prices import PriceTable
from pipeline.money.totals import Totals

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that is not wrong, and yet worth knowing."""

    sentence: str


@dataclass(frozen=True, slots=True)
class LastLine:
    """The totals."""

    line: Stood


def of_tail(
    name: str,
    lines: Iterable[Stood],
    find: Callable[[int], Recorded | None],
    ways: Ways,
    taken: set[int],
    *,
    totals: bool,
) -> Iterator[Finding | Remark | LastLine]:
    """What the next start makes of lines that the checkpoint has not seen.

    Lines that a process wrote before it died are adopted, a torn one is cut with all behind it.
    `taken` are the rows that earlier lines of this kind are of. `totals`: the file may end with
    such a line.
    """
    adopted, last = 0, None
    for line in lines:
        if last is not None:
            yield Finding(f"{where_is(name, last)}: totals stand in the middle of the file.")
            last = None
        # A power cut can leave zeros where a block that was never synced should be.
        if not line.whole or b"\0" in line.data:
            yield Remark(
                f"{where_is(name, line)}: from here on it is torn; the next start cuts it."
            )
            break
        if totals and line.data.startswith(TOTALS):
            last = line
            continue
        wrong = _unfit_for_adoption(line, find, ways, taken)
        if wrong is None:
            adopted += 1
        else:
            yield Finding(f"{where_is(name, line)}: {wrong}.")
    if last is not None:
        yield LastLine(last)
    if adopted:
        yield Remark(f"{name}: whole lines at its end that the next start adopts: {adopted:,}.")


def _unfit_for_adoption(
    line: Stood, find: Callable[[int], Recorded | None], ways: Ways, taken: set[int]
) -> str | None:
    number = number_of(line.data)
    row = None if number is None else find(number)
    if row is None or row.place is not None or row.line in taken:
        return "the line was not written by this run"
    taken.add(row.line)
    written = read_line(line.data)
    if not isinstance(written, Written):
        return written
    is_held = written.error is not None and written.error.stage == "doubt"
    outcome = "ok" if written.status == "ok" else "held" if is_held else "failed"
    return next(differences(written, row, ways, outcome), None)


def of_totals(
    name: str, line: Stood, totals: Totals, prices: PriceTable, *, settled: bool
) -> Iterator[str]:
    """The totals line says what the checkpoint does.

    `settled` false: rows are pending, so a doubt may be newer than the line, which then waits to
    be replaced. Costs are compared where they are of the same price table.
    """
    where = where_is(name, line)
    try:
        said = codec.decode(line.data)
    except codec.NotJson as error:
        yield f"{where}: the totals are {error}."
        return
    said = said["totals"] if isinstance(said, dict) and len(said) == 1 else None
    if not isinstance(said, dict):
        yield f"{where}: these are no totals."
        return
    due = totals.to_json(prices)
    left_out = set() if settled else {"doubts", "doubt_cost", "replaced_usage"}
    if _is_priced_otherwise(said, prices):
        said, due = _without_costs(said), _without_costs(due)
    for key in [*due, *(key for key in said if key not in due)]:
        if key not in left_out and said.get(key) != due.get(key):
            yield (
                f'{where}: "{key}" is {shown(said.get(key))} in the totals; '
                f"the checkpoint comes to {shown(due.get(key))}."
            )


def _is_priced_otherwise(said: Mapping[str, Json], prices: PriceTable) -> bool:
    cost = said.get("cost")
    if not isinstance(cost, dict) or set(cost) != {"amount", "currency", "prices"}:
        return False
    date = cost["prices"]
    return isinstance(date, str) and _DATE.fullmatch(date) is not None and date != prices.date


def _without_costs(totals: Mapping[str, Json]) -> dict[str, Json]:
    models = totals.get("by_model")
    kept = {key: value for key, value in totals.items() if key not in {"cost", "doubt_cost"}}
    if isinstance(models, list):
        kept["by_model"] = [
            {key: value for key, value in model.items() if key != "cost"}
            if isinstance(model, dict)
            else model
            for model in models
        ]
    return kept


# Small things.
