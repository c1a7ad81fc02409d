"""What runs found out about the quotas of a folder: a small file that `--rate auto` begins with.

It is a convenience: where it can't be read or written, a run begins with the documented quotas,
and finds out again.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pipeline import codec
from pipeline.rates import Rate

_LONGEST = 4096


class Known:
    """One folder's file; it holds submits only, since only their rates can be `auto`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rates(self, documented: Iterable[Rate]) -> tuple[Rate, ...]:
        """What is known, and for other windows what is documented."""
        return _merged(documented, self._read())

    def remember(self, rates: Iterable[Rate]) -> None:
        """Keep what a run found out, beside what is known of other windows."""
        content = codec.encode([str(rate) for rate in _merged(self._read(), rates)])
        replacement = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replacement.write_bytes(content)
            replacement.replace(self._path)

    def _read(self) -> list[Rate]:
        try:
            with self._path.open("rb") as file:
                texts = codec.decode(file.read(_LONGEST))
            return [Rate.parse(str(text)) for text in texts] if isinstance(texts, list) else []
        except (OSError, ValueError):
            return []


def _merged(rates: Iterable[Rate], better: Iterable[Rate]) -> tuple[Rate, ...]:
    found = {rate.seconds: rate for rate in (*rates, *better)}
    return tuple(found[seconds] for seconds in sorted(found))
