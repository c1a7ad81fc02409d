"""Input tokens for `estimate`: some rows counted, or all, or guessed from characters."""

import asyncio

from pipeline.auth.keeper import Keeper
from pipeline.calls.counting import Hear, Tokenizer
from pipeline.calls.service import Account, Service
from pipeline.checks.preflight import Report
from pipeline.cli.requested import Request, rows_of
from pipeline.clock import Clock
from pipeline.errors import BadData
from pipeline.estimate.census import Census, Met
from pipeline.estimate.fit import Estimate
from pipeline.estimate.forecast import Basis, rough_inputs, weights
from pipeline.estimate.quote import CHARACTERS, EXACT, SAMPLE
from pipeline.estimate.survey import GROUPS, Survey
from pipeline.input.rows import Row, parse_row
from pipeline.money.prices import PriceTable
from pipeline.terminal.speech import say
from pipeline.wording import so_many

_CONNECTIONS = 20
_TOLD_APART = 30.0
# Nobody leaves an estimate alone for the night.
_PATIENCE = 60.0


def counted_inputs(
    request: Request, census: Census, table: PriceTable
) -> tuple[dict[str, Estimate], Basis]:
    if request.access is None:
        return rough_inputs(census.strata), Basis(CHARACTERS)
    clock = Clock()
    if request.exact:
        return asyncio.run(_with_tokenizer(request, _Exact(request, census, clock), clock))
    prices = weights(census.by_model(), table, lambda price: price.input)
    survey = Survey(census.groups(census.rows / GROUPS), prices, request.confidence)
    return asyncio.run(
        _with_tokenizer(request, _Sampled(request, survey, census.rows, clock), clock)
    )


class _Heard:
    """How many rows were counted, told now and then, and how many were refused."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._told_at = clock, clock.now()
        self.counted = self._refused = 0

    def hear(self, tokens: int | None) -> int:
        self.counted += 1
        self._refused += tokens is None
        now = self._clock.now()
        if now - self._told_at >= _TOLD_APART:
            self._told_at = now
            say(f"{so_many(self.counted, 'row')} counted")
        return tokens or 0

    def conclude(self) -> None:
        if self._refused == self.counted:
            raise BadData("the service refuses every row that was counted.", "Try one: --limit 1.")
        if self._refused:
            say(
                f"The service refuses {self._refused:,} of {self.counted:,} rows counted: what it "
                "refuses has no input in the estimate, but answers like others."
            )


class _Sampled:
    """Has rows counted until the survey has enough."""

    def __init__(self, request: Request, survey: Survey, rows: int, clock: Clock) -> None:
        self._recipe, self._survey, self._rows = request.recipe, survey, rows
        self._heard = _Heard(clock)

    async def count(self, tokenizer: Tokenizer) -> tuple[dict[str, Estimate], Basis]:
        while drawn := self._survey.draw():
            await tokenizer.count(self._asked(place, met) for place, met in drawn)
        self._heard.conclude()
        counted = self._survey.counted
        return self._survey.totals(), Basis(EXACT if counted == self._rows else SAMPLE, counted)

    def _asked(self, place: int, met: Met) -> tuple[Row, Hear]:
        row = parse_row(met.line, met.data, self._recipe)
        assert isinstance(row, Row)  # noqa: S101 - it was one when it was met

        def hear(tokens: int | None) -> None:
            self._survey.hear(place, met, self._heard.hear(tokens))

        return row, hear


class _Exact:
    """Has every row counted, reading the input again."""

    def __init__(self, request: Request, census: Census, clock: Clock) -> None:
        self._request, self._heard = request, _Heard(clock)
        self._sums = dict.fromkeys(census.by_model(), 0)

    async def count(self, tokenizer: Tokenizer) -> tuple[dict[str, Estimate], Basis]:
        rows = rows_of(self._request, Report())
        await tokenizer.count((row, self._hear_of(row.model)) for row, _ in rows)
        self._heard.conclude()
        found = {model: Estimate(float(tokens)) for model, tokens in self._sums.items()}
        return found, Basis(EXACT, self._heard.counted)

    def _hear_of(self, model: str) -> Hear:
        def hear(tokens: int | None) -> None:
            self._sums[model] += self._heard.hear(tokens)

        return hear


async def _with_tokenizer(
    request: Request, counted: _Exact | _Sampled, clock: Clock
) -> tuple[dict[str, Estimate], Basis]:
    access = request.access
    assert access is not None  # noqa: S101 - offline nothing is counted
    carrier = access.carrier(_CONNECTIONS)
    keeper = Keeper(access.source, carrier, clock, _PATIENCE)
    account = Account(keeper, access.folder, request.data_logging)
    try:
        with access.served() as endpoints:
            tokenizer = Tokenizer(Service(carrier, endpoints, account, clock), clock)
            async with keeper.watched():
                return await counted.count(tokenizer)
    finally:
        await carrier.close()
