"""An hour without the service in the middle of a run: nobody's failure, and soon over."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pipeline.clock import Clock
from pipeline.emulator.model import Config, Service
from pipeline.input.rows import Recipe
from pipeline.network.carrier import Reply
from pipeline.pacing.rates import Rate
from pipeline.settings import Settings
from tests.simulation import (
    EVENING,
    AwayCarrier,
    Fail,
    ModelCarrier,
    bad_gateway,
    black_hole,
    refused,
    simulate,
)

HOUR = 3600.0
_AWAY = (EVENING + 60, EVENING + 60 + HOUR)
_SUBMITS_AWAY = (EVENING + 30, EVENING + 30 + 600)


def _settings(patience: float = 12 * HOUR) -> Settings:
    return Settings(Recipe(model="yandexgpt-lite", folder=Config().folder), patience=patience)


@pytest.mark.promise("P12")
@pytest.mark.parametrize("fail", [refused, black_hole, bad_gateway])
def test_an_hour_away_costs_no_row_few_doubts_and_few_probes(tmp_path: Path, fail: Fail) -> None:
    rows, output = tmp_path / "prompts.jsonl", tmp_path / "results.jsonl"
    rows.write_text("".join(json.dumps({"prompt": f"слово {n}"}) + "\n" for n in range(300)))
    settings = replace(_settings(), rates=(Rate(1, 1.0),))
    model = Service(Config(latency_median=30))
    carriers: list[AwayCarrier] = []

    def through(inner: ModelCarrier, clock: Clock) -> AwayCarrier:
        carriers.append(AwayCarrier(inner, clock, _AWAY, fail))
        return carriers[0]

    calm = tmp_path / "calm.jsonl"
    _, calm_end = simulate(rows, calm, settings, Service(Config(latency_median=30)))
    outcome, end = simulate(rows, output, settings, model, through=through)

    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert outcome.exit_code == 0
    assert Counter(line["line"] for line in lines if "line" in line) == dict.fromkeys(
        range(1, 301), 1
    )
    assert outcome.totals.doubt_count <= 20
    assert len(model.ledger.accepted) <= 300 + outcome.totals.doubt_count
    noticed = _AWAY[0] + 150  # a POST into a black hole takes 120 s to fail
    late = [
        (moment, method, path) for moment, method, path in carriers[0].calls if moment > noticed
    ]
    assert len(late) <= 80
    assert not any(path.endswith("completionAsync") for _, _, path in late)
    first_after = min(t for t in model.submit_times if t >= _AWAY[1])
    assert first_after - _AWAY[1] <= 60
    assert end - calm_end <= 62 * 60


@pytest.mark.promise("P12")
def test_an_outage_beyond_patience_ends_with_69_and_the_run_can_be_resumed(tmp_path: Path) -> None:
    rows, output = tmp_path / "prompts.jsonl", tmp_path / "results.jsonl"
    rows.write_text("".join(json.dumps({"prompt": f"слово {n}"}) + "\n" for n in range(1000)))
    model = Service(Config(latency_median=30))

    def through(inner: ModelCarrier, clock: Clock) -> AwayCarrier:
        return AwayCarrier(inner, clock, _AWAY, refused)

    outcome, end = simulate(rows, output, _settings(patience=600), model, through=through)
    assert outcome.exit_code == 69
    assert 600 <= end - _AWAY[0] <= 660 + 10

    outcome, _ = simulate(rows, output, _settings(), model, start=_AWAY[1])
    assert outcome.exit_code == 0
    assert outcome.totals.rows("ok") == 1000
    assert len(model.ledger.accepted) == 1000


@pytest.mark.promise("P13")
def test_probes_take_their_places_in_the_windows_of_polls(tmp_path: Path) -> None:
    rows, output = tmp_path / "prompts.jsonl", tmp_path / "results.jsonl"
    rows.write_text("".join(json.dumps({"prompt": f"слово {n}"}) + "\n" for n in range(40)))
    model = Service(Config(latency_median=30))
    carriers: list[AwayCarrier] = []

    def through(inner: ModelCarrier, clock: Clock) -> AwayCarrier:
        carriers.append(AwayCarrier(inner, clock, (EVENING + 90, EVENING + 600), bad_gateway))
        return carriers[0]

    settings = replace(_settings(), poll_rates=(Rate(5, 60.0),))
    outcome, _ = simulate(rows, output, settings, model, through=through)

    away = [moment for moment, method, _ in carriers[0].calls if method == "GET"]
    polls = sorted([*model.poll_times, *away])
    assert outcome.exit_code == 0
    assert len(away) > 5
    assert all(later - first >= 60 for first, later in zip(polls, polls[5:], strict=False))


class _SubmitsAway:
    """The text generation host alone is away for ten minutes; every call to it is kept.

    `most_posts` are under way at once after it.
    """

    def __init__(self, inner: ModelCarrier, clock: Clock, fail: Fail) -> None:
        self._inner = inner
        self._clock = clock
        self._fail = fail
        self._posts = 0
        self.calls: list[tuple[float, str, float]] = []
        self.most_posts = 0

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Reply:
        if url.startswith("http://operations"):
            return await self._inner.send(method, url, headers, body, timeout)
        now = self._clock.now()
        self.calls.append((now, urlsplit(url).path.rpartition("/")[2], timeout))
        if _SUBMITS_AWAY[0] <= now < _SUBMITS_AWAY[1]:
            return await self._fail(timeout)
        self._posts += 1
        if now > _SUBMITS_AWAY[1]:
            self.most_posts = max(self.most_posts, self._posts)
        try:
            return await self._inner.send(method, url, headers, body, timeout)
        finally:
            self._posts -= 1

    async def close(self) -> None: ...


@pytest.mark.promise("P12")
@pytest.mark.parametrize("fail", [refused, black_hole, bad_gateway])
def test_a_host_that_takes_no_posts_is_asked_by_short_free_calls_until_it_does(
    tmp_path: Path, fail: Fail
) -> None:
    rows, output = tmp_path / "prompts.jsonl", tmp_path / "results.jsonl"
    rows.write_text("".join(json.dumps({"prompt": f"слово {n}"}) + "\n" for n in range(500)))
    settings = replace(_settings(), rates=(Rate(8, 1.0),))
    carriers: list[_SubmitsAway] = []

    def through(inner: ModelCarrier, clock: Clock) -> _SubmitsAway:
        carriers.append(_SubmitsAway(inner, clock, fail))
        return carriers[0]

    outcome, _ = simulate(
        *(rows, output, settings, Service(Config(latency_median=5))),
        through=through,
        delay=lambda: 0.5,
    )

    (carrier,) = carriers
    begin, end = _SUBMITS_AWAY
    # A POST into a black hole takes 120 s to fail, and 3 in a row are an outage.
    late = [call for call in carrier.calls if begin + 150 < call[0] < end]
    assert outcome.totals.rows("ok") == 500
    assert {(name, timeout) for _, name, timeout in late} == {("tokenize", 5.0)}
    assert all(then[0] - one[0] <= 50.01 for one, then in pairwise(late))
    posts = [moment for moment, name, _ in carrier.calls if name == "completionAsync"]
    assert min(moment for moment in posts if moment >= end) - end <= 60
    assert carrier.most_posts > 1
