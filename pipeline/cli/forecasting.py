"""Makes a forecast of resolved options: reads the rows, has some counted, tells the result."""

import asyncio
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import click

from pipeline.canary import Canary
from pipeline.census import Census, Met
from pipeline.cli.asking import asked
from pipeline.cli.execute import EMULATOR, answer, endpoints_of, recipe_of
from pipeline.cli.kinds import AUTO, chosen_rates
from pipeline.cli.pricing import shipped
from pipeline.clock import Clock
from pipeline.codec import encode
from pipeline.counting import Hear, Tokenizer
from pipeline.credentials import CredentialSource, find_credential
from pipeline.earlier import LEAST, Earlier
from pipeline.emulator.model import Config
from pipeline.emulator.server import embedded
from pipeline.errors import BadData, Exit
from pipeline.fit import Estimate
from pipeline.forecast import (
    Basis,
    Forecast,
    bounded_outputs,
    duration_of,
    parts_of,
    rough_inputs,
    weights,
)
from pipeline.preflight import Report, look_at, unusable
from pipeline.prices import PriceTable
from pipeline.quote import CANARY, CHARACTERS, EXACT, LIKE, MAX_TOKENS, SAMPLE, as_json, sentences
from pipeline.rates import Rate
from pipeline.recovery import Paths
from pipeline.rows import Recipe, Row, is_blank, parse_row
from pipeline.service import Account, Endpoints, HttpxCarrier, Service
from pipeline.settings import DEFAULT_POLL_RATES, DEFAULT_RATES
from pipeline.source import Line, Source, piped
from pipeline.speech import clean, say
from pipeline.survey import GROUPS, Survey

_CONNECTIONS = 20
_TOLD_APART = 30.0
_WIDE = 0.1


@dataclass(frozen=True, slots=True)
class Request:
    """One call of `estimate`, resolved. `input` None is standard input."""

    input: Path | None
    recipe: Recipe
    limit: int | None
    rates: tuple[Rate, ...]
    poll_rates: tuple[Rate, ...]
    endpoints: Endpoints
    credentials: CredentialSource | None
    data_logging: bool
    emulator: bool
    exact: bool
    like: Path | None
    canary: int | None
    confidence: float
    seed: int
    as_json: bool

    @classmethod
    def of(cls, options: Mapping[str, Any], environment: Mapping[str, str]) -> "Request":
        """Check what can be checked before anything is opened.

        Raises:
            click.UsageError: options contradict each other.
            RunError: there is no credential, or no folder for the model.

        """
        _check(options)
        folder = options["folder_id"] or (Config().folder if options["offline"] else None)
        return cls(
            input=None if options["input_path"] == "-" else Path(options["input_path"]),
            recipe=recipe_of({**options, "folder_id": folder, "keep": ()}),
            limit=options["limit"],
            rates=_rates(options["rate"]),
            poll_rates=chosen_rates(options["poll_rate"], DEFAULT_POLL_RATES),
            endpoints=endpoints_of(options["endpoint"], environment),
            credentials=_credentials(options, environment),
            data_logging=not options["no_data_logging"],
            emulator=options["emulator"],
            exact=options["exact"],
            like=options["like"],
            canary=options["canary"],
            confidence=options["confidence"],
            seed=options["seed"],
            as_json=options["as_json"],
        )

    @property
    def name(self) -> Path:
        return self.input or Path("stdin")


def _check(options: Mapping[str, Any]) -> None:
    for one, other in (("offline", "exact"), ("offline", "canary"), ("like", "canary")):
        if options[one] and options[other]:
            raise click.UsageError(f"--{one} and --{other}: give one of them.")
    if options["exact"] and options["input_path"] == "-":
        raise click.UsageError("--exact reads the rows twice: name a file.")


def _rates(given: tuple[Any, ...]) -> tuple[Rate, ...]:
    """What `auto` finds out, nobody knows before."""
    return DEFAULT_RATES if AUTO in given else chosen_rates(given, DEFAULT_RATES)


def _credentials(
    options: Mapping[str, Any], environment: Mapping[str, str]
) -> CredentialSource | None:
    if options["offline"]:
        return None
    return EMULATOR if options["emulator"] else find_credential(environment)


