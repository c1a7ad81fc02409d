"""A look at a run from outside: what its checkpoint tells, and the files around it.

It is quick, however many rows are done, and changes nothing.
"""

from contextlib import suppress
from decimal import Decimal
from pathlib import Path

from pipeline.ending.prospect import FINISH_BY, Eta, Pause
from pipeline.errors import BadSettings
from pipeline.files import extent
from pipeline.files.alteration import Growth, unexpected
from pipeline.files.paths import Paths
from pipeline.life.facts import COSTS, COUNTED, LIMIT
from pipeline.money.prices import PriceTable
from pipeline.money.spending import Spending
from pipeline.money.spent import Spent
from pipeline.money.totals import Totals
from pipeline.operations.polling import RETENTION
from pipeline.outside.bystander import signature_of, steadily
from pipeline.outside.missing import check_output, missing_of
from pipeline.outside.snapshot import Snapshot, looked_at
from pipeline.state import control_file
from pipeline.state.control import Control, InForce, Unreadable, unpausing
from pipeline.state.departure import COMPLETE, Departure, Left, Vanished
from pipeline.state.resumption import Resumption
from pipeline.state.standing import TWIN, Standing
from pipeline.terminal.step import Step


def observed(paths: Paths, prices: PriceTable, now: float) -> Standing:
    """Where a run stands.

    Raises:
        BadData: there is none, or a file of it is missing or damaged.
        StorageFailed: it can't be read.

    """
    check_output(paths)

    def see(seen: Snapshot, running: bool) -> Standing:
        return standing_of(paths, seen, prices, now, running=running)

    return looked_at(paths.checkpoint, steadily(paths.output, see))


def standing_of(
    paths: Paths, seen: Snapshot, prices: PriceTable, now: float, *, running: bool
) -> Standing:
    """The same of a look that is being taken, by somebody who knows whether a process has it."""
    cursor, expected, states = seen.cursor(), seen.expected(), seen.states()
    totals = seen.totals_of(seen.model(), running=running)
    in_force = seen.in_force() if running else None
    pause = _pause(paths, in_force)
    complete = not states and expected is not None and 0 < expected <= cursor.rows
    left = None if running else _left(seen, has_pending=bool(states))
    grown, missing = _growth(paths, seen), [error.told for error in missing_of(paths, seen)]
    has_more = not complete or grown is not None
    can_go_on = has_more and not (running or missing or grown == "changed")
    # A row that waits for the answer of another costs nothing.
    to_pay = max((expected or 0) - totals.rows() - states.get(TWIN, 0), 0)
    spending = _spending(seen, totals, prices, in_force)
    eta = seen.eta() if pause is None else None
    return Standing(
        running=running,
        complete=complete,
        grown=grown,
        expected=expected,
        begun=cursor.rows,
        states=states,
        operations=seen.operations(now - RETENTION),
        spent=seen.spent(),
        outages=seen.outages(),
        totals=totals,
        eta=eta,
        spending=None if expected is None else _seen(spending, to_pay, eta, running=running),
        pause=None if complete and not running else pause,
        in_force=in_force,
        allowed=() if in_force is None else seen.found_out(in_force.rates),
        left=left,
        missing=missing,
        resume=_resumption(seen, left) if can_go_on else None,
        limited=_limited(seen) if complete and not running else None,
    )


def _spending(
    seen: Snapshot, totals: Totals, prices: PriceTable, in_force: InForce | None
) -> Spending:
    """What the run spends, within the budget in force, and what it has learned of costs."""
    spending = Spending(prices, seen.model(), totals)
    if in_force is not None and in_force.budget is not None:
        # Other prices than the run's may know nothing of its models.
        with suppress(BadSettings):
            spending = Spending(prices, seen.model(), totals, Decimal(in_force.budget))
    spending.recall(seen.meta(COSTS))
    return spending


def _seen(spending: Spending, to_pay: int, eta: Eta | None, *, running: bool) -> Spent:
    """What it has spent and will; what a deadline leaves out, or a process left, may never be."""
    seen, is_late = spending.seen(to_pay), eta is not None and eta.bound_by == FINISH_BY
    return seen if running and not is_late else seen.cut()


def _left(seen: Snapshot, *, has_pending: bool) -> Left | None:
    """How the last process left the run."""
    left = seen.left()
    if isinstance(left, Departure) and left.end == COMPLETE and has_pending:
        # A retry has put rows back since.
        return Vanished()
    return left


def _limited(seen: Snapshot) -> tuple[int, Step | None] | None:
    """How many rows --limit let through, where there were more, and what sends these."""
    rows, called = seen.meta(LIMIT) or "", seen.called()
    if not rows.isdecimal():
        return None
    return int(rows), None if called is None else called.unlimited(_here())


def _resumption(seen: Snapshot, left: Left | None) -> Resumption | None:
    called = seen.called()
    return None if called is None else called.going_on(left, _here())


def _here() -> str:
    with suppress(OSError):
        return str(Path.cwd())
    return ""


def _pause(paths: Paths, in_force: InForce | None) -> Pause | None:
    """What a running process keeps to; else what the next one will find."""
    asked = Control()
    with suppress(Unreadable):
        asked = control_file.read(paths.control)
    since = asked.paused_since if in_force is None else in_force.paused_since
    return None if since is None else Pause(since, unpausing(str(paths.output)))


def _growth(paths: Paths, seen: Snapshot) -> Growth | None:
    for path in seen.input_paths(paths.output):
        now = signature_of(path)
        if now is not None:
            known, last = seen.signature("input").size, seen.rows.last()
            if now.size == known:
                return None
            # It can read every input, and takes its time to load.
            from pipeline.outside.growth import growth_of  # noqa: PLC0415

            span = None if last is None else last.span
            grown = growth_of(path, now.size, known, span, seen.cursor())
            return unexpected(grown, extent.rows_of(seen.meta(COUNTED), now), seen.expected())
    return None
