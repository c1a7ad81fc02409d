"""The one writer: makes facts and lines durable, in the order in which promises need them.

A round takes all that is ready. First its facts are committed, in one transaction: intents and
operation ids, which POSTs and polls wait for. Then the lines of finished rows are written and
synced; the transaction of the next round, which follows at once, calls those rows finished. While
one round is on its way to the disk, the next one gathers.

The disk's calls block, so they are made in a thread; nothing else touches the files meanwhile.
After the first failure nothing is written any more: everybody who waits is told.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pipeline.errors import RunError
from pipeline.files.output import Lines
from pipeline.life.facts import End, Fact, Finish, Signature, Span
from pipeline.life.records import Failure
from pipeline.store.checkpoint import Checkpoint
from pipeline.store.pen import Pen, finished
from pipeline.store.sends import Send

# A commit costs as much as what it says of ten rows, however little that is.
_LONGEST_GATHERING = 0.01
_A = TypeVar("_A")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Watch:
    """Whoever looks whether files are where they belong, before anything is announced.

    `keep` does, in the recorder's thread, and returns what it put back, as sentences for `say`;
    `end` ends the run where a file is not there, and could not be put back.
    """

    keep: Callable[[], Sequence[str]]
    say: Callable[[str], None]
    end: Callable[[RunError], None]


@dataclass(slots=True)
class _Round:
    facts: list[Fact] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    recorded: list[tuple[asyncio.Future[bool], int | None]] = field(default_factory=list)
    written: list[asyncio.Future[None]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.facts) + len(self.ends)


@dataclass(slots=True)
class _Written:
    """Lines that are synced, and that the checkpoint does not call finished yet."""

    finishes: list[Finish] = field(default_factory=list)
    signatures: dict[str, Signature] = field(default_factory=dict)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)


class Recorder:
    """Takes facts and ends; answers when they are on disk."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        pen: Pen,
        output: Lines,
        errors: Callable[[], Lines],
        watch: Watch | None = None,
    ) -> None:
        self._checkpoint = checkpoint
        self._pen = pen
        self._output = output
        self._open_errors = errors
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._next = _Round()
        self._written = _Written()
        self._ready = asyncio.Event()
        self._closing = False
        self._failure: Exception | None = None
        self._lines_failure: RunError | None = None
        # Of its own: names are looked up in the loop's default threads, and may take long.
        self._thread = ThreadPoolExecutor(1, "recorder")

    async def record(self, *facts: Fact, line: int | None = None) -> bool:
        """Return when the facts are durable; false where `line`, begun here, repeats an id.

        Raises:
            RunError: they could not be written, nor can anything be from now on.

        """
        future = self._loop.create_future()
        if not self._refuses(future):
            self._next.recorded.append((future, line))
            self.post(*facts)
        return bool(await future)

    def announce(self, *facts: Fact, line: int) -> asyncio.Future[bool]:
        """Queue facts now; the future is as `record`."""
        future = self._loop.create_future()
        # Whoever asked may be gone by then; an error that no one fetches is no bug.
        future.add_done_callback(_fetched)
        if not self._refuses(future):
            self._next.recorded.append((future, line))
            self.post(*facts)
        return future

    def post(self, *facts: Fact) -> None:
        """Queue facts now, in this order after all that was queued before; nobody waits."""
        self._next.facts.extend(facts)
        self._ready.set()

    async def write(self, *ends: End) -> None:
        """Return when the rows' lines are synced and the checkpoint calls them finished.

        Raises:
            RunError: as `record`.

        """
        future = self._loop.create_future()
        if not self._refuses(future):
            self._next.ends.extend(ends)
            self._next.written.append(future)
            self._ready.set()
        await future

    async def see(self, look: Callable[[_A], _R], given: _A) -> _R:
        """What the files hold at one moment between what is written to them."""
        return await self._in_thread(look, given)

    async def spans(self, lines: list[int]) -> dict[int, Span]:
        """Where rows begun stand in the input."""
        return await self._in_thread(self._checkpoint.spans, lines)

    async def sends_since(self, moment: float) -> list[Send]:
        """POSTs that had not ended by then, as far as they are on disk."""
        return await self._in_thread(self._checkpoint.sends_since, moment)

    @property
    def has_failed(self) -> bool:
        """Whether nothing can be written any more, not even to the checkpoint."""
        return self._failure is not None

    def close(self) -> None:
        """Let `run` return once all that is queued has been written."""
        self._closing = True
        self._ready.set()

    def join(self) -> None:
        """Wait until nothing is on its way to the disk any more, so that files can be closed."""
        self._thread.shutdown()

    async def run(self) -> None:
        """Write round after round until closed.

        Raises:
            RunError: the disk failed; everybody who waits or comes later is told the same.

        """
        while True:
            await self._ready.wait()
            await self._gather()
            self._ready.clear()
            current, self._next = self._next, _Round()
            if not current and not self._written.waiting:
                if self._closing:
                    return
                continue
            try:
                await self._write_round(current)
            except Exception as error:
                self._fail(current, error)
                raise
            if self._closing or self._written.waiting:
                self._ready.set()

    async def _gather(self) -> None:
        """Let others have their turn for as long as each turn brings more, but not for long."""
        now = self._loop.time
        latest, before = now() + _LONGEST_GATHERING, 0
        while before < (before := len(self._next)) and now() < latest:  # noqa: ASYNC110 - by turns
            await asyncio.sleep(0)

    async def _write_round(self, current: _Round) -> None:
        if current.facts or self._written.waiting:
            put_back, repeated = await self._in_thread(self._commit, current.facts)
            self._tell(put_back)
            for future, line in current.recorded:
                if not future.done():
                    future.set_result(line not in repeated)
            written, self._written = self._written, _Written()
            for waiting in written.waiting:
                if not waiting.done():
                    waiting.set_result(None)
        if current.ends and self._lines_failure is None:
            try:
                finishes, signatures = await self._in_thread(self._append, current.ends)
                self._written = _Written(finishes, signatures, current.written)
            except RunError as error:
                # What the checkpoint alone can still take is worth having: ids that were paid for.
                self._lines_failure = error
        if self._lines_failure is not None:
            _refuse(current.written, self._lines_failure)

    async def _in_thread(self, call: Callable[[_A], _R], argument: _A) -> _R:
        return await self._loop.run_in_executor(self._thread, call, argument)

    def _tell(self, put_back: Sequence[str] | RunError) -> None:
        """What became of the files; to be told before those who wait to send a row go on."""
        if self._watch is None:
            return
        if isinstance(put_back, RunError):
            self._lines_failure = put_back
            self._watch.end(put_back)
            return
        for told in put_back:
            self._watch.say(told)

    def _commit(self, facts: list[Fact]) -> tuple[Sequence[str] | RunError, set[int]]:
        written, put_back = self._written, self._looked()
        # A file that is gone is no reason to forget ids that were paid for.
        repeated = self._checkpoint.record([*facts, *written.finishes], written.signatures)
        return put_back, repeated

    def _looked(self) -> Sequence[str] | RunError:
        if self._watch is None or self._lines_failure is not None:
            return ()
        try:
            return self._watch.keep()
        except RunError as error:
            return error

    def _append(self, ends: list[End]) -> tuple[list[Finish], dict[str, Signature]]:
        """Write the lines and sync them; what the checkpoint is to say of them."""
        finishes: list[Finish] = []
        signatures: dict[str, Signature] = {}
        answered = [end for end in ends if not isinstance(end.end, Failure)]
        failed = [end for end in ends if isinstance(end.end, Failure)]
        for name, group in (("output", answered), ("errors", failed)):
            if group:
                file = self._output if name == "output" else self._open_errors()
                places = file.append(self._pen.lines(group))
                finishes.extend(finished(*pair) for pair in zip(group, places, strict=True))
                signatures[name] = file.signature()
        return finishes, signatures

    def _refuses(self, future: asyncio.Future[Any]) -> bool:
        if self._failure is None:
            return False
        future.set_exception(self._failure)
        return True

    def _fail(self, current: _Round, error: Exception) -> None:
        self._failure = error
        waiting: list[asyncio.Future[Any]] = [*self._written.waiting]
        for lot in (current, self._next):
            waiting += [*(future for future, _ in lot.recorded), *lot.written]
        _refuse(waiting, error)


def _fetched(future: asyncio.Future[bool]) -> None:
    if not future.cancelled():
        future.exception()


def _refuse(waiting: Iterable[asyncio.Future[Any]], error: Exception) -> None:
    for future in waiting:
        if not future.done():
            future.set_exception(error)
