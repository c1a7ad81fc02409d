"""Real processes that die in every way: killed, turned away, told to stop; and what is left then.

A trial is made of its seed alone: rows, settings, the service and its faults, and a series of ends
of the run's process. After each end what lies on disk is judged as a reader would see it; then the
same command is called again, the last time undisturbed, and the oracle judges the whole.

    python -m tests.proof.kills --trials 200 [--first 0] [--seconds 600] [--side-by-side 2]
"""

import json
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, assert_never

import click

from pipeline.emulator.model import Config
from pipeline.errors import Exit
from tests import oracle
from tests.e2e.command import Done, Running, Shell, count_lines, hear_signals, until
from tests.e2e.hostile import BAD_GATEWAY, Fault, HangUp, Hostile, Late, Say, Seen, serving
from tests.proof import strace
from tests.proof.ends import End, Killed, KilledAt, OneOfSeveral, Told, drawn, files_of, swept
from tests.proof.seeds import CORES, played

_FINISHED = frozenset({Exit.OK, Exit.SOME_FAILED, Exit.SOME_HELD})
_TROUBLES = (HangUp(), BAD_GATEWAY, Say(BAD_GATEWAY.status, BAD_GATEWAY.body, taken=True))
_BAD_ROWS = (b"[]", b'{"prompt": 7}', b"no JSON", b'{"prompt": ""}', b'{"id": "a", "prompt": "b"}')
_SECONDS = 40.0
_CHUNK = 20


class Wrong(AssertionError):
    """A promise that was broken."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a seed comes to. Times are in seconds; `trouble` is a share of the POSTs."""

    rows: tuple[bytes, ...]
    options: tuple[str, ...]
    concurrency: int
    config: Config
    delay: float
    trouble: float
    ends: tuple[End, ...]


def trial(seed: int) -> Trial:
    """Draw a trial."""
    chance = random.Random(f"kills/{seed}")  # noqa: S311 - a seed is to repeat it
    count = 30 + int(90 * chance.random() ** 2)
    concurrency = chance.choice((1, 2, 4, 8, 8, 16))
    options = ["--concurrency", str(concurrency), "--attempts", chance.choice(("3", "20"))]
    if chance.random() < 0.15:
        options += ["--on-doubt", "fail"]
    lasts = 0.5 + count * 0.015
    ends = [swept(seed), *(drawn(chance, lasts) for _ in range(chance.choice((1, 2, 2, 3))))]
    chance.shuffle(ends)
    rows = tuple(_row(number, chance) for number in range(1, count + 1))
    # Of its own, so that all else of a trial is drawn as without it.
    others = random.Random(f"kills/{seed}/same")  # noqa: S311 - as above
    if others.random() < 0.35:
        options.append("--dedupe")
        prompts = others.choice((1, 4, 30))
        rows = tuple(_repeated(row, others.randrange(prompts)) for row in rows)
    return Trial(
        rows=rows,
        options=tuple(options),
        concurrency=concurrency,
        config=Config(
            submit_rates=(),
            poll_rates=(),
            tokenizer_rates=(),
            latency_median=chance.choice((0.01, 0.05, 0.2)),
            latency_sigma=chance.choice((0.0, 0.5, 1.0)),
            seed=seed,
        ),
        delay=chance.choice((0.0, 0.02, 0.1)),
        trouble=chance.choice((0.0, 0.0, 0.03)),
        ends=tuple(ends),
    )


def _row(number: int, chance: random.Random) -> bytes:
    if number > 1 and chance.random() < 0.06:
        return chance.choice(_BAD_ROWS)
    row: dict[str, object] = {"prompt": f"Строка {number}: сколько будет {number} + 1? ☕"}
    if chance.random() < 0.2:
        row["id"] = f"row/{number}"
    return json.dumps(row, ensure_ascii=False).encode()


