"""Disks that fail at every call, or are full, or are no disks: the run stops, and loses nothing.

    python -m tests.proof.disks [--side-by-side 2] [--only PART]

Each case is a small run on a fault, then the same command without it. After the fault: exit 74,
one sentence, no sync tried again, no POST once the failure is known, and every operation id that
the checkpoint does not hold told on standard error. In the end the oracle judges the whole.

What a run rightly does not mind, and completes: see `_NOT_MINDED`.
"""

import os
import re
import shutil
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import mkdtemp

import click

from pipeline.emulator.model import Config
from pipeline.errors import Exit
from tests import oracle
from tests.e2e.command import Done, Shell, count_lines, hear_signals
from tests.e2e.hostile import Hostile, Late, serving
from tests.proof import mounts, strace, syncs
from tests.proof.ends import files_of
from tests.proof.seeds import CORES, played

ROWS = 8
_CONCURRENCY = 2
_SERVICE = Config(
    submit_rates=(), poll_rates=(), tokenizer_rates=(), latency_median=0.02, latency_sigma=0.5
)
_LONG = 400_000
_DISK = 4 << 20
# What was decided before the failure may still leave for so long.
_GRACE = 0.5
_MOST_WRONG = 3
_COUNTED = (
    *("cases", "calls that failed", "stopped with 74", "not minded", "syncs tried again"),
    *("writes cut short", "full disks", "odd places", "rows", "lost"),
    *("ids told", "doubts", "accepted twice"),
)
_LIMITS = {
    "checkpoint": range(8_192, 10**7, 9_001),
    "output": range(500_000, 10**7, 390_001),
    "errors": range(500_000, 10**7, 190_001),
}
_WRITES = ("write", "pwrite64", "fdatasync", "fsync", "ftruncate")
# A call on a file whose failure need not stop the run, and why.
_KINDS: dict[str, syncs.Kind] = {
    "output": "appended",
    "errors": "appended",
    # Every frame of the log has a checksum over all before it, every page of the journal its own.
    "log": "checksummed",
    "journal": "checksummed",
}
_NOT_MINDED = {
    ("pwrite64", "checkpoint"): "at the close: the log holds everything, and stays",
    ("fdatasync", "checkpoint"): "at the close: the log holds everything, and stays",
    ("ftruncate", "checkpoint"): "at the close: the log holds everything, and stays",
    ("pwrite64", "log"): "at the close: the mark that all is whole; the log stays",
    ("fdatasync", "log"): "at the close: the mark that all is whole; the log stays",
    ("unlink", "log"): "at the close: what is in the log is in the checkpoint too",
    ("unlink", "index"): "at the close: it is made anew with the next opening",
    ("fdatasync", "folder"): "SQLite takes it for a file system that can't sync folders",
}


class Wrong(AssertionError):
    """A promise that was broken."""


def _want(holds: object, otherwise: str) -> None:
    if not holds:
        raise Wrong(otherwise)


