"""The end of a run, told: rows, tokens, money, quota, time, doubts, and how to go on.

For people as sentences, for scripts as one object. Only what is known is told; what is to be done
next is told as commands that can be copied.
"""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict

from pipeline.codec import Json
from pipeline.errors import (
    BadData,
    BadSettings,
    BudgetReached,
    DeadlineReached,
    Displaced,
    Exit,
    RunError,
    StorageFailed,
)
from pipeline.estimate.quote import span
from pipeline.files import alteration
from pipeline.files.paths import Paths
from pipeline.files.reading import whole_lines
from pipeline.money.prices import PriceTable
from pipeline.money.totals import beside, in_doubt, in_money
from pipeline.state.board import Complete, Outcome
from pipeline.state.resumption import (
    limited,
    shareable,
    unlimited,
    with_later,
    with_more,
    with_value,
)
from pipeline.store.retrial import STAGES, Alike, alike, read_failed
from pipeline.terminal.step import Sentence, Step
from pipeline.wording import so_many

# More error lines than that are not read: an end is not to take time for each row that failed.
_MOST_READ = 10_000
# Sent again for reasons of their own; all other stages together.
_APART = frozenset({"input", "doubt"})


class Summary(Struct, frozen=True):
    """What is known of a run that has just ended; `resume` is the call that would go on.

    `failures` are None where there are too many to be read, or they can't be.
    """

    paths: Paths
    prices: PriceTable
    outcome: Outcome
    resume: Sequence[str]
    failures: Sequence[Alike] | None

    @classmethod
    def of(
        cls, paths: Paths, prices: PriceTable, outcome: Outcome, resume: Sequence[str]
    ) -> "Summary":
        return cls(paths, prices, outcome, resume, _failures(paths.errors, outcome))

    @property
    def end(self) -> str:
        """Why it ended, in a word for scripts."""
        return self.outcome.name

    def to_json(self) -> dict[str, Json]:
        """The totals, and beside them what only this end knows; commands as one text each."""
        outcome, going_on = self.outcome, self.going_on()
        errors = self.paths.errors if any(n for _, n in self._troubles()) else None
        return {
            **outcome.totals.to_json(self.prices),
            "held": outcome.totals.rows("held"),
            "left": outcome.left,
            "to_fetch": outcome.to_fetch,
            "same_as_another": outcome.same,
            **_named(self.paths, outcome.exit_code, self.end),
            "why": outcome.end.told if isinstance(outcome.end, RunError) else None,
            "errors": None if errors is None else str(errors),
            "failures": None if self.failures is None else [asdict(one) for one in self.failures],
            "seconds": round(outcome.seconds, 3),
            "submits": outcome.use.to_json(),
            "input_change": outcome.grown,
            "resume": None if going_on is None else shlex.join(shareable(going_on.words)),
            "next": [step.command for step in self.next_steps()],
        }

    def sentences(self) -> Iterator[Sentence]:
        outcome, totals = self.outcome, self.outcome.totals
        same = f" ({outcome.same:,} with the answer of another row)" if outcome.same else ""
        counted = [f"{so_many(totals.rows('ok'), 'row')} ok{same}"]
        counted += [f"{n:,} {what}" for what, n in self._troubles() if n]
        if not isinstance(outcome.end, Complete):
            counted += _unfinished(outcome)
        yield f"{', '.join(counted)}: {self.paths.output}"
        if outcome.limited is not None:
            yield limited(outcome.limited)
        yield in_money(totals, self.prices)
        yield from beside(totals, self.prices)
        yield f"Took {span(outcome.seconds)}: {outcome.use.words}"
        if any(n for _, n in self._troubles()):
            told = "; ".join(map(str, self.failures or ()))
            yield f"What failed, and why: {self.paths.errors}{f' ({told})' if told else ''}"
        if totals.doubt_count:
            worst = totals.doubt_cost(self.prices)
            yield in_doubt(totals.doubt_count, worst, self.prices.currency)
        if isinstance(outcome.end, Complete) and self.changed:
            yield self.changed
        yield from self.next_steps()

    def _troubles(self) -> list[tuple[str, int]]:
        totals = self.outcome.totals
        return [("failed", totals.rows("failed")), ("held in doubt", totals.rows("held"))]

    @property
    def changed(self) -> str:
        """What an input that has changed means for the next call; empty where that is nothing."""
        if self.outcome.limited is not None:
            return ""
        is_complete = isinstance(self.outcome.end, Complete)
        output = str(self.paths.output)
        return alteration.told(self.outcome.grown, output, is_complete=is_complete)

    def going_on(self) -> Step | None:
        """What continues a run that is not complete; None where that would not help."""
        match self.outcome.end:
            case Complete() | BadData() | BadSettings():
                return None
            case _ if self.outcome.grown == "changed":
                return None
            case _:
                return Step("To continue", self.resume)

    def advice(self) -> Step | None:
        """The same for people: a value that ended the run is left for them to fill in."""
        match self.outcome.end:
            case _ if self.outcome.grown == "changed":
                return None
            case BudgetReached():
                return with_more(self.resume)
            case DeadlineReached():
                return with_later(self.resume)
            case BadSettings() as error:
                return self._put_right(error)
            case Displaced():
                return Step("To continue, once that is put right", self.resume)
            case _:
                return self.going_on()

    def _put_right(self, error: BadSettings) -> Step:
        """Once something was paid for, the run keeps to its settings: then the others change."""
        totals, call = self.outcome.totals, self.resume
        if not error.right or totals.rows("ok") or totals.rows("held") or totals.doubt_count:
            return Step("To continue, once that is put right", call)
        for option, value in error.right.items():
            call = with_value(call, option, value)
        return Step(f"To continue, with the right {' and '.join(error.right)}", call)

    def next_steps(self) -> Iterator[Step]:
        """What can be done with a complete run."""
        if not isinstance(self.outcome.end, Complete):
            return
        limited_to, others = self.outcome.limited, unlimited(self.resume)
        if limited_to is not None and others is not None:
            yield others
        if limited_to is None and self.outcome.grown in {"appended", "unknown"}:
            yield Step("To send rows that were appended", self.resume)
        yield from self._retries()
        if self.outcome.totals.rows("ok"):
            output = _word(self.paths.output)
            beside = output.removesuffix(".jsonl")
            export, report = f"{beside}.csv", f"{beside}.html"
            yield Step("In the order of the input", _call("export", output, "-o", export))
            yield Step("A page about the run", _call("report", output, "-o", report))

    def _retries(self) -> Iterator[Step]:
        retry = _call("retry", _word(self.paths.output))
        if self.failures is None:
            yield Step("What can be sent again", [*retry, "--dry-run"])
            return
        stages = {one.stage for one in self.failures} & set(STAGES)
        again = [stage for stage in STAGES if stage in stages - _APART]
        if again:
            yield Step("To send failed rows again", [*retry, *_each("--stage", again)])
        if "input" in stages:
            yield Step("To send bad lines, once they are mended", [*retry, "--stage", "input"])
        if "doubt" in stages:
            why = "To send rows in doubt again, which may pay for them twice"
            yield Step(why, [*retry, "--stage", "doubt"])


