"""Asks something of a run, waits a moment for its answer, and tells what is in force then."""

import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
from msgspec import Struct
from msgspec.structs import replace

from pipeline.cli.answer import answer, tell
from pipeline.cli.kinds import chosen_rates, is_auto
from pipeline.cli.pricing import price_table
from pipeline.clock import Clock, local_day_and_time, local_to_the_second, stamp
from pipeline.codec import encode
from pipeline.errors import BadData, Busy, Exit
from pipeline.files.paths import Paths
from pipeline.money.prices import PriceTable, money
from pipeline.outside.observation import observed
from pipeline.outside.snapshot import Snapshot, looked_at
from pipeline.pacing.rates import Rate
from pipeline.settings import DEFAULT_RATES
from pipeline.state import control_file
from pipeline.state.control import Change, Control, InForce, unpausing
from pipeline.state.standing import Standing, steered_json

_PATIENCE, _APART = 5.0, 0.1


class _Asker(Struct, frozen=True):
    """Somebody who asks something of one run."""

    paths: Paths
    prices: PriceTable
    clock: Clock
    as_json: bool

    @classmethod
    def of(cls, output: Path, *, as_json: bool) -> "_Asker":
        return cls(Paths(output), price_table(None), Clock(), as_json)

    def standing(self) -> Standing:
        """Where the run stands.

        Raises:
            BadData: there is none.

        """
        return observed(self.paths, self.prices, self.clock.now())

    def last_in_force(self) -> InForce | None:
        """What the last process went by, also where it is gone."""
        return looked_at(self.paths.checkpoint, Snapshot.in_force)

    def ask(self, standing: Standing, **asked: Any) -> Control:
        """Write it down, with a number greater than all that the run may have heard of."""
        heard = 0 if standing.in_force is None else standing.in_force.heard

        def made(before: Control) -> Control:
            wanted = asked | _together(before, asked.get("change"), asked.get("process"))
            return replace(before, number=max(before.number, heard) + 1, **wanted)

        return control_file.write(self.paths.control, made)

    def answered(self, asked: Control) -> Standing:
        """Where the run stands once it has heard; or not running any more.

        Raises:
            Busy: it has not heard in time.

        """
        until = self.clock.now() + _PATIENCE
        while self.clock.now() < until:
            standing = self.standing()
            if not standing.running or _heard(standing, asked):
                return standing
            time.sleep(_APART)
        raise Busy(
            f"{self.paths.output} is running and has not answered within {_PATIENCE:.0f} s: it "
            "may be beginning, or stand still.",
            "What was asked stays asked; yagpt-batch status tells when it is in force.",
        )

    def tell(self, standing: Standing, *sentences: str) -> int:
        if self.as_json:
            answer([encode(steered_json(standing, stamp)).decode()])
        else:
            tell(f"{self.paths.output}: {sentence}" for sentence in sentences)
        return Exit.OK


def _together(before: Control, change: Change | None, process: object) -> dict[str, Change]:
    """What was asked of the same process and may not have been heard yet stays asked."""
    if change is None or before.change is None or before.process != process:
        return {}
    return {"change": before.change.then(change)}


def _heard(standing: Standing, asked: Control) -> bool:
    return standing.in_force is not None and standing.in_force.heard >= asked.number


def pause(output: Path, *, as_json: bool) -> int:
    """Pause the run; return the exit code."""
    asker = _Asker.of(output, as_json=as_json)
    standing = asker.standing()
    if standing.state == "finished":
        return asker.tell(standing, "finished: there is nothing to pause.")
    since = asker.clock.now() if standing.pause is None else standing.pause.since
    standing = asker.answered(asker.ask(standing, paused_since=since))
    if not standing.running:
        standing = asker.standing()
    when = local_day_and_time(since)
    how = f"To go on: {unpausing(str(output))}"
    if not standing.running:
        return asker.tell(standing, f"paused, but not running: a run of it begins so. {how}")
    waited_for = f"operations to fetch: {standing.pending('running'):,}"
    return asker.tell(standing, f"paused since {when}, {waited_for}. {how}")


