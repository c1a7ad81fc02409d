"""All results of a run in the order of its input, in a file of their own.

    checkpoint, rows by line ─▶ where each one's line stands ─▶ read there ─▶ a row of the file
    input ──────────────────────────── its fields, if wanted ───────▲

The run's files are only read, also while it goes on: what is finished at one instant is exported.
Memory does not grow with the rows. The file gets its name once it is whole.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import tee
from pathlib import Path
from typing import IO

from pipeline.consistency.evidence import Recorded, Ways
from pipeline.errors import BadData, StorageFailed
from pipeline.files import output
from pipeline.files.alteration import mended
from pipeline.files.output import seal
from pipeline.files.paths import Paths, unwritable
from pipeline.files.source import Source
from pipeline.input.rows import fields_of
from pipeline.outside.growth import changed_lines
from pipeline.outside.missing import missing_of
from pipeline.outside.snapshot import Snapshot, looked_at
from pipeline.results.columns import Columns, Fields, Result
from pipeline.results.sheets import Opener
from pipeline.resuming.same_input import found_input
from pipeline.resuming.swap import standing


class _OtherLine(Exception):
    """A line is not where the checkpoint has it."""


@dataclass(slots=True)
class Exported:
    """How many rows there are in the file, and how many there are not yet.

    `lacking` are the fields that were wanted and that no row has.
    """

    rows: int = 0
    failed: int = 0
    unfinished: int = 0
    lacking: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Export:
    """What is wanted: the fields `keep` of the input beside each result, failed rows or not."""

    paths: Paths
    keep: Sequence[str] = ()
    failed: bool = True
    input: Path | None = None

    def write(self, path: Path, opened: Opener) -> Exported:
        """Write the file; whatever has its name is replaced.

        Raises:
            BadData: there is no such run, or its files were changed.
            StorageFailed: the disk fails.

        """
        _refuse_own(path, self.paths.all())
        while True:
            seen: list[int] = []
            try:
                with _replacing(path) as file:
                    see = partial(self._write, path, file, opened, seen)
                    return looked_at(self.paths.checkpoint, see)
            except _OtherLine as error:
                if seen[-1] == looked_at(self.paths.checkpoint, Snapshot.retries):
                    why = f"{error} is not what this run wrote."
                    raise BadData(why, "yagpt-batch audit says more.") from None
                # A retry took lines out of the errors file since.

    def _write(
        self, path: Path, file: IO[bytes], opened: Opener, seen: list[int], snapshot: Snapshot
    ) -> Exported:
        _refuse_own(path, snapshot.input_paths(self.paths.output))
        for refusal in missing_of(self.paths, snapshot):
            # Without rows that failed nothing is read there.
            if self.failed or not self.paths.output.exists():
                raise refusal
        # An attempt before this one may have been disturbed.
        file.seek(0)
        file.truncate()
        seen.append(snapshot.retries())
        recipe = Ways.of(snapshot.settings()).recipe
        columns = Columns(recipe.keep, tuple(self.keep))
        exported = Exported(lacking=set(self.keep))
        rows = self._finished(snapshot, exported)
        with _Lines.of(self.paths, snapshot) as lines, opened(file, columns) as sheet:
            for row, fields in self._with_fields(snapshot, rows, exported):
                model = row.model or recipe.model
                sheet.add(Result(lines.read(row), model, row.submits, fields))
        expected, begun = snapshot.expected(), snapshot.cursor().rows
        exported.unfinished += max((expected or 0) - begun, 0)
        return exported

    def _finished(self, snapshot: Snapshot, exported: Exported) -> Iterator[Recorded]:
        for row in snapshot.rows.begun():
            if row.place is None:
                exported.unfinished += 1
            elif row.state == "ok" or self.failed:
                exported.rows += 1
                exported.failed += row.state != "ok"
                yield row

    def _with_fields(
        self, snapshot: Snapshot, rows: Iterator[Recorded], exported: Exported
    ) -> Iterator[tuple[Recorded, Fields]]:
        """Each row with the fields of its line in the input that are wanted."""
        if not self.keep:
            yield from ((row, {}) for row in rows)
            return
        path = self._input(snapshot)
        with closing(Source(path)) as source:
            # Both are read in step, so that nothing is kept between them.
            rows, places = tee(rows)
            for row, data in zip(rows, source.fetch(row.span for row in places), strict=True):
                if seal(data) != row.span.seal:
                    raise self._changed(path, row, snapshot)
                fields = fields_of(data)
                exported.lacking.difference_update(fields)
                yield row, {name: fields.get(name) for name in self.keep}

    def _changed(self, path: Path, met: Recorded, snapshot: Snapshot) -> BadData:
        """The refusal of an input; the line that was met may only have been shifted."""
        with closing(Source(path)) as source:
            begun = ((row.line, row.span) for row in snapshot.rows.begun())
            line, _ = next(changed_lines(begun, source, snapshot.cursor()), (met.line, met.span))
        row = snapshot.rows.of(line) or met
        advice = "Put the input back as it was, or export without --keep."
        if row.state == "failed" and not row.submits:
            call = mended(str(self.paths.output))
            advice = f"If you have mended it, send it first, with `{call}`. {advice}"
        why = f"{path}:{line}: the line is not what it was when this run began it."
        return BadData(why, advice)

    def _input(self, snapshot: Snapshot) -> Path:
        given = self.input
        places = snapshot.input_paths(self.paths.output) if given is None else [given]
        return found_input(places)


class _Lines:
    """Reads the lines of rows where they stand, and makes sure that they are theirs."""

    def __init__(self, files: Mapping[str, tuple[Path, int]]) -> None:
        self._files = files

    @classmethod
    @contextmanager
    def of(cls, paths: Paths, snapshot: Snapshot) -> Iterator["_Lines"]:
        errors = paths.errors
        if snapshot.is_swapping():
            errors = standing(errors, paths.rewritten)
        with ExitStack() as stack:
            files = {"ok": _opened(paths.output, stack)}
            if errors.exists():
                files["failed"] = files["held"] = _opened(errors, stack)
            yield cls(files)

    def read(self, row: Recorded) -> bytes:
        """The line of a finished row, without its newline.

        Raises:
            _OtherLine: it is not there.

        """
        place = row.place
        path, fd = self._files.get(row.state, (None, -1))
        if place is None or path is None:
            raise _OtherLine(f"the error line of row {row.line}")
        try:
            line = os.pread(fd, place.size, place.offset)
        except OSError as error:
            raise StorageFailed(f"can't read {path}: {error.strerror}.") from None
        if seal(line) != place.seal:
            raise _OtherLine(f"{path}, byte {place.offset:,}: the line of row {row.line}")
        return line


def _refuse_own(path: Path, own: Sequence[Path]) -> None:
    if path.resolve() in {file.resolve() for file in own}:
        raise BadData(f"{path} is a file of the run itself.", "Name another one.")


def _opened(path: Path, stack: ExitStack) -> tuple[Path, int]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise BadData(f"can't read {path}: {error.strerror}.", "Put it back.") from None
    stack.callback(os.close, fd)
    return path, fd


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that has the name once the block has written all of it, and else is not there."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        output.replace(path, by=part)
    except OSError as error:
        raise unwritable("write", path, error) from error
    finally:
        part.unlink(missing_ok=True)
