"""Rows are counted within the tokenizer's quota; what can't be counted ends it in a sentence."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import pytest

from pipeline.auth.credentials import Credential
from pipeline.auth.keeper import Keeper
from pipeline.auth.local_tokens import Fixed
from pipeline.calls.counting import Tokenizer
from pipeline.calls.service import Account, Service
from pipeline.clock import Clock
from pipeline.codec import encode
from pipeline.emulator.model import Config
from pipeline.emulator.model import Service as Model
from pipeline.errors import BadSettings, NoPermission, RunError, Unreachable
from pipeline.input.rows import Recipe, Row, parse_row
from pipeline.network.carrier import NotSentError, Reply
from pipeline.network.endpoints import Endpoints
from pipeline.pacing.rates import Rate
from tests.simulation import EVENING, Between, ModelCarrier, Sending, VirtualLoop

FOLDER = Config().folder
Meet = Callable[[Sending], Awaitable[Reply]]


def row(line: int, text: str = "ping", model: str | None = None) -> Row:
    parsed = parse_row(
        line, encode({"prompt": text, "model": model}), Recipe("yandexgpt-lite", FOLDER)
    )
    assert isinstance(parsed, Row)
    return parsed


async def onward(sending: Sending) -> Reply:
    return await sending.onward()


class Story:
    """What came of having rows counted under virtual time."""

    def __init__(
        self, rows: Sequence[Row], meet: Meet = onward, config: Config | None = None
    ) -> None:
        self.model = Model(config or Config())
        self.found: dict[int, int | None] = {}
        self.error: RunError | None = None
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(self._carry(rows, meet))

    async def _carry(self, rows: Sequence[Row], meet: Meet) -> None:
        clock = Clock(asyncio.get_running_loop().time, EVENING)
        carrier = Between(ModelCarrier(self.model, clock, lambda: 0.03), clock, meet)
        source = Fixed("the test", Credential("Api-Key", "any", is_users=False))
        keeper = Keeper(source, carrier, clock, patience=60)
        endpoints, account = Endpoints("http://m", "http://m"), Account(keeper, FOLDER)
        tokenizer = Tokenizer(Service(carrier, endpoints, account, clock), clock)
        try:
            async with keeper.watched():
                await tokenizer.count((one, partial(self._hear, one.line)) for one in rows)
        except RunError as error:
            self.error = error
        self.took = clock.now() - EVENING

    def _hear(self, line: int, tokens: int | None) -> None:
        assert line not in self.found
        self.found[line] = tokens


def test_the_chat_template_is_counted_as_the_service_bills_it() -> None:
    assert Story([row(1), row(2, "ping ping")]).found == {1: 15, 2: 16}


@pytest.mark.promise("P13")
def test_a_thousand_rows_take_twenty_seconds_and_no_refusal() -> None:
    story = Story([row(line) for line in range(1, 1001)])
    assert len(story.found) == 1000
    assert story.model.ledger.refused_others == {}
    assert 19 < story.took < 21


def test_a_smaller_quota_than_is_documented_is_kept_to() -> None:
    config = Config(tokenizer_rates=(Rate(10, 1.0),))
    story = Story([row(line) for line in range(1, 201)], config=config)
    assert len(story.found) == 200
    assert story.error is None
    assert sum(story.model.ledger.refused_others.values()) < 30


def test_a_row_that_the_service_refuses_is_told_as_such_and_the_others_are_counted() -> None:
    story = Story([row(1, model="no-such-model"), row(2), row(3, model="nor-this"), row(4)])
    assert story.found == {1: None, 2: 15, 3: None, 4: 15}


def test_a_model_that_no_row_can_have_is_bad_settings() -> None:
    bad = parse_row(1, b'{"prompt": "a"}', Recipe("no-such-model", FOLDER))
    assert isinstance(bad, Row)
    assert isinstance(Story([bad]).error, BadSettings)


def test_a_credential_that_is_not_accepted_ends_it() -> None:
    story = Story([row(1), row(2)], config=Config(api_keys=frozenset({"another"})))
    assert isinstance(story.error, NoPermission)
    assert story.found == {}


def test_what_fails_for_a_while_is_asked_again() -> None:
    calls: Counter[bytes] = Counter()

    async def meet(sending: Sending) -> Reply:
        calls[sending.body] += 1
        if calls[sending.body] <= 3:
            return Reply(503, {}, b"<html>busy</html>")
        return await sending.onward()

    story = Story([row(line, f"row {line}") for line in range(1, 21)], meet)
    assert len(story.found) == 20
    assert set(calls.values()) == {4}


def test_an_answer_without_tokens_is_asked_for_again_and_never_counted() -> None:
    async def meet(_: Sending) -> Reply:
        return Reply(200, {}, b'{"tokens": "many"}')

    story = Story([row(1)], meet)
    assert story.found == {}
    assert isinstance(story.error, Unreachable)
    assert "without tokens" in str(story.error)


def test_a_service_that_is_away_is_unreachable_after_half_a_minute() -> None:
    async def meet(_: Sending) -> Reply:
        raise NotSentError("ConnectError: refused")

    story = Story([row(line) for line in range(1, 100)], meet)
    assert isinstance(story.error, Unreachable)
    assert "ConnectError: refused" in story.error.told
    assert "--offline" in story.error.told
    assert 30 < story.took < 60


def test_a_service_that_goes_away_in_the_middle_ends_all_lanes_with_one_error() -> None:
    calls = 0

    async def meet(sending: Sending) -> Reply:
        nonlocal calls
        calls += 1
        if calls > 50:
            raise NotSentError("ConnectError: refused")
        return await sending.onward()

    story = Story([row(line) for line in range(1, 200)], meet)
    assert isinstance(story.error, Unreachable)
    assert len(story.found) == 50
