"""What runs found out about the quotas of a folder: a small file that `--rate auto` begins with.

It is a convenience: where it can't be read or written, a run begins with the documented quotas,
and finds out again.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import get_ident

from pipeline import codec
from pipeline.pacing.rates import Rate

_LONGEST = 4096


class Known:
    """One folder's file; it holds submits only, since only their rates can be `auto`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rates(self, documented: Iterable[Rate]) -> tuple[Rate, ...]:
        """What is known, and for other windows what is documented."""
        return _merged(documented, self._read())

    def remember(self, found: Iterable[Rate], configured: Iterable[Rate]) -> None:
        """Keep what a run found out, beside what is known of other windows.

        What it configured and found to hold is more than any smaller number known before.
        """
        held = {rate.seconds: rate.limit for rate in configured}
        before = [rate for rate in self._read() if rate.limit >= held.get(rate.seconds, 0)]
        content = codec.encode([str(rate) for rate in _merged(before, found)])
        replacement = self._path.with_name(f"{self._path.name}.{os.getpid()}-{get_ident()}")
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
