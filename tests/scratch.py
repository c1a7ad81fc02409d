"""What several tests need that is about nothing in particular."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.cli.pricing import price_table
from pipeline.money.prices import PriceTable

_MEMORY = Path("/dev/shm")  # noqa: S108 - a disk's syncs are not what these tests are about


def in_memory() -> TemporaryDirectory[str]:
    """A folder without a disk, where the machine has such a thing."""
    return TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)


@cache
def shipped_prices() -> PriceTable:
    """Those of the package, read once: simulated runs are many, and each wants them."""
    return price_table(None)


_VERSION_1 = """
CREATE TABLE old (
    outcome TEXT, model TEXT, finish TEXT,
    rows INTEGER, unknown INTEGER,
    input INTEGER, completion INTEGER, reasoning INTEGER, total INTEGER,
    PRIMARY KEY (outcome, model, finish)
) WITHOUT ROWID;
INSERT INTO old SELECT outcome, model, finish, sum(rows), sum(unknown), sum(input),
    sum(completion), sum(reasoning), sum(total) FROM tally GROUP BY outcome, model, finish;
DROP TABLE tally;
DROP TABLE unknowns;
ALTER TABLE old RENAME TO tally;
PRAGMA user_version = 1;
"""


def as_version_1(checkpoint: Path) -> None:
    """Make a closed checkpoint one of the version that had no days in its sums."""
    with closing(sqlite3.connect(checkpoint)) as db:
        db.executescript(_VERSION_1)


def busiest(moments: Iterable[float], seconds: float) -> int:
    """The most calls that any stretch of so many seconds holds, its very end left out."""
    ordered = sorted(moments)
    most = first = 0
    for last, moment in enumerate(ordered):
        # A sum, as whoever waits computes it: a difference may round the other way.
        while ordered[first] + seconds <= moment:
            first += 1
        most = max(most, last - first + 1)
    return most


def table(document: Path, heading: str) -> list[list[str]]:
    """The cells of the table below a heading of a document, its own heading left out."""
    below = document.read_text(encoding="utf-8").partition(f"\n{heading}\n")[2]
    lines = below[below.index("|") :].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
