"""Whether the input is where it was, and still says of the rows begun what it said."""

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline import codec
from pipeline.checkpoint import Checkpoint
from pipeline.errors import RESTORE, BadData
from pipeline.facts import Span
from pipeline.growth import stands, with_next
from pipeline.output import seal
from pipeline.paths import Paths
from pipeline.reading import line_at
from pipeline.retrial import Failed, read_failed
from pipeline.source import Source


def note_input(checkpoint: Checkpoint, source: Source, paths: Paths) -> None:
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


def check_input(source: Source, checkpoint: Checkpoint, paths: Paths) -> None:
    """Refuse an input whose rows begun are not what they were; more rows are welcome."""
    now, before = source.signature(), checkpoint.signature("input")
    if now != before:
        for line, span in _mismatches(source, checkpoint):
            raise BadData(
                f"{source.path}:{line}: the line is not what it was when this run began it "
                f"(byte {span.offset:,}).",
                _for_changed(checkpoint, line, paths),
            )
        checkpoint.record([], {"input": now})
        return
    last = checkpoint.last_begun()
    if last is not None and not source.is_compressed:
        (data,) = source.fetch([last[1]])
        if seal(data) != last[1].seal:
            raise BadData(f"{source.path}:{last[0]}: the line was changed.", RESTORE)


def _for_changed(checkpoint: Checkpoint, line: int, paths: Paths) -> str:
    advice = "Put the input back as it was, or start afresh with --fresh."
    known, place = checkpoint.known(line, ""), checkpoint.place(line)
    if known is None or known.submits or place is None:
        return advice
    failed = _failed(paths.errors, place)
    stage = "" if failed is None else f" --stage {failed.stage}"
    call = f"yagpt-batch retry {shlex.quote(str(paths.output))}{stage}"
    return f"If you have mended it, send it with `{call}`. {advice}"


def _failed(errors: Path, place: Span) -> Failed | None:
    """What an error line tells; None where it can't be read."""
    try:
        fd = os.open(errors, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return read_failed(line_at(fd, place.offset, place.size))
    finally:
        os.close(fd)


def _mismatches(source: Source, checkpoint: Checkpoint) -> Iterator[tuple[int, Span]]:
    spans, cursor = (with_next(span) for _, span in checkpoint.begun()), checkpoint.cursor()
    for (line, span), data in zip(checkpoint.begun(), source.fetch(spans), strict=False):
        if not stands(data, span, cursor):
            yield line, span
