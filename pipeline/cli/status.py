"""``yagpt-batch status``: where a run stands."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.pricing import price_table, prices_option

if TYPE_CHECKING:
    from pipeline.alteration import Growth
    from pipeline.departure import Left
    from pipeline.paths import Paths
    from pipeline.prices import PriceTable
    from pipeline.prospect import Pause
    from pipeline.resumption import Resumption
    from pipeline.snapshot import Snapshot
    from pipeline.standing import Standing
    from pipeline.step import Sentence, Step

_EXAMPLES = """Where the run of OUTPUT stands, while it goes on or not. Changes nothing.

\b
  yagpt-batch status results.jsonl
  yagpt-batch status results.jsonl --json
  yagpt-batch status results.jsonl --watch       # every 2 s until the run has ended

Tells how many rows are done and what the others wait for, the end in sight and what binds, the
oldest operation and when it expires, doubts, outages, tokens and cost so far. It takes no longer
for rows that are done.
"""


_EVERY = 2.0
_SHORTEST, _LONGEST = 0.2, 86_400.0


class SecondsKind(click.ParamType):  # type: ignore[type-arg] # not generic in older clicks
    """A number of seconds."""

    name = "SECONDS"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            seconds = float(str(value))
        except ValueError:
            self.fail(f"{value!r} is no number of seconds; OUTPUT goes before it.", param, ctx)
        if not _SHORTEST <= seconds <= _LONGEST:
            self.fail(f"{value} is not between {_SHORTEST:g} and {_LONGEST:g}.", param, ctx)
        return seconds


@click.command(help=_EXAMPLES)
@click.argument("output", type=click.Path(path_type=Path))
@prices_option
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object, on a line a look; times in UTC."
)
@click.option(
    "--watch",
    type=SecondsKind(),
    is_flag=False,
    flag_value=str(_EVERY),
    help=f"Look again and again until the run has ended; {_EVERY:g} seconds apart by default.",
)
def status(*, output: Path, prices: Path | None, as_json: bool, watch: float | None) -> None:
    table = price_table(prices)

    def look() -> "tuple[bool, list[Sentence]]":
        return _look(output, table, as_json=as_json)

    if watch is None:
        from pipeline.cli.answer import answer, tell  # noqa: PLC0415

        _, told = look()
        if as_json:
            answer(map(str, told))
        else:
            tell(told)
        return
    from pipeline.cli.watching import watched  # noqa: PLC0415
    from pipeline.speech import is_screen  # noqa: PLC0415

    in_place = not as_json and is_screen(sys.stdout)
    watched(look, watch, in_place=in_place, between="" if as_json else "\n")


def _look(output: Path, table: "PriceTable", *, as_json: bool) -> "tuple[bool, list[Sentence]]":
    """Whether the run goes on, and what to tell of it."""
    from pipeline.bulletin import sentences  # noqa: PLC0415
    from pipeline.bystander import steadily  # noqa: PLC0415
    from pipeline.clock import Clock, local_day_and_time, stamp  # noqa: PLC0415
    from pipeline.codec import encode  # noqa: PLC0415
    from pipeline.missing import check_output  # noqa: PLC0415
    from pipeline.paths import Paths  # noqa: PLC0415
    from pipeline.snapshot import looked_at  # noqa: PLC0415
    from pipeline.standing import as_json as in_json  # noqa: PLC0415

    paths, now = Paths(output), Clock().now()
    check_output(paths)

    def see(seen: "Snapshot", running: bool) -> "Standing":
        return standing_of(paths, seen, table, now, running=running)

    standing = looked_at(paths.checkpoint, steadily(output, see))
    if as_json:
        return standing.running, [encode(in_json(standing, now, table, stamp)).decode()]
    told = sentences(str(output), standing, now, table, local_day_and_time)
    return standing.running, list(told)


def standing_of(
    paths: "Paths", seen: "Snapshot", prices: "PriceTable", now: float, *, running: bool
) -> "Standing":
    """What a checkpoint tells, and a look at the files around it."""
    from decimal import Decimal  # noqa: PLC0415

    from pipeline.departure import COMPLETE, Departure, Vanished  # noqa: PLC0415
    from pipeline.errors import BadSettings  # noqa: PLC0415
    from pipeline.facts import COSTS  # noqa: PLC0415
    from pipeline.missing import missing_of  # noqa: PLC0415
    from pipeline.polling import RETENTION  # noqa: PLC0415
    from pipeline.spending import Spending  # noqa: PLC0415
    from pipeline.standing import Standing  # noqa: PLC0415

    cursor, expected = seen.cursor(), seen.expected()
    states = seen.states()
    totals = seen.totals_of(seen.model(), running=running)
    in_force = seen.in_force() if running else None
    spending = Spending(prices, seen.model(), totals)
    if in_force is not None and in_force.budget is not None:
        # Other prices than the run's may know nothing of its models.
        with suppress(BadSettings):
            spending = Spending(prices, seen.model(), totals, Decimal(in_force.budget))
    spending.recall(seen.meta(COSTS))
    # A row that waits for the answer of another costs nothing.
    left_to_pay = max((expected or 0) - totals.rows() - states.get("twin", 0), 0)
    pause = _pause(paths, seen, running=running)
    complete = not states and expected is not None and 0 < expected <= cursor.rows
    left = None if running else seen.left()
    if isinstance(left, Departure) and left.end == COMPLETE and states:
        # A retry has put rows back since.
        left = Vanished()
    grown, missing = _growth(paths, seen), [error.told for error in missing_of(paths, seen)]
    has_more = not complete or grown is not None
    can_go_on = has_more and not (running or missing or grown == "changed")
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
        eta=seen.eta() if pause is None else None,
        spending=None if expected is None else spending.seen(left_to_pay),
        pause=None if complete and not running else pause,
        in_force=in_force,
        left=left,
        missing=missing,
        resume=_resumption(seen, left) if can_go_on else None,
        limited=_limited(seen) if complete and not running else None,
    )


def _limited(seen: "Snapshot") -> "tuple[int, Step | None] | None":
    """How many rows --limit let through, where there were more, and what sends these."""
    from pipeline.facts import LIMIT  # noqa: PLC0415

    rows, called = seen.meta(LIMIT) or "", seen.called()
    if not rows.isdecimal():
        return None
    return int(rows), None if called is None else called.unlimited(_here())


def _here() -> str:
    with suppress(OSError):
        return str(Path.cwd())
    return ""


def _resumption(seen: "Snapshot", left: "Left | None") -> "Resumption | None":
    called = seen.called()
    return None if called is None else called.going_on(left, _here())


def _pause(paths: "Paths", seen: "Snapshot", *, running: bool) -> "Pause | None":
    """What a running process keeps to; else what the next one will find."""
    from pipeline import control_file  # noqa: PLC0415
    from pipeline.control import Control, Unreadable, unpausing  # noqa: PLC0415
    from pipeline.prospect import Pause  # noqa: PLC0415

    asked = Control()
    with suppress(Unreadable):
        asked = control_file.read(paths.control)
    known = seen.in_force() if running else None
    since = asked.paused_since if known is None else known.paused_since
    return None if since is None else Pause(since, unpausing(str(paths.output)))


def _growth(paths: "Paths", seen: "Snapshot") -> "Growth | None":
    from pipeline.bystander import signature_of  # noqa: PLC0415

    for path in seen.input_paths(paths.output):
        now = signature_of(path)
        if now is not None:
            if now.size == seen.signature("input").size:
                return None
            from pipeline.growth import growth_of  # noqa: PLC0415 - it can read every input

            return growth_of(path, now.size, seen)
    return None
