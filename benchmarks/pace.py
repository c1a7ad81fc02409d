"""How much of a quota the program's pace uses, and how often it is refused.

    python -m benchmarks.pace [--quick] [--only WORDS]

The program's own pace under virtual time against the emulator's exact quota, for 24 hours (with
--quick: 3). What was accepted is compared with what a client could have had that knows everything
and wastes nothing. The exit code is 1 if a promise is not kept.
"""

import argparse
import gc
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FunctionType, ModuleType

from benchmarks.night import EVENING, Network, Service, Stranger, Time, busiest, omniscient
from benchmarks.process import Habits, Process
from pipeline.pacing.pace import Pace
from pipeline.pacing.rates import Rate
from pipeline.settings import DEFAULT_RATES

_HOUR = 3600.0
_MINUTE = 60.0
# The disk is not what this is about.
_MEMORY = Path("/dev/shm")  # noqa: S108
_CALM, _JITTER = Network(), Network(jitter=0.2)
_TEN = (Rate(10, 1.0),)
_RAISED = (Rate(50, 1.0), Rate(100_000, _HOUR))
_THIRD = 5000 / 3


@dataclass(frozen=True, slots=True)
class Promise:
    """The least share of the quota to be used, and the most rejections in any hour."""

    words: str
    share: float
    rejections: int = 0

    def is_kept_by(self, found: "Found") -> bool:
        return found.share >= self.share and found.most_in_an_hour <= self.rejections


HOURLY = Promise("10/s and 5,000/h, 60 ms", 0.99)
HOURLY_JITTER = Promise("10/s and 5,000/h, 60–460 ms", 0.98)
SECOND = Promise("10/s only, 60 ms", 0.97)
SECOND_JITTER = Promise("10/s only, 60–460 ms", 0.80)
STRANGER = Promise("a stranger uses the quota too", 0.95, rejections=60)


