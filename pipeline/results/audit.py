"""Reads the files of a run and has them compared; changes none, whether it goes on or not.

    checkpoint at one instant ─┬─ in itself ────────── agreement
    input ─────────────────────┼─ rows begun ───────── agreement
    output, errors file ───────┼─ lines committed ──── matching
    what stands behind these ──┴─ lines not committed ─ tail

While a run goes on its files only grow, so what the checkpoint knew at its instant can be read at
leisure. What stands behind that is judged only while no process writes it.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.consistency import agreement, matching
from pipeline.consistency.agreement import Census, Counted
from pipeline.consistency.evidence import OUTCOMES, Stood
from pipeline.consistency.matching import Key, Matching, number_of
from pipeline.consistency.tail import Finding, LastLine, Remark, of_tail, of_totals
from pipeline.errors import BadData
from pipeline.files import reading
from pipeline.files.output import seal
from pipeline.files.paths import Paths
from pipeline.life.facts import Span
from pipeline.money.prices import PriceTable
from pipeline.money.totals import Sums
from pipeline.outside.bystander import is_running, signature_of
from pipeline.outside.snapshot import Snapshot, looked_at
from pipeline.results.case import Case, File, Report, lines_of, opened, source_of


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
            case = Case.of(paths, snapshot, prices, given_input, running=running)
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


# The whole proof.


def _prove(case: Case) -> Report:
    report, snapshot, counted = Report(), case.snapshot, Counted()
    if not report.find(f"{case.name}: {said}" for said in snapshot.damages()):
        return report
    report.find(agreement.of_rows(case.name, snapshot.rows.with_doubts(), counted))
    report.find(agreement.of_twins(case.name, snapshot.rows.odd_twins()))
    replaced, retried = snapshot.replaced(), snapshot.retried()
    doubted = snapshot.rows.doubts()
    report.find(agreement.of_doubts(case.name, doubted, replaced, retried, counted))
    last = snapshot.rows.last()
    report.find(agreement.of_cursor(case.name, case.cursor, last, counted.rows))
    report.outcomes = {name: counted.outcomes.get(name, 0) for name in OUTCOMES}
    report.pending = counted.pending
    _prove_input(case, report)
    _prove_files(case, report)
    return report


def _prove_input(case: Case, report: Report) -> None:
    census = Census()
    with source_of(case, report) as source:
        if source is None:
            return
        rows = case.snapshot.rows.begun()
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


def _prove_files(case: Case, report: Report) -> None:
    sums: dict[Key, Sums] = {}
    agree = True
    for file in case.files():
        with opened(file, report) as fd:
            lines = iter(()) if fd is None else lines_of(fd, 0, file.committed)
            rows = case.snapshot.rows.finished(file.outcomes)
            match = Matching(str(file.path), file.outcomes, case.snapshot.rows.of, case.ways)
            agree &= report.find(match.findings(lines, rows, file.committed))
            sums |= match.sums
    if agree:
        dated = case.snapshot.is_dated()
        report.find(matching.of_sums(case.name, case.snapshot.sums(), sums, dated=dated))
        _judge_tails(case, report)
    else:
        report.remarks.append("Sums and totals were not compared: first the lines must agree.")


def _judge_tails(case: Case, report: Report) -> None:
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


def _signatures(files: Iterable[File]) -> list[object]:
    return [signature_of(file.path) for file in files]


def _tail(case: Case, file: File, taken: set[int], report: Report) -> Iterator[str]:
    with opened(file, Report()) as fd:
        if fd is None:
            return
        lines = lines_of(fd, file.committed, None, file.lines + 1)
        is_output = file.name == "output"
        for told in of_tail(
            str(file.path), lines, case.snapshot.rows.of, case.ways, taken, totals=is_output
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


def _look(case: Case) -> Report:
    report, snapshot, pending = Report(), case.snapshot, Counted()
    report.find(agreement.of_rows(case.name, snapshot.rows.with_doubts(pending=True), pending))
    report.find(agreement.of_doubted(case.name, snapshot.rows.doubts()))
    report.outcomes = {name: case.totals.rows(name) for name in OUTCOMES}
    report.pending = pending.pending
    rows = case.totals.rows() + pending.pending
    report.find(agreement.of_cursor(case.name, case.cursor, snapshot.rows.last(), rows))
    report.find(agreement.of_expected(case.name, case.expected, case.cursor, None))
    _look_at_input(case, report)
    before = report.count
    for file in case.files():
        _look_at_file(case, file, report)
    if report.count == before:
        _judge_tails(case, report)
    return report


def _look_at_input(case: Case, report: Report) -> None:
    with source_of(case, report) as source:
        last = case.snapshot.rows.last()
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


def _look_at_file(case: Case, file: File, report: Report) -> None:
    before = report.count
    with opened(file, report) as fd:
        if fd is None:
            return
        # Of one that was cut, the last line is not there.
        if file.committed and report.count == before:
            last = _last_line(fd, file)
            number = number_of(last.data)
            row = None if number is None else case.snapshot.rows.of(number)
            report.find(matching.of_last(str(file.path), last, row, case.ways))
        now, known = signature_of(file.path), case.snapshot.signature(file.name)
        if now is not None and now.mtime_ns != known.mtime_ns and not case.running:
            report.remarks.append(_other_time(file.path))


def _last_line(fd: int, file: File) -> Stood:
    """The last line of the committed part."""
    offset, line = reading.line_before(fd, file.committed)
    return Stood(file.lines, Span(offset, len(line), seal(line)), line, whole=True)
