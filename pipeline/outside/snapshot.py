"""What a checkpoint holds at one instant, for everybody who is not the run."""

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pipeline import codec
from pipeline.consistency.matching import Key
from pipeline.ending.prospect import Eta
from pipeline.errors import BadData, StorageFailed
from pipeline.files.paths import Paths
from pipeline.life.facts import (
    APPLICATION,
    ETA,
    IN_FORCE,
    OUTAGES,
    QUOTAS,
    RATES,
    RETRIES,
    REWRITTEN,
    ROWS,
    TWINS_VERSION,
    UNDATED,
    UNDATED_VERSION,
    VERSION,
    Cursor,
    Signature,
)
from pipeline.money.totals import Sums, Totals
from pipeline.outside.bystander import Disturbed, database
from pipeline.outside.recorded import RESTORE, RecordedRows
from pipeline.pacing.learned import Learned
from pipeline.pacing.rates import Rate
from pipeline.state.control import InForce
from pipeline.state.departure import DEPARTURE, Left, noted
from pipeline.state.resumption import CALL, Called
from pipeline.state.standing import Operation, Operations, Outage
from pipeline.store import tally

_TRIES = 40
_APART = 0.05
_DATED = (
    "SELECT outcome, model, finish, '' AS day, rows, unknown, input, completion, reasoning, total"
    " FROM main.tally"
)
# Of a run without a retry: the table's columns, and no row.
_NEVER_RETRIED = (
    "SELECT 0 AS line, 0.0 AS at, '' AS model, 0 AS submits, '' AS operation_id,"
    " 0 AS input, 0 AS completion, 0 AS reasoning, 0 AS total WHERE 0"
)
_Seen = TypeVar("_Seen")


def looked_at(path: Path, see: Callable[["Snapshot"], _Seen]) -> _Seen:
    """What `see` makes of a checkpoint; it is called again where a run got in between.

    Raises:
        BadData: the checkpoint is missing, damaged, or none of ours.
        StorageFailed: it can't be read.

    """
    why: Disturbed | None = None
    for _ in range(_TRIES):
        try:
            with database(path) as db:
                return see(Snapshot(db, path))
        except Disturbed as disturbed:
            why = disturbed
            time.sleep(_APART)
    raise StorageFailed(f"can't read the checkpoint {path}: {why}.", "Try again in a moment.")


