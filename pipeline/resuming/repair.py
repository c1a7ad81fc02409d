"""The files of lines at a start: what was written is as it was, and their tails are made good.

A whole line that the checkpoint has not seen is adopted, as its process would have noted it; a
torn one is cut.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from pipeline import codec
from pipeline.api.outcomes import Usage
from pipeline.day import day_of
from pipeline.errors import RESTORE, BadData
from pipeline.files.output import Lines, changed, seal
from pipeline.life.facts import Finish, Signature, Span
from pipeline.life.records import UsageRead
from pipeline.store.checkpoint import Checkpoint

_NUMBER = re.compile(rb'\{"line":(\d{1,18}),')


def repair(checkpoint: Checkpoint, name: str, lines: Lines) -> None:
    """Check the committed part of a file, adopt whole lines behind it, cut a torn one."""
    known = checkpoint.signature(name) or Signature(0, 0)
    if lines.size < known.size:
        raise BadData(
            f"{lines.path} was cut: it has {lines.size:,} bytes, this run wrote {known.size:,}.",
            RESTORE,
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
                RESTORE,
            )
        taken.add(finish.line)
        yield finish


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
    usage: UsageRead | None = None
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
        if same_as != checkpoint.twins.sender_of(written.line):
            return None
        day = day_of(written.finished_at, written.created_at)
        return Finish(written.line, "ok", written.finish, usage, place, day, same_as)
    if written.status == "failed" and written.error is not None:
        outcome = "held" if written.error.stage == "doubt" else "failed"
        return Finish(written.line, outcome, None, usage, place)
    return None
