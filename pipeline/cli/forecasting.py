"""Makes a forecast of resolved options: reads the rows, has some counted, tells the result."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from random import Random

import click

from pipeline import log
from pipeline.checks.preflight import Report, none_fit, unusable
from pipeline.cli.answer import answer, tell
from pipeline.cli.asking import asked
from pipeline.cli.counted import counted_inputs
from pipeline.cli.requested import Request, rows_of
from pipeline.codec import encode
from pipeline.errors import BadData, Exit
from pipeline.estimate.canary import Canary, canary_for
from pipeline.estimate.census import Census
from pipeline.estimate.earlier import LEAST, Earlier
from pipeline.estimate.fit import Estimate
from pipeline.estimate.forecast import (
    Asked,
    Basis,
    Forecast,
    Sum,
    bounded_outputs,
    duration_of,
    longest_limits,
    parts_of,
    unlimited_rows,
    weights,
)
from pipeline.estimate.quote import CANARY, LIKE, MAX_TOKENS, as_json, sentences
from pipeline.files.paths import Paths
from pipeline.files.source import Source
from pipeline.money.prices import PriceTable
from pipeline.money.totals import Totals, no_price, sum_of
from pipeline.terminal.speech import say
from pipeline.wording import so_many

_WIDE = 0.1


def execute(context: click.Context, request: Request) -> int:
    """Make the forecast and tell it; return the exit code."""
    log.set_up(request.verbose, None)
    census, report = _census(request)
    if not census.rows:
        raise _no_row(request, report)
    for sentence in report.sentences(request.name, request.recipe.template):
        say(sentence)
    for sentence in report.no_twins(dedupe=request.dedupe):
        say(sentence)
    table, rows = request.prices, census.by_model()
    earlier = None if request.like is None else _earlier(request, request.like, rows)
    inputs, input_basis = counted_inputs(request, census, table)
    outputs, output_basis, canary = (
        _outputs(context, request, census, inputs, table)
        if earlier is None
        else _as_earlier(request, earlier, census, inputs)
    )
    forecast = Forecast(
        parts_of(rows, inputs, outputs, table),
        report.bad,
        report.requests.same,
        input_basis,
        output_basis,
        duration_of(census.rows, request.rates, request.poll_rates),
        request.confidence,
        canary,
    )
    limited = request.recipe.max_tokens is not None
    for remark in _remarks(forecast, limited=limited, offline=request.access is None):
        say(remark)
    if request.as_json:
        answer([encode(as_json(forecast, table)).decode()])
    else:
        tell(sentences(forecast, table, str(request.name), str(request.like)))
    return Exit.OK


def _no_row(request: Request, report: Report) -> BadData:
    """Why no row can be sent; what is wrong with several lines is said first, each once."""
    # The refusal itself tells what is wrong with one.
    if report.bad < 2:
        return unusable(request.name, report)
    for sentence in report.complaints.sentences(str(request.name)):
        say(sentence)
    return none_fit(request.name, report, request.recipe.template)


def _remarks(forecast: Forecast, *, limited: bool, offline: bool) -> Iterator[str]:
    """What to tell beside it; `limited`: the command says how long answers may be."""
    if forecast.unpriced:
        yield no_price(list(forecast.unpriced))
    cost = forecast.cost
    if cost is None:
        return
    relative = cost.relative(forecast.confidence)
    if forecast.output_basis.name == MAX_TOKENS:
        size = canary_for(forecast.rows)
        how = "--canary {}, without --offline" if offline else "--canary {}"
        canary = "" if size is None else f", or {how.format(size)}"
        first = "" if limited else "--max-tokens, " if canary else "--max-tokens or "
        yield f"To narrow the range, give {first}--like with earlier results{canary}."
    elif forecast.output_basis.name == CANARY and relative > _WIDE:
        needed = round(forecast.output_basis.seen * (relative / _WIDE) ** 2, -1)
        if needed < forecast.rows:
            yield f"For ±10 % the canary needs about {needed:,.0f} rows."


def _census(request: Request) -> tuple[Census, Report]:
    census, report = Census(Random(request.seed).random), Report()  # noqa: S311 - a sample's
    for row, data in rows_of(request, report):
        census.meet(row, data)
    return census, report


# Answers.


def _outputs(
    context: click.Context,
    request: Request,
    census: Census,
    inputs: Mapping[str, Estimate],
    table: PriceTable,
) -> tuple[dict[str, Estimate], Basis, Asked | None]:
    if request.canary is None:
        basis = Basis(MAX_TOKENS, unlimited=unlimited_rows(census.strata))
        return bounded_outputs(census.strata, inputs, table), basis, None
    prices = weights(census.by_model(), table, lambda price: price.output)
    canary = Canary(census, request.canary, prices)
    answers, totals = asked(context, request.name, canary.rows, census.rows)
    if len(answers) < len(canary.rows):
        untold = so_many(len(canary.rows) - len(answers), "row")
        say(f"Of {untold} of the canary no tokens are known: the others are taken for all.")
    is_emulated = request.access is not None and request.access.emulator
    came_to = Asked(len(canary.rows), _spent(totals, table), is_emulated)
    return canary.outputs(answers), Basis(CANARY, len(answers)), came_to


def _spent(totals: Totals, table: PriceTable) -> Sum | None:
    """What was billed, and at most can have been where that can't be known."""
    least = sum_of(tally.cost(table) for tally in totals.tallies)
    most = totals.exposure(table)
    if least is None or most is None:
        return None
    return Sum(least, least if least == most else None, most)


