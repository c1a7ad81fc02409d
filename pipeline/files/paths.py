"""The files of one run, all named after its output; why one is missing, or can't be made."""

import os
import shlex
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

import msgspec
from msgspec import Struct

from pipeline.codec import encode
from pipeline.errors import AFRESH, BadData, StorageFailed


class Paths(Struct, frozen=True):
    """Each file, whether it is there or not."""

    output: Path

    @property
    def errors(self) -> Path:
        return self.output.with_name(self.output.name.removesuffix(".jsonl") + ".errors.jsonl")

    @property
    def rewritten(self) -> Path:
        """What a retry wrote to take the place of the errors file; gone once it has."""
        return self.errors.with_name(self.errors.name + ".retry")

    @property
    def checkpoint(self) -> Path:
        return self.output.with_name(self.output.name + ".checkpoint")

    @property
    def emulator(self) -> Path:
        return self.output.with_name(self.output.name + ".emulator")

    @property
    def control(self) -> Path:
        """What other shells ask of the run; there only once something was asked."""
        return self.output.with_name(self.output.name + ".control")

    def all(self) -> list[Path]:
        """The checkpoint first: without it the others are only files."""
        logs = [self.checkpoint.with_name(self.checkpoint.name + s) for s in ("-wal", "-shm")]
        own = [self.output, self.errors, self.rewritten, self.emulator, self.control]
        return [self.checkpoint, *logs, *own]

    def note_of(self, source: Path) -> str:
        """Where the input is, to be noted: files may be moved together, or the output alone."""
        absolute = source.resolve()
        return encode(
            [str(absolute), os.path.relpath(absolute, self.output.resolve().parent)]
        ).decode()

    def noted(self, note: str | None) -> list[Path]:
        """Where an input that was noted may be: beside the output as it was, or where it was.

        Raises:
            ValueError: no run writes such a note.

        """
        found = msgspec.json.decode(note or "[]", type=list[str])
        if len(found) != 2:
            return []
        absolute, relative = found
        return [Path(os.path.normpath(self.output.absolute().parent / relative)), Path(absolute)]


def numbered(ending: str) -> Iterator[str]:
    """``.old``, ``.old-2``, ``.old-3`` …: whoever needs a name that is free takes the first."""
    return (f"{ending}{more}" for more in chain([""], (f"-{n}" for n in count(2))))


def missing(path: Path, written: int) -> BadData:
    """The refusal of a run of which a file that it wrote so many bytes to is not there."""
    return BadData(
        f"{path} is missing: this run wrote {written:,} bytes into it.",
        f"Put it back, or {AFRESH}.",
    )


def missing_errors(path: Path, output: Path, written: int) -> BadData:
    """The same of the errors file, without which the results still can be had."""
    refusal = missing(path, written)
    call = f"yagpt-batch export {shlex.quote(str(output))} -o FILE --ok-only"
    return BadData(str(refusal), f"{refusal.advice} The rows that are ok: {call}")


def unwritable(doing: str, path: Path, error: OSError, advice: str = "") -> StorageFailed:
    """What a file that can't be made or written ends with; `advice` is for a folder that is."""
    if _lacks_folder(path, error):
        advice = f"Make the folder {path.parent}, or name a file in another one."
    return StorageFailed(f"can't {doing} {path}: {why_not(path, error)}.", advice)


def why_not(path: Path, error: OSError) -> str:
    """Why it can't, as a clause."""
    if _lacks_folder(path, error):
        return f"the folder {path.parent} does not exist"
    return error.strerror or str(error)


def _lacks_folder(path: Path, error: OSError) -> bool:
    return isinstance(error, FileNotFoundError) and not path.parent.exists()