class Story:
    """A run of a few rows, one of them bad, against a service of its own."""

    def __init__(self, shell: Shell, service: Hostile, counts: Counter[str]) -> None:
        self.shell, self.service, self.counts = shell, service, counts
        self.rows, self.output = shell.write_rows(ROWS), shell.path("out.jsonl")
        with self.rows.open("a", encoding="utf-8") as file:
            file.write("[]\n")
        # As the program names it; and where it is to be found from here.
        self.target: Path = self.output
        self.disk: mounts.Disk | None = None
        self.trace = shell.path("trace")
        service.fault = lambda _number, _seen: Late(0.01)

    def look(self) -> Path:
        """The output as it now is; what lies on a mounted disk is copied from there."""
        if self.disk is None:
            return self.output
        folder = self.shell.path("seen")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.disk.outside, folder, ignore=shutil.ignore_patterns(mounts.FILLER))
        return folder / self.target.name

    def call(self, *more: object) -> list[object]:
        options = [*self.service.options, "--concurrency", _CONCURRENCY]
        return ["run", self.rows, "-o", self.target, *options, *more]

    def run(self, *more: object, before: Sequence[str] = ()) -> Done:
        return self.shell.call(*self.call(*more), before=before)

    def run_traced(self, tamper: strace.Tamper) -> tuple[Done, list[syncs.Traced]]:
        with self.shell.started(*self.call(), before=tamper.before(self.trace)) as running:
            done = running.wait()
            calls = list(syncs.read(strace.calls(running, self.trace)))
        failures = [call for call in calls if call.is_injected]
        if failures and failures[0].thread == running.pid:
            # strace counts by thread, so that one which comes later fails as well.
            minded = all(call.thread == running.pid for call in failures)
            _want(minded, "it went on after the first failure")
        return done, calls

    def stopped(self, done: Done) -> None:
        """Judge a run that the disk has ended."""
        _want(done.code == Exit.STORAGE, f"it ended with {done.code}: {done.err}")
        _want("Traceback" not in done.err, f"a traceback: {done.err}")
        told = [line for line in done.err.splitlines() if line.startswith("yagpt-batch: ")]
        _want(len(told) == 1 and "can't" in told[0], f"not one sentence: {done.err}")
        accepted = {one["operation_id"] for one in self.service.ledger()["operations"]}
        unknown = accepted - set(oracle.known(self.look()).ids.values())
        _want(unknown <= done.ids_not_stored, f"ids lost without a word: {unknown}, {done.err}")
        _want(done.ids_not_stored <= accepted, "ids told that nobody gave")
        self.counts["stopped with 74"] += 1
        self.counts["ids told"] += len(done.ids_not_stored)

    def completes(self, *more: object, before: Sequence[str] = ()) -> None:
        """Judge the same command without the fault."""
        known = oracle.known(self.look())
        done = self.run(*more, before=before)
        _want(done.code == Exit.SOME_FAILED, f"then it ended with {done.code}: {done.err}")
        story = self.complete()
        doubts = known.doubts + len(known.intended)
        _want(story.doubts == doubts, f"{story.doubts} doubts, not {doubts}")

    def complete(self) -> oracle.Story:
        """Judge a run that is complete."""
        story = oracle.check(self.rows, self.look(), self.service.ledger())
        self.counts["rows"] += len(story.results) + len(story.failures)
        self.counts["lost"] += count_lines(self.rows) - len(story.results) - len(story.failures)
        self.counts["doubts"] += story.doubts
        self.counts["accepted twice"] += story.paid_twice
        return story


@contextmanager
def told(folder: Path, counts: Counter[str]) -> Iterator[Story]:
    """A story in a folder, with its service."""
    with serving(_SERVICE) as service:
        yield Story(Shell(folder), service, counts)


@dataclass(frozen=True, slots=True)
class Point:
    """A call on one of the run's files that fails; `lasting`: and so do all later ones.

    `finished`: the process that it fails for finds a run that is complete already.
    """

    call: str
    file: str
    error: str
    lasting: bool = False
    finished: bool = False

    def __str__(self) -> str:
        more = " and ever after" * self.lasting + ", of a finished run" * self.finished
        return f"{self.error} at {self.call} on {self.file}{more}"


