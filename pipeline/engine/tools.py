"""What a run is given from outside, so that a simulation can give something else."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from pipeline.calls.service import Service
from pipeline.clock import Clock
from pipeline.engine.paces import Remember
from pipeline.life.facts import ENDPOINT, Note
from pipeline.money.prices import PriceTable
from pipeline.shared_quota.refill import Opener
from pipeline.state.resumption import CALL, Called
from pipeline.view.progress import View


@dataclass(frozen=True, slots=True)
class Tools:
    """Whatever a run does not make itself.

    `connect` is entered once the run's files are locked: the embedded emulator's is one of them.
    `allowance` opens what the run shares with others; without it, it shares nothing. What the run
    finds out about the quotas of submits, `remember` hears; what one that begins will roughly come
    to, `foretell`. Other shells steer it by the file `control`.
    `endpoint` is the base URL that was named, if one was; `called` the call that goes on with it.
    """

    connect: Callable[[], AbstractContextManager[Service]]
    clock: Clock
    prices: PriceTable
    views: Sequence[View]
    say: Callable[[str], None]
    allowance: Opener | None = None
    remember: Remember | None = None
    foretell: Callable[[str], None] | None = None
    control: Path | None = None
    endpoint: str | None = None
    called: Called | None = None

    def notes(self) -> Iterator[Note]:
        """What the checkpoint is to know of the call, for commands that go on with the run."""
        yield Note(ENDPOINT, self.endpoint)
        yield Note(CALL, None if self.called is None else self.called.text)
