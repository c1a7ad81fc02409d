"""Where a run stands, in words and as JSON, for somebody who looks from outside. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import Struct

from pipeline import alteration, prospect
from pipeline.alteration import Growth
from pipeline.codec import Json
from pipeline.control import InForce
from pipeline.departure import Departure, Left
from pipeline.facts import INTENDED
from pipeline.polling import RETENTION
from pipeline.prices import PriceTable
from pipeline.prospect import Eta, Pause
from pipeline.resumption import Resumption, limited
from pipeline.spent import Spent
from pipeline.step import Sentence, Step
from pipeline.totals import Totals, beside, in_doubt, in_money

Told = Callable[[float], str]
"""A moment as text."""

_LONG = 3600.0
_NOT_SUBMITTED = ("waiting", "unfit")
_TWIN = "twin"


class Operation(Struct, frozen=True):
    """An operation that is waited for; `accepted_at` is by our own clock."""

    line: int
    own_id: str | None
    operation_id: str
    accepted_at: float

    @property
    def row_id(self) -> str:
        return self.own_id or f"line-{self.line}"


class Operations(Struct, frozen=True):
    """The oldest one; how many are past their 3 days; when the oldest of the others was accepted.

    All moments are by our own clock.
    """

    oldest: Operation | None
    expired: int
    next_accepted_at: float | None

    @property
    def expires_next(self) -> float | None:
        return None if self.next_accepted_at is None else self.next_accepted_at + RETENTION


class Outage(Struct, frozen=True):
    """A host that is away; or was, when the run's process ended."""

    host: str
    since: float
    gives_up_at: float


@dataclass(frozen=True, slots=True)
class Standing:
    """What a checkpoint, and a look at the files around it, tell of a run.

    `states` counts pending rows by state, `spent` those in doubt by attempts spent. `complete`:
    all rows that the run knows of have their lines. `grown`: how its input has changed. `eta`: the
    end as the process saw it within about a minute; `spending`: what the whole will cost; `pause`:
    one that is in force, or that the next process begins with; `in_force`: what a running process
    goes by; `left`: how the last one left it, where none has it now and that is noted; `missing`:
    files that it wrote and that are not there, as sentences with what to do; `resume`: what goes
    on with it, where that is known and would help; `limited`: of a complete run that
    took the first rows only, how many, and what sends the others.
    """

    running: bool
    complete: bool
    grown: Growth | None
    expected: int | None
    begun: int
    states: Mapping[str, int]
    operations: Operations
    spent: Mapping[int, int]
    outages: Sequence[Outage]
    totals: Totals
    eta: Eta | None = None
    spending: Spent | None = None
    pause: Pause | None = None
    in_force: InForce | None = None
    left: Left | None = None
    missing: Sequence[str] = ()
    resume: Resumption | None = None
    limited: tuple[int, Step | None] | None = None

    @property
    def state(self) -> str:
        if self.running:
            return "running"
        return "finished" if self.complete and not self.grown else "stopped"

    @property
    def not_begun(self) -> int | None:
        return None if self.expected is None else max(self.expected - self.begun, 0)

    def of_input(self, output: str) -> str:
        """What an input that has changed means for the next call; empty where that is nothing."""
        if self.running:
            return ""
        return alteration.told(self.grown, output, is_complete=self.complete)

    def pending(self, *states: str) -> int:
        return sum(self.states.get(name, 0) for name in states)


def as_json(standing: Standing, now: float, prices: PriceTable, utc: Told) -> dict[str, Json]:
    """The object of `status --json`; `utc` writes moments, None is what is not known."""
    totals = standing.totals
    return {
        "at": utc(now),
        **steered_json(standing, utc),
        "ended": None if standing.left is None else standing.left.to_json(utc),
        "resume": None if standing.resume is None else standing.resume.command,
        "input_changed": standing.grown is not None,
        "input_change": standing.grown,
        "missing": list(standing.missing),
        "rows": {
            "total": standing.expected,
            "done": totals.rows(),
            "ok": totals.rows("ok"),
            "failed": totals.rows("failed"),
            "held": totals.rows("held"),
            "running": standing.pending("running"),
            "being_submitted": standing.pending(*INTENDED),
            "in_doubt": standing.pending("doubt"),
            "lost": standing.pending("gone"),
            "to_be_submitted": standing.pending(*_NOT_SUBMITTED),
            "same_as_another": standing.pending(_TWIN),
            "not_begun": standing.not_begun,
        },
        "oldest": _oldest(standing.operations.oldest, now, utc),
        "next_expiry": _moment(standing.operations.expires_next, utc),
        "expired": standing.operations.expired,
        "attempts_spent": {str(n): rows for n, rows in sorted(standing.spent.items())},
        "outages": [
            {
                "host": outage.host,
                "since": utc(outage.since),
                "gives_up_at": utc(outage.gives_up_at),
            }
            for outage in standing.outages
        ],
        "projected": None
        if standing.spending is None
        else standing.spending.to_json()["projected"],
        **prospect.as_json(standing.eta if standing.running else None, utc),
        "totals": totals.to_json(prices),
    }


def steered_json(standing: Standing, utc: Told) -> dict[str, Json]:
    """Whether it goes on, and by what."""
    return {
        "state": standing.state,
        "paused_since": None if standing.pause is None else utc(standing.pause.since),
        "in_force": None if standing.in_force is None else standing.in_force.to_json(utc),
    }


def _oldest(oldest: Operation | None, now: float, utc: Told) -> Json:
    if oldest is None:
        return None
    return {
        "line": oldest.line,
        "id": oldest.row_id,
        "operation_id": oldest.operation_id,
        "accepted_at": utc(oldest.accepted_at),
        "age_seconds": round(max(now - oldest.accepted_at, 0.0)),
        "expires_at": utc(oldest.accepted_at + RETENTION),
    }


def _moment(moment: float | None, utc: Told) -> Json:
    return None if moment is None else utc(moment)


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
    match standing.state:
        case "running":
            return f"running, {done}"
        case "finished":
            return f"finished, {done}"
        case _ if changed := standing.of_input(name):
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
        (standing.pending(*_NOT_SUBMITTED), "to be submitted"),
        (standing.pending(_TWIN), "that ask the same as another, and wait for its answer"),
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
