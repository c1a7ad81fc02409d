"""Files that a run has written to, and that are not where they were.

Only for those who look from outside; a run finds out with its lock in hand (`recovery`).
"""

from collections.abc import Iterator
from functools import partial

from pipeline.errors import BadData
from pipeline.files.paths import Paths, missing, missing_errors
from pipeline.outside.snapshot import Snapshot, looked_at


def missing_of(paths: Paths, snapshot: Snapshot) -> Iterator[BadData]:
    """What to say of each such file of a run."""
    written = snapshot.signature("output").size
    if written and not paths.output.exists():
        yield missing(paths.output, written)
    # In this order: a retry gives the one the other's name.
    errors = [paths.rewritten, paths.errors] if snapshot.is_swapping() else [paths.errors]
    written = snapshot.signature("errors").size
    if written and not any(path.exists() for path in errors):
        yield missing_errors(paths.errors, paths.output, written)


def check_files(paths: Paths, snapshot: Snapshot) -> None:
    """Make sure that all that the run has written is there.

    Raises:
        BadData: a file of it is not.

    """
    for refusal in missing_of(paths, snapshot):
        raise refusal


def check_output(paths: Paths) -> None:
    """The same of an output alone, which has no lock to be asked for where it is not.

    Raises:
        BadData: the run has written to it, and it is not there.

    """
    if not paths.output.exists() and paths.checkpoint.exists():
        looked_at(paths.checkpoint, partial(check_files, paths))
