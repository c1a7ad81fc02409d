"""What a person is told of where a run stands, sentence by sentence. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from pipeline.ending import prospect
from pipeline.life.facts import INTENDED
from pipeline.money.prices import PriceTable
from pipeline.money.totals import beside, in_doubt, in_money
from pipeline.state.departure import Departure
from pipeline.state.resumption import limited
from pipeline.state.standing import NOT_SUBMITTED, TWIN, Operations, Outage, Standing, Told
from pipeline.terminal.step import Sentence

_LONG = 3600.0


def sentences(
    name: str, standing: Standing, now: float, prices: PriceTable, local: Told
) -> Iterator[Sentence]:
    """What to tell a person; `local` writes moments as they read them."""
    yield f"{name}: {_headline(name, standing)}"
    yield from standing.missing
    if standing.left is not None:
        yield standing.left.sentence(local)
    if standing.resume is not None:
        yield standing.resume.step
    if standing.limited is not None and standing.state == "finished":
        rows, others = standing.limited
        yield limited(rows)
        yield from [] if others is None else [others]
    if standing.pause is not None:
        yield _paused(standing, local)
    yield _rows(standing)
    if standing.in_force is not None and standing.in_force.changed is not None:
        yield standing.in_force.sentence(prices.currency, local)
    if standing.allowed:
        found = " and ".join(rate.words for rate in standing.allowed)
        yield f"The service was found to allow {found}: the run keeps to that."
    yield from _end_in_sight(standing, now, local)
    yield from _operations(standing.operations, now, local)
    yield from (_outage(outage, standing, local) for outage in standing.outages)
    yield from _doubts(standing, prices)
    yield in_money(standing.totals, prices, "cost so far")
    yield from beside(standing.totals, prices)
    if standing.spending is not None and (told := standing.spending.sentence()):
        yield told


def _headline(name: str, standing: Standing) -> str:
    of_all = "" if standing.expected is None else f" of {standing.expected:,}"
    done = f"{standing.totals.rows():,}{of_all} rows done."
    changed = standing.of_input(name)
    match standing.state:
        case "running":
            return f"running, {done} {changed}".rstrip()
        case "finished":
            return f"finished, {done}"
        case _ if changed:
            return f"{'finished' if standing.complete else 'not running'}, {done} {changed}"
        case _ if isinstance(standing.left, Departure) and standing.left.why is not None:
            # Whether the same command would help, stands beside why it ended.
            return f"not running, {done}"
        case _ if standing.resume is not None:
            return f"not running, {done}"
        case _:
            return f"not running, {done} The same command continues it."


def _paused(standing: Standing, local: Told) -> str:
    assert standing.pause is not None  # noqa: S101 - asked before
    since, go_on = local(standing.pause.since), standing.pause.go_on
    what = "no row is submitted" if standing.running else "a run of it begins so"
    return f"Paused since {since}: {what}. To go on: {go_on}"


def _rows(standing: Standing) -> str:
    totals = standing.totals
    intended = standing.pending(*INTENDED)
    were = "being submitted" if standing.running else "in doubt since the process ended"
    counts = [
        (totals.rows("failed"), "failed"),
        (totals.rows("held"), "held in doubt"),
        (standing.pending("running"), "waited for"),
        (intended, were),
        (standing.pending("doubt"), "in doubt, to be submitted again"),
        (standing.pending("gone"), "lost, to be submitted again"),
        (standing.pending(*NOT_SUBMITTED), "to be submitted"),
        (standing.pending(TWIN), "that ask the same as another, and wait for its answer"),
        (standing.not_begun or 0, "not begun"),
    ]
    told = [f"{totals.rows('ok'):,} ok", *(f"{n:,} {what}" for n, what in counts if n)]
    return f"Rows: {', '.join(told)}."


def _end_in_sight(standing: Standing, now: float, local: Told) -> Iterator[str]:
    """As the running process itself saw it; one that ended has none in sight."""
    if standing.running and standing.eta is not None:
        told = prospect.sentence(replace(standing.eta, at=now), local)
        if told:
            yield told


def _operations(operations: Operations, now: float, local: Told) -> Iterator[str]:
    oldest = operations.oldest
    if oldest is None:
        return
    age = max(now - oldest.accepted_at, 0.0)
    row = "" if oldest.own_id is None else f" ({oldest.own_id})"
    normal = " It may queue for 24 hours and more." if age > _LONG else ""
    yield (
        f"The oldest operation is {prospect.duration(age)} old: line {oldest.line:,}{row}, "
        f"{oldest.operation_id}, accepted {local(oldest.accepted_at)}.{normal}"
    )
    if operations.expires_next is not None:
        which = "The next one" if operations.expired else "It"
        yield (
            f"{which} expires {local(operations.expires_next)}; if it still runs then, "
            "its row fails (never_done)."
        )
    if operations.expired:
        are = "operation is" if operations.expired == 1 else "operations are"
        yield f"{operations.expired:,} {are} past the 3 days for which the service keeps them."


def _outage(outage: Outage, standing: Standing, local: Told) -> str:
    since, until = local(outage.since), local(outage.gives_up_at)
    if standing.running:
        return (
            f"Outage: {outage.host} is away since {since}; the run gives up {until} (--patience)."
        )
    return f"When the process ended, {outage.host} had been away since {since}."


def _doubts(standing: Standing, prices: PriceTable) -> Iterator[str]:
    totals = standing.totals
    if totals.doubt_count:
        yield in_doubt(totals.doubt_count, totals.doubt_cost(prices), prices.currency)
    if standing.spent:
        for n, rows in sorted(standing.spent.items()):
            have = "row in doubt has" if rows == 1 else "rows in doubt have"
            yield f"{rows:,} {have} spent {n} of {'its' if rows == 1 else 'their'} attempts."
