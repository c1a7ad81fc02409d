"""Rows that an earlier process began, brought to where this one goes on with them.

What they cost, or can have cost, is counted before anything new is submitted.
"""

from collections.abc import Iterable

from pipeline.checkpoint import Checkpoint
from pipeline.course import Course
from pipeline.facts import FORMS, LATENCY, Pending
from pipeline.form import Form
from pipeline.item import Gone, Intended, Running
from pipeline.spending import Spending


async def take_over(checkpoint: Checkpoint, course: Course, model: str, now: float) -> None:
    """Give every pending row its place; `model` is the run's, for rows that name none.

    Raises:
        BadSettings: there is a budget, and no price for one of them.

    """
    totals, counts = checkpoint.totals(model), course.counts
    counts.ok, counts.failed = totals.rows("ok"), totals.rows("failed")
    counts.held, counts.doubts = totals.rows("held"), totals.doubt_count
    course.agenda.recall(checkpoint.meta(LATENCY))
    pending = list(checkpoint.pending())
    counts.open = len(pending)
    course.has_own_forms = checkpoint.meta(FORMS) is not None
    forms = await _forms(course, pending)
    for row in pending:
        _reserve(course.spending, row)
        if row.state is None:
            course.intake.again(row.line, None, first=True)
        else:
            form = forms.get(row.line, course.intake.form)
            await course.advance(row.line, row.state, model=row.model, poll_at=now, form=form)


async def _forms(course: Course, pending: Iterable[Pending]) -> dict[int, Form | None]:
    """What the answers of running rows must be, where rows say it themselves."""
    if not course.has_own_forms:
        return {}
    return await course.intake.forms(
        [row.line for row in pending if isinstance(row.state, Running)]
    )


def _reserve(spending: Spending, row: Pending) -> None:
    """Count what was sent, or lost, and nobody has told the usage of."""
    # Of a lost operation nobody knows any more when it was accepted.
    at = row.state.at if isinstance(row.state, Intended | Running) else None
    worst = spending.worst(row.model, row.input_bound, row.output_bound, at)
    if isinstance(row.state, Gone) or (
        isinstance(row.state, Intended) and isinstance(row.state.before, Gone)
    ):
        spending.reserve(row.line, worst)
        spending.keep(row.line)
    if isinstance(row.state, Intended | Running):
        spending.reserve(row.line, worst)
