"""Files of results, by the ending of their name: JSON Lines, CSV or Parquet.

JSON Lines and CSV may be compressed, with gzip or zstd. Memory holds a block, or a group of rows.
"""

import csv
import gzip
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from pipeline.errors import BadSettings
from pipeline.results.columns import NUMBERS, Cell, Columns, Result, in_utf8, with_fields

try:  # in the standard library since Python 3.14
    from compression.zstd import ZstdFile  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    from backports.zstd import ZstdFile

COMPRESSED = (".gz", ".zst")
_TOGETHER = 5000
_BLOCK = 1 << 18


class Sheet(Protocol):
    """Takes results, one after another."""

    def add(self, result: Result) -> None: ...


Opener = Callable[[IO[bytes], Columns], AbstractContextManager[Sheet]]


def opener(path: Path) -> Opener | None:
    """What writes a file of this name; None where the name does not tell."""
    stem, suffix = path.stem, path.suffix
    compression = suffix if suffix in COMPRESSED else ""
    kind = Path(stem).suffix if compression else suffix
    match kind:
        case ".jsonl":
            return _through(_JsonLines, compression)
        case ".csv":
            return _through(_Csv, compression)
        case ".parquet" if not compression:
            return _parquet
        case _:
            return None


def _through(plain: Callable[[Columns], "_Text"], compression: str) -> Opener:
    @contextmanager
    def opened(file: IO[bytes], columns: Columns) -> Iterator[Sheet]:
        with _compressing(file, compression) as whole:
            sheet = _Blocks(plain(columns), whole)
            yield sheet
            sheet.flush()

    return opened


@contextmanager
def _compressing(file: IO[bytes], compression: str) -> Iterator[IO[bytes]]:
    match compression:
        case ".gz":
            # Without a time or a name, so that the same rows are the same bytes.
            with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                yield packed  # type: ignore[misc]
        case ".zst":
            with ZstdFile(file, "w") as packed:
                yield packed
        case _:
            yield file


class _Text(Protocol):
    """Results as text."""

    def head(self) -> bytes: ...

    def line(self, result: Result) -> bytes: ...


class _JsonLines:
    def __init__(self, columns: Columns) -> None:
        self._run_keeps = bool(columns.by_run)

    def head(self) -> bytes:
        return b""

    def line(self, result: Result) -> bytes:
        return with_fields(result.line, result.fields, kept=self._run_keeps) + b"\n"


class _Csv:
    """As RFC 4180 describes it, with a line of names."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._text = io.StringIO(newline="")
        self._write = csv.writer(self._text).writerow

    def head(self) -> bytes:
        return self._line(self._columns.names)

    def line(self, result: Result) -> bytes:
        return self._line(self._columns.cells(result))

    def _line(self, cells: Sequence[Cell]) -> bytes:
        self._write(cells)
        line = in_utf8(self._text.getvalue())
        self._text.seek(0)
        self._text.truncate()
        return line


class _Blocks:
    """Writes lines some together: a compressor that is called for each of them is slow."""

    def __init__(self, text: _Text, file: IO[bytes]) -> None:
        self._line, self._file = text.line, file
        self._parts, self._size = [text.head()], 0

    def add(self, result: Result) -> None:
        line = self._line(result)
        self._parts.append(line)
        self._size += len(line)
        if self._size >= _BLOCK:
            self.flush()

    def flush(self) -> None:
        self._file.write(b"".join(self._parts))
        self._parts, self._size = [], 0


@contextmanager
def _parquet(file: IO[bytes], columns: Columns) -> Iterator[Sheet]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and it takes its time
        from pyarrow.parquet import ParquetWriter  # noqa: PLC0415
    except ImportError:
        raise BadSettings(
            "Parquet needs pyarrow, which is not installed.",
            "Run pip install '.[parquet]' in a copy of the repository, or name a .csv or .jsonl "
            "file.",
        ) from None
    kinds = [pa.int64() if name in NUMBERS else pa.string() for name in columns.names]
    schema = pa.schema(list(zip(columns.names, kinds, strict=True)))
    with ParquetWriter(file, schema, compression="zstd") as writer:
        sheet = _Parquet(columns, lambda cells: writer.write(pa.table(cells, schema=schema)))
        yield sheet
        sheet.flush()


class _Parquet:
    def __init__(self, columns: Columns, write: Callable[[list[Any]], None]) -> None:
        self._columns = columns
        self._write = write
        self._rows: list[list[Cell]] = []

    def add(self, result: Result) -> None:
        cells = self._columns.cells(result)
        self._rows.append(
            [in_utf8(cell).decode() if isinstance(cell, str) else cell for cell in cells]
        )
        if len(self._rows) == _TOGETHER:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._write(list(map(list, zip(*self._rows, strict=True))))
        self._rows = []