def _earlier(request: Request, path: Path, models: Iterable[str]) -> Earlier:
    """What earlier results tell; read before anybody is asked anything."""
    earlier = Earlier()
    for one in (path, Paths(path).errors):
        if one == path or one.exists():
            source = _opened(one)
            try:
                for line in source.read():
                    earlier.hear(line.data)
            finally:
                source.close()
    if earlier.answers < LEAST:
        raise BadData(
            f"{path} has {so_many(earlier.answers, 'answer')} with tokens: {LEAST} are needed.",
            "Name the output of an earlier run.",
        )
    if earlier.failed:
        say(f"{path}: {so_many(earlier.failed, 'row')} failed there; here none is expected to.")
    if earlier.unknown:
        unknown = so_many(earlier.unknown, "answer")
        say(f"{path}: {unknown} without tokens: the others are taken for all.")
    if earlier.truncated:
        share = f"{earlier.truncated:,} of {so_many(earlier.answers, 'answer')}"
        say(f"{path}: max_tokens cut off {share} there; another limit gives other lengths.")
    if earlier.emulated and not (request.access and request.access.emulator):
        say(f"{path} was answered by the emulator: the service's answers are of other lengths.")
    for model in earlier.lacks(models):
        say(f"{path} has too few answers of {model}: it is taken to answer as the others did.")
    return earlier


def _opened(path: Path) -> Source:
    try:
        return Source(path)
    except BadData as error:
        raise BadData(str(error), "Name the output of an earlier run.") from None


def _as_earlier(
    request: Request, earlier: Earlier, census: Census, inputs: Mapping[str, Estimate]
) -> tuple[dict[str, Estimate], Basis, None]:
    limits = longest_limits(census.strata)
    longer = earlier.longer_than(limits)
    if longer:
        share = f"{longer:,} of {so_many(earlier.answers, 'answer')}"
        say(f"{request.like}: --max-tokens would have cut off {share}: counted as if it had.")
    for length, reach in earlier.out_of_reach(census.by_model(), inputs):
        say(
            f"{request.like}: prompts had {reach.shortest:,.0f} to {reach.longest:,.0f} tokens "
            f"there, here they have {length:,.0f} on average. So answers are told as a range, "
            "without a confidence: --canary asks some of these rows."
        )
    outputs = earlier.outputs(census.by_model(), inputs, limits)
    return outputs, Basis(LIKE, earlier.answers), None
