"""Reads the files of a run and has them compared; changes none, whether it goes on or not.

    checkpoint at one instant ─┬─ in itself ────────── agreement
    input ─────────────────────┼─ rows begun ───────── agreement
    output, errors file ───────┼─ lines committed ──── matching
    what stands behind these ──┴─ lines not committed ─ tail

While a run goes on its files only grow, so what the checkpoint knew at its instant can be read at
leisure. What stands behind that is judged only while no process writes it.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline import agreement, matching, reading
from pipeline.agreement import Census, Counted
from pipeline.bystander import is_running, signature_of
from pipeline.errors import BadData, StorageFailed
from pipeline.evidence import OUTCOMES, Stood, Ways
from pipeline.facts import Cursor, Span
from pipeline.matching import Key, Matching, number_of
from pipeline.output import seal
from pipeline.paths import Paths
from pipeline.prices import PriceTable
from pipeline.recovery import found_input
from pipeline.snapshot import Snapshot, looked_at
from pipeline.source import Source
from pipeline.swap import standing
from pipeline.tail import Finding, LastLine, Remark, of_tail, of_totals
from pipeline.totals import Sums, Totals

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


def audit(
    paths: Paths, prices: PriceTable, *, given_input: Path | None = None, quick: bool = False
) -> Report:
    """Compare all files of a run, or with `quick` what tells at little cost.

    Raises:
        BadData: there is no run, or its checkpoint is none.
        StorageFailed: the disk fails.

    """
    running = is_running(paths.output)

    def see(snapshot: Snapshot) -> tuple[Report, int]:
        try:
            case = _Case.of(paths, snapshot, prices, given_input, running=running)
            report = _look(case) if quick else _prove(case)
            if snapshot.is_swapping():
                report.remarks.append(_swapping(paths))
            return report, snapshot.retries()
        except BadData as error:
            # What the checkpoint says of the run as a whole can't be read.
            return Report([error.told]), -1

    while True:
        report, retries = looked_at(paths.checkpoint, see)
        if report.agrees or retries in {-1, looked_at(paths.checkpoint, Snapshot.retries)}:
            return report
        # A retry took lines out of the errors file between our looking at one and the other.


def _swapping(paths: Paths) -> str:
    return (
        f"{paths.rewritten} stands for {paths.errors.name}: a retry did not come to its end, and "
        "the next start puts it in its place."
    )


@dataclass(frozen=True, slots=True)
class _File:
    """The output or the errors file, as far as the checkpoint knows it."""

    name: str
    path: Path
    outcomes: tuple[str, ...]
    committed: int
    lines: int


@dataclass(frozen=True, slots=True)
class _Case:
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
    ) -> "_Case":
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

    def files(self) -> list[_File]:
        known = [
            ("output", self.paths.output, ("ok",)),
            ("errors", self._errors, ("failed", "held")),
        ]
        return [
            _File(
                *(name, path, outcomes, self.snapshot.signature(name).size),
                sum(map(self.totals.rows, outcomes)),
            )
            for name, path, outcomes in known
        ]


# The whole proof.


def _prove(case: _Case) -> Report:
    report, snapshot, counted = Report(), case.snapshot, Counted()
    if not report.find(f"{case.name}: {said}" for said in snapshot.damages()):
        return report
    report.find(agreement.of_rows(case.name, snapshot.with_doubts(), counted))
    report.find(agreement.of_twins(case.name, snapshot.odd_twins()))
    replaced, retried = snapshot.replaced(), snapshot.retried()
    doubted = snapshot.doubted()
    report.find(agreement.of_doubts(case.name, doubted, replaced, retried, counted))
    last = snapshot.last_row()
    report.find(agreement.of_cursor(case.name, case.cursor, last, counted.rows))
    report.outcomes = {name: counted.outcomes.get(name, 0) for name in OUTCOMES}
    report.pending = counted.pending
    _prove_input(case, report)
    _prove_files(case, report)
    return report


def _prove_input(case: _Case, report: Report) -> None:
    census = Census()
    with _source(case, report) as source:
        if source is None:
            return
        rows = case.snapshot.rows()
        lines = (
            Stood(
                line.number,
                Span(line.offset, len(line.data), seal(line.data)),
                line.data,
                not line.next.open,
            )
            for line in source.read()
        )
        findings = agreement.of_input(
            *(str(source.path), lines, rows, case.cursor, case.ways.recipe, seal, census)
        )
        if not report.find(findings):
            return
    report.find(agreement.of_expected(case.name, case.expected, case.cursor, census))
    report.in_input, report.not_begun = census.rows, census.not_begun


@contextmanager
def _source(case: _Case, report: Report) -> Iterator[Source | None]:
    """The input, where it is; that it is nowhere is a finding."""
    try:
        source = Source(found_input(case.inputs))
    except BadData as error:
        report.find([error.told])
        yield None
        return
    with closing(source):
        yield source


def _prove_files(case: _Case, report: Report) -> None:
    sums: dict[Key, Sums] = {}
    agree = True
    for file in case.files():
        with _opened(file, report) as fd:
            lines = iter(()) if fd is None else _lines(fd, 0, file.committed)
            rows = case.snapshot.finished(file.outcomes)
            match = Matching(str(file.path), file.outcomes, case.snapshot.row, case.ways)
            agree &= report.find(match.findings(lines, rows, file.committed))
            sums |= match.sums
    if agree:
        dated = case.snapshot.is_dated()
        report.find(matching.of_sums(case.name, case.snapshot.sums(), sums, dated=dated))
        _judge_tails(case, report)
    else:
        report.remarks.append("Sums and totals were not compared: first the lines must agree.")


@contextmanager
def _opened(file: _File, report: Report) -> Iterator[int | None]:
    """The file, None where it is not there; that it is shorter than it was is a finding."""
    try:
        fd = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        if file.committed:
            report.find([f"{file.path} is gone: this run wrote {file.committed:,} bytes."])
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


def _lines(fd: int, start: int, end: int | None, number: int = 1) -> Iterator[Stood]:
    lines = reading.lines_between(fd, start, end)
    for n, (offset, line, whole) in enumerate(lines, start=number):
        yield Stood(n, Span(offset, len(line), seal(line)), line, whole)


def _judge_tails(case: _Case, report: Report) -> None:
    """Judge what stands behind the committed parts, but not while it is being written."""
    behind, files = Report(), case.files()
    before = [signature_of(file.path) for file in files]
    if not case.running:
        taken: set[int] = set()
        for file in files:
            behind.find(_tail(case, file, taken, behind))
    if case.running or is_running(case.paths.output) or before != _signatures(files):
        report.remarks.append("A process has this run: what it writes just now is not looked at.")
    else:
        report.add(behind)


def _signatures(files: Iterable[_File]) -> list[object]:
    return [signature_of(file.path) for file in files]


def _tail(case: _Case, file: _File, taken: set[int], report: Report) -> Iterator[str]:
    with _opened(file, Report()) as fd:
        if fd is None:
            return
        lines = _lines(fd, file.committed, None, file.lines + 1)
        is_output = file.name == "output"
        for told in of_tail(
            str(file.path), lines, case.snapshot.row, case.ways, taken, totals=is_output
        ):
            match told:
                case Finding(sentence):
                    yield sentence
                case Remark(sentence):
                    report.remarks.append(sentence)
                case LastLine(line):
                    settled = not case.snapshot.states()
                    yield from of_totals(
                        str(file.path), line, case.totals, case.prices, settled=settled
                    )


# What tells at little cost.


def _look(case: _Case) -> Report:
    report, snapshot, pending = Report(), case.snapshot, Counted()
    report.find(agreement.of_rows(case.name, snapshot.with_doubts(pending=True), pending))
    report.find(agreement.of_doubted(case.name, snapshot.doubted()))
    report.outcomes = {name: case.totals.rows(name) for name in OUTCOMES}
    report.pending = pending.pending
    rows = case.totals.rows() + pending.pending
    report.find(agreement.of_cursor(case.name, case.cursor, snapshot.last_row(), rows))
    report.find(agreement.of_expected(case.name, case.expected, case.cursor, None))
    _look_at_input(case, report)
    before = report.count
    for file in case.files():
        _look_at_file(case, file, report)
    if report.count == before:
        _judge_tails(case, report)
    return report


def _look_at_input(case: _Case, report: Report) -> None:
    with _source(case, report) as source:
        last = case.snapshot.last_row()
        if source is None or last is None:
            return
        if not source.is_compressed:
            (data,) = source.fetch([last.span])
            if seal(data) != last.span.seal:
                where = f"{source.path}:{last.line} (byte {last.span.offset:,})"
                report.find([f"{where}: the line is not what it was when this run began it."])
        if source.signature() != case.snapshot.signature("input"):
            report.remarks.append(_other_time(source.path))


def _other_time(path: Path) -> str:
    return f"{path} has another length or time than this run knows; the full audit reads it."


def _look_at_file(case: _Case, file: _File, report: Report) -> None:
    with _opened(file, report) as fd:
        if fd is None:
            return
        if file.committed:
            last = _last_line(fd, file)
            number = number_of(last.data)
            row = None if number is None else case.snapshot.row(number)
            report.find(matching.of_last(str(file.path), last, row, case.ways))
        now, known = signature_of(file.path), case.snapshot.signature(file.name)
        if now is not None and now.mtime_ns != known.mtime_ns and not case.running:
            report.remarks.append(_other_time(file.path))


def _last_line(fd: int, file: _File) -> Stood:
    """The last line of the committed part."""
    offset, line = reading.line_before(fd, file.committed)
    return Stood(file.lines, Span(offset, len(line), seal(line)), line, whole=True)
