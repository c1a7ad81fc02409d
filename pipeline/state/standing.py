"""Where a run stands, for somebody who looks from outside, and the same as JSON. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from pipeline.codec import Json
from pipeline.ending import prospect
from pipeline.ending.prospect import Eta, Pause
from pipeline.files import alteration
from pipeline.files.alteration import Growth
from pipeline.life.facts import INTENDED
from pipeline.money.prices import PriceTable
from pipeline.money.spent import Spent
from pipeline.money.totals import Totals
from pipeline.operations.polling import RETENTION
from pipeline.pacing.rates import Rate
from pipeline.state.control import InForce
from pipeline.state.departure import Left
from pipeline.state.resumption import Resumption
from pipeline.terminal.step import Step

Told = Callable[[float], str]
"""A moment as text."""

NOT_SUBMITTED = ("waiting", "unfit")
"""Under what names rows stand that are to be submitted."""
TWIN = "twin"
"""And those that wait for the answer of another."""


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
    goes by; `allowed`: what the service was found to allow it instead; `left`: how the last one
    left it, where none has it now and that is noted; `missing`: files that it wrote and that are
    not there, as sentences with what to do; `resume`: what goes on with it, where that is known
    and would help; `limited`: of a complete run that took the first rows only, how many, and what
    sends the others.
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
    allowed: Sequence[Rate] = ()
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
        return alteration.told(
            self.grown, output, is_complete=self.complete, is_running=self.running
        )

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
            "to_be_submitted": standing.pending(*NOT_SUBMITTED),
            "same_as_another": standing.pending(TWIN),
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
        **prospect.as_json(_eta(standing, now), utc),
        "totals": totals.to_json(prices),
    }


def steered_json(standing: Standing, utc: Told) -> dict[str, Json]:
    """Whether it goes on, and by what."""
    return {
        "state": standing.state,
        "paused_since": None if standing.pause is None else utc(standing.pause.since),
        "in_force": None if standing.in_force is None else standing.in_force.to_json(utc),
        "allowed": [str(rate) for rate in standing.allowed],
    }


def _eta(standing: Standing, now: float) -> Eta | None:
    """The end in sight of a process that has the run."""
    if standing.running and standing.pause is not None:
        return Eta(now, bound_by=prospect.PAUSED, pause=standing.pause)
    return standing.eta if standing.running else None


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