_PROMISED = (
    (DEFAULT_RATES, _CALM, HOURLY),
    (DEFAULT_RATES, _JITTER, HOURLY_JITTER),
    (_TEN, _CALM, SECOND),
    (_TEN, _JITTER, SECOND_JITTER),
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Processes, and the hours from and to which a stranger is there, if there is one.

    A stranger who is there from before the first hour has its part of the quota when we come.
    """

    name: str
    promise: Promise
    processes: tuple[Habits, ...]
    stranger: tuple[float, float] | None = None
    is_shared: bool = False

    @property
    def rates(self) -> tuple[Rate, ...]:
        return self.processes[0].rates


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a scenario: calls, seconds, microseconds of processor time for each call.

    `behind` is how much later the last call was accepted than the omniscient client's as many-th.
    """

    accepted: int
    allowed: int
    rejected: int
    most_in_a_minute: int
    most_in_an_hour: int
    micros: float
    behind: float | None
    state_bytes: int
    remarks: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        return self.accepted / self.allowed


def scenarios(hours: float) -> Iterator[Scenario]:
    """All of them, in the order of the table."""
    for rates, network, promise in _PROMISED:
        one = Habits(rates, network)
        yield Scenario(promise.words, promise, (one,))
        killed = replace(one, killed_every=10 * _MINUTE)
        yield Scenario(f"{promise.words}, killed every 10 min", promise, (killed,))
    yield from _with_wrong_clocks()
    yield from _shared()
    yield from _with_strangers(hours)
    raised = Habits(_RAISED, _CALM)
    yield Scenario("50/s and 100,000/h, 60 ms", HOURLY, (raised,))


def _with_wrong_clocks() -> Iterator[Scenario]:
    for rates, promise in ((DEFAULT_RATES, HOURLY), (_TEN, SECOND)):
        for fast, words in ((1e-4, "fast"), (-1e-4, "slow")):
            one = Habits(rates, fast=fast)
            yield Scenario(f"{promise.words}, clock 100 ppm {words}", promise, (one,))
    off = Habits(DEFAULT_RATES, ahead=5 * _MINUTE)
    yield Scenario(f"{HOURLY.words}, clock 5 min off", HOURLY, (off,))


def _shared() -> Iterator[Scenario]:
    for rates, network, promise in _PROMISED:
        one = Habits(rates, network)
        killed = replace(one, killed_every=10 * _MINUTE)
        words = f"two processes, {promise.words}"
        yield Scenario(words, promise, (one, one), is_shared=True)
        yield Scenario(f"{words}, one killed every 10 min", promise, (one, killed), is_shared=True)


def _with_strangers(hours: float) -> Iterator[Scenario]:
    for network, words in ((_CALM, "60 ms"), (_JITTER, "60–460 ms")):
        one = (Habits(DEFAULT_RATES, network),)
        stays = (hours / 4, hours / 2)
        for when, there in (
            ("before us", (-1.0, hours)),
            ("with us", (0.0, hours)),
            (f"from hour {stays[0]:g} to {stays[1]:g}", stays),
        ):
            yield Scenario(f"a stranger {when}, {words}", STRANGER, one, there)


def measure(scenario: Scenario, hours: float) -> Found:
    """Play a scenario for so many hours of virtual time."""
    with ExitStack() as stack:
        processes = scenario.processes
        if scenario.is_shared:
            memory = _MEMORY if _MEMORY.is_dir() else None
            folder = Path(stack.enter_context(TemporaryDirectory(dir=memory)))
            processes = tuple(replace(one, state=folder / "one.quota") for one in processes)
        begun = time.process_time()
        comes = 0.0 if scenario.stranger is None else min(scenario.stranger[0], 0.0)
        night = Time(EVENING + comes * _HOUR)
        service = Service(scenario.rates, night)
        stranger = None
        if scenario.stranger is not None:
            stranger = Stranger(night, service, _THIRD, scenario.stranger, seed=9)
        night.run(EVENING)
        ours = [Process(night, service, habits, n) for n, habits in enumerate(processes)]
        for process in ours:
            stack.callback(process.stop)
        night.run(EVENING + hours * _HOUR)
        seconds = time.process_time() - begun
    return _found(scenario, hours, service, ours, stranger, seconds)


def _found(
    scenario: Scenario,
    hours: float,
    service: Service,
    ours: list[Process],
    stranger: Stranger | None,
    seconds: float,
) -> Found:
    accepted = sum(len(process.accepted) for process in ours)
    rejected = [at for process in ours for at in process.rejected]
    best = omniscient(scenario.rates, hours * _HOUR)
    theirs = 0 if stranger is None else sum(at >= EVENING for at in stranger.accepted)
    behind = None
    if stranger is None:
        behind = service.times[-1] - EVENING - best[len(service.times) - 1]
    return Found(
        accepted,
        len(best) - theirs,
        len(rejected),
        busiest(rejected, _MINUTE),
        busiest(rejected, _HOUR),
        seconds / (accepted + len(rejected)) * 1e6,
        behind,
        sum(state_bytes(process.pace) for process in ours),
        () if stranger is None else tuple(_remarks(scenario, service, stranger)),
    )


def _remarks(scenario: Scenario, service: Service, stranger: Stranger) -> Iterator[str]:
    calls = len(stranger.accepted) + stranger.refused
    yield f"{len(stranger.accepted):,} of the stranger's {calls:,} calls were accepted"
    assert scenario.stranger is not None  # noqa: S101 - there is one
    left = EVENING + scenario.stranger[1] * _HOUR
    minutes = _minutes_until_full(service, left)
    if minutes is not None:
        yield f"all is used again {minutes} min after it left"


def _minutes_until_full(service: Service, since: float) -> int | None:
    """After how many minutes every hour's end saw 99 % of the quota used; None if never."""
    times = service.times
    full, minutes = None, int((times[-1] - since) // _MINUTE)
    for minute in range(minutes, -1, -1):
        at = since + minute * _MINUTE
        if sum(at - _HOUR < one <= at for one in times) < 0.99 * 5000:
            break
        full = minute
    return full


def state_bytes(pace: Pace) -> int:
    """What a pace's windows take in memory, with all that they refer to and that is their own."""
    seen: set[int] = set()
    found: list[object] = [pace.windows]
    total = 0
    while found:
        one = found.pop()
        if id(one) not in seen and not isinstance(one, type | FunctionType | ModuleType):
            seen.add(id(one))
            total += sys.getsizeof(one)
            found.extend(gc.get_referents(one))
    return total


_HEAD = (
    "| scenario | accepted | of what was allowed | rejected | most in a minute | behind, s "
    "| CPU a call, µs |\n| --- | --: | --: | --: | --: | --: | --: |"
)

_VERDICTS = (
    "| | scenarios | used, at least | asked for | rejected in an hour, at most | allowed | |\n"
    "| --- | --: | --: | --: | --: | --: | --- |"
)


def line(scenario: Scenario, found: Found) -> str:
    behind = "" if found.behind is None else f"{found.behind:.0f}"
    return (
        f"| {scenario.name} | {found.accepted:,} | {found.share:.2%} | {found.rejected:,} "
        f"| {found.most_in_a_minute} | {behind} | {found.micros:.0f} |"
    )


def verdicts(results: list[tuple[Scenario, Found]]) -> Iterator[tuple[bool, str]]:
    """For each promise whether it is kept, and a line with the worst figures of its scenarios."""
    of: dict[Promise, list[tuple[Scenario, Found]]] = {}
    for scenario, found in results:
        of.setdefault(scenario.promise, []).append((scenario, found))
    for promise, its in of.items():
        broken = [scenario.name for scenario, found in its if not promise.is_kept_by(found)]
        least = min(found.share for _, found in its)
        most = max(found.most_in_an_hour for _, found in its)
        verdict = "met" if not broken else f"not by {'; '.join(broken)}"
        yield (
            not broken,
            f"| {promise.words} | {len(its)} | {least:.2%} | {promise.share:.0%} | {most} "
            f"| {promise.rejections} | {verdict} |",
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pace")
    parser.add_argument("--quick", action="store_true", help="3 hours instead of 24")
    parser.add_argument("--only", default="", help="scenarios whose names hold these words")
    options = parser.parse_args()
    hours = 3.0 if options.quick else 24.0
    print(_HEAD)
    results = []
    for scenario in scenarios(hours):
        if options.only not in scenario.name:
            continue
        found = measure(scenario, hours)
        results.append((scenario, found))
        print(line(scenario, found), flush=True)
    _print_remarks(results)
    print(_VERDICTS)
    kept = []
    for is_kept, verdict in verdicts(results):
        print(verdict)
        kept.append(is_kept)
    return 0 if all(kept) else 1


def _print_remarks(results: list[tuple[Scenario, Found]]) -> None:
    print()
    for scenario, found in results:
        for remark in found.remarks:
            print(f"{scenario.name}: {remark}.")
    sizes = {scenario.rates: found.state_bytes for scenario, found in results[::-1]}
    for rates, size in sizes.items():
        words = " and ".join(rate.words for rate in rates)
        print(f"What the windows of {words} remember takes {size / 1e3:,.1f} kB.")
    print()


if __name__ == "__main__":
    sys.exit(main())
