"""Runs that outlast their tokens, under virtual time and against the emulator's own IAM."""

import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.auth.credentials import Credential, NoCredentialError
from pipeline.auth.iam import ServiceAccount
from pipeline.auth.local_tokens import Fixed
from pipeline.auth.renewal import Renews
from pipeline.emulator.model import Config, Service
from pipeline.errors import NoPermission
from pipeline.input.rows import Recipe
from pipeline.network.carrier import Carrier, Reply
from pipeline.pacing.rates import Rate
from pipeline.settings import Settings
from tests.emulator_caller import public_half
from tests.simulation import EVENING, Sending, simulate

HOUR = 3600.0
Key = dict[str, str]
Meet = Callable[[Sending], Awaitable[Reply]]


def rows(folder: Path, count: int) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"слово {n}"}) + "\n" for n in range(count)))
    return path


def settings(**changes: object) -> Settings:
    recipe = Recipe(model="yandexgpt-lite", folder=Config().folder)
    return Settings(recipe, **changes)  # type: ignore[arg-type]


def account(path: Path) -> ServiceAccount:
    return ServiceAccount("the key", path, "http://iam")


def refusing(is_refused: Callable[[Sending], bool]) -> Meet:
    """A network at whose end some calls draw a 401."""

    async def meet(call: Sending) -> Reply:
        if is_refused(call):
            return Reply(401, {}, b'{"code": 16, "message": "Token is invalid"}')
        return await call.onward()

    return meet


def lines_by_row(output: Path) -> Counter[int]:
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert all(line["submits"] == 1 for line in lines if "line" in line)
    return Counter(line["line"] for line in lines if line.get("status") == "ok")


@pytest.mark.promise("P11")
def test_30_hours_with_tokens_of_12_take_two_renewals_and_no_refusal(
    folder: Path, authorized_key: Key, authorized_key_file: Path
) -> None:
    output = folder / "results.jsonl"
    model = Service(Config(sa_keys=(public_half(authorized_key),), latency_median=60))
    outcome, end = simulate(
        *(rows(folder, 1800), output, settings(rates=(Rate(1, 60.0),)), model),
        credentials=account(authorized_key_file),
    )
    assert outcome.exit_code == 0
    assert end - EVENING > 29.9 * HOUR
    assert lines_by_row(output) == dict.fromkeys(range(1, 1801), 1)
    assert [round((at - EVENING) / HOUR, 1) for at in model.issued.times["jwt"]] == [0, 11, 22]
    assert not model.ledger.refused_submits
    assert not model.ledger.refused_polls


@pytest.mark.promise("P11")
@pytest.mark.parametrize("skew", [-600, 600])
def test_the_end_of_a_token_is_told_by_the_clock_of_who_issued_it(
    folder: Path, authorized_key: Key, authorized_key_file: Path, skew: float
) -> None:
    output = folder / "results.jsonl"
    sa_keys = (public_half(authorized_key),)
    model = Service(Config(sa_keys=sa_keys, token_life=600, latency_median=5, skew=skew))
    outcome, _ = simulate(
        *(rows(folder, 120), output, settings(rates=(Rate(1, 10.0),)), model),
        credentials=account(authorized_key_file),
    )
    assert outcome.exit_code == 0
    assert [round(at - EVENING, -1) for at in model.issued.times["jwt"]] == [0, 540, 1080]
    assert not model.ledger.refused_submits + model.ledger.refused_polls


@pytest.mark.promise("P11")
def test_50_calls_refused_at_once_take_one_renewal_and_cost_no_attempt(
    folder: Path, authorized_key: Key, authorized_key_file: Path
) -> None:
    output = folder / "results.jsonl"
    model = Service(Config(sa_keys=(public_half(authorized_key),), submit_rates=()))
    under_way = 0

    async def meet(call: Sending) -> Reply:
        nonlocal under_way
        under_way += call.is_submit
        if under_way == 60 and call.is_submit:
            model.issued.revoke_all()
        return await call.onward()

    outcome, _ = simulate(
        *(rows(folder, 200), output, settings(rates=(), concurrency=50), model),
        credentials=account(authorized_key_file),
        meet=meet,
        delay=lambda: 1.0,
    )
    assert outcome.exit_code == 0
    assert lines_by_row(output) == dict.fromkeys(range(1, 201), 1)
    assert model.ledger.refused_submits[401] + model.ledger.refused_polls[401] >= 50
    assert len(model.issued.times["jwt"]) == 2
    assert outcome.totals.doubt_count == 0


