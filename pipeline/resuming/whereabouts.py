"""Whether the files of a run are where they belong, while it goes on.

A file that was deleted is still open, under its lock: what is in it is put back, byte by byte and
with its time, so that no answer is lost and the checkpoint fits. One that was moved is somewhere;
another file that has taken its place is left alone. Then the run ends.
"""

import os
import shlex
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from pipeline.errors import AFRESH, Displaced
from pipeline.files.output import Lines
from pipeline.files.paths import Paths, numbered
from pipeline.store.checkpoint import Checkpoint

_THEN = "then run the same command again."


def kept(paths: Paths, checkpoint: Checkpoint, files: Iterable[Lines]) -> Iterator[str]:
    """Make sure that what is written is what users will find; tell what was put back.

    Raises:
        Displaced: a file is not there, and could not be put back. What can be was by then.

    """
    displaced: Displaced | None = None
    if not checkpoint.is_at_path():
        displaced = Displaced(
            f"{paths.checkpoint} was moved or deleted while the run went on.",
            f"Put it back with its -wal, {_THEN} If it is lost, {AFRESH}.",
        )
    for lines in files:
        try:
            if not _is_there(lines):
                yield _put_back(lines)
        except Displaced as error:
            displaced = displaced or error
    if displaced is not None:
        raise displaced


def _is_there(lines: Lines) -> bool:
    try:
        return lines.is_at_path()
    except OSError as error:
        raise Displaced(
            f"can't reach {lines.path} any more: {error.strerror}.", f"Mend that, {_THEN}"
        ) from error


def _put_back(lines: Lines) -> str:
    path = lines.path
    if not lines.is_deleted():
        raise Displaced(f"{path} was moved while the run went on.", f"Move it back, {_THEN}")
    try:
        place = _saved(lines)
    except OSError as error:
        raise Displaced(
            f"{path} was deleted while the run went on, and can't be written anew: "
            f"{os.strerror(error.errno or 0)}.",
            f"Put it back from a copy, {_THEN} If there is none, {AFRESH}.",
        ) from error
    if place != path:
        call = f"mv {shlex.quote(str(place))} {shlex.quote(str(path))}"
        raise Displaced(
            f"another file was put at {path} while the run went on.",
            f"What the run wrote is in {place}: move the other one away, `{call}`, {_THEN}",
        )
    return f"{path} was deleted while the run went on: it is put back, nothing of it is lost."


def _saved(lines: Lines) -> Path:
    """Write it where there is nothing yet."""
    path = lines.path
    for ending in chain([""], numbered(".saved")):
        place = path.with_name(path.name + ending)
        try:
            lines.put_back(place)
        except FileExistsError:
            continue
        return place
    raise AssertionError("there is always a next one")