def unpause(output: Path, *, as_json: bool) -> int:
    """End a pause; return the exit code."""
    asker = _Asker.of(output, as_json=as_json)
    standing = asker.standing()
    if standing.pause is None and not standing.running:
        return asker.tell(standing, "it is not paused.")
    was_paused = standing.pause is not None
    standing = asker.answered(asker.ask(standing, paused_since=None))
    if not standing.running:
        return asker.tell(asker.standing(), "not paused any more, but not running.")
    return asker.tell(standing, "goes on." if was_paused else "it was not paused; it goes on.")


def change(options: Mapping[str, Any]) -> int:
    """Change limits of the run; return the exit code.

    Raises:
        click.UsageError: no limit is named, or a value makes no sense.
        BadData: there is no run under way, or it can't be changed so.
        Busy: it has not heard in time.

    """
    output = Path(options["output"])
    asker = _Asker.of(output, as_json=options["as_json"])
    standing = asker.standing()
    known = standing.in_force
    wanted = _change_of(options, known)
    texts = " ".join(wanted.options(local_to_the_second))
    if not standing.running:
        raise _not_running(output, texts)
    if known is None:
        raise Busy(f"{output} is only beginning.", "Ask again in a moment.")
    if wanted.budget is not None and known.budget is None:
        raise BadData(
            f"{output} runs without --budget, and what it can have spent so far was not counted.",
            _to_have_one(asker.paths),
        )
    asked = asker.ask(standing, process=known.process, change=wanted)
    standing = asker.answered(asked)
    now = standing.in_force
    if not standing.running:
        # What it did last may be what was asked: to end, by a budget that is spent.
        standing, now = asker.standing(), asker.last_in_force()
        if now is None or now.heard < asked.number:
            raise _not_running(output, texts)
    if now is None or now.process != known.process:
        raise Busy(f"another process has taken {output} over meanwhile.", "Ask again.")
    # All that it was told so far, and not the last of it alone.
    texts = " ".join((now.changed or wanted).options(local_to_the_second))
    return asker.tell(
        standing,
        now.sentence(asker.prices.currency, local_to_the_second),
        _so_far(asker, standing, wanted, texts),
        *([] if standing.left is None else [standing.left.sentence(local_day_and_time)]),
    )


def _change_of(options: Mapping[str, Any], known: InForce | None) -> Change:
    rates, polls, budget = options["rate"], options["poll_rate"], options["budget"]
    auto = is_auto(rates)
    present = () if known is None else known.rates
    submits = present or _texts(DEFAULT_RATES) if auto else _texts(chosen_rates(rates, ()))
    wanted = Change(
        rates=submits if rates else None,
        auto=auto,
        poll_rates=_texts(chosen_rates(polls, ())) if polls else None,
        budget=money(budget),
        finish_by=options["finish_by"],
        max_in_flight=options["max_in_flight"],
    )
    if wanted == Change():
        raise click.UsageError("say what is to change: --rate, --budget or another limit.")
    return wanted


def _texts(rates: tuple[Rate, ...]) -> tuple[str, ...]:
    return tuple(map(str, rates))


def _so_far(asker: _Asker, standing: Standing, wanted: Change, options: str) -> str:
    """What has come of a change that was heard; `options` ask a later run for it."""
    if not standing.running:
        return "The run has heard it and ended."
    spent = standing.totals.exposure(asker.prices)
    ends_at = wanted.finish_by
    is_over = isinstance(ends_at, float) and ends_at <= asker.clock.now()
    is_spent = wanted.budget is not None and (spent or 0) >= Decimal(wanted.budget)
    if is_over or is_spent:
        return "The run submits nothing more, and ends once what was submitted is fetched."
    return f"This holds for the process that runs now. For a later run: {options}"


def _to_have_one(paths: Paths) -> str:
    """What leads to a budget; a run keeps to the limit on answers that it was begun with."""
    if looked_at(paths.checkpoint, Snapshot.settings).get("max-tokens") is not None:
        return "Stop it, and run the same command with --budget."
    return (
        "It was begun without --max-tokens, so that it can have none later: --finish-by limits "
        "it, `yagpt-batch pause` holds it."
    )


def _not_running(output: Path, texts: str) -> BadData:
    return BadData(
        f"{output} is not running, so there is nothing to change.",
        f"Give the options to the next run: {texts}",
    )