def execute(context: click.Context, request: Request) -> int:
    """Make the forecast and tell it; return the exit code."""
    census, report = _census(request)
    for sentence in report.sentences():
        say(sentence)
    if not census.rows:
        raise unusable(request.name, report)
    table, rows = shipped(), census.by_model()
    inputs, input_basis = _inputs(request, census, table)
    outputs, output_basis = _outputs(context, request, census, inputs, table)
    forecast = Forecast(
        parts_of(rows, inputs, outputs, table),
        report.bad,
        input_basis,
        output_basis,
        duration_of(census.rows, request.rates, request.poll_rates),
        request.confidence,
    )
    for remark in _remarks(forecast):
        say(remark)
    if request.as_json:
        answer([encode(as_json(forecast, table)).decode()])
    else:
        told = sentences(forecast, table, str(request.name), str(request.like))
        answer([clean(line) for line in told])
    return Exit.OK


def _remarks(forecast: Forecast) -> Iterator[str]:
    for model in forecast.unpriced:
        yield f"No price is known of {model}: it is not among those of pipeline/prices.toml."
    cost = forecast.cost
    if cost is None:
        return
    relative = cost.relative(forecast.confidence)
    if forecast.output_basis.name == MAX_TOKENS:
        yield "To narrow the range, give --like with earlier results, or --canary 300."
    elif forecast.output_basis.name == CANARY and relative > _WIDE:
        needed = round(forecast.output_basis.seen * (relative / _WIDE) ** 2, -1)
        if needed < forecast.rows:
            yield f"For ±10 % the canary needs about {needed:,.0f} rows."


# Rows.


def _census(request: Request) -> tuple[Census, Report]:
    census, report = Census(Random(request.seed).random), Report()  # noqa: S311 - a sample's
    for row, data in _rows(request, report):
        census.meet(row, data)
    return census, report


def _rows(request: Request, report: Report) -> Iterator[tuple[Row, bytes]]:
    """Every fit row with its line. Blocks."""
    seen: set[str] = set()
    with _lines(request) as lines:
        for line in lines:
            if is_blank(line.data):
                continue
            if request.limit is not None and line.next.rows > request.limit:
                return
            row = look_at(line, request.name, request.recipe, report, seen)
            if row is not None:
                yield row, line.data


@contextmanager
def _lines(request: Request) -> Iterator[Iterable[Line]]:
    if request.input is None:
        yield piped(sys.stdin.buffer, "stdin")
        return
    source = Source(request.input)
    try:
        yield source.read()
    finally:
        source.close()


# Input tokens.


def _inputs(
    request: Request, census: Census, table: PriceTable
) -> tuple[dict[str, Estimate], Basis]:
    if request.credentials is None:
        return rough_inputs(census.strata), Basis(CHARACTERS)
    clock = Clock()
    if request.exact:
        return asyncio.run(_with_tokenizer(request, _Exact(request, census, clock), clock))
    prices = weights(census.by_model(), table, lambda price: price.input)
    survey = Survey(census.groups(census.rows / GROUPS), prices, request.confidence)
    return asyncio.run(_with_tokenizer(request, _Sampled(request, survey, census.rows), clock))


class _Sampled:
    """Has rows counted until the survey has enough."""

    def __init__(self, request: Request, survey: Survey, rows: int) -> None:
        self._recipe, self._survey, self._rows = request.recipe, survey, rows
        self._refused = 0

    async def count(self, tokenizer: Tokenizer) -> tuple[dict[str, Estimate], Basis]:
        while drawn := self._survey.draw():
            await tokenizer.count(self._asked(place, met) for place, met in drawn)
        if self._refused:
            say(f"The service refuses {self._refused:,} of the rows counted; they cost nothing.")
        counted = self._survey.counted
        return self._survey.totals(), Basis(EXACT if counted == self._rows else SAMPLE, counted)

    def _asked(self, place: int, met: Met) -> tuple[Row, Hear]:
        row = parse_row(met.line, met.data, self._recipe)
        assert isinstance(row, Row)  # noqa: S101 - it was one when it was met

        def hear(tokens: int | None) -> None:
            self._refused += tokens is None
            self._survey.hear(place, met, tokens or 0)

        return row, hear