class Snapshot:
    """A checkpoint at one instant."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self._db = db
        if self._one("PRAGMA application_id") != APPLICATION:
            raise BadData(f"{path} is no checkpoint of yagpt-batch.", "Name the output of a run.")
        self._version = self._one("PRAGMA user_version")
        if self._version == UNDATED_VERSION:
            # Nothing is changed here: what hides the table is seen by this connection only.
            db.execute(f"CREATE TEMP VIEW tally AS {_DATED}")
            db.execute("CREATE TEMP VIEW unknowns AS SELECT * FROM doubts WHERE 0")
        elif self._version not in {VERSION, TWINS_VERSION}:
            raise BadData(
                f"{path} was written by another version of yagpt-batch.", "Use that version."
            )
        if self._one("SELECT 1 FROM sqlite_master WHERE name = 'retried'") is None:
            db.execute(f"CREATE TEMP VIEW retried AS {_NEVER_RETRIED}")
        self.rows = RecordedRows(db, path, keeps_twins=self._version == TWINS_VERSION)

    def _one(self, query: str, *parameters: object) -> Any:
        found = self._db.execute(query, parameters).fetchone()
        return None if found is None else found[0]

    def damages(self) -> list[str]:
        """What SQLite itself finds wrong with the file, at most 100 of it. Reads all of it."""
        found = [str(said) for (said,) in self._db.execute("PRAGMA integrity_check")]
        return [] if found == ["ok"] else found

    # The run as a whole.

    def meta(self, key: str) -> str | None:
        value = self._one("SELECT value FROM meta WHERE key = ?", key)
        return None if value is None else str(value)

    def settings(self) -> Mapping[str, codec.Json]:
        """What makes it this run, by option name."""
        with self._readable("settings"):
            texts = msgspec.json.decode(self.meta("settings") or "{}", type=dict[str, str])
            return {name: codec.decode(text.encode()) for name, text in texts.items()}

    def model(self) -> str:
        """The run's model, for rows that name none."""
        return str(self.settings().get("model", ""))

    def input_paths(self, output: Path) -> list[Path]:
        """Where the input may be: beside the output as it was, or where it was."""
        with self._readable("input"):
            return Paths(output).noted(self.meta("input"))

    def cursor(self) -> Cursor:
        place = self.meta("cursor")
        with self._readable("cursor"):
            return Cursor.parse(place)

    def expected(self) -> int | None:
        """How many rows the run will come to, where it has counted them."""
        value = self.meta(ROWS)
        with self._readable("rows"):
            return None if value is None else int(value)

    def outages(self) -> list[Outage]:
        """Who is away, or was when the run's process ended."""
        found = map(self.meta, OUTAGES.values())
        with self._readable("outage"):
            return [msgspec.json.decode(told, type=Outage) for told in found if told]

    def eta(self) -> Eta | None:
        """When the run ends and what binds, as its process saw it last; None where it did not."""
        found = self.meta(ETA)
        with self._readable("eta"):
            return None if found is None else msgspec.json.decode(found, type=Eta)

    def left(self) -> Left | None:
        """How its last process left the run, if none has it now; None where it is not noted."""
        with self._readable(DEPARTURE):
            return noted(self.meta(DEPARTURE))

    def called(self) -> Called | None:
        """The call that goes on with the run; None where its process noted none."""
        found = self.meta(CALL)
        with self._readable(CALL):
            return None if found is None else msgspec.json.decode(found, type=Called)

    def in_force(self) -> InForce | None:
        """What the process goes by that has the run, or had it last."""
        found = self.meta(IN_FORCE)
        with self._readable(IN_FORCE):
            return None if found is None else msgspec.json.decode(found, type=InForce)

    def found_out(self, configured: Collection[str]) -> tuple[Rate, ...]:
        """What the service allows for submits, where that is not what a run of these rates was."""
        learned = Learned.parse(self.meta(QUOTAS["submits"])).quotas
        known = (one for one in learned if one.is_of(configured))
        return tuple(Rate(one.known, one.seconds) for one in known)

    def rates(self) -> tuple[Rate, ...] | None:
        """The limits on submits that its last process kept to; None where it did not say."""
        found = self.meta(RATES)
        with self._readable("rates"):
            return None if found is None else tuple(map(Rate.parse, found.split()))

    def sends(self) -> Iterator[tuple[int, int, int]]:
        """POSTs sent in the last two days at least, as (second, how many, number of the first)."""
        yield from self._db.execute(
            "SELECT CAST(at AS INTEGER) AS second, count(*), min(number) FROM sends"
            " WHERE ended IS NOT 0 GROUP BY second"
        )

    @contextmanager
    def _readable(self, name: str) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            why = f"the checkpoint {self.path} holds a {name!r} that can't be read: {error}."
            raise BadData(why, RESTORE) from None

    def signature(self, name: str) -> Signature:
        """Size and time of a file when the run last knew it to be right; 0 bytes before that."""
        found = self._db.execute(
            "SELECT size, mtime_ns FROM files WHERE name = ?", (name,)
        ).fetchone()
        return Signature(0, 0) if found is None else Signature(*found)

    def sums(self) -> dict[Key, Sums]:
        """The sums as they are kept, replaced operations apart."""
        query = "SELECT * FROM tally WHERE outcome <> 'replaced'"
        return {
            (outcome, model, finish, day): Sums(*sums)
            for outcome, model, finish, day, *sums in self._db.execute(query)
        }

    def is_dated(self) -> bool:
        """Whether all sums have the day that their lines tell: not those of an earlier version."""
        return self._version != UNDATED_VERSION and self.meta(UNDATED) is None

    def replaced(self) -> dict[str, Sums]:
        """What was paid for in vain, by model; '' is the run's."""
        query = (
            "SELECT model, sum(rows), sum(unknown), sum(input), sum(completion), sum(reasoning),"
            " sum(total) FROM tally WHERE outcome = 'replaced' GROUP BY model"
        )
        return {model: Sums(*sums) for model, *sums in self._db.execute(query)}

    def retried(self) -> dict[str, Sums]:
        """What rows had used when they were put back, by model; '' is the run's."""
        query = (
            "SELECT coalesce(model, ''), count(*), sum(input IS NULL), total(input),"
            " total(completion), total(reasoning), total(total) FROM retried"
            " WHERE operation_id IS NOT NULL GROUP BY 1"
        )
        return {model: Sums(*map(int, sums)) for model, *sums in self._db.execute(query)}

    def retries(self) -> int:
        """How often rows were put back."""
        with self._readable(RETRIES):
            return int(self.meta(RETRIES) or 0)

    def is_swapping(self) -> bool:
        """Whether a retry's new errors file is still to take its place."""
        return self.meta(REWRITTEN) is not None

    def totals(self, model: str) -> Totals:
        """The fold over everything finished; `model` is the run's, for rows that name none."""
        return tally.read(self._db, model)

    def totals_of(self, model: str, *, running: bool) -> Totals:
        """The same; where no process has the run, rows that one left intended are in doubt."""
        return self.totals(model) if running else tally.read_at_end(self._db, model)

    # What is pending. These look at pending rows alone, however many are done.

    def states(self) -> dict[str, int]:
        """How many pending rows are in each state."""
        return dict(
            self._db.execute(
                "SELECT state, count(*) FROM rows INDEXED BY pending"
                " WHERE place IS NULL GROUP BY state"
            )
        )

    def operations(self, expired: float) -> Operations:
        """The operations that are waited for; `expired`: accepted before this moment."""
        known = "FROM rows INDEXED BY pending WHERE place IS NULL AND state = 'running'"
        oldest = self._db.execute(
            f"SELECT line, id, operation_id, at {known} ORDER BY at LIMIT 1"
        ).fetchone()
        past, next_one = self._db.execute(
            f"SELECT count(*) FILTER (WHERE at <= ?1), min(at) FILTER (WHERE at > ?1) {known}",
            (expired,),
        ).fetchone()
        return Operations(None if oldest is None else Operation(*oldest), past, next_one)

    def spent(self) -> dict[int, int]:
        """How many rows in doubt have spent how many attempts."""
        return dict(
            self._db.execute(
                "SELECT spent, count(*) FROM rows INDEXED BY pending"
                " WHERE place IS NULL AND state = 'doubt' GROUP BY spent"
            )
        )
