"""The tables of a report, as cells. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.estimate.quote import span
from pipeline.money.account import Account, table
from pipeline.money.prices import PriceTable
from pipeline.report.chronicle import Chronicle
from pipeline.report.shortlist import Cited

OUTCOMES = {"failed": "failed", "held": "held in doubt"}


@dataclass(frozen=True, slots=True)
class Table:
    """Cells, of which the first `words` of a line are text.

    Shares in percent are drawn beside each line, texts stand below each, where there are some.
    """

    head: Sequence[str]
    lines: Sequence[Sequence[str]]
    words: int
    shares: Sequence[float] = ()
    texts: Sequence[str] = ()


def by_model(account: Account, prices: PriceTable) -> Table:
    head, *lines = table(account, prices)
    return Table(head, lines, words=2)


def by_finish(account: Account) -> Table:
    counts: dict[str, int] = {}
    for group in account.groups():
        name = OUTCOMES.get(group.outcome) or group.finish or "not told"
        counts[name] = counts.get(name, 0) + group.sums.rows
    lines = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return _shared(("finish", "rows"), [([name], count) for name, count in lines])


def failures(chronicle: Chronicle) -> Table:
    found = sorted(chronicle.troubles.items(), key=lambda entry: (-entry[1].count, entry[0]))
    lines = [([stage, code], trouble.count) for (stage, code), trouble in found]
    texts = [f"{t.message} (for example line {t.line:,}, {t.id})" for _, t in found]
    if chronicle.other_troubles:
        lines.append((["others", ""], chronicle.other_troubles))
        texts.append("")
    return _shared(("stage", "code", "rows"), lines, texts)


def _shared(
    head: Sequence[str], lines: Sequence[tuple[list[str], int]], texts: Sequence[str] = ()
) -> Table:
    """Names with their counts, the largest of which is drawn in full."""
    most = max((count for _, count in lines), default=1)
    cells = [[*names, f"{count:,}"] for names, count in lines]
    return Table(head, cells, len(head) - 1, [100 * count / most for _, count in lines], texts)


def cited(rows: Sequence[Cited], prices: PriceTable) -> Table:
    head = ("row", "line", "took", "tokens in", "out", prices.currency)
    lines = [
        [
            *(row.id, f"{row.line:,}"),
            "" if row.seconds is None else span(row.seconds),
            *("" if n is None else f"{n:,}" for n in (row.input_tokens, row.completion_tokens)),
            _cost(row, prices),
        ]
        for row in rows
    ]
    return Table(head, lines, words=1, texts=[row.text for row in rows])


def _cost(row: Cited, prices: PriceTable) -> str:
    price = prices.find(row.model, row.day)
    if price is None or row.input_tokens is None or row.completion_tokens is None:
        return ""
    return f"{price.of(row.input_tokens, row.completion_tokens):,.4f}"
