"""The allowance's file, between runs on a clock of the test's, and between real processes."""

import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.clock import Clock
from pipeline.pacing.margin import held_for
from pipeline.pacing.purse import Statement
from pipeline.pacing.rates import Kind, Rate
from pipeline.shared_quota.allowance import Allowance, Unshared, state_file
from tests import sharers as game
from tests.scratch import busiest, in_memory

START = 1_790_000_000.0
TEN = (Rate(10, 1.0),)
WANTS = Statement(want=100)


class Time:
    """What the machine's clock says."""

    def __init__(self) -> None:
        self.now = 5000.0

    def read(self) -> float:
        return self.now


@pytest.fixture
def machine() -> Time:
    return Time()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state" / "folder.quota"


@pytest.fixture
def come(machine: Time, state: Path) -> Iterator[Callable[..., Allowance]]:
    """Let a run come; `wall` is what the wall clock said when it began."""
    present: list[Allowance] = []

    def one(rates: tuple[Rate, ...] = TEN, wall: float = START) -> Allowance:
        clock = Clock(machine.read, wall + machine.now - 5000.0)
        present.append(Allowance(state, {"submits": rates}, clock))
        return present[-1]

    yield one
    for allowance in present:
        allowance.abandon()


def places(allowance: Allowance, told: Statement = WANTS, kind: Kind = "submits") -> int:
    return len(allowance.exchange({kind: told}).get(kind, ()))


@pytest.mark.promise("P13")
def test_what_is_shared_no_more_counts_for_as_long_as_its_calls_can_last(
    come: Callable[..., Allowance], machine: Time
) -> None:
    first, second = come(), come()
    assert places(first) == 10
    assert places(second) == 0
    first.drop("submits", Statement(), 4, 5.0)
    assert places(second) == 6
    machine.now += 5.0
    assert places(second) == 0
    machine.now += 1.1
    assert places(second) == 4
    # It may come back, as one that never was there.
    first.keep_to({"submits": TEN})
    assert places(first) == 0
    second.leave({"submits": Statement(ended=(START + 6.0,) * 10)}, {"submits": 0})
    machine.now += 1.1
    assert places(first) == 10


# The file.


@pytest.mark.promise("P18")
def test_the_folder_and_the_file_are_the_user_s_alone(
    come: Callable[..., Allowance], state: Path
) -> None:
    assert places(come()) == 10
    assert stat.S_IMODE(state.parent.stat().st_mode) == 0o700
    found = list(state.parent.iterdir())
    assert len(found) >= 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}


def test_the_file_is_named_by_host_and_folder_whatever_they_hold() -> None:
    home = {"HOME": "/home/anna"}
    path = state_file(home, "llm.api.cloud.yandex.net", "b1gexample")
    assert path.parent == Path("/home/anna/.local/state/yagpt-batch")
    assert path.name.startswith("llm.api.cloud.yandex.net-b1gexample-")
    odd = ["", "..", "../../etc/passwd", "a/b", "a-b", "a b", "\0", "я" * 300, "x" * 300]
    names = [state_file(home, "host:80", folder) for folder in odd]
    assert len(set(names)) == len(odd)
    for name in names:
        assert name.parent == path.parent
        assert name.name.isascii()
        assert len(name.name) < 120


def test_the_state_directory_is_where_the_user_has_it() -> None:
    own = {"XDG_STATE_HOME": "/var/state", "HOME": "/home/anna"}
    assert state_file(own, "h", "f").parent == Path("/var/state/yagpt-batch")
    relative = own | {"XDG_STATE_HOME": "state"}
    assert state_file(relative, "h", "f").parent == Path("/home/anna/.local/state/yagpt-batch")
    with pytest.raises(Unshared, match="HOME is not set"):
        state_file({}, "h", "f")


