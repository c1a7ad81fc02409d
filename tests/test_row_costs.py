"""What a row costs, counted and not timed: Python's calls, SQLite's statements, commits, memory.

Of runs of two sizes the difference counts, so that what a start takes is left out.
"""

import asyncio
import json
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pipeline.auth.credentials import Credential
from pipeline.auth.keeper import Keeper
from pipeline.auth.local_tokens import Fixed
from pipeline.calls.service import Account, Service
from pipeline.cli.pricing import price_table
from pipeline.clock import Clock
from pipeline.engine.start import carry
from pipeline.engine.tools import Tools
from pipeline.files.paths import Paths
from pipeline.files.source import Source
from pipeline.input.rows import Recipe
from pipeline.network.carrier import Reply
from pipeline.network.endpoints import Endpoints
from pipeline.settings import Settings
from pipeline.state.board import Ending
from pipeline.store.database import Database
from pipeline.view.progress import Silent
from tests.simulation import EVENING, VirtualLoop

_FEW, _MANY = 200, 1200
_HEADERS = {"x-request-id": "1", "date": "Mon, 21 Sep 2026 13:33:20 GMT"}
_STAMPS = {"createdAt": "2026-09-21T13:33:20Z", "modifiedAt": "2026-09-21T13:33:20Z"}
_USAGE = {"inputTextTokens": "31", "completionTokens": "64", "totalTokens": "95"}
_MESSAGE = {"message": {"role": "assistant", "text": "Да"}, "status": "ALTERNATIVE_STATUS_FINAL"}
_RESPONSE = {"alternatives": [_MESSAGE], "usage": _USAGE, "modelVersion": "18.01.2024"}


class AtOnce:
    """A service that costs nothing: an operation for each POST, and over when it is asked for."""

    def __init__(self) -> None:
        self._posts = 0

    async def send(
        self, method: str, url: str, _headers: Mapping[str, str], _body: bytes, _timeout: float
    ) -> Reply:
        await asyncio.sleep(0)
        if method == "POST":
            self._posts += 1
            said: dict[str, Any] = {"id": f"d7q{self._posts:017}", "done": False, **_STAMPS}
        else:
            said = {"id": url[-20:], "done": True, "response": _RESPONSE, **_STAMPS}
        return Reply(200, _HEADERS, json.dumps(said).encode())

    async def close(self) -> None: ...


def carried(folder: Path, rows: int, concurrency: int = 100) -> None:
    """Carry so many rows to their end, on one thread."""
    folder.mkdir()
    path = folder / "in.jsonl"
    path.write_text("".join(f'{{"prompt": "{number}"}}\n' for number in range(rows)))
    source = Source(path)
    try:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            assert runner.run(_carry(source, folder, concurrency)) == 0
    finally:
        source.close()


async def _carry(source: Source, folder: Path, concurrency: int) -> int:
    clock, carrier = Clock(asyncio.get_running_loop().time, EVENING), AtOnce()
    keeper = Keeper(Fixed("a key", Credential("Api-Key", "k")), carrier, clock, 0.0)
    hosts = Endpoints("http://a", "http://a", "http://a", "http://a")
    service = Service(carrier, hosts, Account(keeper, "b1g"), clock)
    tools = Tools(lambda: nullcontext(service), clock, price_table(None), [Silent()], print)
    settings = Settings(
        Recipe("yandexgpt-lite", "b1g"), rates=(), poll_rates=(), concurrency=concurrency
    )
    paths = Paths(folder / "out.jsonl")
    return (await carry(paths, source, settings, tools, Ending())).exit_code


def for_each_row(folder: Path, counted: Callable[[Path, int], float]) -> float:
    """What one row more costs."""
    few = counted(folder / "few", _FEW)
    return (counted(folder / "many", _MANY) - few) / (_MANY - _FEW)


def test_a_row_takes_so_many_calls_of_python(tmp_path: Path) -> None:
    def calls(folder: Path, rows: int) -> float:
        count = 0

        def heard(_frame: FrameType, event: str, _of: object) -> None:
            nonlocal count
            count += event == "call"

        sys.setprofile(heard)
        try:
            carried(folder, rows)
        finally:
            sys.setprofile(None)
        return count

    # A hundred of them are asyncio's own in Python, and half of a row is read twice.
    assert for_each_row(tmp_path, calls) < 490


@contextmanager
def statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """All that the checkpoint's database is asked while the block lasts."""
    asked = list[str]()

    class Traced(Database):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            self.connection.set_trace_callback(asked.append)

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.store.checkpoint.Database", Traced)
        yield asked


def test_a_row_takes_so_many_statements_and_many_share_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(folder: Path, rows: int) -> list[str]:
        with statements(monkeypatch) as found:
            carried(folder, rows)
        return found

    few, many = asked(tmp_path / "few", _FEW), asked(tmp_path / "many", _MANY)
    more = _MANY - _FEW
    # Intended, POST left, POST ended, running, what its line needs, finished.
    assert (len(many) - len(few)) / more < 7
    assert (many.count("COMMIT") - few.count("COMMIT")) / more < 0.1


def test_memory_does_not_grow_with_rows_that_are_done(tmp_path: Path) -> None:
    def most(folder: Path, rows: int) -> float:
        tracemalloc.start()
        try:
            carried(folder, rows)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # The first rows are looked at before any is sent: their ids, and a block of the input.
    assert for_each_row(tmp_path, most) < 400
