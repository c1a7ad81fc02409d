"""How often a run ends when it was said to, and what saying so costs.

    python -m benchmarks.eta

The program's own windows, agenda and estimate under virtual time, without network and disk. At
some points of each run the true end is compared with the interval told, meant to hold 80 % of all
ends: below it are those that came sooner, above it those that came later.
"""

import heapq
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from statistics import median

from benchmarks.optimum import Mixture
from benchmarks.polling import TWO_PEAKS, lognormal
from pipeline.api.outcomes import Answer, StillRunning
from pipeline.ending.eta import SAMPLES, Situation, estimate, hindrance
from pipeline.ending.prospect import IN_FLIGHT, Eta
from pipeline.life.item import Running
from pipeline.operations.agenda import Agenda
from pipeline.operations.polling import AskAgain, Asking, after_poll
from pipeline.pacing.curve import Tempo
from pipeline.pacing.pace import Pace
from pipeline.pacing.rates import Rate

_START = 1_790_000_000.4
_LAST = 32
_LOOKS_APART = 10.0
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """Rows, how long operations take and how fast they are submitted; `trip`: seconds of a POST.

    `asked_at`: at which shares of rows fetched the end is estimated.
    """

    name: str
    mixture: Mixture
    rows: int
    rates: tuple[Rate, ...] = (Rate(10, 1.0),)
    concurrency: int = 8
    trip: float = 0.1
    max_in_flight: int | None = None
    asked_at: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9, 0.97)


@dataclass(frozen=True, slots=True)
class Told:
    """An estimate made when that share of rows was fetched, and the end that came."""

    share: float
    eta: Eta
    end: float

    @property
    def is_within(self) -> bool:
        return not (self.is_sooner or self.is_later)

    @property
    def is_sooner(self) -> bool:
        return self.eta.earliest is not None and self.end < self.eta.earliest

    @property
    def is_later(self) -> bool:
        return self.eta.latest is not None and self.end > self.eta.latest


