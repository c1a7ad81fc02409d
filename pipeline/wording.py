"""How numbers of things, and sums of money, are written in English sentences."""

from decimal import ROUND_CEILING, Decimal

_KOPECKS, _DIGITS = 2, 2


def so_many(count: int, thing: str) -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def so_much(amount: Decimal | None, currency: str = "") -> str:
    """``1,234.50 RUB``: to kopecks, and of small sums two digits: ``0.0031 RUB``.

    Without a currency the number alone, of several of which the last one has it.
    """
    if amount is None:
        return f"an unknown sum of {currency}"
    return f"{amount:,.{_places(amount)}f} {currency}".rstrip()


def raised(amount: Decimal) -> Decimal:
    """The next amount up that is shown as it is: a limit that others are counted with."""
    return amount.quantize(Decimal(1).scaleb(-_places(amount)), ROUND_CEILING)


def _places(amount: Decimal) -> int:
    return max(_KOPECKS, _DIGITS - 1 - amount.adjusted()) if amount else _KOPECKS
