"""Reads the outputs of runs for what they cost: each file once, block by block.

    output, errors file ──lines──▶ Fold ─┬─▶ Bill
    checkpoint, where it is there ───────┘    doubts; the model of rows that name none

Memory holds a block and a few sums. Files may be cut, compressed or being written.
"""

from codecs import BOM_UTF8
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pipeline.consistency.evidence import Ways
from pipeline.errors import BadData, StorageFailed
from pipeline.files.paths import Paths, missing
from pipeline.files.source import Source
from pipeline.money.bill import Bill, Fold, Known, Seen, bill
from pipeline.outside.bystander import is_running
from pipeline.outside.snapshot import Snapshot, looked_at

_COMPRESSED = (".gz", ".zst")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an output comes to; `trouble`: why nothing of it could be read."""

    bill: Bill
    remarks: list[str]
    trouble: BadData | None


def chosen(outputs: Iterable[Path]) -> list[Path]:
    """Each output once; an errors file is read with its output, where that is given too."""
    given = {path.resolve(): path for path in outputs}
    beside = {found.resolve() for path in given.values() for found in _errors_files(path)}
    return [path for real, path in given.items() if real not in beside]


def receipt(output: Path, seen: Seen | None = None) -> Receipt:
    """Read an output and the errors file beside it; `seen` may look at each line that counts.

    Raises:
        StorageFailed: the disk fails.

    """
    remarks: list[str] = []
    known, errors_written = _known(paths_of(output), remarks)
    fold = Fold(None if known is None else known.recipe, seen)
    errors: list[BadData] = []
    errors_files = _errors_files(output)
    if errors_written and not errors_files:
        remarks.append(f"{missing(paths_of(output).errors, errors_written)} Not counted.")
    for path in (output, *errors_files):
        try:
            _read(path, fold)
        except BadData as error:
            errors.append(error)
    made, trouble = bill(str(output), fold, known), _trouble(output, fold, errors)
    remarks += [error.told for error in errors if error is not trouble]
    return Receipt(made, [*fold.last_remarks(), *remarks], trouble)


def _trouble(output: Path, fold: Fold, errors: list[BadData]) -> BadData | None:
    if not output.is_file():
        return errors[0]
    if fold.results:
        return None
    return no_output(output) if fold.unread else next(iter(errors), None)


def no_output(path: Path) -> BadData:
    """What there is to say of a file without a result."""
    told = f"{path} is no output of yagpt-batch: no line of it is a result."
    return BadData(told, "Name the output of a run.")


def paths_of(output: Path) -> Paths:
    """The files of a run whose output may have been compressed since."""
    return Paths(output.with_suffix("") if output.suffix in _COMPRESSED else output)


def _errors_files(output: Path) -> list[Path]:
    errors = paths_of(output).errors
    names = [errors, *(errors.with_name(errors.name + ending) for ending in _COMPRESSED)]
    return [path for path in names if path.is_file()][:1]


def _read(path: Path, fold: Fold) -> None:
    if not path.is_file():
        raise BadData(f"there is no output {path}.", "Name the output of a run.")
    fold.begin(str(path))
    parts: list[bytes] = []
    with closing(Source(path)) as source:
        for number, block in enumerate(source.blocks()):
            whole = block if number else block.removeprefix(BOM_UTF8)
            first, newline, others = whole.partition(b"\n")
            parts.append(first)
            if newline:
                *lines, rest = others.split(b"\n")
                fold.take([b"".join(parts), *lines])
                parts = [rest]
    fold.take_torn(b"".join(parts))


def _known(paths: Paths, remarks: list[str]) -> tuple[Known | None, int]:
    """What a checkpoint knows, and how many bytes of error lines it has seen written."""
    if not paths.checkpoint.is_file():
        return None, 0
    running = paths.output.is_file() and is_running(paths.output)

    def see(snapshot: Snapshot) -> tuple[Known, int]:
        recipe = Ways.of(snapshot.settings()).recipe
        totals = snapshot.totals_of(recipe.model, running=running)
        replaced = [tally for tally in totals.tallies if tally.outcome == "replaced"]
        known = Known(recipe, totals.doubts, replaced, totals.unknowns)
        return known, snapshot.signature("errors").size

    try:
        return looked_at(paths.checkpoint, see)
    except (BadData, StorageFailed) as error:
        remarks.append(f"{error.told} Only the lines are counted.")
        return None, 0