@dataclass(slots=True)
class Flickering:
    """Hands out a new key each time, but for the times at which it has none."""

    away: Sequence[tuple[float, float]] = ()
    name: str = "the test's source"
    advice: str = "Mend the source."
    renews: Renews = "perhaps"
    asked: list[float] = field(default_factory=list)

    async def fresh(self, _: Carrier, now: float) -> Credential:
        self.asked.append(now)
        if any(begin <= now < end for begin, end in self.away):
            raise NoCredentialError("gone fishing", self.advice)
        return Credential("Api-Key", f"key-{len(self.asked)}")


@pytest.mark.promise("P11")
def test_a_token_that_is_known_only_a_while_after_it_was_issued_is_waited_for(
    folder: Path, authorized_key: Key, authorized_key_file: Path
) -> None:
    output = folder / "results.jsonl"
    model = Service(Config(sa_keys=(public_half(authorized_key),), token_life=600))
    first_seen: dict[str, float] = {}

    def is_unknown(call: Sending) -> bool:
        token = call.headers.get("authorization", "")
        known_at = first_seen.setdefault(token, call.at) + 20
        return bool(token) and call.at < known_at

    outcome, end = simulate(
        *(rows(folder, 900), output, settings(rates=(Rate(1, 1.0),)), model),
        credentials=account(authorized_key_file),
        meet=refusing(is_unknown),
    )
    assert outcome.exit_code == 0
    assert outcome.totals.doubt_count == 0
    # The first one is waited for, after one more; when it is renewed calls go on with the old one.
    assert [round((at - EVENING) / 60) for at in model.issued.times["jwt"]] == [0, 0, 9]
    assert end - EVENING < 900 + 90


@pytest.mark.promise("P11")
def test_polls_that_alone_are_refused_hold_up_what_would_be_paid_for(folder: Path) -> None:
    output, model, source = folder / "results.jsonl", Service(Config()), Flickering()
    paced = settings(rates=(Rate(5, 1.0),), patience=HOUR)
    outcome, end = simulate(
        *(rows(folder, 900), output, paced, model),
        credentials=source,
        meet=refusing(lambda call: call.is_poll),
    )
    assert outcome.exit_code == 77
    assert HOUR <= end - EVENING < HOUR + 90
    assert len(model.ledger.submits) < 20
    assert len(source.asked) < 80


@pytest.mark.promise("P11")
def test_refusals_by_chance_take_no_new_token_each_time(
    folder: Path, authorized_key: Key, authorized_key_file: Path
) -> None:
    output, chance = folder / "results.jsonl", random.Random(1)  # noqa: S311 - a simulation
    model = Service(Config(sa_keys=(public_half(authorized_key),)))

    refused = list[float]()

    def is_unlucky(call: Sending) -> bool:
        is_one = (call.is_submit or call.is_poll) and chance.random() < 0.1
        if is_one:
            refused.append(call.at)
        return is_one

    outcome, end = simulate(
        *(rows(folder, 600), output, settings(rates=(Rate(5, 1.0),)), model),
        credentials=account(authorized_key_file),
        meet=refusing(is_unlucky),
    )
    assert outcome.exit_code == 0
    assert lines_by_row(output) == dict.fromkeys(range(1, 601), 1)
    assert len(model.issued.times["jwt"]) < len(refused) / 5
    # By luck it takes 200 to 500 s, which are the waits before new tokens.
    assert end - EVENING < 600


