"""Whether the input is where it was, and still says of the rows begun what it said."""

import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.errors import AFRESH, BadData
from pipeline.files.output import seal
from pipeline.files.paths import Paths
from pipeline.files.reading import line_at
from pipeline.files.source import Source
from pipeline.life.facts import Note, Signature, Span
from pipeline.outside.growth import changed_lines
from pipeline.store.checkpoint import Checkpoint
from pipeline.store.retrial import Failed, read_failed

_INPUT = "input"


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
    """Refuse an input whose rows begun are not what they were; more rows are welcome.

    Of one that is right is noted where it is, for commands that are given the output alone.
    """
    now, before = source.signature(), checkpoint.signature("input")
    if now != before:
        for line, span in changed_lines(checkpoint.begun(), source, checkpoint.cursor()):
            why = f"the line is not what it was when this run began it (byte {span.offset:,})"
            raise _refusal(source, line, why, checkpoint, paths)
    else:
        last = checkpoint.last_begun()
        if last is not None and not source.is_compressed:
            (data,) = source.fetch([last[1]])
            if seal(data) != last[1].seal:
                raise _refusal(source, last[0], "the line was changed", checkpoint, paths)
    note_input(source, checkpoint, paths, now)


def note_input(
    source: Source, checkpoint: Checkpoint, paths: Paths, now: Signature | None = None
) -> None:
    """Note of an input that was found to be the run's where it is, and what it is `now`."""
    where = paths.note_of(source.path)
    is_noted = checkpoint.meta(_INPUT) == where
    if not is_noted or (now is not None and now != checkpoint.signature(_INPUT)):
        # Together: no kill leaves the one file's place beside the other's length and time.
        checkpoint.record([Note(_INPUT, where)], {} if now is None else {_INPUT: now})


def _refusal(source: Source, line: int, why: str, checkpoint: Checkpoint, paths: Paths) -> BadData:
    own = _own_input(source, checkpoint, paths)
    if own is not None:
        return BadData(
            f"{paths.output} was begun with {own}, and {source.path} is another input: "
            f"{source.path}:{line}: {why}.",
            f"Name {own} again, or for {source.path} an output of its own (-o).",
        )
    return BadData(f"{source.path}:{line}: {why}.", _for_changed(checkpoint, line, paths))


def _own_input(source: Source, checkpoint: Checkpoint, paths: Paths) -> Path | None:
    """The file that the run was begun with, where that is another one and still there."""
    try:
        places = [path for path in paths.noted(checkpoint.meta(_INPUT)) if path.exists()]
    except ValueError:
        return None
    if not places or any(path.samefile(source.path) for path in places):
        return None
    return _near(places[0])


def _near(path: Path) -> Path:
    """A path as one would name it here."""
    with suppress(OSError, ValueError):
        return path.relative_to(Path.cwd())
    return path


def _for_changed(checkpoint: Checkpoint, line: int, paths: Paths) -> str:
    advice = f"Put the input back as it was, or {AFRESH}."
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
