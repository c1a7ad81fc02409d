"""What a run has spent, what it can have spent at worst, and what it will come to. Pure.

With a limit every POST reserves its worst case before it is made, and an answer's usage takes the
reservation's place. What nobody can know stays reserved for ever: doubts, lost operations, answers
without usage. So what the service bills is never more than what counts here.

    reserve ──refused, not sent──▶ release
       └──accepted──▶ settle (usage known) or keep (never known)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal

from msgspec import convert

from pipeline.api.outcomes import Usage
from pipeline.codec import decode, encode
from pipeline.day import Day, day_at
from pipeline.errors import BadSettings, BudgetReached
from pipeline.money.answers import Answers
from pipeline.money.prices import Price, PriceTable
from pipeline.money.spent import Spent
from pipeline.money.totals import Totals
from pipeline.wording import raised, so_much

# What is learned is told anew after so many answers more; later after such a part of them.
_FEWEST_NEW, _PARTS = 5, 20
# Rows with the same bounds share one sum, which a hundred thousand of them have reserved at once.
_Worst = tuple[str, int, int | None, Day | None]
_REMEMBERED = 4096
_EULER = 0.5772
_KOPECK = Decimal("0.01")
LARGER_BUDGET = "Run the same command with a larger --budget to go on"


def _as_option(amount: Decimal) -> str:
    """A new limit, in place of the old one: to be typed as it stands."""
    return f"--budget {amount.quantize(_KOPECK, ROUND_CEILING):f}"


@dataclass(slots=True)
class Spending:
    """The money of one run. `model` is the run's, for rows that name none.

    `totals` are those at the start, from which it goes on; `limit` is in the table's currency.
    """

    prices: PriceTable
    model: str
    totals: Totals
    limit: Decimal | None = None
    _known: Decimal | None = field(init=False)
    _exposed: Decimal = field(init=False, default=Decimal(0))
    _reserved: dict[int, Decimal] = field(init=False, default_factory=dict)
    _answers: Answers = field(init=False, default_factory=Answers)
    _told_at: int = field(init=False, default=_FEWEST_NEW)
    _prices: dict[tuple[str, Day | None], Price | None] = field(init=False, default_factory=dict)
    _worsts: dict[_Worst, Decimal] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._known = self.totals.cost(self.prices)
        if self.limit is None:
            return
        exposed = self.totals.exposure(self.prices)
        if exposed is None or self.prices.find(self.model) is None:
            raise _unpriced(self.totals.unpriced(self.prices) or [self.model])
        self._exposed = exposed

    # What a limit needs.

    @property
    def committed(self) -> Decimal:
        """What the service has billed, or may have, or will bill at most for what is under way."""
        return self._exposed

    def worst(
        self, model: str | None, input_bound: int, output_bound: int | None, at: float | None
    ) -> Decimal:
        """The most that a request can cost that was accepted at `at`; nothing where nobody asks.

        Without a moment it may have been at any time.

        Raises:
            BadSettings: there is a limit, and no price.

        """
        if self.limit is None:
            return Decimal(0)
        named, day = model or self.model, None if at is None else day_at(at)
        key = (named, input_bound, output_bound, day)
        most = self._worsts.get(key)
        if most is None:
            most = self.prices.most(*key)
            if most is None:
                raise _unpriced([named])
            if len(self._worsts) >= _REMEMBERED:
                self._worsts.clear()
            self._worsts[key] = most
        return most

    def has_price(self, model: str) -> bool:
        return self._price(model, None) is not None

    def against(self, worst: Decimal, left: int | None = None) -> BudgetReached | None:
        """Why a request that can cost so much may not be made now; None if it may.

        `left` rows have no line yet, if that is known: the advice then says what they take.
        """
        if self.limit is None or self.committed + worst <= self.limit:
            return None
        limit, committed, most = (
            so_much(amount, self.prices.currency)
            for amount in (self.limit, self.committed, raised(worst))
        )
        return BudgetReached(
            f"the budget of {limit} is reached: {committed} are spent, or can have been, and the "
            f"next row can cost {most}.",
            f"{LARGER_BUDGET}{self._enough(worst, left)}.",
        )

    def _enough(self, worst: Decimal, left: int | None) -> str:
        """How much larger; what is kept in doubt is in it, as it is in all that counts."""
        if not left:
            return ""
        # What is told is to add up: it is counted with as it is shown.
        most = raised(max(worst, Decimal(str(self._answers.worst))))
        more = self._answers.of(left)
        the_rows = "the only row" if left == 1 else f"the {left:,} rows"
        if more is None:
            each = so_much(most, self.prices.currency)
            enough = _as_option(self._settled + most * left)
            return f": {enough} is enough if none of {the_rows} left can cost more than {each}"
        expected = Decimal(more[0] + more[1]) + most
        enough = _as_option(self._settled + min(expected, most * left))
        return (
            f": {enough} is likely to be enough for all, {the_rows} left and what is spent, by "
            "what answers cost so far"
        )

    def enough_for(self, worst: Decimal) -> str:
        """The option that pays for requests of so much at worst, beside all that counts."""
        return _as_option(self.committed + worst)

    @property
    def is_waiting(self) -> bool:
        """Whether it is still to come out what something costs that is set aside for."""
        return bool(self._reserved)

    @property
    def is_full(self) -> bool:
        """Whether a row like those under way has to wait for what these really cost."""
        if self.limit is None or not self._reserved:
            return False
        worst = Decimal(self._answers.worst)
        # Where it does not fit beside what is spent, no answer makes room.
        return self._settled + worst <= self.limit < self._exposed + worst

    @property
    def _settled(self) -> Decimal:
        """What counts without what is under way."""
        return self._exposed - sum(self._reserved.values(), Decimal(0))

    def reserve(self, line: int, worst: Decimal) -> None:
        """A row's POST is about to be made."""
        if self.limit is not None:
            self._reserved[line] = worst
            self._answers.worst = max(self._answers.worst, float(worst))
            self._exposed += worst

    def rows(self) -> int | None:
        """How many more rows the limit is likely to pay for; None without one, or too early."""
        each = self._answers.mean
        if self.limit is None or not each:
            return None
        expected = float(self._settled) + each * len(self._reserved)
        # For the last one its worst case must be left.
        return max(int((float(self.limit - self._beyond()) - expected) / each), 0)

    def doubtful(self, rows: int) -> float:
        """By what share of them the limit may pay for more or fewer rows than it is likely to."""
        more = self._answers.of(rows)
        return 0.0 if more is None or not more[0] else more[1] / more[0]

    def squeeze(self, at_once: float, seconds: float) -> tuple[int, float]:
        """Of the last rows that the limit pays for: how many come ever slower, and for how long.

        What is left of the limit holds so many worst cases; once these are fewer than the rows
        that would else be in flight `at_once`, each answer, after `seconds`, takes what it cost
        from what is left. So it takes worst / mean answers until one row less may be in flight,
        and while n are, these come in seconds / n each.
        """
        each, worst = self._answers.mean, self._answers.worst
        if self.limit is None or not each or not worst:
            return 0, 0.0
        most = min(float(self.limit - self._settled) / worst, at_once)
        if most <= 1:
            return 0, 0.0
        # Of the sum of 1 / n up to most - 1: the logarithm, and Euler's constant.
        turns = math.log(most - 0.5) + _EULER
        return int((most - 1) * worst / each), seconds * worst / each * turns

    def release(self, line: int) -> None:
        """It was certainly not accepted."""
        reserved = self._reserved.pop(line, None)
        if reserved is not None:
            self._exposed -= reserved

    def keep(self, line: int) -> None:
        """It may have been accepted, or was, and what it cost will never be known."""
        self._reserved.pop(line, None)

    # What every run tells.

    def settle(self, line: int, model: str | None, usage: Usage | None, day: Day | None) -> None:
        """A row is over."""
        reserved = self._reserved.pop(line, None)
        if usage is None:
            return
        price = self._price(model or self.model, day)
        cost = None if price is None else price.of(usage.input_tokens, usage.completion_tokens)
        self._known = None if cost is None or self._known is None else self._known + cost
        if cost is not None:
            self._answers.add(float(cost))
        if self.limit is not None and cost is not None:
            self._exposed += cost - (reserved or Decimal(0))

    def recount(self, totals: Totals) -> None:
        """What finished rows cost is what these do."""
        self._known = totals.cost(self.prices)

    def _price(self, model: str, day: Day | None) -> Price | None:
        if (model, day) not in self._prices:
            self._prices[model, day] = self.prices.find(model, day)
        return self._prices[model, day]

    def seen(self, left: int | None) -> Spent:
        """Where the money stands; `left` rows have no line yet, if that is known."""
        spent = Spent(self._known, self.prices.currency)
        more = self._answers.of(left) if left else None
        if more is None or self._known is None:
            return spent
        likely, off = self._known + Decimal(more[0]), Decimal(more[1])
        low, high = max(likely - off, self._known), likely + off
        if self.limit is None:
            return Spent(self._known, spent.currency, low, likely, high)
        # What is kept for doubts counts, too; and for the last row its worst case must be left.
        more_than_that = self._settled - self._known + self._beyond()
        budget = self.limit if high + more_than_that > self.limit else None
        is_certain = low + more_than_that > self.limit
        return Spent(self._known, spent.currency, low, likely, high, budget, is_certain=is_certain)

    def _beyond(self) -> Decimal:
        """By how much the most that a row can cost is above what it is likely to."""
        return Decimal(max(self._answers.worst - (self._answers.mean or 0.0), 0.0))

    def learned(self) -> str:
        """What `recall` takes, as text: what answers cost each."""
        return encode(self._answers).decode()

    def news(self) -> str | None:
        """The same, once clearly more is known than when it was told last: a twentieth."""
        count = self._answers.count
        if count < self._told_at:
            return None
        self._told_at = count + max(count // _PARTS, _FEWEST_NEW)
        return self.learned()

    def recall(self, learned: str | None) -> None:
        """Go on from what an earlier process learned; what can't be read is as good as nothing."""
        try:
            self._answers = convert(decode((learned or "").encode()), Answers)
        except ValueError:
            self._answers = Answers()
        self._told_at = self._answers.count + _FEWEST_NEW


def _unpriced(models: Sequence[str]) -> BadSettings:
    return BadSettings(
        f"--budget can't be kept: no price is known for {', '.join(models)}.",
        "Give its price with --prices FILE; `yagpt-batch prices --toml` shows the form.",
    )
