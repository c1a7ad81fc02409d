"""From the files on disk to a run that can go on, or a refusal that says why it can't.

    lock → same run? → input unchanged? → output and errors file unchanged? → tail repaired

What is compared at every start is cheap: lengths, times and the last line. Only where these differ
is everything read. A tail that a dead process wrote is adopted line by line, up to a torn one,
which is cut; anything else behind the committed length somebody else wrote, and it is refused.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

from pipeline import codec
from pipeline.clock import stamp
from pipeline.errors import RESTORE, BadData, OtherSettings, RunError, StorageFailed
from pipeline.files.output import Lines
from pipeline.files.paths import Paths, missing, missing_errors, numbered
from pipeline.files.reading import whole_lines
from pipeline.files.source import Source
from pipeline.life.facts import REWRITTEN
from pipeline.resuming import swap
from pipeline.resuming.repair import repair
from pipeline.resuming.same_input import check_input
from pipeline.resuming.whereabouts import kept
from pipeline.settings import DEDUPE, difference
from pipeline.store.checkpoint import Checkpoint
from pipeline.store.retrial import read_failed

_NUMBER = re.compile(rb'\{"line":(\d{1,18}),')


@dataclass(slots=True)
class Files:
    """The open files of a run; the errors file appears with its first line.

    `anew`: why the run was begun anew, though nobody asked for that; None where it was not.
    """

    paths: Paths
    source: Source
    output: Lines
    checkpoint: Checkpoint
    run_id: UUID
    resumed: bool
    anew: str | None = None
    _errors: Lines | None = field(default=None)

    def errors(self) -> Lines:
        if self._errors is None:
            self._errors = Lines(self.paths.errors)
        return self._errors

    def reopen_errors(self) -> None:
        """Go on with the file that stands at its path now."""
        self.close()
        self._errors = Lines(self.paths.errors)

    def keep_in_place(self) -> list[str]:
        """Put back what was deleted while the run went on, and tell of it.

        Raises:
            Displaced: a file is not where it belongs, and could not be put back.

        """
        open_files = (lines for lines in (self.output, self._errors) if lines is not None)
        return list(kept(self.paths, self.checkpoint, open_files))

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
        files = _begun(paths, source, identity, now, stack, fresh=fresh, mended=mended)
        stack.callback(files.close)
        _check_and_repair(files, mended=mended)
        yield files


def _begun(
    paths: Paths,
    source: Source,
    identity: dict[str, str],
    now: float,
    stack: ExitStack,
    *,
    fresh: bool,
    mended: bool,
) -> Files:
    """Lock the output and open the checkpoint of this very run; make way where nothing is lost."""
    was_there = paths.output.exists()
    output = _locked(paths, stack)
    if fresh and _is_used(paths, output):
        output = _made_way(paths, now, stack)
    existed = paths.checkpoint.exists()
    if not existed and output.size > 0:
        raise BadData(f"{paths.output} is there, but not its checkpoint.", RESTORE)
    own = stack.enter_context(ExitStack())
    checkpoint = _checkpoint(paths, own)
    if not was_there and _committed(checkpoint, "output"):
        raise _without_output(output, _committed(checkpoint, "output"))
    differences, anew = _differences(checkpoint, identity), None
    if differences:
        if mended or output.size or not _is_unpaid(checkpoint, paths):
            raise _other_settings(paths, differences)
        own.close()
        output, existed = _made_way(paths, now, stack), False
        checkpoint = _checkpoint(paths, own)
        anew = _told_anew(differences)
    run_id = _run_id(checkpoint, identity)
    if DEDUPE in identity:
        checkpoint.twins.keep()
    return Files(paths, source, output, checkpoint, run_id, resumed=existed, anew=anew)


def _check_and_repair(files: Files, *, mended: bool) -> None:
    """Make sure that input, output and errors file are those of the checkpoint."""
    paths, checkpoint = files.paths, files.checkpoint
    swap.complete(paths.errors, paths.rewritten, checkpoint)
    if not mended:
        check_input(files.source, checkpoint, paths)
    repair(checkpoint, "output", files.output)
    if not paths.errors.exists() and _committed(checkpoint, "errors"):
        raise missing_errors(paths.errors, paths.output, _committed(checkpoint, "errors"))
    if paths.errors.exists():
        repair(checkpoint, "errors", files.errors())


def _is_used(paths: Paths, output: Lines) -> bool:
    """Whether a run has left anything; the output is there, since it is locked."""
    return output.size > 0 or any(p.exists() for p in paths.all() if p != paths.output)


def _made_way(paths: Paths, now: float, stack: ExitStack) -> Lines:
    """The output of a run that begins, locked, once the old files are moved aside.

    The lock on what was moved is held until the end: nobody resumes it meanwhile.
    """
    _move_aside(paths, now)
    return _locked(paths, stack)


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


def _without_output(output: Lines, written: int) -> BadData:
    """Take away what was made to be locked: it would look like an output that was cut."""
    if output.size == 0 and output.is_at_path():
        output.path.unlink(missing_ok=True)
    return missing(output.path, written)


def _move_aside(paths: Paths, now: float) -> None:
    """Rename what an earlier run left; the caller holds its lock."""
    moment = stamp(now).replace("-", "").replace(":", "")
    old = numbered(f".old-{moment}")
    suffix = next(s for s in old if not any(_with(p, s).exists() for p in paths.all()))
    # The errors file first: a kill in between leaves no line that a new checkpoint does not know.
    # The output last: while it is in its place, its lock keeps others from making new files.
    others = [path for path in paths.all() if path not in {paths.errors, paths.output}]
    for path in [paths.errors, *others, paths.output]:
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


def _checkpoint(paths: Paths, stack: ExitStack) -> Checkpoint:
    checkpoint = Checkpoint(paths.checkpoint)
    stack.callback(checkpoint.close)
    return checkpoint


def _run_id(checkpoint: Checkpoint, identity: dict[str, str]) -> UUID:
    stored = checkpoint.meta("run")
    if stored is not None:
        return UUID(stored)
    run_id = uuid4()
    checkpoint.set_meta({"run": str(run_id), "settings": codec.encode(identity).decode()})
    return run_id


def _differences(checkpoint: Checkpoint, identity: dict[str, str]) -> str:
    """In what this call is another run than the one that was begun; empty where in nothing."""
    if checkpoint.meta("run") is None:
        return ""
    before = codec.decode((checkpoint.meta("settings") or "{}").encode())
    assert isinstance(before, dict)  # noqa: S101 - written by `_run_id`
    # What is not set is named by some versions and not by others.
    was = {name: str(before.get(name, "null")) for name in (*identity, *before)}
    differing = [name for name, value in was.items() if identity.get(name, "null") != value]
    return "; ".join(difference(n, was[n], identity.get(n, "null")) for n in differing)


def _is_unpaid(checkpoint: Checkpoint, paths: Paths) -> bool:
    """Whether nothing of the run was ever accepted, or can have been; its output is empty."""
    if checkpoint.meta(REWRITTEN) is not None or checkpoint.may_have_paid():
        return False
    failed = map(read_failed, whole_lines(paths.errors))
    return all(one is not None and one.stage == "input" for one in failed)


def _other_settings(paths: Paths, differences: str) -> OtherSettings:
    return OtherSettings(
        f"{paths.output} was begun with other settings: {differences}.",
        "Use the old settings, or another output; --fresh would pay for all rows again.",
    )


def _told_anew(differences: str) -> str:
    return (
        "Nothing was accepted with the other settings: begun anew, with the old files moved aside "
        f"({differences})."
    )


def _committed(checkpoint: Checkpoint, name: str) -> int:
    known = checkpoint.signature(name)
    return 0 if known is None else known.size
