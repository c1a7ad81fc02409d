"""How many polls an operation takes, and how long it lies done before it is fetched.

    python -m benchmarks.polling [--quick]

The program's own agenda and pace under virtual time, beside policies that do not learn and the
optimum for as many polls. The optimum knows the true distribution, from the first operation on; in
a drift, the distribution after it from its first moment on. The service stamps whole seconds.
`--quick` takes fewer seeds, so that ratios vary more, and leaves out what needs many operations.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from random import Random
from statistics import fmean, median

from benchmarks.askers import OTHERS, Asker
from benchmarks.optimum import Mixture, optimum
from pipeline.api.outcomes import Answer, PollOutcome, StillRunning
from pipeline.life.item import Running
from pipeline.operations.agenda import Agenda
from pipeline.operations.polling import AskAgain, Asking, after_poll
from pipeline.pacing.pace import Pace
from pipeline.pacing.rates import Rate

_START = 1_790_000_000.4
# As in `pipeline.engine.course`.
_LAST = 32


@dataclass(frozen=True, slots=True)
class Scenario:
    """Rows submitted at an even pace, and which of them are measured.

    After `drifts_at` rows the service is `slower` times slower; what is measured then are rows
    submitted after `settled` operations have been seen to end since. `only_last`: what is measured
    are the last so many to be fetched.
    """

    name: str
    mixture: Mixture
    rows: int = 8000
    per_second: float = 10.0
    measured: tuple[int, int] = (2000, 7000)
    polls_per_second: int | None = None
    drifts_at: int | None = None
    slower: float = 1.0
    settled: int = 1200
    seeds: int = 4
    only_last: int | None = None
    compared: bool = True


@dataclass(frozen=True, slots=True)
class Fetched:
    """An operation that was fetched, with what it took."""

    row: int
    accepted_at: float
    fetched_at: float
    polls: int
    delay: float


class _Service:
    """Operations that end by themselves, stamped by a clock that shows whole seconds."""

    def __init__(self, scenario: Scenario, seed: int, rows: int) -> None:
        chance = Random(seed)
        slow_from = rows if scenario.drifts_at is None else scenario.drifts_at
        self._answers = [
            self._answer(scenario.mixture.draw(chance) * factor, chance.random())
            for factor in (1.0 if row < slow_from else scenario.slower for row in range(rows))
        ]
        self._begun = [0.0] * rows

    def _answer(self, seconds: float, skew: float) -> tuple[float, Answer]:
        moments = (_START + skew, _START + skew + seconds)
        begun, over = (datetime.fromtimestamp(int(m), UTC).isoformat() for m in moments)
        return seconds, Answer("", "final", None, None, None, begun, over, None)

    def accept(self, row: int, now: float) -> Asking:
        self._begun[row] = now
        return Asking(row, Running("", now, 1, 1))

    def over_at(self, row: int) -> float:
        return self._begun[row] + self._answers[row][0]

    def ask(self, row: int, now: float) -> PollOutcome:
        return self._answers[row][1] if now >= self.over_at(row) else _RUNNING


_RUNNING = StillRunning()


def carried(scenario: Scenario, asker: Asker, seed: int) -> list[Fetched]:
    """Submit and fetch all rows; in the order in which they were fetched."""
    service, polls = _Service(scenario, seed, scenario.rows), dict[int, int]()
    rates = [] if scenario.polls_per_second is None else [Rate(scenario.polls_per_second, 1.0)]
    pace, fetched, now = Pace(rates), list[Fetched](), _START
    while len(fetched) < scenario.rows:
        row = len(polls)
        ends = scenario.only_last is not None and row == scenario.rows
        asker.are_last = ends and scenario.rows - len(fetched) <= _LAST
        arrives = _START + row / scenario.per_second if row < scenario.rows else math.inf
        due = asker.due_at(now)
        asks = math.inf if due is None else max(due, pace.opens_at(now))
        now = max(now, min(arrives, asks))
        if arrives <= asks:
            polls[row] = 0
            asker.put(service.accept(row, now), None)
        elif asker.due_at(now) == now == pace.opens_at(now):
            asking = asker.pop(now)
            pace.begin()
            pace.end(now)
            polls[asking.line] += 1
            if asks_on(asker, asking, service, now):
                continue
            delay = now - service.over_at(asking.line)
            took = polls[asking.line]
            fetched.append(Fetched(asking.line, asking.accepted_at, now, took, delay))
    return fetched


def asks_on(asker: Asker, asking: Asking, service: _Service, now: float) -> bool:
    """Ask for one operation, as the poll lanes do; whether it is to be asked for again."""
    outcome = service.ask(asking.line, now)
    asker.hear(asking, outcome, now)
    verdict = after_poll(asking, outcome, now)
    if isinstance(verdict, AskAgain):
        asker.put(verdict.asking, verdict.at)
    return isinstance(verdict, AskAgain)


def _measured(scenario: Scenario, fetched: list[Fetched]) -> list[Fetched]:
    if scenario.only_last is not None:
        return fetched[-scenario.only_last :]
    first, last = scenario.measured
    if scenario.drifts_at is not None:
        drifted_at = _START + scenario.drifts_at / scenario.per_second
        since = [one for one in fetched if one.fetched_at >= drifted_at]
        settled_at = since[scenario.settled].fetched_at
        first = math.ceil((settled_at - _START) * scenario.per_second)
    return [one for one in fetched if first <= one.row < last]


@dataclass(frozen=True, slots=True)
class Measure:
    """Means over operations; the optimum is for as many polls, None where it is not known."""

    polls: float
    delay: float
    optimum: float | None

    @property
    def ratio(self) -> float | None:
        return self.delay / self.optimum if self.optimum else None


def measure(scenario: Scenario, policy: Callable[[], Asker]) -> Measure:
    """Carry a scenario some times and take the means."""
    runs = (carried(scenario, policy(), seed) for seed in range(scenario.seeds))
    found = [one for run in runs for one in _measured(scenario, run)]
    polls, delay = fmean(one.polls for one in found), fmean(one.delay for one in found)
    if scenario.only_last is not None:
        return Measure(polls, delay, None)
    mixture = scenario.mixture.slower(scenario.slower)
    return Measure(polls, delay, optimum(mixture, round(polls, 3)))


def lognormal(sigma: float, typical: float = 20.0) -> Mixture:
    return Mixture(((1.0, typical, sigma),))


TWO_PEAKS = Mixture(((0.7, 3.0, 0.3), (0.3, 60.0, 0.3)))
_BY_NAME = {f"lognormal {s}": lognormal(s) for s in (0.6, 1.0, 1.4)} | {"two peaks": TWO_PEAKS}


def scenarios() -> Iterator[Scenario]:
    for name, mixture in _BY_NAME.items():
        yield Scenario(name, mixture)
    first = Scenario("", TWO_PEAKS, rows=2000, measured=(0, 1000), seeds=12, compared=False)
    for name, mixture in _BY_NAME.items():
        yield replace(first, name=f"first 1,000: {name}", mixture=mixture)
    drift = Scenario("", TWO_PEAKS, 9000, measured=(0, 8000), drifts_at=4000, slower=2.0)
    for name, mixture in _BY_NAME.items():
        yield replace(drift, name=f"after x2: {name}", mixture=mixture, compared=False)
    for name, mixture in _BY_NAME.items():
        yield Scenario(f"15 polls/s for 10 rows/s: {name}", mixture, polls_per_second=15)
    hours = Scenario("queue of 3 hours", lognormal(0.4, 3 * 3600.0), 12000, 5000 / 3600)
    yield replace(hours, measured=(2000, 10000), compared=False)
    yield Scenario("half a second", lognormal(0.6, 0.5), compared=False)
    yield Scenario(
        "last 32 of a run: lognormal 1.0", lognormal(1.0), 1000, seeds=20, only_last=_LAST
    )


def decisions(in_flight: int = 100_000, *, capped: bool) -> float:
    """Microseconds of processor time a decision takes, median of rounds.

    A decision is all that stands between two polls: when is something due, which one, what does
    its answer teach and mean, where does it wait now; and what has to be computed anew at times.
    `capped`: many are overdue.
    """
    rows = count()
    scenario = Scenario("", lognormal(1.0, 3 * 3600.0))
    service, agenda, now = _Service(scenario, 0, 2 * in_flight), Agenda(), _START
    for n in range(in_flight):
        now = _START + n * 6 * 3600.0 / in_flight
        agenda.put(service.accept(next(rows), now), None)
    taken = []
    for _ in range(_ROUNDS):
        now += 1.0 if capped else 0.0
        begun = time.process_time()
        for _ in range(1000):
            now = max(now, agenda.due_at(now) or now)
            if not asks_on(agenda, agenda.pop(now), service, now):
                agenda.put(service.accept(next(rows), now), None)
        taken.append((time.process_time() - begun) * 1e3)
    return median(taken[_ROUNDS // 4 :])


_ROUNDS = 60
_COMPARED_IN_QUICK = ("lognormal 1.0", "two peaks")
_WHAT_THE_OPTIMUM_KNOWS = (
    "The optimum knows the true distribution beforehand: in the rows of the first 1,000 from the "
    "first operation on, in those after a drift the slower one from its first moment on."
)


def _line(scenario: str, policy: str, found: Measure) -> str:
    best = "" if found.optimum is None else f"{found.optimum:.2f}"
    ratio = "" if found.ratio is None else f"{found.ratio:.3f}"
    return f"| {scenario} | {policy} | {found.polls:.2f} | {found.delay:.2f} | {best} | {ratio} |"


def quick() -> Iterator[Scenario]:
    """Fewer operations of each scenario, and not those for which few are too few."""
    for scenario in scenarios():
        if scenario.polls_per_second is None and scenario.mixture.age_of(0.5) < 3600.0:
            seeds = max(scenario.seeds // 4, 1)
            yield replace(scenario, seeds=seeds, compared=scenario.name in _COMPARED_IN_QUICK)


def _print_table(chosen: Iterator[Scenario]) -> None:
    print("| latencies | policy | polls an operation | mean delay, s | optimum, s | ratio |")
    print("| --- | --- | --: | --: | --: | --: |")
    for scenario in chosen:
        print(_line(scenario.name, "learned", measure(scenario, Agenda)), flush=True)
        for name, policy in OTHERS.items() if scenario.compared else ():
            found = measure(scenario, partial(policy, scenario.mixture))
            print(_line(scenario.name, name, found), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.polling")
    parser.add_argument("--quick", action="store_true", help="fewer operations: under a minute")
    is_quick = parser.parse_args().quick
    _print_table(quick() if is_quick else scenarios())
    print(_WHAT_THE_OPTIMUM_KNOWS)
    for capped in (False, True):
        which = "all overdue" if capped else "few due"
        print(f"A decision at 100,000 in flight, {which}: {decisions(capped=capped):.1f} µs")


if __name__ == "__main__":
    main()
