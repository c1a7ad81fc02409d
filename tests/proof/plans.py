"""What a seed makes of a night: rows, settings, latencies, faults and deaths."""

import json
import random
from dataclasses import dataclass, replace
from typing import Any

from pipeline.emulator.model import Config
from pipeline.emulator.schedules import Fault
from pipeline.input.rows import Recipe
from pipeline.life.item import Policy
from pipeline.pacing.rates import Rate
from pipeline.settings import Settings

HOUR = 3600.0
RECIPE = Recipe(model="yandexgpt-lite", folder=Config().folder)
_RATES: list[tuple[Rate, ...]] = [
    (Rate(10, 1.0), Rate(5000, HOUR)),
    (Rate(2, 1.0), Rate(50, 60.0)),
    (Rate(1, 7.0),),
    (Rate(30, HOUR),),
]
_POLL_RATES: list[tuple[Rate, ...]] = [
    *((Rate(50, 1.0),), (Rate(20, 60.0),), (Rate(5, 1.0),)),
    (Rate(50, 1.0), Rate(100, 600.0)),
]
# What can happen to a call at any time, each at a rate; what can be wrong with an operation.
_OF_CALLS = [
    *("reset-before", "reset-after", "hang", "hang-before", "drip", "truncate", "length"),
    *("bad-gzip", "html", "no-id:submits", "500", "502", "503", "504"),
    *("500-after", "502-after", "503-after", "504-after"),
    *("429", "429-seconds", "429-date", "429-absurd"),
]
_OF_OPERATIONS = [
    *("never-done", "done-at-once", "neither", "both", "flips-back", "no-usage", "huge-usage"),
    *("no-alternatives", "duplicate-id", "forgotten", "404-once", "fails"),
]
_OUTAGES = ["reset-before", "hang-before", "502", "503", "502-after", "401"]


@dataclass(frozen=True, slots=True)
class Night:
    """Everything that a seed decides, but for what happens when."""

    rows: list[bytes]
    later: list[bytes]
    settings: Settings
    config: Config
    faults: tuple[Fault, ...]
    most_delay: float
    disk: float
    deaths: int

    @classmethod
    def of(cls, chance: random.Random) -> "Night":
        rates, poll_rates = chance.choice(_RATES), chance.choice(_POLL_RATES)
        count = chance.randint(60, 140)
        night = cls(
            rows=[_row(number, chance) for number in range(count)],
            later=[_row(count + n, chance) for n in range(chance.choice([0, 0, 5]))],
            settings=_settings(chance, rates, poll_rates),
            config=Config(
                submit_rates=rates,
                poll_rates=poll_rates,
                latency_median=10 ** chance.uniform(0, 4.5),
                latency_sigma=chance.uniform(0, 1.2),
                seed=chance.getrandbits(32),
                skew=chance.choice([0.0, 0.0, -90.0, 300.0]),
            ),
            faults=_faults(chance),
            most_delay=10 ** chance.uniform(-3, 0),
            disk=chance.choice([0.0, 0.002, 0.1]),
            deaths=chance.choice([0, 1, 3, 8]),
        )
        return _deduped(night, chance.getrandbits(32))


def _deduped(night: Night, seed: int) -> Night:
    """Of two nights in five, one in which many rows ask the same, most at temperature 0."""
    chance = random.Random(seed)  # noqa: S311 - a simulation
    if chance.random() < 0.6:
        return night
    at_zero = chance.random() < 0.5
    settings = replace(
        night.settings,
        dedupe=True,
        recipe=replace(RECIPE, temperature=0.0) if at_zero else RECIPE,
        raw=chance.random() < 0.2,
    )
    questions = chance.choice([1, 3, 20])

    def rows(given: list[bytes]) -> list[bytes]:
        return [_repeated(row, chance, questions, at_zero=at_zero) for row in given]

    return replace(night, rows=rows(night.rows), later=rows(night.later), settings=settings)


def _repeated(row: bytes, chance: random.Random, questions: int, *, at_zero: bool) -> bytes:
    """A row that is fit, as one that may ask what others do."""
    try:
        fields = json.loads(row)
    except ValueError:
        return row
    if not isinstance(fields, dict) or not fields.get("prompt") or chance.random() < 0.1:
        return row
    fields["prompt"] = f"Что такое {chance.randrange(questions)}?"
    if not at_zero or chance.random() < 0.1:
        fields["temperature"] = chance.choice([0, 0, 0.0, 0.3])
    return json.dumps(fields, ensure_ascii=False).encode()


def _row(number: int, chance: random.Random) -> bytes:
    drawn = chance.random()
    if drawn < 0.02:
        return chance.choice([b"{", b"[]", b'{"prompt": 7}', b"\xff", b'{"prompt":"","x":1}'])
    row: dict[str, Any] = {"prompt": f"Сколько будет {number} и {number}?"}
    if drawn < 0.1:
        row["id"] = f"id-{chance.randint(0, 40)}"
    elif drawn < 0.15:
        row["model"] = "yandexgpt"
    elif drawn < 0.2:
        row["max_tokens"] = chance.randint(5, 500)
    return json.dumps(row, ensure_ascii=False).encode()


def _settings(
    chance: random.Random, rates: tuple[Rate, ...], poll_rates: tuple[Rate, ...]
) -> Settings:
    policy = Policy(
        attempts=chance.randint(1, 4),
        resubmit_doubts=chance.random() < 0.8,
        resubmit_lost=chance.random() < 0.8,
    )
    return Settings(
        RECIPE,
        rates=rates,
        poll_rates=poll_rates,
        policy=policy,
        concurrency=chance.choice([1, 2, 8, 16]),
        max_in_flight=chance.choice([None, None, None, 10]),
        totals=chance.random() < 0.8,
    )


def _rate(kind: str, chance: random.Random) -> float:
    rate: float = 10 ** chance.uniform(-2, -0.7)
    # Each such operation is asked for during three days.
    return rate / 5 if kind == "never-done" else rate


def _faults(chance: random.Random) -> tuple[Fault, ...]:
    calls = chance.sample(_OF_CALLS, chance.choice([0, 0, 1, 2, 4]))
    operations = chance.sample(_OF_OPERATIONS, chance.choice([0, 0, 1, 3]))
    texts = [f"{kind}={_rate(kind, chance):.3f}" for kind in [*calls, *operations]]
    if chance.random() < 0.4:
        begin = int(10 ** chance.uniform(0.5, 4.5))
        texts.insert(0, f"{chance.choice(_OUTAGES)}:all@{begin}s+1h")
    return tuple(map(Fault.parse, texts))