class Simulated:
    """A run under virtual time."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario = scenario
        self.chance = Random(seed)
        self.now = self.look_at = _START
        self.begun = self.fetched = 0
        self.agenda, self.tempo = Agenda(), Tempo()
        self.pace, self.polls = Pace(scenario.rates), Pace([Rate(50, 1.0)])
        self.posts: list[float] = []
        self.over: dict[int, tuple[float, Answer]] = {}
        self.told: list[Eta] = []

    def carry(self) -> list[Told]:
        """To the end; what was told on the way."""
        rows, asked = self.scenario.rows, iter(self.scenario.asked_at)
        share = next(asked, math.inf)
        at: list[float] = []
        while self.fetched < rows:
            self._step()
            if self.fetched >= share * rows:
                at.append(share)
                self.told.append(estimate(self.situation()))
                share = next(asked, math.inf)
        pairs = zip(at, self.told, strict=True)
        return [Told(share, eta, self.now) for share, eta in pairs if eta.likely is not None]

    def _step(self) -> None:
        """Whatever happens next."""
        left = self.scenario.rows - self.begun
        self.agenda.are_last = not left and self.scenario.rows - self.fetched <= _LAST
        due = self.agenda.due_at(self.now)
        asks = math.inf if due is None else max(due, self.polls.opens_at(self.now))
        arrives = self.posts[0] if self.posts else math.inf
        may_begin = left and not self._posting_full and not self._in_flight_full
        begins = self.pace.opens_at(self.now) if may_begin else math.inf
        self.now = max(self.now, min(self.look_at, asks, arrives, begins))
        if self.now >= self.look_at:
            self._look()
        elif self.now >= arrives:
            self._accept(heapq.heappop(self.posts))
        elif self.now >= begins:
            self.pace.begin()
            self.begun += 1
            heapq.heappush(self.posts, self.now + self.scenario.trip)
        elif self.agenda.due_at(self.now) == self.now == self.polls.opens_at(self.now):
            self._ask(self.agenda.pop(self.now))

    @property
    def _running(self) -> int:
        return self.begun - len(self.posts) - self.fetched

    @property
    def _posting_full(self) -> bool:
        return len(self.posts) >= self.scenario.concurrency

    @property
    def _in_flight_full(self) -> bool:
        most = self.scenario.max_in_flight
        return most is not None and self.begun - self.fetched >= most

    def _accept(self, at: float) -> None:
        self.pace.end(at)
        seconds, skew = self.scenario.mixture.draw(self.chance), self.chance.random()
        moments = (int(at + skew), int(at + skew + seconds))
        begun, over = (datetime.fromtimestamp(moment, UTC).isoformat() for moment in moments)
        line = self.begun - len(self.posts)
        self.over[line] = (at + seconds, Answer("", "final", None, None, None, begun, over, None))
        self.agenda.put(Asking(line, Running("", at, 1, 1)), None)

    def _ask(self, asking: Asking) -> None:
        self.polls.begin()
        self.polls.end(self.now)
        over_at, answer = self.over[asking.line]
        outcome = answer if self.now >= over_at else StillRunning()
        self.agenda.hear(asking, outcome, self.now)
        verdict = after_poll(asking, outcome, self.now)
        if isinstance(verdict, AskAgain):
            self.agenda.put(verdict.asking, verdict.at)
        else:
            del self.over[asking.line]
            self.fetched += 1

    def _look(self) -> None:
        self.look_at = self.now + _LOOKS_APART
        closed = [w.rate for w in self.pace.windows if w.place_at(0, self.now) > self.now]
        full_by = IN_FLIGHT if self._in_flight_full else None
        by = hindrance(full_by=full_by, posting_full=self._posting_full)
        left = self.scenario.rows - self.begun
        is_free = left > 0 and all(rate.seconds < 60 for rate in closed)
        self.tempo.look(self.now, self.begun, by, is_free=is_free, is_steady=by == IN_FLIGHT)

    def situation(self) -> Situation:
        return Situation(
            self.now,
            self.scenario.rows - self.begun,
            self._running,
            self.pace.windows,
            self.agenda.flights(self.now, SAMPLES),
            self.agenda.latencies(),
            [Rate(50, 1.0)],
            achieved=self.tempo.achieved(),
        )


HOURLY = (Rate(10, 1.0), Rate(500, _HOUR))


def scenarios() -> Iterator[Scenario]:
    """Bound by the hour, by latencies, by both peaks of one, by --max-in-flight, by POSTs."""
    yield Scenario("500 an hour, lognormal 1.0", lognormal(1.0, 60.0), 1700, HOURLY)
    yield Scenario("500 an hour, 2,000 rows", lognormal(0.8, 120.0), 2000, HOURLY)
    yield Scenario("latency, lognormal 0.6", lognormal(0.6, 600.0), 1000)
    yield Scenario("latency, lognormal 1.0", lognormal(1.0, 600.0), 1000)
    yield Scenario("latency, lognormal 1.4", lognormal(1.4, 600.0), 1000)
    yield Scenario("latency, 5,000 rows", lognormal(1.0, 600.0), 5000)
    yield Scenario("two peaks, 3 s and 60 s", TWO_PEAKS, 1000)
    far = Mixture(((0.7, 60.0, 0.3), (0.3, 3600.0, 0.3)))
    yield Scenario("two peaks, 1 min and 1 h", far, 1000)
    yield Scenario("--max-in-flight 100", lognormal(0.8, 120.0), 1500, max_in_flight=100)
    yield Scenario(
        "--concurrency 1, POSTs of 0.5 s", lognormal(0.6, 20.0), 1500, concurrency=1, trip=0.5
    )


def told(scenario: Scenario, seeds: int) -> list[Told]:
    """What was told on the way of so many runs."""
    return [one for seed in range(seeds) for one in Simulated(scenario, seed).carry()]


def share_within(found: list[Told]) -> float:
    return sum(one.is_within for one in found) / len(found)


def _line(name: str, share: str, found: list[Told]) -> str:
    sooner, later = sum(t.is_sooner for t in found), sum(t.is_later for t in found)
    all_ = len(found)
    widths = [t.eta.latest - t.eta.earliest for t in found if t.eta.latest and t.eta.earliest]
    left = median(t.end - t.eta.at for t in found)
    off = median(abs(t.end - t.eta.likely) for t in found if t.eta.likely)
    return (
        f"| {name} | {share} | {all_} | {share_within(found):.0%} | {sooner / all_:.0%} |"
        f" {later / all_:.0%} | {left:,.0f} | {median(widths):,.0f} | {off:,.0f} |"
    )


def cost(in_flight: int = 100_000) -> tuple[float, float]:
    """Milliseconds of processor time of an estimate: with rows to come, and without."""
    scenario = Scenario("", lognormal(1.0, 3 * _HOUR), 10**9, (Rate(10, 1.0), Rate(5000, _HOUR)))
    run, chance = Simulated(scenario, 0), Random(1)
    for line in range(2000):
        asking = Asking(line, Running("", _START - 1e6, 1, 1))
        run.agenda.hear(asking, StillRunning(), _START - 1e6 + scenario.mixture.draw(chance))
        stamps = Answer("", "final", None, None, None, None, None, None)
        run.agenda.hear(asking, stamps, _START - 1e6 + scenario.mixture.draw(chance))
    ages = sorted(chance.uniform(0, 6 * _HOUR) for _ in range(in_flight))
    for line, age in enumerate(ages):
        heard = _START - age * chance.random() if line % 2 else None
        run.agenda.put(Asking(line, Running("", _START - age, 1, 1), heard_at=heard), None)
    run.pace.restore([_START - age for age in sorted(ages[:5000], reverse=True)])
    taken = []
    for left in (40_000, 0):
        run.begun, run.scenario = 10**6, Scenario("", scenario.mixture, 10**6 + left)
        begun = time.process_time()
        for _ in range(50):
            estimate(run.situation())
        taken.append((time.process_time() - begun) * 20)
    return taken[0], taken[1]


def main() -> None:
    print("| run | fetched | estimates | within | sooner | later | s left | s wide | s off |")
    print("| --- | --: | --: | --: | --: | --: | --: | --: | --: |")
    for scenario in scenarios():
        found = told(scenario, 40)
        print(_line(scenario.name, "all", found), flush=True)
        for share in scenario.asked_at:
            some = [one for one in found if one.share == share]
            if some:
                print(_line("", f"{share:.0%}", some), flush=True)
    coming, ending = cost()
    print(f"An estimate at 100,000 in flight: {coming:.1f} ms; with none to come: {ending:.1f} ms")


if __name__ == "__main__":
    main()