POINTS = (
    *(
        Point(call, file, error, lasting)
        for lasting in (False, True)
        for error in ("EIO", "ENOSPC")
        for call, file in (
            ("write", "output"),
            ("write", "errors"),
            ("pwrite64", "checkpoint"),
            ("pwrite64", "journal"),
            ("pwrite64", "index"),
            ("pwrite64", "log"),
        )
    ),
    *(
        Point("fdatasync", file, "EIO", lasting)
        for lasting in (False, True)
        for file in ("output", "errors", "checkpoint", "journal", "log", "folder")
    ),
    *(
        Point(call, file, "EIO", lasting, finished=True)
        for lasting in (False, True)
        for call, file in (
            ("pwrite64", "checkpoint"),
            ("pwrite64", "log"),
            ("fdatasync", "checkpoint"),
            ("fdatasync", "log"),
            ("ftruncate", "checkpoint"),
            ("ftruncate", "log"),
        )
    ),
    Point("fsync", "folder", "EIO"),
    *(Point("ftruncate", file, "EIO") for file in ("checkpoint", "log", "index")),
    *(Point("unlink", file, "EIO") for file in ("journal", "log", "index")),
    *(
        Point("openat", file, error)
        for error in ("EACCES", "EROFS")
        for file in ("output", "errors", "checkpoint", "journal", "log", "index")
    ),
)


def fail(point: Point, number: int, folder: Path, counts: Counter[str]) -> bool:
    """Let one call fail, then call again; false if there was no such call."""
    with told(folder, counts) as story:
        path = folder if point.file == "folder" else files_of(story.output)[point.file]
        when = f"{number}{'+' if point.lasting else ''}"
        tamper = strace.Tamper(point.call, f"error={point.error}", when, (path,), _WRITES)
        if point.finished:
            _want(story.run().code == Exit.SOME_FAILED, "the run before it failed")
        done, calls = story.run_traced(tamper)
        failures = [call for call in calls if call.is_injected]
        if not failures:
            _want(done.code == Exit.SOME_FAILED, f"it ended with {done.code}: {done.err}")
            story.complete()
            return False
        counts["calls that failed"] += len(failures)
        _judge_calls(point, calls, counts)
        if done.code == Exit.SOME_FAILED and (point.call, point.file) in _NOT_MINDED:
            counts["not minded"] += 1
            if point.file != "folder":
                _judge_posts(story, failures[0].at)
        else:
            story.stopped(done)
            _judge_posts(story, failures[0].at + _GRACE)
        story.completes()
        return True


def _judge_calls(point: Point, calls: list[syncs.Traced], counts: Counter[str]) -> None:
    again = syncs.tried_again(calls, _KINDS.get(point.file, "plain"))
    counts["syncs tried again"] += again
    _want(not again, f"{again} syncs were tried again")


def _judge_posts(story: Story, since: float) -> None:
    posts = [one["at"] for one in story.service.ledger()["operations"]]
    late = [at - since for at in posts if at > since]
    _want(not late, f"POSTs after the failure was known, by seconds: {late}")


def limit_files(which: str, size: int, folder: Path, counts: Counter[str]) -> bool:
    """Let no file grow beyond a size, so that a write is cut short; false if none was."""
    with told(folder, counts) as story:
        if which == "output":
            story.service.edit = _lengthen
        elif which == "errors":
            with story.rows.open("a", encoding="utf-8") as file:
                file.writelines(f'"{"x" * _LONG}"\n' for _ in range(3))
        done = story.run(before=["prlimit", f"--fsize={size}"])
        if done.code == Exit.SOME_FAILED:
            return False
        story.stopped(done)
        files = files_of(story.output).values()
        counts["writes cut short"] += any(p.exists() and p.stat().st_size == size for p in files)
        story.completes()
        return True


def _lengthen(body: bytes) -> bytes:
    """A long text in the answer to a poll."""
    return re.sub(rb'"text": ?"', lambda found: found[0] + b"x" * _LONG, body)


def fill_disk(free: int, folder: Path, counts: Counter[str]) -> bool:
    """Leave only so much space from the start; false if that was enough."""
    with _on_disk(folder, counts) as (story, disk):
        disk.fill(free)
        done = story.run(before=disk.before)
        if done.code == Exit.SOME_FAILED:
            return False
        story.stopped(done)
        counts["full disks"] += 1
        disk.make_space()
        story.completes(before=disk.before)
        return True


