"""Commands whose output is wanted: no terminal, bounded in time and size, gone afterwards."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

_MOST = 64 * 1024
# What a command has started may hold its output open for ever.
_GRACE = 0.5


class CommandError(Exception):
    """It was not started, failed, or did not end. ``str()`` is a clause to follow its name."""


async def output_of(words: Sequence[str], environment: Mapping[str, str], limit: float) -> str:
    """What a command prints, if it ends well within `limit` seconds; nothing of it lives on.

    Raises:
        CommandError: it does not.

    """
    async with _Pipe.opened() as out, _Pipe.opened() as err:
        process = await _started(words, environment, out, err)
        try:
            async with asyncio.timeout(limit):
                await _ended(process, out)
        except TimeoutError as error:
            raise CommandError(f"does not end within {limit:g} s") from error
        finally:
            await _kill(process)
        if out.is_full:
            raise CommandError(f"prints more than {_MOST // 1024} KiB")
        if process.returncode:
            lines = err.text.strip().splitlines() or ["it says nothing"]
            raise CommandError(f"fails with exit code {process.returncode}: {lines[-1][:500]}")
        return out.text


async def _started(
    words: Sequence[str], environment: Mapping[str, str], out: "_Pipe", err: "_Pipe"
) -> Process:
    try:
        return await asyncio.create_subprocess_exec(
            *words,
            stdin=DEVNULL,
            stdout=out.write_end,
            stderr=err.write_end,
            env=dict(environment),
            start_new_session=True,
        )
    except OSError as error:
        raise CommandError(f"can't be started: {error.strerror}") from error
    finally:
        out.close_write_end()
        err.close_write_end()


async def _ended(process: Process, out: "_Pipe") -> None:
    """Wait until the command is over and all is read, or there is more than anybody wants."""
    async with asyncio.TaskGroup() as group:
        over = group.create_task(process.wait())
        full = group.create_task(out.wait_until_full())
        await asyncio.wait([over, full], return_when=asyncio.FIRST_COMPLETED)
        if over.done():
            await out.wait_until_closed(_GRACE)
        over.cancel()
        full.cancel()


async def _kill(process: Process) -> None:
    """End it and all that it started and did not send away."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(_GRACE):
            await process.wait()


class _Pipe(asyncio.Protocol):
    """Reads what a command writes, as far as anybody wants it."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._closed, self._full = asyncio.Event(), asyncio.Event()
        self.write_end = -1

    @classmethod
    @asynccontextmanager
    async def opened(cls) -> AsyncIterator["_Pipe"]:
        read_end, write_end = os.pipe()
        pipe = cls()
        pipe.write_end = write_end
        loop, file = asyncio.get_running_loop(), os.fdopen(read_end, "rb", 0)
        transport, _ = await loop.connect_read_pipe(lambda: pipe, file)
        try:
            yield pipe
        finally:
            pipe.close_write_end()
            transport.close()

    def close_write_end(self) -> None:
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def data_received(self, data: bytes) -> None:
        self._data += data[: _MOST + 1 - len(self._data)]
        if self.is_full:
            self._full.set()

    def eof_received(self) -> None:
        self._closed.set()

    @property
    def is_full(self) -> bool:
        return len(self._data) > _MOST

    @property
    def text(self) -> str:
        return self._data.decode(errors="replace")

    async def wait_until_full(self) -> None:
        await self._full.wait()

    async def wait_until_closed(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()
