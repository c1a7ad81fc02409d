"""Rows that an earlier process began, brought to where this one goes on with them.

What they cost, or can have cost, is counted before anything new is submitted. They are placed one
by one as they are read, and remembered in that place alone: there may be very many.
"""

from pipeline.engine.course import Course
from pipeline.input.form import Form
from pipeline.life.facts import FORMS, LATENCY, Pending
from pipeline.life.item import Gone, Intended, Running, State
from pipeline.money.spending import Spending
from pipeline.store.checkpoint import Checkpoint


async def take_over(checkpoint: Checkpoint, course: Course, model: str, now: float) -> None:
    """Give every pending row its place; `model` is the run's, for rows that name none.

    Raises:
        BadSettings: there is a budget, and no price for one of them.

    """
    totals, counts = checkpoint.totals(model), course.counts
    counts.recount(totals)
    counts.doubts = totals.doubt_count
    course.agenda.recall(checkpoint.meta(LATENCY))
    course.has_own_forms = checkpoint.meta(FORMS) is not None
    own = await _own_forms(checkpoint, course) if course.has_own_forms else {}
    unsettled: list[tuple[int, State]] = []
    for row in checkpoint.pending():
        counts.open += 1
        reserve(course.spending, row)
        form = own.get(row.line, course.intake.form)
        if row.state is None:
            counts.unfit += 1
            course.intake.again(row.line, None, first=True)
        elif not course.place(row.line, row.state, row.model, now, form):
            unsettled.append((row.line, row.state))
    for line, state in unsettled:
        await course.advance(line, state)


async def _own_forms(checkpoint: Checkpoint, course: Course) -> dict[int, Form | None]:
    """What the answers of running rows must be, where rows say it themselves."""
    running = (row.line for row in checkpoint.pending() if isinstance(row.state, Running))
    return await course.intake.forms(list(running))


def reserve(spending: Spending, row: Pending) -> None:
    """Count what was sent, or lost, and nobody has told the usage of."""
    if spending.limit is None:
        return
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