@pytest.mark.promise("P11")
def test_a_renewal_that_fails_for_hours_is_waited_for_and_costs_no_row(folder: Path) -> None:
    output, said = folder / "results.jsonl", list[str]()
    gone, back = EVENING + 10 * 60, EVENING + 5 * HOUR
    model, source, refused = Service(Config()), Flickering([(gone, back)]), list[float]()

    def is_refused(call: Sending) -> bool:
        good = "key-1" if call.at < gone else f"key-{len(source.asked)}"
        if call.headers["authorization"].endswith(good) and not gone <= call.at < back:
            return False
        refused.append(call.at)
        return True

    outcome, end = simulate(
        *(rows(folder, 1800), output, settings(rates=(Rate(1, 1.0),)), model),
        credentials=source,
        meet=refusing(is_refused),
        say=said.append,
    )
    assert outcome.exit_code == 0
    assert lines_by_row(output) == dict.fromkeys(range(1, 1801), 1)
    assert outcome.totals.doubt_count == 0
    assert len(source.asked) < 5 * 60 + 20
    # Those that were under way when the first was refused: nobody calls without a credential.
    assert len(refused) < 50
    assert end - back < 30 * 60


@pytest.mark.promise("P11")
def test_what_can_t_be_renewed_within_patience_ends_with_77_and_can_be_continued(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prompts, output = rows(folder, 300), folder / "results.jsonl"
    gone, model = EVENING + 100, Service(Config(latency_median=30))
    source = Flickering([(gone, EVENING + 99 * HOUR)])
    meet = refusing(lambda call: call.at >= gone)
    paced = settings(rates=(Rate(1, 1.0),), patience=2 * HOUR)
    outcome, end = simulate(prompts, output, paced, model, credentials=source, meet=meet)
    assert outcome.exit_code == 77
    assert isinstance(outcome.end, NoPermission)
    assert "the test's source: gone fishing" in outcome.end.told
    assert "Mend the source." in outcome.end.told
    assert 2 * HOUR <= end - gone < 2.1 * HOUR
    assert "the test's source: gone fishing; asking again" in caplog.text
    assert outcome.totals.doubt_count == 0

    outcome, _ = simulate(prompts, output, paced, model, start=end)
    assert outcome.exit_code == 0
    assert lines_by_row(output) == dict.fromkeys(range(1, 301), 1)
    assert len(model.ledger.accepted) == 300


@pytest.mark.promise("P11")
@pytest.mark.parametrize(("refusals", "code"), [(2, 0), (99, 77)])
def test_a_fixed_key_that_was_good_is_given_up_only_when_refused_again_and_again(
    folder: Path, refusals: int, code: int
) -> None:
    output, model = folder / "results.jsonl", Service(Config())
    left = refusals

    def is_refused(call: Sending) -> bool:
        nonlocal left
        is_one = call.at > EVENING + 30 and left > 0
        left -= is_one
        return is_one

    outcome, _ = simulate(
        *(rows(folder, 100), output, settings(rates=(Rate(1, 1.0),)), model),
        credentials=Fixed("YC_API_KEY", Credential("Api-Key", "AQVN-good"), "Make a new one."),
        meet=refusing(is_refused),
    )
    assert outcome.exit_code == code
    assert outcome.totals.doubt_count == 0
    if code:
        assert isinstance(outcome.end, NoPermission)
        assert "YC_API_KEY: the service does not accept it: Token is invalid" in outcome.end.told


@pytest.mark.promise("P11")
def test_a_token_that_dies_during_an_outage_is_renewed_when_the_service_is_back(
    folder: Path, authorized_key: Key, authorized_key_file: Path
) -> None:
    output = folder / "results.jsonl"
    model = Service(Config(sa_keys=(public_half(authorized_key),), token_life=600))
    away = EVENING + 300, EVENING + 300 + HOUR

    async def meet(call: Sending) -> Reply:
        if away[0] <= call.at < away[1]:
            return Reply(503, {}, b"")
        return await call.onward()

    outcome, end = simulate(
        *(rows(folder, 900), output, settings(rates=(Rate(1, 1.0),)), model),
        credentials=account(authorized_key_file),
        meet=meet,
    )
    assert outcome.exit_code == 0
    assert end - EVENING < 900 + HOUR + 120
    assert outcome.totals.rows("ok") == 900