def fill_disk_meanwhile(posts: int, folder: Path, counts: Counter[str]) -> bool:
    """Let somebody else fill the disk once so many POSTs have come."""
    with _on_disk(folder, counts) as (story, disk):
        story.service.fault = lambda _number, _seen: Late(0.1)
        with story.shell.started(*story.call(), before=disk.before) as running:
            running.until(lambda: len(story.service.submits) >= posts)
            disk.fill()
            done = running.wait()
        story.stopped(done)
        counts["full disks"] += 1
        disk.make_space()
        story.completes(before=disk.before)
        return True


def read_only(rows_before: int, folder: Path, counts: Counter[str]) -> bool:
    """Mount the disk read-only before the run, or before it goes on after some rows."""
    with _on_disk(folder, counts) as (story, disk):
        if rows_before:
            done = story.run("--limit", rows_before, before=disk.before)
            _want(done.code == Exit.OK, f"it ended with {done.code}: {done.err}")
        posted = len(story.service.submits)
        disk.remount("ro")
        story.stopped(story.run(before=disk.before))
        _want(len(story.service.submits) == posted, "POSTs though nothing can be written")
        disk.remount("rw")
        story.completes(before=disk.before)
        counts["odd places"] += 1
        return True


@contextmanager
def _on_disk(folder: Path, counts: Counter[str]) -> Iterator[tuple[Story, mounts.Disk]]:
    with told(folder, counts) as story, mounts.mounted(folder / "disk", _DISK) as disk:
        story.disk, story.target = disk, disk.inside / "out.jsonl"
        yield story, disk


def odd_output(place: str, folder: Path, counts: Counter[str]) -> bool:
    """Name what is no file as the output: nothing is sent, and nothing hangs."""
    with told(folder, counts) as story:
        match place:
            case "/dev/full":
                story.target = Path(place)
            case "a folder":
                story.output.mkdir()
            case "a FIFO":
                os.mkfifo(story.output)
        done = story.run()
        _want(done.code in {Exit.STORAGE, Exit.USAGE}, f"it ended with {done.code}: {done.err}")
        _want("Traceback" not in done.err, f"a traceback: {done.err}")
        _want(str(story.target) in done.err, f"it is not named: {done.err}")
        _want(not story.service.seen, "something was sent")
        _want(not oracle.checkpoint_of(story.target).exists(), "a checkpoint was left behind")
        counts["odd places"] += 1
        return True


ODD_OUTPUTS = ("/dev/full", "a folder", "a FIFO")
_REDIRECTED = {
    "standard output on /dev/full": ">/dev/full",
    "standard output closed": ">&-",
    "standard error on /dev/full": "2>/dev/full",
    "standard error closed": "2>&-",
    "standard input closed": "<&-",
    "nothing open at all": "<&- >&- 2>&-",
}


ODD_STREAMS = ("a log on /dev/full", *_REDIRECTED)


def odd_streams(where: str, folder: Path, counts: Counter[str]) -> bool:
    """Let what people are told go nowhere: the run is as complete as ever."""
    with told(folder, counts) as story:
        more = ["--log-file", "/dev/full"] if where == "a log on /dev/full" else []
        redirected = _REDIRECTED.get(where, "")
        done = story.run(*more, "-v", before=["sh", "-c", f'exec "$@" {redirected}', "sh"])
        _want(done.code == Exit.SOME_FAILED, f"it ended with {done.code}: {done.err}")
        _want("Traceback" not in done.err + done.out, f"a traceback: {done.err}")
        story.complete()
        counts["odd places"] += 1
        return True


Case = Callable[[Path, Counter[str]], bool]


@dataclass(frozen=True, slots=True)
class Series:
    """Cases of one kind with their names; the first in which nothing went amiss is the last."""

    name: str
    cases: Iterable[tuple[str, Case]]


