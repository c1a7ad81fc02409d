"""Which operation suffers what, and how far it has come in that.

An ailment is drawn by the operation's id, so that it is the same after a restart. What has shown
of it already is known to this process only.
"""

from collections.abc import Iterable

from pipeline.emulator import chance
from pipeline.emulator.schedules import Fault, OfOperation, OperationKind, covers

# How long an operation that was done is not done any more, where it flips back.
_FLIP = 60.0


class Ailments:
    """The faults of operations among `faults`; of those that apply, the first one is suffered.

    `start` is what schedules count from, in unix seconds.
    """

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 0, start: float = 0.0) -> None:
        self._faults = [(f, f.what) for f in faults if isinstance(f.what, OfOperation)]
        self._seed = seed
        self._start = start
        self._suffered: dict[str, OperationKind] = {}
        self._denied: set[str] = set()
        self._first_done: dict[str, float] = {}

    def befall(self, operation_id: str, number: int, at: float) -> OperationKind | None:
        """Draw what ails the operation that the submit of this number begins, and keep it."""
        for position, (fault, what) in enumerate(self._faults):
            drawn = chance.draw(self._seed, "ailment", position, what.kind, operation_id)
            if covers(fault.when, at - self._start, number) and chance.happens(fault.rate, drawn):
                self._suffered[operation_id] = what.kind
                return what.kind
        return None

    def of(self, operation_id: str) -> OperationKind | None:
        """What ails an operation."""
        return self._suffered.get(operation_id)

    def denies(self, operation_id: str) -> bool:
        """Whether the poll that is just being made draws a 404."""
        match self.of(operation_id):
            case "forgotten":
                return True
            case "404-once" if operation_id not in self._denied:
                self._denied.add(operation_id)
                return True
            case _:
                return False

    def hides(self, operation_id: str, now: float) -> bool:
        """Whether an operation that is done is shown as running; the first look shows it done."""
        if self.of(operation_id) != "flips-back":
            return False
        first = self._first_done.setdefault(operation_id, now)
        return first < now < first + _FLIP
