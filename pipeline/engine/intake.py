"""Which row is submitted next: first all that never were, in order; then those submitted in vain.

A row is read from the input when its turn comes and not before, so memory holds the rows that are
under way and no others. Rows to be submitted again are remembered by their line number alone and
read anew.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

from pipeline.bell import Bell
from pipeline.errors import BadData
from pipeline.files.output import seal
from pipeline.files.source import Source
from pipeline.input.form import Form
from pipeline.input.rows import BadRow, Recipe, Row, is_blank, parse_row
from pipeline.life.entry import Entry
from pipeline.life.facts import Cursor, Span
from pipeline.life.item import State, Waiting

_READ_TOGETHER = 256
Screen = Callable[[Sequence[Entry]], Awaitable[list[Entry]]]
"""Begins rows, and leaves those that are to be sent."""


class Intake:
    """Hands out rows until no more can come."""

    def __init__(
        self,
        source: Source,
        spans: Callable[[list[int]], Awaitable[dict[int, Span]]],
        recipe: Recipe,
        start: Cursor,
        limit: int | None,
    ) -> None:
        self._spans = spans
        self._source = source
        self._recipe = recipe
        self.limit = limit
        self._fresh = self._fresh_entries(start)
        self._back: deque[Entry] = deque()
        self._before: dict[int, State | None] = {}
        self._after: dict[int, State | None] = {}
        self._read: deque[tuple[Row | BadRow, Span]] = deque()
        self.bell = Bell()
        self.exhausted = False
        self._screen: Screen | None = None

    def screen_by(self, screen: Screen) -> None:
        """From here on have rows begun before their turn comes, some together."""
        self._screen = screen
        self._fresh = self._screened(self._fresh, screen)

    @property
    def form(self) -> Form | None:
        """What the answers of rows must be that do not say it themselves."""
        return self._recipe.form

    async def forms(self, lines: list[int]) -> dict[int, Form | None]:
        """What the answers of rows begun must be; reads the input once, whatever their number."""
        spans = dict(sorted((await self._spans(lines)).items()))
        return await asyncio.get_running_loop().run_in_executor(None, self._forms, spans)

    def put_back(self, entry: Entry) -> None:
        """A row that was not accepted for now goes before all others."""
        self._back.append(entry)
        self.bell.ring()

    def again(self, line: int, state: State | None, *, first: bool) -> None:
        """A row begun before: goes before the rest of the input, or after everything else.

        State None: it was begun, and found not fit.
        """
        (self._before if first else self._after)[line] = state
        self.bell.ring()

    async def next(self) -> Entry | None:
        """The next row; None while there is none."""
        if self._back:
            return self._back.popleft()
        entry = await self._next_of(self._before) if self._before else None
        if entry is None and not self.exhausted:
            entry = await anext(self._fresh, None)
            self.exhausted = entry is None
        return entry or await self._next_of(self._after)

    async def _next_of(self, waiting: dict[int, State | None]) -> Entry | None:
        while waiting:
            if self._read and self._read[0][0].line in waiting:
                row, span = self._read.popleft()
                return Entry(row, span, waiting.pop(row.line))
            read = await self._read_rows(list(waiting)[:_READ_TOGETHER])
            if self._screen is not None:
                read = await self._left_of(read, waiting, self._screen)
            self._read = deque(read)
        return None

    async def _left_of(
        self,
        read: list[tuple[Row | BadRow, Span]],
        waiting: dict[int, State | None],
        screen: Screen,
    ) -> list[tuple[Row | BadRow, Span]]:
        """Those of rows begun before that are to be sent; `waiting` forgets the others."""
        entries = [Entry(row, span, waiting[row.line]) for row, span in read]
        left = {entry.row.line for entry in await screen(entries)}
        for entry in entries:
            line = entry.row.line
            # One that was chosen meanwhile waits anew, and is to be sent.
            if line not in left and waiting.get(line) is entry.state:
                del waiting[line]
        return [pair for pair in read if pair[0].line in left]

    async def _screened(self, fresh: AsyncIterator[Entry], screen: Screen) -> AsyncIterator[Entry]:
        """Rows to be sent; where a file has many that are not, others need not wait for them."""
        while some := await _taken(fresh):
            for entry in await screen(some):
                yield entry
            while self._back:
                yield self._back.popleft()
            while (before := await self._next_of(self._before)) is not None:
                yield before

    async def _fresh_entries(self, start: Cursor) -> AsyncIterator[Entry]:
        if self.limit is not None and start.rows >= self.limit:
            return
        async for line in self._source.lines(start):
            if is_blank(line.data):
                continue
            row = parse_row(line.number, line.data, self._recipe)
            span = Span(line.offset, len(line.data), seal(line.data))
            yield Entry(row, span, Waiting(), line.next)
            if self.limit is not None and line.next.rows >= self.limit:
                return

    async def _read_rows(self, lines: list[int]) -> list[tuple[Row | BadRow, Span]]:
        spans = dict(sorted((await self._spans(lines)).items()))
        return await asyncio.get_running_loop().run_in_executor(None, self._fetch, spans)

    def _forms(self, spans: dict[int, Span]) -> dict[int, Form | None]:
        read = (row for row, _ in self._parsed(spans))
        return {row.line: row.form for row in read if isinstance(row, Row)}

    def _fetch(self, spans: dict[int, Span]) -> list[tuple[Row | BadRow, Span]]:
        return list(self._parsed(spans))

    def _parsed(self, spans: dict[int, Span]) -> Iterator[tuple[Row | BadRow, Span]]:
        fetched = self._source.fetch(spans.values())
        for (line, span), data in zip(spans.items(), fetched, strict=True):
            yield parse_row(line, self._same(line, span, data), self._recipe), span

    def _same(self, line: int, span: Span, data: bytes) -> bytes:
        if seal(data) != span.seal:
            raise BadData(
                f"{self._source.path}:{line}: the line was changed while the run went on.",
                "Put the input back as it was, then run the same command again.",
            )
        return data


async def _taken(entries: AsyncIterator[Entry]) -> list[Entry]:
    taken: list[Entry] = []
    while len(taken) < _READ_TOGETHER and (entry := await anext(entries, None)) is not None:
        taken.append(entry)
    return taken
