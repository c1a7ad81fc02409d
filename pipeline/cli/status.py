"""``yagpt-batch status``: where a run stands."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.pricing import price_table, prices_option

if TYPE_CHECKING:
    from pipeline.money.prices import PriceTable
    from pipeline.terminal.step import Sentence

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
    from pipeline.terminal.speech import is_screen  # noqa: PLC0415

    in_place = not as_json and is_screen(sys.stdout)
    watched(look, watch, in_place=in_place, between="" if as_json else "\n")


def _look(output: Path, table: "PriceTable", *, as_json: bool) -> "tuple[bool, list[Sentence]]":
    """Whether the run goes on, and what to tell of it."""
    from pipeline.clock import Clock, local_day_and_time, stamp  # noqa: PLC0415
    from pipeline.codec import encode  # noqa: PLC0415
    from pipeline.files.paths import Paths  # noqa: PLC0415
    from pipeline.outside.observation import observed  # noqa: PLC0415
    from pipeline.state.bulletin import sentences  # noqa: PLC0415
    from pipeline.state.standing import as_json as in_json  # noqa: PLC0415

    now = Clock().now()
    standing = observed(Paths(output), table, now)
    if as_json:
        return standing.running, [encode(in_json(standing, now, table, stamp)).decode()]
    told = sentences(str(output), standing, now, table, local_day_and_time)
    return standing.running, list(told)