class _Exact:
    """Has every row counted, reading the input again."""

    def __init__(self, request: Request, census: Census, clock: Clock) -> None:
        self._request, self._rows, self._clock = request, census.rows, clock
        self._sums = dict.fromkeys(census.by_model(), 0)
        self._counted = self._refused = 0
        self._told_at = clock.now()

    async def count(self, tokenizer: Tokenizer) -> tuple[dict[str, Estimate], Basis]:
        rows = _rows(self._request, Report())
        await tokenizer.count((row, self._hear_of(row.model)) for row, _ in rows)
        if self._refused:
            say(f"The service refuses {self._refused:,} of the rows; they cost nothing.")
        found = {model: Estimate(float(tokens)) for model, tokens in self._sums.items()}
        return found, Basis(EXACT, self._counted)

    def _hear_of(self, model: str) -> Hear:
        def hear(tokens: int | None) -> None:
            self._counted += 1
            self._refused += tokens is None
            self._sums[model] += tokens or 0
            now = self._clock.now()
            if now - self._told_at >= _TOLD_APART:
                self._told_at = now
                say(f"{self._counted:,}/{self._rows:,} rows counted")

        return hear


async def _with_tokenizer(
    request: Request, counted: _Exact | _Sampled, clock: Clock
) -> tuple[dict[str, Estimate], Basis]:
    carrier = HttpxCarrier(_CONNECTIONS, trust_environment=not request.emulator)
    assert request.credentials is not None  # noqa: S101 - without one nothing is counted
    account = Account(request.credentials, request.recipe.folder, request.data_logging)
    try:
        with _hosts(request) as endpoints:
            service = Service(carrier, endpoints, account, clock)
            return await counted.count(Tokenizer(service, clock))
    finally:
        await carrier.close()


@contextmanager
def _hosts(request: Request) -> Iterator[Endpoints]:
    if not request.emulator:
        yield request.endpoints
        return
    config = Config(folder=request.recipe.folder or Config().folder)
    with embedded(config, None) as url:
        yield Endpoints(url, url)


# Answers.


def _outputs(
    context: click.Context,
    request: Request,
    census: Census,
    inputs: Mapping[str, Estimate],
    table: PriceTable,
) -> tuple[dict[str, Estimate], Basis]:
    if request.like is not None:
        return _as_earlier(request.like, census, inputs)
    if request.canary is None:
        return bounded_outputs(census.strata, inputs), Basis(MAX_TOKENS)
    prices = weights(census.by_model(), table, lambda price: price.output)
    canary = Canary(census, request.canary, prices)
    answers = asked(context, request.name, canary.rows)
    if len(answers) < len(canary.rows):
        failed = len(canary.rows) - len(answers)
        say(f"{failed:,} rows of the canary were not answered; the others are taken to be alike.")
    return canary.outputs(answers), Basis(CANARY, len(answers))


def _as_earlier(
    path: Path, census: Census, inputs: Mapping[str, Estimate]
) -> tuple[dict[str, Estimate], Basis]:
    earlier, rows = Earlier(), census.by_model()
    for one in (path, Paths(path).errors):
        if one == path or one.exists():
            source = Source(one)
            try:
                for line in source.read():
                    earlier.hear(line.data)
            finally:
                source.close()
    if earlier.answers < LEAST:
        raise BadData(
            f"{path} has {earlier.answers} answers with their tokens: {LEAST} are needed.",
            "Name the output of an earlier run.",
        )
    if earlier.failed:
        say(f"{path}: {earlier.failed:,} rows failed there; here none is expected to.")
    if earlier.truncated:
        share = f"{earlier.truncated:,} of {earlier.answers:,} answers"
        say(f"{path}: {share} were cut off by max_tokens; another limit gives other lengths.")
    for model in earlier.lacks(rows):
        say(f"{path} has too few answers of {model}: it is taken to answer as the others did.")
    return earlier.outputs(rows, inputs), Basis(LIKE, earlier.answers)
