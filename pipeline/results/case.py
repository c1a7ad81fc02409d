"""What an audit looks at: the files of a run as its checkpoint knows them, and what was found."""

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.consistency.evidence import Stood, Ways
from pipeline.errors import BadData, StorageFailed
from pipeline.files import reading
from pipeline.files.output import seal
from pipeline.files.paths import Paths, missing
from pipeline.files.source import Source
from pipeline.life.facts import Cursor, Span
from pipeline.money.prices import PriceTable
from pipeline.money.totals import Totals
from pipeline.outside.snapshot import Snapshot
from pipeline.resuming.same_input import found_input
from pipeline.resuming.swap import standing

_LISTED = 100


@dataclass(slots=True)
class Report:
    """What was found: the first findings, how many more there are, and rows by where they stand.

    `in_input` and `not_begun` are None where the input was not read.
    """

    findings: list[str] = field(default_factory=list)
    more: int = 0
    remarks: list[str] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    pending: int = 0
    in_input: int | None = None
    not_begun: int | None = None

    @property
    def agrees(self) -> bool:
        return not self.findings

    def find(self, findings: Iterable[str]) -> bool:
        """Take all that is found, and whatever keeps a stream from being read on."""
        before = self.count
        try:
            for finding in findings:
                self._take(finding)
        except (BadData, StorageFailed) as error:
            self._take(error.told)
        return self.count == before

    @property
    def count(self) -> int:
        return len(self.findings) + self.more

    def _take(self, finding: str) -> None:
        if len(self.findings) < _LISTED:
            self.findings.append(finding)
        else:
            self.more += 1

    def add(self, other: "Report") -> None:
        """Take what another one found."""
        self.find(other.findings)
        self.more += other.more
        self.remarks += other.remarks


@dataclass(frozen=True, slots=True)
class File:
    """The output or the errors file, as far as the checkpoint knows it."""

    name: str
    path: Path
    outcomes: tuple[str, ...]
    committed: int
    lines: int


@dataclass(frozen=True, slots=True)
class Case:
    """What is looked at, and what the checkpoint says of the run as a whole."""

    paths: Paths
    snapshot: Snapshot
    prices: PriceTable
    inputs: tuple[Path, ...]
    running: bool
    ways: Ways
    cursor: Cursor
    expected: int | None
    totals: Totals

    @classmethod
    def of(
        cls,
        paths: Paths,
        snapshot: Snapshot,
        prices: PriceTable,
        given_input: Path | None,
        *,
        running: bool,
    ) -> "Case":
        noted = snapshot.input_paths(paths.output)
        inputs = tuple(noted) if given_input is None else (given_input,)
        ways, cursor = Ways.of(snapshot.settings()), snapshot.cursor()
        totals = snapshot.totals(ways.recipe.model)
        expected = snapshot.expected()
        return cls(paths, snapshot, prices, inputs, running, ways, cursor, expected, totals)

    @property
    def name(self) -> str:
        return str(self.paths.checkpoint)

    @property
    def _errors(self) -> Path:
        """Where the errors file stands, of a retry that may not have come to its end."""
        errors = self.paths.errors
        is_swapping = self.snapshot.is_swapping()
        return standing(errors, self.paths.rewritten) if is_swapping else errors

    def files(self) -> list[File]:
        known = [
            ("output", self.paths.output, ("ok",)),
            ("errors", self._errors, ("failed", "held")),
        ]
        return [
            File(
                *(name, path, outcomes, self.snapshot.signature(name).size),
                sum(map(self.totals.rows, outcomes)),
            )
            for name, path, outcomes in known
        ]


@contextmanager
def source_of(case: Case, report: Report) -> Iterator[Source | None]:
    """The input, where it is; that it is nowhere is a finding."""
    try:
        source = Source(found_input(case.inputs))
    except BadData as error:
        report.find([error.told])
        yield None
        return
    with closing(source):
        yield source


@contextmanager
def opened(file: File, report: Report) -> Iterator[int | None]:
    """The file, None where it is not there; that it is shorter than it was is a finding."""
    try:
        fd = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        if file.committed:
            report.find([str(missing(file.path, file.committed))])
        yield None
        return
    except OSError as error:
        raise StorageFailed(f"can't read {file.path}: {error.strerror}.") from None
    try:
        size = os.fstat(fd).st_size
        if size < file.committed:
            wrote = f"this run wrote {file.committed:,}"
            report.find([f"{file.path} was cut: it has {size:,} bytes, {wrote}."])
        yield fd
    finally:
        os.close(fd)


def lines_of(fd: int, start: int, end: int | None, number: int = 1) -> Iterator[Stood]:
    lines = reading.lines_between(fd, start, end)
    for n, (offset, line, whole) in enumerate(lines, start=number):
        yield Stood(n, Span(offset, len(line), seal(line)), line, whole)