def _garbage(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


def _of_somebody_else(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE notes (text)")


def _of_another_version(path: Path) -> None:
    Allowance(path, {"submits": TEN}, Clock()).abandon()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


def _with_nonsense(path: Path) -> None:
    Allowance(path, {"submits": TEN}, Clock()).abandon()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute("UPDATE sharers SET held = 'many'")


def _a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    "broken", [_garbage, _of_somebody_else, _of_another_version, _with_nonsense, _a_folder]
)
def test_a_file_that_can_t_be_used_is_refused_and_stays_as_it_is(
    tmp_path: Path, broken: Callable[[Path], None]
) -> None:
    path = tmp_path / "folder.quota"
    broken(path)
    before = path.read_bytes() if path.is_file() else b""
    for _ in range(2):
        with pytest.raises(Unshared, match=r"folder\.quota"):
            Allowance(path, {"submits": TEN}, Clock())
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_file_that_was_moved_away_is_noticed(
    come: Callable[..., Allowance], state: Path
) -> None:
    allowance = come()
    state.rename(state.with_suffix(".old"))
    with pytest.raises(Unshared, match="No such file"):
        allowance.exchange({"submits": WANTS})
    come()
    with pytest.raises(Unshared, match="another file has taken its place"):
        allowance.exchange({"submits": WANTS})


# What runs take and give back.


@pytest.mark.promise("P13")
def test_what_one_run_holds_no_other_gets(come: Callable[..., Allowance]) -> None:
    one, two = come(), come()
    assert places(one) == 10
    assert places(two) == 0
    assert places(one, Statement(spare=4)) == 0
    assert places(two) == 4


@pytest.mark.promise("P13")
def test_a_place_comes_back_one_window_after_its_call_ended(
    come: Callable[..., Allowance], machine: Time
) -> None:
    one, two = come(), come()
    assert places(one) == 10
    machine.now += 3.0
    ended = START + 2.0
    assert places(one, Statement(ended=(ended,) * 10)) == 0
    assert places(two) == 10
    machine.now += 0.1
    # A little ahead, and no sooner.
    three = come()
    assert places(two, Statement(ended=(START + 3.05,) * 10)) == 0
    machine.now += 0.5
    for moment in three.exchange({"submits": WANTS})["submits"]:
        assert 0.0 <= moment - (START + 3.05 + held_for(1.0)) < 0.01


@pytest.mark.promise("P13")
def test_submits_and_polls_have_windows_of_their_own(machine: Time, state: Path) -> None:
    clock = Clock(machine.read, START)
    allowance = Allowance(state, {"submits": TEN, "polls": (Rate(50, 1.0),)}, clock)
    found = allowance.exchange({"submits": WANTS, "polls": WANTS})
    assert {kind: len(of_kind) for kind, of_kind in found.items()} == {"submits": 10, "polls": 50}
    allowance.abandon()


@pytest.mark.promise("P13")
def test_what_a_dead_run_held_counts_from_when_its_death_was_noticed(
    come: Callable[..., Allowance], machine: Time
) -> None:
    one, two = come(), come()
    assert places(one) == 10
    machine.now += 100
    assert places(two) == 0
    one.abandon()
    assert places(two, Statement(want=5)) == 0
    machine.now += 1.9
    assert places(two) == 10


@pytest.mark.promise("P13")
def test_a_run_that_begins_in_the_place_of_a_dead_one_knows_what_that_held(
    come: Callable[..., Allowance], machine: Time
) -> None:
    hour = (Rate(10, 3600.0),)
    for _ in range(5):
        run = come(hour)
        assert places(run, Statement(want=2)) == 2
        run.abandon()
        machine.now += 60
    last = come(hour)
    for _ in range(4):
        assert places(last) == 0
        machine.now += 600
    # The first death was noticed by the second run, a minute after the first one began.
    machine.now += 963
    assert places(last) == 2


@pytest.mark.promise("P13")
def test_a_run_that_leaves_gives_back_what_it_did_not_use(
    come: Callable[..., Allowance], machine: Time
) -> None:
    one, two = come(), come()
    assert places(one) == 10
    one.leave({"submits": Statement(ended=(START,) * 3)}, {"submits": 2})
    assert places(two) == 5
    machine.now += 1.1
    assert places(two) == 3
    machine.now += 0.5
    assert places(two) == 2


@pytest.mark.promise("P13")
def test_runs_whose_wall_clocks_were_set_in_between_share_all_the_same(
    come: Callable[..., Allowance], machine: Time
) -> None:
    one, two, three = come(), come(wall=START - 7200), come(wall=START + 7200)
    assert places(one) == 10
    places(one, Statement(ended=(START,) * 10))
    assert places(two) == places(three) == 0
    machine.now += 0.9
    (moment,) = set(two.exchange({"submits": WANTS})["submits"])
    assert START - 7200 + held_for(1.0) <= moment < START - 7200 + 1.01
    two.abandon()
    machine.now += 5
    assert places(three) == 5
    machine.now += 2.1
    assert places(three) == 5


@pytest.mark.promise("P13")
def test_after_a_restart_of_the_machine_the_windows_go_on(
    come: Callable[..., Allowance], machine: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = (Rate(10, 3600.0),)
    one = come(hour)
    assert places(one) == 10
    one.leave({"submits": Statement(ended=(START,) * 10)}, {"submits": 0})
    monkeypatch.setattr("pipeline.shared_quota.register.boot", lambda: "another")
    machine.now = 30.0
    # Half an hour later by the wall clock, whose reading `come` takes back to the first start.
    assert places(come(hour, wall=START + 4970.0 + 1800.0)) == 0
    machine.now += 1700.0
    assert places(come(hour, wall=START + 4970.0 + 1800.0)) == 0
    machine.now += 110.0
    assert places(come(hour, wall=START + 4970.0 + 1800.0)) > 0


@pytest.mark.promise("P13")
def test_a_window_that_nobody_had_before_knows_of_earlier_calls(
    come: Callable[..., Allowance], machine: Time
) -> None:
    one = come()
    for _ in range(3):
        assert places(one) == 10
        machine.now += 0.5
        places(one, Statement(ended=(START + machine.now - 5000.0,) * 10))
        machine.now += 1.5
    two = come((Rate(32, 3600.0),))
    one.leave({"submits": Statement()}, {"submits": 0})
    assert places(two) == 2


@pytest.mark.promise("P13")
def test_two_who_both_want_get_equal_parts_of_a_long_wait(
    come: Callable[..., Allowance], machine: Time
) -> None:
    one, two = come(), come()
    had = {one: 0, two: 0}
    for _ in range(200):
        machine.now += 0.1
        now = START + machine.now - 5000.0
        for allowance in had:
            got = allowance.exchange({"submits": Statement(want=20)}).get("submits", ())
            had[allowance] += len(got)
            allowance.exchange({"submits": Statement(ended=(now,) * len(got), want=20)})
    assert sum(had.values()) >= 150
    assert abs(had[one] - had[two]) <= 10


def test_runs_that_wait_write_little(come: Callable[..., Allowance], machine: Time) -> None:
    one, two = come((Rate(5, 3600.0),)), come((Rate(5, 3600.0),))
    assert places(one) == 5
    places(one, Statement(ended=(START,) * 5, want=10))
    wrote = 0
    for _ in range(500):
        machine.now += 0.2
        version = one._register.version()  # noqa: SLF001 - how often the other wrote
        assert places(two, Statement(want=10)) == 0
        wrote += one._register.version() != version  # noqa: SLF001 - as above
        assert places(one, Statement(want=10)) == 0
    assert wrote <= 3


class FilePart:
    """One run's way into an allowance on disk."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance

    def exchange(self, told: Statement) -> tuple[float, ...]:
        return self._allowance.exchange({"submits": told}).get("submits", ())

    def leave(self, told: Statement, still_open: int) -> None:
        self._allowance.leave({"submits": told}, {"submits": still_open})

    def die(self) -> None:
        self._allowance.abandon()


@pytest.mark.promise("P13")
@settings(deadline=None, max_examples=40)
@given(st.sampled_from(game.RATES), st.integers(0, 2**32), st.integers(1, 4))
def test_no_window_is_passed_whoever_asks_calls_leaves_or_dies(
    rates: tuple[Rate, ...], seed: int, most: int
) -> None:
    with in_memory() as name:
        path = Path(name) / "folder.quota"

        def come() -> FilePart:
            clock = Clock(lambda: play.now - 1_700_000_000, play.now)
            return FilePart(Allowance(path, {"submits": rates}, clock))

        play = game.Game(come, seed, most)
        calls = play.play(250)
    game.check(calls, {rate.seconds: rate.limit for rate in rates}, seed)


# Real processes.

CALLER = """
import os, random, sys, time
from pathlib import Path
from pipeline.shared_quota.allowance import Allowance
from pipeline.clock import Clock
from pipeline.pacing.rates import Rate
from pipeline.pacing.purse import Statement

path, log, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
chance, clock = random.Random(seed), Clock()
log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
allowance = Allowance(path, {"submits": (Rate(40, 1.0), Rate(90, 3.0))}, clock)
number, places, ended = 0, [], ()
while True:
    told = Statement(ended, 0, chance.randint(1, 20))
    places += allowance.exchange({"submits": told}).get("submits", ())
    places.sort()
    now, started = clock.now(), []
    while places and places[0] <= now:
        places.pop(0)
        number += 1
        started.append(number)
        os.write(log, f"{seed} {number} start {clock.since_boot(clock.now())!r}\\n".encode())
    time.sleep(chance.uniform(0, 0.05))
    ended = ()
    for each in started:
        now = clock.now()
        ended += (now,)
        os.write(log, f"{seed} {each} end {clock.since_boot(now)!r}\\n".encode())
"""


def _read(log: Path) -> tuple[list[float], list[float]]:
    """Starts and ends of calls; one whose process was killed meanwhile ends as it starts."""
    starts: dict[tuple[str, str], float] = {}
    ends: dict[tuple[str, str], float] = {}
    for line in log.read_text().splitlines():
        seed, number, what, at = line.split()
        (starts if what == "start" else ends)[seed, number] = float(at)
    return list(starts.values()), [ends.get(call, start) for call, start in starts.items()]


@pytest.mark.promise("P13")
def test_processes_that_are_killed_at_random_never_pass_a_window_together(
    tmp_path: Path, state: Path
) -> None:
    chance = random.Random(11)  # noqa: S311 - a test's dice
    log = tmp_path / "calls"
    running: list[subprocess.Popen[bytes]] = []
    seeds = iter(range(1000))

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", CALLER, str(state), str(log), str(next(seeds))]
        return subprocess.Popen(command, stderr=subprocess.PIPE)

    try:
        running = [start() for _ in range(3)]
        deadline = time.perf_counter() + 12
        while time.perf_counter() < deadline:
            time.sleep(chance.uniform(0.1, 0.8))
            process = running.pop(0)
            assert process.poll() is None, process.communicate()[1].decode()
            process.kill()
            process.communicate()
            running.append(start())
    finally:
        for process in running:
            process.kill()
            process.communicate()

    starts, ends = _read(log)
    for moments in (starts, ends):
        assert busiest(moments, 1.0) <= 40
        assert busiest(moments, 3.0) <= 90
    assert len(starts) > 100


@pytest.mark.promise("P13")
def test_a_process_that_was_stopped_holds_the_others_up_for_a_moment_only(
    tmp_path: Path, state: Path
) -> None:
    log = tmp_path / "calls"
    command = [sys.executable, "-c", CALLER, str(state), str(log)]
    with subprocess.Popen([*command, "1"]) as stopped, subprocess.Popen([*command, "2"]) as other:
        try:
            time.sleep(2.0)
            os.kill(stopped.pid, signal.SIGSTOP)
            time.sleep(5.0)
        finally:
            stopped.kill()
            other.kill()
    starts, ends = _read(log)
    for moments in (starts, ends):
        assert busiest(moments, 3.0) <= 90
    # Of its own it holds no more than it had asked for; the rest is the other's.
    late = [start for start in starts if start > max(starts) - 2.5]
    assert len(late) >= 30
