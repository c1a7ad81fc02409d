"""Nights with a budget: each time it is reached it is raised, and never is more billed than it.

What is billed is the service's own ledger: every operation that it accepted, whether anybody
learned of it or not, at the price of its model.

    python -m tests.proof.budgets --seeds 200
"""

import json
import logging
import traceback
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import click

from pipeline.day import day_at
from pipeline.errors import Exit
from pipeline.money.prices import PriceTable
from pipeline.settings import Settings
from tests.proof.nights import Played
from tests.proof.seeds import CORES, played
from tests.scratch import in_memory, shipped_prices

_MAX_TOKENS = 120
_FIRST = Decimal("0.05")


@dataclass(slots=True)
class Account:
    """What the budgets of a night came to; the shares of billed money, of each one reached."""

    lives: int
    reached: int
    used: list[float]


class Thrifty(Played):
    """A night whose user raises the budget only when it is reached."""

    resumable = Played.resumable | {Exit.BUDGET}

    def __init__(self, seed: int, folder: Path, prices: PriceTable) -> None:
        super().__init__(seed, folder)
        self._prices = prices
        self._budget = _FIRST
        self.account = Account(0, 0, [])

    def settings(self) -> Settings:
        recipe = replace(self.night.settings.recipe, max_tokens=_MAX_TOKENS)
        return replace(self.night.settings, recipe=recipe, budget=self._budget)

    def judge_life(self, code: int | None) -> None:
        billed = self._billed()
        self.account.lives += 1
        assert billed <= self._budget, f"{billed} were billed, with a budget of {self._budget}"
        if code == Exit.BUDGET:
            self.account.reached += 1
            self.account.used.append(float(billed / self._budget))
            self._budget *= 2

    def _billed(self) -> Decimal:
        sums = Decimal(0)
        for accepted in self.model.ledger.submits:
            model = json.loads(accepted.body)["modelUri"]
            price = self._prices.find(model, day_at(accepted.at))
            assert price is not None, f"{model} has no price"
            sums += price.of(accepted.usage.input, accepted.usage.completion)
        return sums


def play(seed: int) -> Account:
    """Play one night to its end and judge it.

    Raises:
        AssertionError: a promise was broken; the message names the seed.

    """
    with in_memory() as folder:
        night = Thrifty(seed, Path(folder), shipped_prices())
        try:
            night.play()
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            told = f"{type(error).__name__}: {error} at {where.name}: {where.line}"
            raise AssertionError(f"night {seed} with a budget: {told}") from error
    return night.account


@click.command()
@click.option("--seeds", default=200, show_default=True, help="How many nights.")
@click.option("--first", default=0, show_default=True, help="The first night's seed.")
@click.option("--side-by-side", default=CORES, show_default=True, help="Processes.")
def main(seeds: int, first: int, side_by_side: int) -> None:
    """Play nights with budgets; the first that is passed ends it, and its seed is named."""
    # What the runs would warn of is the nights' very purpose.
    logging.disable()
    try:
        told = [account for _, account in played(play, range(first, first + seeds), side_by_side)]
    except AssertionError as error:
        raise click.ClickException(str(error)) from error
    used = sorted(share for account in told for share in account.used)
    click.echo(f"{len(told):>8,}  nights, no budget passed")
    click.echo(f"{sum(account.lives for account in told):>8,}  lives")
    click.echo(f"{len(used):>8,}  budgets reached")
    if used:
        click.echo(
            f"{used[len(used) // 2]:>8.0%}  billed of a budget that was reached, the median"
        )


if __name__ == "__main__":
    main()
