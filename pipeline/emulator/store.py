"""The accepted operations on disk, so that a killed run finds them again.

One JSON line per accepted submit, appended in one write before the answer leaves. The write goes
to the operating system and is not synced: the file has to outlive the process, not the machine. A
torn last line was never answered and is cut on opening. Only what makes the operations again is
kept; counts of polls and refusals begin anew.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec

from pipeline.codec import encode
from pipeline.emulator.answers import Usage
from pipeline.emulator.model import Accepted
from pipeline.errors import BadData, StorageFailed
from pipeline.files.paths import unwritable


class _Line(msgspec.Struct, frozen=True):
    operation_id: str
    at: float
    client_request_id: str
    usage: Usage
    # Text rather than JSON: the very bytes that came are what the ledger's digest is made of.
    request: str


class Store:
    """An open file of accepted operations; use it in a with block.

    Raises:
        StorageFailed: the file can't be opened or written.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            # Prompts may be private, as in the checkpoint.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise unwritable("open", path, error) from error
        self._file = os.fdopen(descriptor, "r+b", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def load(self) -> Iterator[Accepted]:
        """Yield all records in their order, after cutting a torn last line.

        Raises:
            BadData: a whole line is not one of ours.

        """
        self._cut_torn_line()
        if self._path.stat().st_size == 0:
            return
        import jsonlines  # noqa: PLC0415 - 30 ms, and most files are new

        parse = msgspec.json.Decoder(_Line).decode
        try:
            with self._path.open("rb") as file, jsonlines.Reader(file, loads=parse) as lines:
                yield from map(_record, lines)
        except jsonlines.InvalidLineError as error:
            raise BadData(
                f"{self._path} line {error.lineno} is no operation of the emulator",
                "Move the file aside to begin with an empty emulator.",
            ) from error

    def append(self, record: Accepted) -> None:
        """Hand one record to the operating system.

        Raises:
            StorageFailed: it can't be written whole. What was written is cut on the next opening,
                so nothing may follow it: the file is closed.

        """
        line = encode(_line(record)) + b"\n"
        try:
            written = self._file.write(line)
        except (OSError, ValueError) as error:
            self._file.close()
            raise StorageFailed(f"{self._path} can't be written: {error}") from error
        if written != len(line):
            self._file.close()
            raise StorageFailed(f"{self._path} can't be written: a line went in only in part")

    def _cut_torn_line(self) -> None:
        whole = size = self._path.stat().st_size
        with self._path.open("rb") as file:
            while whole:
                start = max(0, whole - 65_536)
                file.seek(start)
                newline = file.read(whole - start).rfind(b"\n")
                whole = start + newline + 1
                if newline >= 0 or start == 0:
                    break
        if whole != size:
            self._file.truncate(whole)


def _line(record: Accepted) -> _Line:
    return _Line(
        operation_id=record.operation_id,
        at=record.at,
        client_request_id=record.client_request_id,
        usage=record.usage,
        request=record.body.decode(),
    )


def _record(line: _Line) -> Accepted:
    return Accepted(
        line.operation_id, line.at, line.client_request_id, line.usage, line.request.encode()
    )
