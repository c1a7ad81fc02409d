"""Bills added up and priced: the object of `cost --json`, and cells of tables. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pipeline.codec import Json
from pipeline.money.bill import NO_MODEL, Bill, Known, Part, Said
from pipeline.money.prices import PriceTable, money
from pipeline.money.totals import Sums, Tally, Totals, add, in_doubt, sum_of, usage_object
from pipeline.wording import so_many, so_much

_ORDER = ("ok", "failed", "held")
_DIGITS = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Group:
    """The rows of all days that share model, outcome and finish."""

    model: str
    outcome: str
    finish: str | None
    emulator: bool
    tallies: Sequence[Tally]

    @property
    def sums(self) -> Sums:
        return add(self.tallies)

    def cost(self, prices: PriceTable) -> Decimal | None:
        return sum_of(tally.cost(prices) for tally in self.tallies)

    def units(self, prices: PriceTable) -> int | None:
        """Billing units, rounded up in the sum of each day; None where they are not documented."""
        found = [_units(tally, prices) for tally in self.tallies]
        return None if None in found else sum(units for units in found if units is not None)


@dataclass(frozen=True, slots=True)
class Account:
    """Bills of one or several outputs."""

    bills: Sequence[Bill]

    @property
    def parts(self) -> list[Part]:
        return [part for bill in self.bills for part in bill.parts]

    @property
    def totals(self) -> Totals:
        """As a run has them, but for doubts that only a totals line tells of."""
        known = [bill.aside for bill in self.bills if isinstance(bill.aside, Known)]
        replaced = [tally for aside in known for tally in aside.replaced]
        doubts = [doubt for aside in known for doubt in aside.doubts]
        unknowns = [unknown for aside in known for unknown in aside.unknowns]
        return Totals([*(part.tally for part in self.parts), *replaced], doubts, unknowns)

    def groups(self) -> list[Group]:
        found: dict[tuple[bool, str, int, str], list[Tally]] = {}
        for tally, emulator in self.parts:
            key = (emulator, tally.model, _ORDER.index(tally.outcome), tally.finish or "")
            found.setdefault(key, []).append(tally)
        return [
            Group(model, _ORDER[order], finish or None, emulator, tallies)
            for (emulator, model, order, finish), tallies in sorted(found.items())
        ]

    def emulated(self) -> int:
        """Rows that the emulator answered."""
        return sum(part.tally.sums.rows for part in self.parts if part.emulator)

    def cost(self, prices: PriceTable) -> Decimal | None:
        return sum_of(part.tally.cost(prices) for part in self.parts)

    def lists(self, prices: PriceTable) -> list[str]:
        """The first days of the lists that the costs are by."""
        days = (tally.day for tally, _ in self.parts if tally.sums.total_tokens)
        found = map(prices.list_on, days)
        return sorted({listed.since for listed in found if listed is not None})

    def without_doubts(self) -> list[str]:
        """Outputs of which nothing tells how many of their submits are in doubt."""
        return [bill.output for bill in self.bills if bill.aside is None]

    def doubts(self) -> int | None:
        if self.without_doubts():
            return None
        said = (bill.aside.doubts for bill in self.bills if isinstance(bill.aside, Said))
        return self.totals.doubt_count + sum(said)

    def doubt_cost(self, prices: PriceTable) -> Decimal | None:
        """At worst; None where a part of it is not known."""
        said = [bill.aside for bill in self.bills if isinstance(bill.aside, Said)]
        theirs = (s.doubt_cost if s.currency == prices.currency else None for s in said)
        known = None if self.without_doubts() else self.totals.doubt_cost(prices)
        return sum_of([known, *theirs])

    def replaced(self) -> Sums | None:
        return None if self.without_doubts() else add(self.superseded)

    @property
    def superseded(self) -> list[Tally]:
        """What was paid for and superseded; a totals line says neither how often nor of which."""
        return [tally for bill in self.bills for tally in _superseded(bill)]

    def replaced_cost(self, prices: PriceTable) -> Decimal | None:
        """Of what is known of it; None where that, or a price, is not."""
        if self.without_doubts():
            return None
        return sum_of(tally.cost(prices) for tally in self.superseded)

    def unknown_cost(self, prices: PriceTable) -> Decimal | None:
        """Of operations whose usage is not known, at worst; None where nothing tells of them."""
        if not all(isinstance(bill.aside, Known) for bill in self.bills):
            return None
        return sum_of(part.most(prices) for part in self.totals.unknowns)


def _superseded(bill: Bill) -> Sequence[Tally]:
    match bill.aside:
        case Known(replaced=replaced):
            return replaced
        case Said(replaced=replaced, models=models):
            model = models[0] if len(models) == 1 else NO_MODEL
            return [Tally("replaced", model, None, replaced)]
        case None:
            return []


def _units(tally: Tally, prices: PriceTable) -> int | None:
    price = prices.find(tally.model, tally.day)
    if price is None or price.units is None:
        return 0 if tally.sums.total_tokens == 0 else None
    return price.units.of(tally.sums.input_tokens, tally.sums.completion_tokens)


def per_row(amount: Decimal | None, rows: int) -> Decimal | None:
    """The average, to a millionth."""
    return None if amount is None or not rows else (amount / rows).quantize(_DIGITS)


def as_json(account: Account, prices: PriceTable) -> dict[str, Json]:
    """The object of a totals line, with more of the same."""
    replaced = account.replaced()
    told: dict[str, Json] = {
        **account.totals.to_json(prices),
        "doubts": account.doubts(),
        "doubt_cost": money(account.doubt_cost(prices)),
        "replaced_usage": None if replaced is None else usage_object(replaced),
        "replaced_cost": money(account.replaced_cost(prices)),
        "unknown_cost": money(account.unknown_cost(prices)),
    }
    rows, cost = account.totals.rows(), account.cost(prices)
    return told | {
        "held": account.totals.rows("held"),
        "cost_per_row": money(per_row(cost, rows)),
        "price_lists": list(account.lists(prices)),
        "other_currencies": _others(account.parts, prices),
        "emulator_rows": account.emulated(),
        "unread_lines": sum(bill.unread for bill in account.bills),
        "groups": [_group(group, prices) for group in account.groups()],
    }


def with_outputs(account: Account, prices: PriceTable) -> dict[str, Json]:
    """The same, and that of each output where there are several."""
    whole = as_json(account, prices)
    if len(account.bills) == 1:
        return whole
    each: list[Json] = [
        {"output": bill.output, **as_json(Account([bill]), prices)} for bill in account.bills
    ]
    return whole | {"outputs": each}


def _others(parts: Iterable[Part], prices: PriceTable) -> Json:
    tallies = [part.tally for part in parts]
    return {
        other.currency: money(sum_of(tally.cost(other) for tally in tallies))
        for other in prices.also
    }


def _group(group: Group, prices: PriceTable) -> Json:
    sums, cost = group.sums, group.cost(prices)
    return {
        "model": group.model,
        "outcome": group.outcome,
        "finish": group.finish,
        "emulator": group.emulator,
        "rows": sums.rows,
        "usage": usage_object(sums),
        "cost": money(cost),
        "cost_per_row": money(per_row(cost, sums.rows)),
        "billing_units": group.units(prices),
        "other_currencies": {other.currency: money(group.cost(other)) for other in prices.also},
    }


# Tables, and sentences.

_HEAD = ("model", "finish", "rows", "tokens in", "out", "reasoning")
_OUTCOMES = {"failed": "failed", "held": "held in doubt"}


def table(account: Account, prices: PriceTable) -> Iterator[list[str]]:
    """Cells of a table for people: a head, a line for each group, and the sum."""
    tables, others = (prices, *prices.also), [other.currency for other in prices.also]
    yield [*_HEAD, prices.currency, f"{prices.currency} a row", *others]
    groups = account.groups()
    for group in groups:
        model = f"{group.model} (emulator)" if group.emulator else group.model
        finish = _OUTCOMES.get(group.outcome) or group.finish or ""
        yield [model, finish, *_cells(group.sums, [group.cost(t) for t in tables])]
    if len(groups) != 1:
        sums = add(part.tally for part in account.parts)
        yield ["in all", "", *_cells(sums, [account.cost(t) for t in tables])]


def _cells(sums: Sums, costs: Sequence[Decimal | None]) -> list[str]:
    counts = (sums.rows, sums.input_tokens, sums.completion_tokens, sums.reasoning_tokens)
    first, *others = [_shown(cost, 4) for cost in costs]
    average = _shown(per_row(costs[0], sums.rows), 6)
    return [*(f"{count:,}" for count in counts), first, average, *others]


def _shown(amount: Decimal | None, digits: int) -> str:
    return "unknown" if amount is None else f"{amount:,.{digits}f}"


def sentences(account: Account, prices: PriceTable) -> Iterator[str]:
    """What to tell below the table."""
    lists = account.lists(prices)
    if lists:
        yield f"Prices of {', '.join(lists)}."
    unknown = sum(part.tally.sums.unknown for part in account.parts)
    if unknown:
        yield f"Rows whose usage is not known, and not in these sums: {unknown:,}."
    emulated = account.emulated()
    if emulated:
        yield f"Rows of runs with the emulator: {emulated:,}, not billed but priced all the same."
    doubts, replaced = account.doubts(), account.replaced()
    if doubts:
        yield in_doubt(doubts, account.doubt_cost(prices), prices.currency)
    for output in account.without_doubts():
        yield f"Doubts are not known: {output} has neither its checkpoint beside it nor totals."
    yield from _with_superseded(account, prices)
    if replaced is not None and replaced.unknown:
        lost = f"{replaced.unknown:,}"
        yield f"Operations paid for and superseded, whose usage is not known: {lost}."
    unknowns = account.totals.unknowns
    if unknowns:
        count = so_many(sum(part.count for part in unknowns), "operation")
        worst = so_much(sum_of(part.most(prices) for part in unknowns), prices.currency)
        yield f"In no cost above, but what {count} of unknown usage cost at worst: {worst}."


def _with_superseded(account: Account, prices: PriceTable) -> Iterator[str]:
    """What a bill has besides the costs of lines."""
    sums, cost = add(account.superseded), account.replaced_cost(prices)
    if not sums.total_tokens:
        return
    # A totals line tells their tokens alone.
    is_counted = all(isinstance(bill.aside, Known) for bill in account.bills)
    count = f" ({sums.rows - sums.unknown:,})" if is_counted else ""
    whole = sum_of((account.cost(prices), cost))
    yield (
        f"In no cost above, but paid for all the same: superseded operations{count}, "
        f"{so_much(cost, prices.currency)}; with them {so_much(whole, prices.currency)}."
    )


def records(account: Account, prices: PriceTable) -> Iterator[list[str]]:
    """Cells for a spreadsheet: a head, and a line for each group of each output.

    What was superseded is no row, but has its cost.
    """
    more = [f"cost_{other.currency.lower()}" for other in prices.also]
    yield [
        *("output", "model", "outcome", "finish", "emulator", "rows", "unknown_usage"),
        *("input_tokens", "completion_tokens", "reasoning_tokens", "total_tokens"),
        *("currency", "cost", *more),
    ]
    for bill in account.bills:
        account = Account([bill])
        emulator = account.emulated() > 0
        again = (Group(t.model, "replaced", None, emulator, [t]) for t in account.superseded)
        for group in (*account.groups(), *(one for one in again if one.sums != Sums())):
            sums = group.sums
            rows = 0 if group.outcome == "replaced" else sums.rows
            counts = (rows, sums.unknown, sums.input_tokens, sums.completion_tokens)
            costs = [group.cost(table) for table in (prices, *prices.also)]
            yield [
                *(bill.output, group.model, group.outcome, group.finish or ""),
                *("true" if group.emulator else "false", *map(str, counts)),
                *(str(sums.reasoning_tokens), str(sums.total_tokens), prices.currency),
                *(money(cost) or "" for cost in costs),
            ]
