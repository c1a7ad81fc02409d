"""The input that a command is given: a file, or standard input where it is read only once."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.files.source import Line, Source, piped

_PIPED = "stdin"


def input_of(options: Mapping[str, Any]) -> Path | None:
    """The file that INPUT names; None is standard input."""
    return None if options["input_path"] == "-" else Path(options["input_path"])


def name_of(path: Path | None) -> Path:
    """What the input is called in sentences."""
    return path or Path(_PIPED)


@contextmanager
def lines_of(path: Path | None) -> Iterator[Iterable[Line]]:
    """Every line of the input, blank ones included. Blocks.

    Raises:
        BadData: as `Source`.

    """
    if path is None:
        yield piped(sys.stdin.buffer, _PIPED)
        return
    source = Source(path)
    try:
        yield source.read()
    finally:
        source.close()
