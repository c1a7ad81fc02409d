"""The input as a stream of lines, from any byte on, plain or compressed.

Memory holds a block and one line, whatever the file's size. A compressed input is read again from
its start to reach a later line; offsets count decompressed bytes.
"""

import os
import stat
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import aiofiles
from aiofiles.threadpool.binary import AsyncBufferedReader
from msgspec import Struct
from msgspec.structs import replace

from pipeline.errors import AFRESH, BadData, StorageFailed
from pipeline.input.rows import is_blank
from pipeline.life.facts import Cursor, Signature, Span

try:  # in the standard library since Python 3.14
    from compression.zstd import ZstdDecompressor, ZstdError  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    from backports.zstd import ZstdDecompressor, ZstdError

_BLOCK = 1 << 18
# As much of what was read is compared before reading on.
_TAIL = 1 << 10
_START = Cursor()


class Line(Struct, frozen=True):
    """One line without its LF, and where the next one begins."""

    number: int
    offset: int
    data: bytes
    next: Cursor


class _Decoder(Protocol):
    def feed(self, block: bytes) -> bytes: ...

    def is_complete(self) -> bool: ...


class _Plain:
    def feed(self, block: bytes) -> bytes:
        return block

    def is_complete(self) -> bool:
        return True


class _Gzip:
    """Gzip, of any number of members one after another."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)

    def feed(self, block: bytes) -> bytes:
        parts = []
        while block:
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=31)
            parts.append(self._member.decompress(block))
            block = self._member.unused_data
        return b"".join(parts)

    def is_complete(self) -> bool:
        return self._member.eof


class _Zstd:
    """Zstandard, of any number of frames one after another."""

    def __init__(self) -> None:
        self._frame = ZstdDecompressor()

    def feed(self, block: bytes) -> bytes:
        parts = []
        while block:
            if self._frame.eof:
                self._frame = ZstdDecompressor()
            parts.append(self._frame.decompress(block))
            block = self._frame.unused_data if self._frame.eof else b""
        return b"".join(parts)

    def is_complete(self) -> bool:
        return bool(self._frame.eof)


_DECODERS: dict[str, type[_Decoder]] = {".gz": _Gzip, ".zst": _Zstd}


class Source:
    """One input file. Raises BadData where it can't be opened, or its compression is broken."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._decoder = _DECODERS.get(path.suffix, _Plain)
        try:
            # Asked before opening: to open a pipe is to wait for whoever writes to it.
            if not stat.S_ISREG(path.stat().st_mode):
                advice = "A resume must be able to read it again."
                raise BadData(f"{path} is no regular file.", advice)
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            why = f"can't read {path}: {error.strerror}."
            raise BadData(why, "Name a file of rows.") from None

    def close(self) -> None:
        os.close(self._fd)

    @property
    def is_compressed(self) -> bool:
        return self._decoder is not _Plain

    def signature(self) -> Signature:
        status = os.fstat(self._fd)
        return Signature(status.st_size, status.st_mtime_ns)

    async def lines(self, start: Cursor) -> AsyncIterator[Line]:
        """Every line from a place on, blank ones included."""
        splitter = _Splitter(self.path, start)
        skip = start.offset if self.is_compressed else 0
        async with aiofiles.open(self.path, "rb") as file:
            if not self.is_compressed:
                await file.seek(start.offset)
            decoder, taken, tail = self._decoder(), start.offset, b""
            while block := await self._next_block(file):
                if not self.is_compressed:
                    self._check_place(file.fileno(), taken, tail)
                taken, tail = taken + len(block), block[-_TAIL:]
                data = self._decoded(decoder, block)
                dropped, skip = min(skip, len(data)), max(skip - len(data), 0)
                for line in splitter.feed(data[dropped:]):
                    yield line
        self._check_end(decoder)
        for line in splitter.rest():
            yield line

    def read(self, start: Cursor = _START) -> Iterator[Line]:
        """Every line from a place on, blank ones included. Blocks."""
        splitter = _Splitter(self.path, start)
        if start.offset and not start.open and not self.is_compressed:
            self._check_place(self._fd, start.offset, b"\n")
        for block in self.blocks(start.offset):
            yield from splitter.feed(block)
        yield from splitter.rest()

    def blocks(self, offset: int = 0) -> Iterator[bytes]:
        """The file from a byte on, decompressed, in pieces as they come. Blocks."""
        decoder = self._decoder()
        taken, skip = (0, offset) if self.is_compressed else (offset, 0)
        while block := self._block_at(taken):
            taken += len(block)
            data = self._decoded(decoder, block)
            dropped, skip = min(skip, len(data)), max(skip - len(data), 0)
            yield data[dropped:]
        self._check_end(decoder)

    def count_rows(self, start: Cursor = _START) -> int:
        """How many rows the file has, of which those before a place are known. Blocks."""
        return start.rows + sum(not is_blank(line.data) for line in self.read(start))

    def fetch(self, spans: Iterable[Span]) -> Iterator[bytes]:
        """The lines at spans, which must ascend. Blocks; one pass, whatever their number."""
        if not self.is_compressed:
            for span in spans:
                yield self._block_at(span.offset, span.size)
            return
        decoder, data, position, taken = self._decoder(), b"", 0, 0
        for span in spans:
            while position + len(data) < span.offset + span.size:
                block = self._block_at(taken)
                if not block:
                    break
                taken += len(block)
                # What lies before the line is not needed any more.
                kept = data[max(span.offset - position, 0) :]
                position += len(data) - len(kept)
                data = kept + self._decoded(decoder, block)
            start = span.offset - position
            yield data[start : start + span.size]

    async def _next_block(self, file: AsyncBufferedReader) -> bytes:
        try:
            return await file.read(_BLOCK)
        except OSError as error:
            raise self._unreadable(error) from error

    def _check_place(self, fd: int, end: int, tail: bytes) -> None:
        """Refuse to read on behind what is not there any more: a line would begin in its middle.

        Raises:
            BadData: what was read up to a byte does not end there any more.

        """
        try:
            stands = os.pread(fd, len(tail), end - len(tail)) == tail
        except OSError as error:
            raise self._unreadable(error) from error
        if not stands:
            raise BadData(
                f"{self.path} was changed while the run went on: its lines have other places.",
                "Put it back as it was, then run the same command again.",
            )

    def _block_at(self, offset: int, size: int = _BLOCK) -> bytes:
        try:
            return os.pread(self._fd, size, offset)
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> StorageFailed:
        return StorageFailed(f"can't read {self.path}: {error.strerror}.", "Mend the disk first.")

    def _decoded(self, decoder: _Decoder, block: bytes) -> bytes:
        try:
            return decoder.feed(block)
        except (zlib.error, ZstdError) as error:
            raise BadData(
                f"{self.path} can't be decompressed: {error}.", "Make it anew."
            ) from None

    def _check_end(self, decoder: _Decoder) -> None:
        if not decoder.is_complete():
            raise BadData(f"{self.path} ends in the middle of its compression.", "Make it anew.")


