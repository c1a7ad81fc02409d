"""From the files on disk to a run that can go on, or a refusal that says why it can't.

    lock → same run? → input unchanged? → output and errors file unchanged? → tail repaired

What is compared at every start is cheap: lengths, times and the last line. Only where these differ
is everything read. A tail that a dead process wrote is adopted line by line, up to a torn one,
which is cut; anything else behind the committed length somebody else wrote, and it is refused.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID, uuid4

import msgspec

from pipeline import codec, swap
from pipeline.checkpoint import Checkpoint
from pipeline.clock import stamp
from pipeline.day import day_of
from pipeline.errors import BadData, RunError, StorageFailed
from pipeline.facts import Finish, Signature, Span
from pipeline.outcomes import Usage
from pipeline.output import Lines, changed, seal
from pipeline.paths import Paths
from pipeline.settings import DEDUPE, difference
from pipeline.source import Source

_NUMBER = re.compile(rb'\{"line":(\d{1,18}),')
_FRESH = "Restore what was there, or start afresh with --fresh (old files are moved aside)."


@dataclass(slots=True)
class Files:
    """The open files of a run; the errors file appears with its first line."""

    paths: Paths
    source: Source
    output: Lines
    checkpoint: Checkpoint
    run_id: UUID
    resumed: bool
    _errors: Lines | None = field(default=None)

    def errors(self) -> Lines:
        if self._errors is None:
            self._errors = Lines(self.paths.errors)
        return self._errors

    def reopen_errors(self) -> None:
        """Go on with the file that stands at its path now."""
        self.close()
        self._errors = Lines(self.paths.errors)

    def check_in_place(self) -> None:
        """Make sure that what was written is what users will find.

        Raises:
            StorageFailed: a file was moved or deleted while the run went on.

        """
        for lines in (self.output, self._errors):
            if lines is not None and not lines.is_at_path():
                raise StorageFailed(
                    f"{lines.path} was moved or deleted while the run went on.",
                    "Put it back, then run the same command again.",
                )

    def close(self) -> None:
        if self._errors is not None:
            self._errors.close()


@contextmanager
def opened(
    paths: Paths,
    source: Source,
    identity: dict[str, str],
    *,
    now: float,
    fresh: bool = False,
    mended: bool = False,
) -> Iterator[Files]:
    """Open, lock, check and repair the files of a run.

    `mended`: lines of the input may have been, so that the caller compares it.

    Raises:
        RunError: another process has the run, its files don't fit, or the disk fails.

    """
    with ExitStack() as stack:
        output = _locked(paths, stack)
        if fresh and any(path.exists() for path in paths.all() if path != paths.output):
            _move_aside(paths, now)
            # The lock on what was moved is held until the end: nobody resumes it meanwhile.
            output = _locked(paths, stack)
        existed = paths.checkpoint.exists()
        if not existed and output.size > 0:
            raise BadData(f"{paths.output} is there, but not its checkpoint.", _FRESH)
        checkpoint = Checkpoint(paths.checkpoint)
        stack.callback(checkpoint.close)
        run_id = _same_run(checkpoint, identity, paths)
        if DEDUPE in identity:
            checkpoint.keep_twins()
        _note_input(checkpoint, source, paths)
        files = Files(paths, source, output, checkpoint, run_id, resumed=existed)
        stack.callback(files.close)
        swap.complete(paths.errors, paths.rewritten, checkpoint)
        if not mended:
            check_input(source, checkpoint)
        _repair(checkpoint, "output", output)
        if paths.errors.exists() or _committed(checkpoint, "errors"):
            _repair(checkpoint, "errors", files.errors())
        yield files


def _locked(paths: Paths, stack: ExitStack) -> Lines:
    while True:
        output = Lines(paths.output)
        try:
            output.lock()
            if output.is_at_path():
                stack.callback(output.close)
                return output
        except RunError:
            output.close()
            raise
        # Somebody moved the file aside between our opening and locking it.
        output.close()


def _move_aside(paths: Paths, now: float) -> None:
    """Rename what an earlier run left; the caller holds its lock."""
    moment = stamp(now).replace("-", "").replace(":", "")
    suffixes = (f".old-{moment}{more}" for more in chain([""], (f"-{n}" for n in count(2))))
    suffix = next(s for s in suffixes if not any(_with(p, s).exists() for p in paths.all()))
    for path in paths.all():
        try:
            if path.exists():
                path.rename(_with(path, suffix))
        except OSError as error:
            raise StorageFailed(
                f"can't move {path} aside: {error.strerror}.",
                f"Give every file of this run the ending {suffix}, or none.",
            ) from error


def _with(path: Path, suffix: str) -> Path:
    """The name to move to; SQLite finds a log only beside its database, ending like this."""
    for log in ("-wal", "-shm"):
        if path.name.endswith(f".checkpoint{log}"):
            return path.with_name(path.name.removesuffix(log) + suffix + log)
    return path.with_name(path.name + suffix)


def _same_run(checkpoint: Checkpoint, identity: dict[str, str], paths: Paths) -> UUID:
    stored = checkpoint.meta("run")
    if stored is None:
        run_id = uuid4()
        settings = codec.encode(identity).decode()
        checkpoint.set_meta({"run": str(run_id), "settings": settings})
        return run_id
    before = codec.decode((checkpoint.meta("settings") or "{}").encode())
    assert isinstance(before, dict)  # noqa: S101 - written above
    # What is not set is named by some versions and not by others.
    was = {name: str(before.get(name, "null")) for name in (*identity, *before)}
    differing = [name for name, value in was.items() if identity.get(name, "null") != value]
    if differing:
        raise BadData(
            f"{paths.output} was begun with other settings: "
            + "; ".join(difference(n, was[n], identity.get(n, "null")) for n in differing)
            + ".",
            "Use the old settings, another output, or --fresh.",
        )
    return UUID(stored)


def _note_input(checkpoint: Checkpoint, source: Source, paths: Paths) -> None:
    """Say where the input is, for commands that are given the output alone."""
    absolute, folder = source.path.resolve(), paths.output.resolve().parent
    # The files may be moved together, or the output alone.
    where = codec.encode([str(absolute), os.path.relpath(absolute, folder)]).decode()
    if checkpoint.meta("input") != where:
        checkpoint.set_meta({"input": where})


def found_input(places: Sequence[Path]) -> Path:
    """The first place where there is something.

    Raises:
        BadData: there is nothing at any of them.

    """
    found = next((path for path in places if path.exists()), None)
    if found is None:
        where = " nor ".join(map(str, dict.fromkeys(places))) or "where it was"
        raise BadData(f"The input is not at {where}: say with --input where it is.")
    return found


def check_input(source: Source, checkpoint: Checkpoint) -> None:
    """Refuse an input whose rows begun are not what they were; more rows are welcome."""
    now, before = source.signature(), checkpoint.signature("input")
    if now != before:
        for line, span in _mismatches(source, checkpoint):
            raise BadData(
                f"{source.path}:{line}: the line is not what it was when this run began it "
                f"(byte {span.offset:,}).",
                _for_changed(checkpoint, line),
            )
        checkpoint.record([], {"input": now})
        return
    last = checkpoint.last_begun()
    if last is not None and not source.is_compressed:
        (data,) = source.fetch([last[1]])
        if seal(data) != last[1].seal:
            raise BadData(f"{source.path}:{last[0]}: the line was changed.", _FRESH)


def _for_changed(checkpoint: Checkpoint, line: int) -> str:
    advice = "Put the input back as it was, or start afresh with --fresh."
    known = checkpoint.known(line, "")
    if known is None or known.submits or checkpoint.place(line) is None:
        return advice
    return f"If you have mended it, send it with yagpt-batch retry. {advice}"


def _mismatches(source: Source, checkpoint: Checkpoint) -> Iterator[tuple[int, Span]]:
    spans = (span for _, span in checkpoint.begun())
    for (line, span), data in zip(checkpoint.begun(), source.fetch(spans), strict=False):
        if seal(data) != span.seal:
            yield line, span


def _committed(checkpoint: Checkpoint, name: str) -> int:
    known = checkpoint.signature(name)
    return 0 if known is None else known.size


def _repair(checkpoint: Checkpoint, name: str, lines: Lines) -> None:
    """Check the committed part of a file, adopt whole lines behind it, cut a torn one."""
    known = checkpoint.signature(name) or Signature(0, 0)
    if lines.size < known.size:
        raise BadData(
            f"{lines.path} was cut: it has {lines.size:,} bytes, this run wrote {known.size:,}.",
            _FRESH,
        )
    if lines.signature().mtime_ns != known.mtime_ns:
        check_lines(lines, checkpoint, known.size)
    else:
        _check_last(lines, checkpoint, known.size)
    adopted = list(_tail(lines, checkpoint, known.size))
    if adopted:
        _write_again(lines, known.size)
    last = adopted[-1].place if adopted else Span(known.size, -1, b"")
    size = last.offset + last.size + 1
    checkpoint.record(adopted, {name: Signature(size, lines.signature().mtime_ns)})


def _write_again(lines: Lines, size: int) -> None:
    """Write whole lines from byte `size` on anew and sync them.

    They were read, but perhaps never reached the disk: the process that wrote them may have died
    of a sync that failed, and after such a failure another sync proves nothing.
    """
    tail = [line for _, line, _ in lines.lines_from(size)]
    lines.cut(size)
    lines.append(tail)


def check_lines(lines: Lines, checkpoint: Checkpoint, size: int) -> None:
    """Read everything up to byte `size`; refuse the first line that is not the one written."""
    for number, (offset, line, whole) in enumerate(lines.lines_from(0), start=1):
        if offset >= size:
            return
        found = _NUMBER.match(line)
        place = checkpoint.place(int(found[1])) if found else None
        if not whole or place != Span(offset, len(line), seal(line)):
            raise changed(lines.path, number, offset)


def _check_last(lines: Lines, checkpoint: Checkpoint, size: int) -> None:
    start, line = lines.line_before(size)
    found = _NUMBER.match(line)
    place = checkpoint.place(int(found[1])) if found else None
    if size > 0 and place != Span(start, len(line), seal(line)):
        check_lines(lines, checkpoint, size)


def _tail(lines: Lines, checkpoint: Checkpoint, size: int) -> Iterator[Finish]:
    taken: set[int] = set()
    for offset, line, whole in lines.lines_from(size):
        # A power cut can leave zeros where a block that was never synced should be.
        if not whole or b"\0" in line:
            lines.cut(offset)
            return
        if line.startswith(b'{"totals":') and offset + len(line) + 1 == lines.size:
            lines.keep_last(offset)
            return
        finish = _adopted(line, Span(offset, len(line), seal(line)), checkpoint)
        if finish is None or finish.line in taken:
            raise BadData(
                f"{lines.path}: what stands at byte {offset:,} was not written by this run.",
                _FRESH,
            )
        taken.add(finish.line)
        yield finish


_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Counts(msgspec.Struct):
    input_tokens: _Count
    completion_tokens: _Count
    reasoning_tokens: _Count
    total_tokens: _Count


class _Error(msgspec.Struct):
    stage: str


class _Other(msgspec.Struct):
    line: int


class _Written(msgspec.Struct):
    """What adopting a line needs of it."""

    line: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    status: Literal["ok", "failed"]
    finish: str | None = None
    operation_id: str | None = None
    usage: _Counts | None = None
    error: _Error | None = None
    created_at: str | None = None
    finished_at: str | None = None
    same_as: _Other | None = None


def _adopted(line: bytes, place: Span, checkpoint: Checkpoint) -> Finish | None:
    """A line of ours as the fact that its row is finished; None where it is not of ours."""
    try:
        written = msgspec.convert(codec.decode(line), _Written)
    except (codec.NotJson, msgspec.ValidationError):
        return None
    if not codec.is_utf8(written.finish or ""):
        return None
    known = checkpoint.known(written.line, "")
    if known is None or checkpoint.place(written.line) is not None:
        return None
    usage = None if written.usage is None else Usage(*msgspec.structs.astuple(written.usage))
    if written.status == "ok" and written.operation_id == known.operation_id:
        same_as = None if written.same_as is None else written.same_as.line
        if same_as != checkpoint.sender_of(written.line):
            return None
        day = day_of(written.finished_at, written.created_at)
        return Finish(written.line, "ok", written.finish, usage, place, day, same_as)
    if written.status == "failed" and written.error is not None:
        outcome = "held" if written.error.stage == "doubt" else "failed"
        return Finish(written.line, outcome, None, usage, place)
    return None