def swept(point: Point) -> Series:
    """Let the first such call fail, then the second, and so on."""
    stride = 7 if (point.call, point.file) == ("pwrite64", "log") and not point.finished else 1
    cases = ((f"call {number}", partial(fail, point, number)) for number in count(1, stride))
    return Series(str(point), cases)


def _sized(
    name: str, case: Callable[[int, Path, Counter[str]], bool], sizes: Iterable[int]
) -> Series:
    return Series(name, ((f"{size:,}", partial(case, size)) for size in sizes))


def all_series() -> list[Series]:
    """Everything that can be tried here."""
    found: list[Series] = []
    if strace.refusal() is None:
        found += map(swept, POINTS)
    if shutil.which("prlimit") is not None:
        for which, sizes in _LIMITS.items():
            case = partial(limit_files, which)
            found.append(_sized(f"no file longer than, for {which}", case, sizes))
    if mounts.refusal() is None:
        found.append(_sized("free space", fill_disk, range(0, _DISK, 20_000)))
        found.append(_sized("filled after so many POSTs", fill_disk_meanwhile, (1, 3, 5, 7)))
        found.append(_sized("read-only after so many rows", read_only, (0, 3)))
    found.append(Series("output", ((name, partial(odd_output, name)) for name in ODD_OUTPUTS)))
    found.append(Series("streams", ((name, partial(odd_streams, name)) for name in ODD_STREAMS)))
    return found


def left_out() -> list[str]:
    """What can't be tried here, and why."""
    reasons = {"failing calls": strace.refusal(), "small disks": mounts.refusal()}
    if shutil.which("prlimit") is None:
        reasons["files of limited length"] = "there is no prlimit"
    return [f"No {what}: {reason}." for what, reason in reasons.items() if reason is not None]


@dataclass(frozen=True, slots=True)
class Result:
    """What a series came to. `wrong`: what broke a promise, and where its files are kept."""

    counts: Counter[str]
    wrong: tuple[str, ...] = ()


def play(number: int) -> Result:
    """Carry one series, up to its end or to the third case that goes wrong."""
    series = all_series()[number]
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for name, case in series.cases:
        folder = Path(mkdtemp(prefix="disks-")).resolve()
        counts["cases"] += 1
        try:
            goes_on = case(folder, counts)
        except Exception:  # noqa: BLE001 - whatever goes wrong is told with its case
            told_so = f"{series.name}: {name}\n{traceback.format_exc()}Its files: {folder}"
            wrong.append(told_so)
            goes_on = len(wrong) < _MOST_WRONG
        else:
            shutil.rmtree(folder)
        if not goes_on:
            break
    return Result(counts, tuple(wrong))


def sums(results: Iterable[Result]) -> dict[str, float | int]:
    """Add up what series came to."""
    counts = Counter(dict.fromkeys(_COUNTED, 0))
    wrong = 0
    for result in results:
        counts.update(result.counts)
        wrong += len(result.wrong)
    return {"wrong": wrong, **counts}


def figures(side_by_side: int = CORES) -> dict[str, float | int]:
    """Try everything and add up what it came to."""
    return sums(result for _, result in played(play, range(len(all_series())), side_by_side))


@click.command()
@click.option("--side-by-side", default=CORES, show_default=True)
@click.option("--only", default="", help="Series whose names hold these words.")
def main(side_by_side: int, only: str) -> None:
    """Try everything; tell each case that went wrong, then the figures."""
    hear_signals()
    for sentence in left_out():
        click.echo(sentence)
    names = {n: series.name for n, series in enumerate(all_series()) if only in series.name}
    results = []
    for number, result in played(play, names, side_by_side):
        results.append(result)
        click.echo(f"{result.counts['cases']:>10,}  cases of {names[number]}")
        for told_so in result.wrong:
            click.echo(f"It went wrong at {told_so}\n")
    for name, value in sums(results).items():
        click.echo(f"{value:>10,}  {name}")
    sys.exit(any(result.wrong for result in results))


if __name__ == "__main__":
    main()