def piped(stream: BinaryIO, name: str) -> Iterator[Line]:
    """Every line of a stream that can be read once, blank ones included. Blocks."""
    splitter = _Splitter(Path(name), Cursor())
    while block := stream.read(_BLOCK):
        yield from splitter.feed(block)
    yield from splitter.rest()


class _Splitter:
    """Cuts blocks into lines at LF."""

    def __init__(self, path: Path, start: Cursor) -> None:
        self._path = path
        self._next = start
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[Line]:
        first, *others = data.split(b"\n")
        self._parts.append(first)
        for other in others:
            line = self._take(ended=True)
            if line is not None:
                yield line
            self._parts = [other]

    def rest(self) -> Iterator[Line]:
        if any(self._parts):
            line = self._take(ended=False)
            if line is not None:
                yield line

    def _take(self, *, ended: bool) -> Line | None:
        data, start = b"".join(self._parts), self._next
        after = start.offset + len(data) + ended
        if start.open:
            # The LF that the file's last line lacked when it was read is there now.
            if data.strip(b"\r"):
                raise BadData(
                    f"{self._path}:{start.line - 1}: the line goes on where it ended before.",
                    f"Put the line back as it was, or {AFRESH}.",
                )
            self._next = replace(start, offset=after, open=False)
            return None
        rows = start.rows + (not is_blank(data))
        self._next = Cursor(after, start.line + 1, rows, open=not ended)
        return Line(start.line, start.offset, data, self._next)
