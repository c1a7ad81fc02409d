"""Files that a run has written to, and that are not where they were.

Only for those who look from outside; a run finds out with its lock in hand (`recovery`).
"""

from collections.abc import Iterator

from pipeline.errors import BadData
from pipeline.output import missing
from pipeline.paths import Paths
from pipeline.snapshot import Snapshot
from pipeline.swap import standing


def missing_of(paths: Paths, snapshot: Snapshot) -> Iterator[BadData]:
    """What to say of each such file of a run."""
    is_swapping = snapshot.is_swapping()
    errors = standing(paths.errors, paths.rewritten) if is_swapping else paths.errors
    for name, path in (("output", paths.output), ("errors", errors)):
        written = snapshot.signature(name).size
        if written and not path.exists():
            yield missing(path, written)


def check_files(paths: Paths, snapshot: Snapshot) -> None:
    """Make sure that what the run has written is there.

    Raises:
        BadData: a file of it is not.

    """
    for refusal in missing_of(paths, snapshot):
        raise refusal
