"""A forecast as people read it, and as one JSON object."""

from collections.abc import Iterator

from pipeline.codec import Json
from pipeline.estimate.fit import Estimate
from pipeline.estimate.forecast import Asked, Basis, Duration, Forecast, Part, Sum
from pipeline.money.prices import PriceTable, money
from pipeline.wording import so_many, so_much

EXACT, SAMPLE, CHARACTERS = "exact", "sample", "characters"
LIKE, CANARY, MAX_TOKENS = "like", "canary", "max_tokens"
_KINDS = ("submits", "polls")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def sentences(forecast: Forecast, table: PriceTable, name: str, like: str) -> Iterator[str]:
    """What to tell; `name` and `like` are those of the input and of the earlier results."""
    unfit = f", {forecast.unfit:,} can't be" if forecast.unfit else ""
    same = f", {forecast.same:,} more ask the same as one of them" if forecast.same else ""
    yield f"{name}: {so_many(forecast.rows, 'row')} can be sent{same}{unfit}."
    confidence = f"{100 * forecast.confidence:g} %"
    yield f"Input: {_tokens(forecast.input, forecast)}, {_counted(forecast.input_basis)}."
    yield f"Output: {_tokens(forecast.output, forecast)}, {_told(forecast, like)}."
    if len(forecast.parts) > 1:
        yield from (_part(part, forecast, table) for part in forecast.parts)
    cost = forecast.cost
    if cost is None:
        yield f"Cost: unknown, since no price is known of {', '.join(forecast.unpriced)}."
    else:
        # A guess has none, and takes it from whatever it is added to.
        is_known = cost.variance and not forecast.input.is_range
        how = f"with a confidence of {confidence}" if is_known else ""
        words = [f"Cost: {range_of(Sum.of(cost, forecast.confidence), table)}", how]
        yield f"{', '.join(filter(None, words))} (prices of {table.date})."
    if forecast.canary is not None:
        yield _beside(forecast.canary, table)
    yield f"Time: {so_many(forecast.rows, 'row')}: {lasting(forecast.duration)}."


def _part(part: Part, forecast: Forecast, table: PriceTable) -> str:
    cost = part.cost
    told = "unknown" if cost is None else range_of(Sum.of(cost, forecast.confidence), table)
    return (
        f"  {part.model}: {so_many(part.rows, 'row')}, {_tokens(part.input, forecast)} in, "
        f"{_tokens(part.output, forecast)} out, cost {told}"
    )


def _beside(canary: Asked, table: PriceTable) -> str:
    """What the canary came to: an amount that the forecast does not hold."""
    amount = "an unknown amount" if canary.cost is None else range_of(canary.cost, table)
    cost = f"cost {amount}"
    if canary.emulated:
        cost = f"would have cost {amount} (the emulator bills nothing)"
    return (
        f"The canary's {so_many(canary.rows, 'row')} {cost} on top of that: a run asks them again."
    )


def _tokens(found: Estimate, forecast: Forecast) -> str:
    low, high = found.interval(forecast.confidence)
    if found.is_range:
        return f"{low:,.0f} to {high:,.0f} tokens"
    likely = f"{found.centre:,.0f} tokens"
    return likely if found.is_exact else f"{likely} ± {_percent(found, forecast)}"


def _percent(found: Estimate, forecast: Forecast) -> str:
    return f"{100 * found.relative(forecast.confidence):.1f} %"


def _counted(basis: Basis) -> str:
    match basis.name:
        case "exact":
            return "exact: the tokenizer counted every row"
        case "sample":
            return f"from {so_many(basis.seen, 'row')} that the tokenizer counted"
        case _:
            return "a rough guess: 3 to 10 characters a token"


def _told(forecast: Forecast, like: str) -> str:
    basis = forecast.output_basis
    alike = ", all of one length" if forecast.output.is_exact else ""
    match basis.name:
        case "like":
            return f"as {basis.seen:,} earlier answers in {like} were{alike}"
        case "canary":
            return f"from the {so_many(basis.seen, 'answer')} that a canary had{alike}"
        case _:
            why = unlimited(basis.unlimited, forecast.rows)
            return why or "which is all that limits on answers tell"