def _repeated(row: bytes, prompt: int) -> bytes:
    """A row that is fit, as one that asks what others do."""
    if row in _BAD_ROWS:
        return row
    fields = json.loads(row) | {"prompt": f"Вопрос {prompt}", "temperature": 0}
    return json.dumps(fields, ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class Result:
    """What a trial came to. `wrong`: what broke a promise, and where its files are kept."""

    counts: Counter[str]
    recovery: float = 0.0
    wrong: str | None = None


@dataclass(slots=True)
class _Judge:
    """Looks at a run's files after each end of a process, and at the whole in the end."""

    trial: Trial
    rows: Path
    output: Path
    service: Hostile
    counts: Counter[str]
    troubles: list[int] = field(default_factory=list)
    ids: dict[int, str] = field(default_factory=dict)
    doubts: int = 0
    troubles_before: int = 0

    def after_end(self, *, processes: int = 1, in_order: bool = False) -> None:
        """Judge what a process, or several one after another, left behind."""
        self.readable()
        known = oracle.known(self.output)
        accepted = self.service.ledger()["operations"]
        unannounced = {one["client_request_id"] for one in accepted} - known.announced.keys()
        _want(not unannounced, f"POSTed before it was announced: {unannounced}")
        self._same_ids(known.ids)
        self._doubts_are_few(known, 0 if in_order else processes * self.trial.concurrency)

    def _doubts_are_few(self, known: oracle.Known, most: int) -> None:
        """A POST that is announced and not known to have ended will be a doubt, too."""
        doubts = known.doubts + len(known.intended)
        new, most = doubts - self.doubts, most + len(self.troubles) - self.troubles_before
        _want(0 <= new <= most, f"{new} new doubts; at most {most} there may be")
        self.doubts, self.troubles_before = doubts, len(self.troubles)

    def readable(self) -> list[int]:
        """The rows that somebody sees who reads now and ignores an unterminated last line."""
        files = (self.output, oracle.errors_of(self.output))
        try:
            seen = [line for path in files for line in oracle.seen_by_a_reader(path)]
        except (ValueError, KeyError, TypeError) as error:
            self.counts["half lines"] += 1
            raise Wrong(f"a reader sees half a line: {error}") from error
        repeated = [line for line, times in Counter(seen).items() if times > 1]
        _want(not repeated, f"rows with two lines: {repeated}")
        return seen

    def _same_ids(self, ids: dict[int, str]) -> None:
        gone = {line: known for line, known in self.ids.items() if ids.get(line) != known}
        self.counts["paid again"] += len(gone)
        _want(not gone, f"ids that were on disk are others now: {gone}")
        self.ids = ids

    def in_the_end(self, code: int) -> None:
        """Judge a run that says that it is complete."""
        rows = sum(1 for row in self.trial.rows if row.strip())
        self.counts["rows"] += rows
        lost = rows - len(self.readable())
        self.counts["lost"] += lost
        _want(not lost, f"{lost} rows have no line")
        before = dict(self.ids)
        self.after_end(in_order=True)
        ledger = self.service.ledger()
        self._paid_once(before, ledger)
        story = oracle.check(self.rows, self.output, ledger)
        self.counts["doubts"] += story.doubts
        self.counts["accepted twice"] += story.paid_twice
        _want(code == _code_of(story), f"it ended with {code}, not {_code_of(story)}")

    def _paid_once(self, before: dict[int, str], ledger: Any) -> None:
        """The last operation of a row is the one whose id was on disk, if one was."""
        names = oracle.known(self.output).announced
        last = {
            names[one["client_request_id"]]: one["operation_id"] for one in ledger["operations"]
        }
        again = [line for line, known in before.items() if last[line] != known]
        self.counts["paid again"] += len(again)
        _want(not again, f"rows were paid for again though their ids were on disk: {again}")


def _code_of(story: oracle.Story) -> int:
    stages = {line["error"]["stage"] for line in story.failures.values()}
    if "doubt" in stages:
        return Exit.SOME_HELD
    return Exit.SOME_FAILED if stages else Exit.OK


def _want(holds: object, otherwise: str) -> None:
    if not holds:
        raise Wrong(otherwise)


class _Player:
    """Carries one trial."""

    def __init__(self, trial: Trial, folder: Path, service: Hostile) -> None:
        self._trial, self._service = trial, service
        self._shell = Shell(folder)
        self._output = folder / "out.jsonl"
        self._rows = folder / "in.jsonl"
        self._rows.write_bytes(b"\n".join(trial.rows))
        self._starts = 0
        self.counts: Counter[str] = Counter()
        self.judge = _Judge(trial, self._rows, self._output, service, self.counts)
        service.fault = self._fault

    def _fault(self, number: int, _: Seen) -> Fault | None:
        chance = random.Random(f"{self._trial.config.seed}/{number}")  # noqa: S311 - as above
        if chance.random() < self._trial.trouble:
            self.judge.troubles.append(number)
            return chance.choice(_TROUBLES)
        return Late(self._trial.delay * chance.random()) if self._trial.delay else None

    def play(self) -> float:
        """Let process after process end, the last one in peace; return what that one took."""
        for end in self._trial.ends:
            if self._come_to(end) in _FINISHED:
                break
        return self._finish()

    def _come_to(self, end: End) -> int:
        """Start the run, end it, judge; return the exit code of the process that had the run."""
        match end:
            case Killed(after):
                return self._killed(after)
            case KilledAt():
                return self._killed_at(end)
            case OneOfSeveral():
                return self._one_of_several(end)
            case Told():
                return self._told(end)
            case _:
                assert_never(end)

    def _killed(self, after: float) -> int:
        with self._started() as (running, _):
            _sleep(running, after)
            done = running.kill()
        self._count_kill(done, "kills by time")
        self.judge.after_end()
        return done.code

    def _killed_at(self, end: KilledAt) -> int:
        if strace.refusal() is not None:
            return -signal.SIGKILL
        paths = (files_of(self._output)[end.file],) if end.file else ()
        tamper = strace.Tamper(end.call, "signal=KILL", str(end.when), paths)
        trace = self._shell.path(f"trace-{self._starts}")
        with self._started(*tamper.before(trace)) as (running, _):
            done = running.wait(_SECONDS)
            strace.calls(running, trace)
        self._count_kill(done, "kills at system calls", f"kills at {end.call}")
        self.judge.after_end()
        return done.code

    def _one_of_several(self, end: OneOfSeveral) -> int:
        self.counts["double starts"] += 1
        with ExitStack() as stack:
            started = [stack.enter_context(self._started()) for _ in range(end.processes)]
            all_running = [running for running, _ in started]
            _sleep(all_running[end.victim], end.after)
            all_running[end.victim].kill()
            until(lambda: sum(not running.has_ended for running in all_running) <= 1)
            for running in all_running:
                _sleep(running, end.rest_after)
                running.kill()
            ended = [(running.wait(), key) for running, key in started]
        for done, key in ended:
            self._judge_one_of_several(done, key)
        self.judge.after_end(processes=2)
        codes = {done.code for done, _ in ended}
        return min(codes & _FINISHED, default=-signal.SIGKILL)

    def _judge_one_of_several(self, done: Done, key: str) -> None:
        if done.code != Exit.BUSY:
            self._count_kill(done, "kills of one of several")
            return
        self.counts["turned away"] += 1
        _want("another process is running" in done.err, f"turned away without a word: {done.err}")
        sent = [seen for seen in self._service.seen if key in seen.headers["authorization"]]
        _want(not sent, "a process that was turned away had sent something")

    def _told(self, end: Told) -> int:
        log = self._shell.path(f"log-{self._starts}")
        with self._started(more=("--log-file", str(log))) as (running, key):
            self._reach(end, running, key, log)
            for number in end.numbers:
                running.signal(number)
                self.counts["signals"] += not running.has_ended
                _until_told(running)
                _sleep(running, end.apart)
            done = running.wait(_SECONDS)
        expected = {-number for number in end.numbers} | _FINISHED
        _want(done.code in expected, f"{end.numbers} ended it with {done.code}: {done.err}")
        if end.phase != "start":
            _want("Traceback" not in done.err, f"a traceback: {done.err}")
        in_order = len(end.numbers) == 1 and "Stopping" in done.err
        self.judge.after_end(in_order=in_order or done.code in _FINISHED)
        return done.code

    def _reach(self, end: Told, running: Running, key: str, log: Path) -> None:
        """Return when the run has come to a phase, or has ended before."""
        written = self._lines()
        match end.phase:
            case "start":
                _sleep(running, end.apart * 3)
            case "reading":
                until(lambda: running.has_ended or log.exists())
            case "first POST":
                until(lambda: running.has_ended or self._has_posted(key))
            case "in flight":
                until(lambda: running.has_ended or self._lines() > written + 5)
            case "totals":
                rows = len(self._trial.rows)
                until(lambda: running.has_ended or self._lines() >= rows, _SECONDS)
            case _:
                assert_never(end.phase)

    def _finish(self) -> float:
        written, begun = self._lines(), time.perf_counter()
        recovery = 0.0
        with self._started() as (running, _):
            while not running.has_ended and not recovery:
                if self._lines() > written:
                    recovery = time.perf_counter() - begun
                time.sleep(0.005)
            done = running.wait(_SECONDS)
        _want(done.code in _FINISHED, f"it ended with {done.code}: {done.err}")
        self.judge.in_the_end(done.code)
        return recovery

    def _lines(self) -> int:
        """Lines of both files; the totals, which the next line replaces, count as one."""
        return count_lines(self._output) + count_lines(oracle.errors_of(self._output))

    def _has_posted(self, key: str) -> bool:
        return any(key in seen.headers["authorization"] for seen in self._service.submits)

    def _count_kill(self, done: Done, *kinds: str) -> None:
        _want("Traceback" not in done.err, f"a traceback: {done.err}")
        expected = {-signal.SIGKILL} | _FINISHED
        _want(done.code in expected, f"it ended with {done.code}: {done.err}")
        if done.code == -signal.SIGKILL:
            self.counts.update(("kills", *kinds))

    @contextmanager
    def _started(self, *before: str, more: tuple[str, ...] = ()) -> Iterator[tuple[Running, str]]:
        """Start the run, with a key of its own by which the service can tell who called."""
        self._starts += 1
        key = f"key-{self._starts}."
        call = ["run", self._rows, "-o", self._output, *self._service.options]
        call += [*self._trial.options, *more]
        with self._shell.started(*call, before=before, YC_API_KEY=key) as running:
            yield running, key


def _sleep(running: Running, seconds: float) -> None:
    """Wait, but not for a process that has ended."""
    deadline = time.perf_counter() + seconds
    while not running.has_ended and (left := deadline - time.perf_counter()) > 0:
        time.sleep(min(left, 0.01))


def _until_told(running: Running) -> None:
    until(lambda: running.has_ended or "Stopping" in running.err)


def play(seed: int) -> Result:
    """Carry one trial; the files of one that went wrong are kept."""
    folder = Path(mkdtemp(prefix=f"kills-{seed}-"))
    one = trial(seed)
    with serving(one.config) as service:
        player = _Player(one, folder, service)
        try:
            recovery = player.play()
        except Exception:  # noqa: BLE001 - whatever goes wrong is told with its seed
            told = f"{traceback.format_exc()}Its files: {folder}"
            return Result(player.counts, wrong=told)
    shutil.rmtree(folder)
    return Result(player.counts, recovery)


def results(
    trials: int, first: int = 0, side_by_side: int = CORES, seconds: float = float("inf")
) -> Iterator[tuple[int, Result]]:
    """Carry trials, and begin no more of them once the time is over."""
    deadline = time.perf_counter() + seconds
    for chunk in range(first, first + trials, _CHUNK):
        if time.perf_counter() > deadline:
            return
        yield from played(play, range(chunk, min(chunk + _CHUNK, first + trials)), side_by_side)


def sums(all_results: list[Result]) -> dict[str, float | int]:
    """Add up what trials came to."""
    counts: Counter[str] = Counter(
        dict.fromkeys(("kills", "kills at system calls", "signals", "double starts"), 0)
        | dict.fromkeys(("rows", "lost", "half lines", "paid again"), 0)
        | dict.fromkeys(("doubts", "accepted twice"), 0)
    )
    for result in all_results:
        counts.update(result.counts)
    return {
        "trials": len(all_results),
        "wrong": sum(result.wrong is not None for result in all_results),
        **counts,
        "longest recovery": round(max((one.recovery for one in all_results), default=0.0), 2),
    }


def figures(trials: int, first: int = 0, side_by_side: int = CORES) -> dict[str, float | int]:
    """Carry trials and add up what they came to."""
    return sums([result for _, result in results(trials, first, side_by_side)])


@click.command()
@click.option("--trials", default=200, show_default=True)
@click.option("--first", default=0, show_default=True, help="The first trial's seed.")
@click.option("--seconds", default=float("inf"), help="Begin no trial after so long.")
@click.option("--side-by-side", default=CORES, show_default=True)
def main(trials: int, first: int, seconds: float, side_by_side: int) -> None:
    """Carry trials; tell each one that went wrong, then the figures."""
    hear_signals()
    if (reason := strace.refusal()) is not None:
        click.echo(f"No kills at system calls: {reason}.")
    told = []
    for seed, result in results(trials, first, side_by_side, seconds):
        told.append(result)
        if result.wrong is not None:
            click.echo(f"Trial {seed} went wrong: {result.wrong}")
            click.echo(f"To repeat it: python -m tests.proof.kills --trials 1 --first {seed}")
    for name, value in sums(told).items():
        click.echo(f"{value:>10,}  {name}")
    sys.exit(any(result.wrong is not None for result in told))


if __name__ == "__main__":
    main()
