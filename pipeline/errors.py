"""What ends a run: each end with its exit code and one sentence of advice.

A row's failure is data (`records.Failure`) and never stands here.

    RunError
    ├── BadData       65  the input, or files that don't belong together
    │   └── OtherSettings   the run was begun with other ones
    ├── Unreachable   69  an outage longer than --patience
    ├── StorageFailed 74  a write or sync failed
    │   └── Displaced       a file of the run is not where it belongs any more
    ├── Busy          75  another process has this run
    ├── NoPermission  77  credential missing, refused, or without the right role
    ├── BadSettings   78  folder, model or hosts are wrong
    ├── BudgetReached   80  the next row might cost more than --budget leaves
    └── DeadlineReached 81  no other answer would be there by --finish-by
"""

from collections.abc import Mapping
from enum import IntEnum

AFRESH = "start afresh: --fresh moves old files aside, and pays for all rows again"
"""The way out of last resort, as a clause."""
RESTORE = f"Restore what was there, or {AFRESH}."
"""What to do about files that are not what they were."""


class Exit(IntEnum):
    """The exit codes that scripts rely on; a signal's is 128 plus its number."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    SOME_FAILED = 3
    SOME_HELD = 4
    BAD_DATA = 65
    UNREACHABLE = 69
    STORAGE = 74
    BUSY = 75
    NO_PERMISSION = 77
    SETTINGS = 78
    BUDGET = 80
    DEADLINE = 81


class RunError(Exception):
    """Ends the run. ``str()`` says what happened and where; `advice` says what to do next."""

    exit_code: Exit = Exit.UNEXPECTED

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(what)
        self.advice = advice

    @property
    def told(self) -> str:
        """What happened and what to do, as sentences; the service's own words may lack a stop."""
        what = str(self)
        stop = "" if what.endswith((".", "!", "?")) else "."
        return f"{what}{stop} {self.advice}".rstrip()


class BadData(RunError):
    """The input as a whole can't be used, or the run's files don't fit each other."""

    exit_code = Exit.BAD_DATA


class OtherSettings(BadData):
    """The run was begun with other settings, and has sent rows with them."""


class Unreachable(RunError):
    """The service could not be reached for longer than the user's patience."""

    exit_code = Exit.UNREACHABLE


class StorageFailed(RunError):
    """A write or sync failed. Never retried: after a failed sync the disk's state is unknown."""

    exit_code = Exit.STORAGE


class Displaced(StorageFailed):
    """A file of the run was moved or deleted while it went on; the disk itself is well."""


class Busy(RunError):
    """Another process holds the run's lock."""

    exit_code = Exit.BUSY


class NoPermission(RunError):
    """There is no credential, or the service does not accept it."""

    exit_code = Exit.NO_PERMISSION


class BadSettings(RunError):
    """The service says that the folder, the model or the host is wrong.

    `right` has options that are to be given otherwise, each with its value or a word for it.
    """

    exit_code = Exit.SETTINGS

    def __init__(
        self, what: str, advice: str = "", right: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(what, advice)
        self.right = right or {}


class BudgetReached(RunError):
    """What is spent, or can have been, leaves nothing for another row."""

    exit_code = Exit.BUDGET


class DeadlineReached(RunError):
    """Nothing that is submitted now would be back in time."""

    exit_code = Exit.DEADLINE


def first_of(errors: BaseExceptionGroup[RunError]) -> RunError:
    """One of several that came together: what tells it is as good as the others."""
    first = errors.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first