def unlimited(rows: int, of: int) -> str:
    """Why answers may be so long, as a clause; empty where each has its limit."""
    if rows == of:
        return "since without --max-tokens only the model's context ends an answer"
    few = (
        f"in {so_many(rows, 'row')} without --max-tokens only the model's context ends the answer"
    )
    return f"since {few}" if rows else ""


def range_of(amount: Sum, table: PriceTable) -> str:
    """A sum of money with its currency, and how far it may be off."""
    unit = table.currency
    if amount.likely is None:
        return f"{so_much(amount.least)} to {so_much(amount.most, unit)}"
    likely = so_much(amount.likely, unit)
    if amount.least == amount.most:
        return likely
    return f"{likely}, between {so_much(amount.least)} and {so_much(amount.most, unit)}"


def lasting(duration: Duration) -> str:
    """How long submitting takes, and what binds."""
    if duration.bound_by is None:
        return f"{span(duration.seconds)} and the last answers, with no limit"
    bound_by = duration.bound_by.words + " for polls, two a row" * duration.is_by_polls
    return f"{span(duration.seconds)} and the last answers, bound by {bound_by}"


def span(seconds: float) -> str:
    """``7 h 08 min``; to the minute from an hour on, to the second below."""
    if seconds < _HOUR:
        minutes, rest = divmod(round(seconds), _MINUTE)
        return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
    days, rest = divmod(round(seconds / _MINUTE) * _MINUTE, _DAY)
    hours, rest = divmod(rest, _HOUR)
    told = f"{hours} h {rest // _MINUTE:02} min"
    return f"{days} d {told}" if days else told


def as_json(forecast: Forecast, table: PriceTable) -> dict[str, Json]:
    """All numbers; money as decimal strings, null where it is not known."""
    bound_by = forecast.duration.bound_by
    return {
        "rows": forecast.rows,
        "unfit": forecast.unfit,
        "same": forecast.same,
        "confidence": forecast.confidence,
        "input_tokens": _based(forecast.input, forecast.input_basis, forecast),
        "output_tokens": {
            **_based(forecast.output, forecast.output_basis, forecast),
            "unlimited": forecast.output_basis.unlimited,
        },
        "cost": _cost(forecast.cost, forecast)
        | {"currency": table.currency, "prices": table.date},
        "canary": None if forecast.canary is None else _canary(forecast.canary),
        "by_model": [
            {
                "model": part.model,
                "rows": part.rows,
                "input_tokens": _numbers(part.input, forecast),
                "output_tokens": _numbers(part.output, forecast),
                "cost": _cost(part.cost, forecast),
            }
            for part in forecast.parts
        ],
        "time": {
            "seconds": round(forecast.duration.seconds, 1),
            "bound_by": None if bound_by is None else str(bound_by),
            "of": None if bound_by is None else _KINDS[forecast.duration.is_by_polls],
        },
    }


def _numbers(found: Estimate, forecast: Forecast) -> dict[str, Json]:
    low, high = found.interval(forecast.confidence)
    likely = found.likely
    return {
        "likely": None if likely is None else round(likely),
        "least": round(low),
        "most": round(high),
    }


def _based(found: Estimate, basis: Basis, forecast: Forecast) -> dict[str, Json]:
    return {**_numbers(found, forecast), "basis": basis.name, "seen": basis.seen}


def _canary(asked: Asked) -> dict[str, Json]:
    return {"rows": asked.rows, "cost": _money(asked.cost), "emulated": asked.emulated}


def _cost(cost: Estimate | None, forecast: Forecast) -> dict[str, Json]:
    return _money(None if cost is None else Sum.of(cost, forecast.confidence))


def _money(amount: Sum | None) -> dict[str, Json]:
    return {
        "amount": None if amount is None else money(amount.likely),
        "least": None if amount is None else money(amount.least),
        "most": None if amount is None else money(amount.most),
    }
