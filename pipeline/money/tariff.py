"""A file of price lists, as text, read and checked: every fault is told, by list and entry."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import Any

from msgspec import Struct

from pipeline.money.prices import Price, PriceList, PriceTable, Units

MODE = "async"
_MODES = (MODE, "sync", "batch")
_LIST = {"valid_from", "mode", "currency", "vat_included", "source", "price"}
_PRICE = {"models", "input", "output", "units", "input_units", "output_units", "context"}
_NUMBER = re.compile(r"\d{1,12}(\.\d{1,12})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


class BadTariff(ValueError):
    """The text is no file of prices; `faults` has a sentence for each reason."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(" ".join(faults))
        self.faults = faults


def read_tariff(text: str) -> PriceTable:
    """The lists of the asynchronous mode; other modes may stand beside them.

    Raises:
        BadTariff: something in it can't be right.

    """
    try:
        found = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise BadTariff([f"this is no TOML: {error}."]) from None
    faults: list[str] = [f'"{key}" is nothing that prices have.' for key in {*found} - {"list"}]
    given = _tables(found.get("list"))
    if not given:
        raise BadTariff([*faults, "there is no [[list]] of prices."])
    lists = [_list(number, fields, faults) for number, fields in enumerate(given, start=1)]
    mine = [dated for dated in lists if dated.mode == MODE]
    if not mine and not faults:
        faults.append(f'no [[list]] is of the mode "{MODE}".')
    faults += _repeated(mine)
    if faults:
        raise BadTariff(faults)
    return _by_currency(mine)


class _Dated(Struct, frozen=True):
    """A list, and what kind of list it is."""

    number: int
    mode: str
    currency: str
    list: PriceList


def _by_currency(lists: list[_Dated]) -> PriceTable:
    order = list(dict.fromkeys(dated.currency for dated in lists))
    lists = sorted(lists, key=lambda dated: (order.index(dated.currency), dated.list.since))
    tables = [
        PriceTable(currency, tuple(dated.list for dated in group))
        for currency, group in groupby(lists, key=attrgetter("currency"))
    ]
    return PriceTable(tables[0].currency, tables[0].lists, also=tuple(tables[1:]))


def _repeated(lists: list[_Dated]) -> Iterator[str]:
    first: dict[tuple[str, str], int] = {}
    for dated in lists:
        before = first.setdefault((dated.currency, dated.list.since), dated.number)
        if before != dated.number:
            yield f"list {dated.number}: list {before} is of the same day and currency."


@dataclass(slots=True)
class _Fields:
    """The fields of a list or an entry, and where to tell what is wrong with them."""

    where: str
    values: Mapping[str, Any]
    faults: list[str]

    def fault(self, what: str) -> None:
        self.faults.append(f"{self.where}: {what}.")

    def get(self, key: str, kind: type, due: str) -> Any:
        """A field's value; None where it is not of its kind, which is told."""
        value = self.values.get(key)
        if not isinstance(value, kind):
            said = "is missing" if value is None else f"is {value!r}"
            self.fault(f'"{key}" {said}, and must be {due}')
            return None
        return value

    def number(self, key: str) -> Decimal | None:
        """A decimal number, written as text or as a number; None where it is not there."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not _NUMBER.fullmatch(str(value)):
            self.fault(f'"{key}" is {_shown(value)}, and must be a number like "0.10"')
            return None
        return Decimal(str(value))

    def needed(self, key: str) -> Decimal:
        value = self.number(key)
        if value is None and key not in self.values:
            self.fault(f'"{key}" is missing, and must be a number like "0.10"')
        return value or Decimal(0)

    def check_keys(self, known: set[str]) -> None:
        for key in self.values:
            if key not in known:
                self.fault(f'"{key}" is nothing that it can have')


def _list(number: int, values: Mapping[str, Any], faults: list[str]) -> _Dated:
    fields = _Fields(f"list {number}", values, faults)
    fields.check_keys(_LIST)
    since = fields.get("valid_from", date, "a date like 2026-03-03")
    mode = fields.get("mode", str, f"one of {', '.join(_MODES)}")
    if mode is not None and mode not in _MODES:
        fields.fault(f'"mode" is {mode!r}, and must be one of {", ".join(_MODES)}')
    currency = fields.get("currency", str, 'a currency like "RUB"')
    if currency is not None and not _CURRENCY.fullmatch(currency):
        fields.fault(f'"currency" is {currency!r}, and must be three capitals like "RUB"')
    vat = fields.get("vat_included", bool, "true or false")
    source = fields.get("source", str, "a text that says where the prices are from")
    prices = _prices(fields)
    day = since.isoformat()[:10] if since else ""
    return _Dated(
        number, mode or "", currency or "", PriceList(day, prices, bool(vat), source or "")
    )


def _prices(fields: _Fields) -> dict[str, Price]:
    entries = _tables(fields.values.get("price"))
    if not entries:
        fields.fault("there is no [[list.price]] in it")
        return {}
    prices: dict[str, Price] = {}
    for number, values in enumerate(entries, start=1):
        entry = _Fields(f"{fields.where}, price {number}", values, fields.faults)
        entry.check_keys(_PRICE)
        amounts = entry.needed("input"), entry.needed("output")
        price = Price(*amounts, _units(entry), _context(entry))
        for model in _models(entry):
            if model in prices:
                entry.fault(f"{model!r} has a price in this list already")
            prices[model] = price
    return prices


def _models(entry: _Fields) -> list[str]:
    models = entry.values.get("models")
    if isinstance(models, list) and models and all(isinstance(m, str) and m for m in models):
        return models
    entry.fault('"models" must be a list of names like ["yandexgpt-lite"]')
    return []


def _context(entry: _Fields) -> int | None:
    context = entry.values.get("context")
    if context is None:
        return None
    if isinstance(context, bool) or not isinstance(context, int) or context < 1:
        entry.fault('"context" must be a number of tokens')
        return None
    return context


def _units(entry: _Fields) -> Units | None:
    both, given, taken = (entry.number(key) for key in ("units", "input_units", "output_units"))
    if both is not None:
        if given is not None or taken is not None:
            entry.fault('"units" are for input and output alike: no others go with them')
        return Units(both, both)
    if given is None and taken is None:
        return None
    if given is None or taken is None:
        entry.fault('"input_units" and "output_units" go together')
        return None
    return Units(given, taken)


def _tables(value: object) -> list[dict[str, Any]]:
    """An array of tables; none where it is anything else."""
    is_one = isinstance(value, list) and all(isinstance(item, dict) for item in value)
    return value if is_one else []  # type: ignore[return-value] # as was just seen


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str | Decimal) else repr(value)
