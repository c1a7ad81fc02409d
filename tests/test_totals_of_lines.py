"""Totals are the sum over the lines of both files, whoever was interrupted where, in any order."""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.api.outcomes import Usage
from pipeline.day import day_of
from pipeline.files.output import seal
from pipeline.files.paths import Paths
from pipeline.files.source import Line
from pipeline.input.rows import parse_row
from pipeline.life.entry import Entry
from pipeline.life.facts import Begin, Finish, Span
from pipeline.life.item import Running, Waiting
from pipeline.life.records import Failure, failed_line, result_line
from pipeline.money.prices import Price, PriceList, PriceTable
from pipeline.results.audit import audit
from pipeline.resuming.recovery import Files
from tests.builders import ANSWER, MODEL, NOW, SETTINGS, Place, fields, read
from tests.scratch import in_memory

_LISTS = [
    PriceList("2026-01-01", {MODEL: Price(Decimal("0.1"), Decimal("0.2"))}),
    PriceList("2026-03-03", {MODEL: Price(Decimal("0.3"), Decimal("0.5"))}),
]
PRICES = PriceTable("RUB", _LISTS)
_MIDNIGHT = datetime(2026, 3, 2, 21, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a row ends; `seconds` after the midnight in Moscow on which prices change."""

    outcome: str
    finish: str
    usage: Usage | None
    seconds: int | None

    @property
    def stamp(self) -> str | None:
        if self.seconds is None:
            return None
        return (_MIDNIGHT + timedelta(seconds=self.seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Lot:
    """Rows whose lines are written together; `committed`: the process lived to say so."""

    lines: list[int]
    committed: bool


def began(line: Line) -> Begin:
    """A row whose operation is known."""
    row = parse_row(line.number, line.data, SETTINGS.recipe)
    span = Span(line.offset, len(line.data), seal(line.data))
    begin = Entry(row, span, Waiting(), line.next).begin(Running(f"op-{line.number}", NOW, 1, 1))
    assert begin is not None
    return begin


def append(files: Files, line: int, ended: Ended) -> Finish:
    """Write the line of a row, as the recorder does; return what it then commits."""
    known = files.checkpoint.known(line, MODEL)
    assert known is not None
    if ended.outcome == "ok":
        answer = replace(
            ANSWER,
            finish=ended.finish,
            usage=ended.usage,
            created_at=None,
            finished_at=ended.stamp,
        )
        (place,) = files.output.append([result_line(known, answer, raw=False, emulator=False)])
        return Finish(line, "ok", ended.finish, ended.usage, place, day_of(ended.stamp))
    failure, source = Failure("answer", "code", "words"), read(files.source.path)[line - 1].data
    (place,) = files.errors().append(
        [failed_line(known, failure, ended.usage, source, emulator=False)]
    )
    return Finish(line, "failed", None, ended.usage, place)


def write(run: Place, lot: Lot, ends: list[Ended]) -> None:
    """One process: it opens the run, and ends after its lines were written, or were committed."""
    with run.opened() as files:
        finishes = [append(files, line, ends[line - 1]) for line in lot.lines]
        if lot.committed:
            names = {"output": files.output.signature()}
            if run.paths.errors.exists():
                names["errors"] = files.errors().signature()
            files.checkpoint.record(finishes, names)


def expected(lines: list[Any]) -> dict[str, Any]:
    """The totals by the plainest sum there is."""
    amount = Decimal(0)
    usage: Counter[str] = Counter()
    unknown = 0
    for line in lines:
        used = line.get("usage")
        if used is None:
            unknown += 1
            continue
        usage.update(used)
        stamp = line.get("finished_at")
        is_new = stamp is None or stamp >= "2026-03-02T21:00:00Z"
        price = _LISTS[is_new].prices[MODEL]
        amount += price.input * used["input_tokens"] / 1000
        amount += price.output * used["completion_tokens"] / 1000
    return {
        "rows": len(lines),
        "ok": sum(line["status"] == "ok" for line in lines),
        "failed": sum(line["status"] == "failed" for line in lines),
        "tokens": (usage["input_tokens"], usage["completion_tokens"], usage["total_tokens"]),
        "unknown": unknown,
        "finish": Counter(line["finish"] for line in lines if line["status"] == "ok"),
        "amount": amount,
    }


def told(totals: dict[str, Any]) -> dict[str, Any]:
    usage = totals["usage"]
    return {
        **{key: totals[key] for key in ("rows", "ok", "failed", "finish")},
        "tokens": (usage["input_tokens"], usage["completion_tokens"], usage["total_tokens"]),
        "unknown": usage["unknown"],
        "amount": Decimal(totals["cost"]["amount"]),
    }


counts = st.integers(0, 10**6)
usages = st.none() | st.builds(Usage, counts, counts, counts, counts)
endings = st.builds(
    Ended,
    st.sampled_from(["ok", "ok", "failed"]),
    st.sampled_from(["final", "truncated"]),
    usages,
    st.none() | st.integers(-2, 1) | st.integers(-100_000, 100_000),
)


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[Ended], list[Lot]]:
    ends = draw(st.lists(endings, min_size=1, max_size=7))
    order = draw(st.permutations(range(1, len(ends) + 1)))
    cuts = sorted(draw(st.sets(st.integers(1, len(ends)), max_size=3)) | {0, len(ends)})
    lots = [Lot(list(order[first:last]), draw(st.booleans())) for first, last in pairwise(cuts)]
    return ends, lots


@pytest.mark.promise("P15")
@settings(deadline=None, max_examples=60)
@given(stories())
def test_totals_are_the_sum_over_lines_for_any_interruption_and_any_order(
    story: tuple[list[Ended], list[Lot]],
) -> None:
    ends, lots = story
    with in_memory() as name:
        folder = Path(name)
        run = Place(folder / "in.jsonl", Paths(folder / "out.jsonl"))
        run.input.write_text("".join(f'{{"prompt":"{n}"}}\n' for n in range(len(ends))))
        with run.opened() as files:
            files.checkpoint.record([began(line) for line in read(run.input)], {})
        for lot in lots:
            write(run, lot, ends)
        with run.opened() as files:
            totals = files.checkpoint.totals(MODEL).to_json(PRICES)
        lines = [
            json.loads(line)
            for path in (run.paths.output, run.paths.errors)
            if path.exists()
            for line in path.read_bytes().splitlines()
        ]
        assert told(fields(totals)) == expected(lines)
        report = audit(run.paths, PRICES)
        assert report.agrees, report.findings