def of_a_bug(paths: Paths, resume: Sequence[str]) -> dict[str, Json]:
    """What scripts are told of a run that ended as none should: all else is not known."""
    why = "a bug; nothing on disk is lost"
    named = _named(paths, Exit.UNEXPECTED, Exit.UNEXPECTED.name.lower())
    return {**named, "why": why, "resume": shlex.join(shareable(resume)), "next": []}


def _unfinished(outcome: Outcome) -> Iterator[str]:
    """Rows without a line yet, where it is known how many, and those that were submitted."""
    fetch = f"{so_many(outcome.to_fetch, 'operation')} to fetch" if outcome.to_fetch else ""
    if outcome.left:
        yield f"{outcome.left:,} not finished{f' ({fetch})' if fetch else ''}"
    elif fetch:
        yield fetch


def _named(paths: Paths, code: int, end: str) -> dict[str, Json]:
    """How it ended, and where."""
    folder = None
    with suppress(OSError):
        folder = str(Path.cwd())
    return {"exit": int(code), "end": end, "folder": folder, "output": str(paths.output)}


def _failures(errors: Path, outcome: Outcome) -> list[Alike] | None:
    count = outcome.totals.rows("failed") + outcome.totals.rows("held")
    if count > _MOST_READ:
        return None
    try:
        read = [read_failed(line) for line in whole_lines(errors)] if count else []
    except (OSError, StorageFailed):
        # That a disk fails has been told, or is no reason to tell nothing else.
        return None
    return alike(one for one in read if one is not None)


def _call(*words: str) -> list[str]:
    return ["yagpt-batch", *words]


def _each(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def _word(path: Path) -> str:
    """A path as a command line takes it: not for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)
