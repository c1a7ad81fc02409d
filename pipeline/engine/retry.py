"""Failed rows put back, so that the run goes on with them: what is done on disk, in which order.

    totals cut ─▶ errors file written anew beside it ─▶ one transaction: rows pending ─▶ renamed

A kill before the transaction leaves the run as it was, but for its totals line, which the next
start writes again. From the transaction on the rows are pending, and the next start renames what
is to be renamed (`swap`). No line of a row is written before that is done.
"""

from array import array
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

from pipeline.consistency.evidence import Stood
from pipeline.consistency.matching import number_of
from pipeline.engine.takeover import reserve
from pipeline.errors import BudgetReached
from pipeline.files.output import Lines, seal
from pipeline.files.source import Source
from pipeline.input.rows import Recipe
from pipeline.life.facts import Span
from pipeline.money.prices import PriceTable
from pipeline.money.spending import LARGER_BUDGET, Spending
from pipeline.resuming import swap
from pipeline.resuming.recovery import Files
from pipeline.resuming.repair import check_lines
from pipeline.resuming.same_input import check_input, note_input
from pipeline.store.checkpoint import Checkpoint
from pipeline.store.retrial import Choice, Failed, Reopening, Revision, told

_WRITTEN_TOGETHER = 1000


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent at most, in the currency of these prices."""

    limit: Decimal
    prices: PriceTable


@dataclass(frozen=True, slots=True)
class Retry:
    """What the user asked for, and where to tell what comes of it."""

    choice: Choice
    recipe: Recipe
    say: Callable[[str], None]
    budget: Budget | None = None

    def __call__(self, files: Files, now: float) -> None:
        """Put the chosen rows back, in a run that was opened and repaired.

        Raises:
            BadData: the input has changed where it may not have.
            BudgetReached: the budget pays for none of the rows; they were not put back.
            BadSettings: there is a budget, and no price.
            StorageFailed: the disk fails.

        """
        chosen = self._chosen(files)
        if not chosen:
            check_input(files.source, files.checkpoint, files.paths)
            self.say("No failed row is left that was chosen.")
            return
        if self.budget is not None:
            self._check_budget(files.checkpoint, self.budget, chosen, now)
        revision = self._revision(files, chosen)
        note_input(files.source, files.checkpoint, files.paths)
        unfit = self._put_back(files, chosen, revision, now)
        self.say(f"Put back: {'; '.join(told(chosen.values()))}.")
        if unfit:
            self.say(f"Rows among them that still can't be sent, and fail again: {unfit:,}.")

    def _chosen(self, files: Files) -> dict[int, Failed]:
        if not files.paths.errors.exists():
            return {}
        errors = files.errors()
        # What is taken out must be what was written, whatever the file's time says.
        check_lines(errors, files.checkpoint, errors.size)
        return self.choice.chosen(line for _, line, _ in errors.lines_from(0))

    def _check_budget(
        self, checkpoint: Checkpoint, budget: Budget, chosen: Collection[int], now: float
    ) -> None:
        model = self.recipe.model
        spending = Spending(budget.prices, model, checkpoint.totals(model), budget.limit)
        for row in checkpoint.pending():
            reserve(spending, row)
        bounds = checkpoint.bounds(chosen)
        # What rows may cost that never were sent, their lines tell as they read now.
        costs = [
            (spending.worst(*row, now), count)
            for row, count in bounds.items()
            if spending.has_price(row[0] or model)
        ]
        against = spending.against(min((cost for cost, _ in costs), default=Decimal(0)))
        if against is not None:
            advice = _advice(spending, costs, len(chosen)) if costs else against.advice
            raise BudgetReached(f"{against} No row was put back.", advice)

    def _revision(self, files: Files, chosen: dict[int, Failed]) -> Revision:
        source, checkpoint = files.source, files.checkpoint
        known = (checkpoint.known(line, self.recipe.model) for line in sorted(chosen))
        unsent = [row.line for row in known if row is not None and row.submits == 0]
        revision = Revision(str(source.path), self.recipe, frozenset(unsent), seal)
        if source.signature() == checkpoint.signature("input"):
            check_input(source, checkpoint, files.paths)
            spans = checkpoint.spans(unsent)
            fetched = source.fetch(spans.values())
            revision.read(
                Stood(line, span, data, whole=True)
                for (line, span), data in zip(spans.items(), fetched, strict=True)
            )
        else:
            with closing(checkpoint.begun()) as begun:
                revision.compare(stood(source), begun, checkpoint.cursor().rows)
        return revision

    def _put_back(
        self, files: Files, chosen: dict[int, Failed], revision: Revision, now: float
    ) -> int:
        files.output.take_back_last()
        output, errors, places = files.output, Lines(files.paths.rewritten), _Places()
        try:
            errors.cut(0)
            for lines in _kept(files.errors(), chosen):
                places.add(lines, errors.append(lines))
            reopening = Reopening(
                at=now,
                usages={line: failed.usage for line, failed in chosen.items()},
                reread=revision.reread,
                shifts=[shift for shift in revision.shifts if shift.by],
                cursor=revision.cursor,
                places=places,
            )
            signatures = {
                "errors": errors.signature(),
                "output": output.signature(),
                "input": files.source.signature(),
            }
            unfit = files.checkpoint.reopen(reopening, signatures)
        finally:
            errors.close()
        swap.complete(files.paths.errors, files.paths.rewritten, files.checkpoint)
        files.reopen_errors()
        return unfit


def _advice(spending: Spending, costs: Sequence[tuple[Decimal, int]], chosen: int) -> str:
    """How much is enough for rows of these costs at worst, so many of each.

    Of those chosen that never were sent nobody can tell: they may have been mended.
    """
    worst = sum((cost * count for cost, count in costs), Decimal(0))
    count = sum(count for _, count in costs)
    rows = "the row" if count == 1 else f"the {count:,} rows"
    which = "to be sent again" if count == chosen else "among them that were sent before"
    return (
        f"{LARGER_BUDGET}: {spending.enough_for(worst)} is enough for {rows} {which}, at the most "
        "that each can cost, and what is spent."
    )


def _kept(errors: Lines, chosen: Container[int]) -> Iterator[list[bytes]]:
    """The lines that stay, some together."""
    lines = (line for _, line, _ in errors.lines_from(0) if number_of(line) not in chosen)
    while some := list(islice(lines, _WRITTEN_TOGETHER)):
        yield some


class _Places:
    """Rows whose lines stay, and where these stand; two numbers each, however many there are."""

    def __init__(self) -> None:
        self._rows, self._offsets = array("q"), array("q")

    def add(self, lines: Sequence[bytes], spans: Sequence[Span]) -> None:
        self._rows.extend(number_of(line) or 0 for line in lines)
        self._offsets.extend(span.offset for span in spans)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._rows, self._offsets, strict=True)


def stood(source: Source) -> Iterator[Stood]:
    """Every line of the input as it stands now."""
    for line in source.read():
        data = line.data
        span = Span(line.offset, len(data), seal(data))
        yield Stood(line.number, span, data, not line.next.open)
