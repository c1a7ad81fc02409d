"""How the errors file that a retry wrote anew takes the place of the one before.

    written beside it, synced ─▶ rows pending, and a note ─▶ renamed, synced ─▶ note taken back

Until the note is durable nothing has changed, and what was written is thrown away. From then on
the new file counts, under whichever name it stands, and every start renames it before all else.
"""

from pathlib import Path

from pipeline.errors import BadData, StorageFailed
from pipeline.files import output
from pipeline.life.facts import REWRITTEN, Note, Signature
from pipeline.store.checkpoint import Checkpoint


def complete(errors: Path, rewritten: Path, checkpoint: Checkpoint) -> None:
    """Do what is left of it; called by whoever has the run's lock.

    Raises:
        BadData: the new file is not there, though the checkpoint relies on it.
        StorageFailed: the disk fails.

    """
    if checkpoint.meta(REWRITTEN) is None:
        _throw_away(rewritten)
        return
    known = checkpoint.signature("errors") or Signature(0, 0)
    path = standing(errors, rewritten)
    if not path.exists() or path.stat().st_size != known.size:
        raise BadData(
            f"{rewritten}, which a retry wrote to take the place of {errors.name}, is missing or "
            "was changed.",
            "Put it back: what it leaves out is to be sent again.",
        )
    output.replace(errors, by=rewritten)
    checkpoint.record([Note(REWRITTEN, None)], {})


def standing(errors: Path, rewritten: Path) -> Path:
    """Where the errors file stands while the note of its replacement is there."""
    return rewritten if rewritten.exists() else errors


def _throw_away(rewritten: Path) -> None:
    try:
        rewritten.unlink(missing_ok=True)
    except OSError as error:
        raise StorageFailed(f"can't remove {rewritten}: {error.strerror}.") from error
