"""What becomes of rows that failed in a night: which are sent again, how a retry is resumed."""

import json
import random
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from pipeline.engine.retry import Retry
from pipeline.files.paths import Paths
from pipeline.settings import Settings
from pipeline.store.retrial import STAGES, Choice
from tests.oracle import whole_lines


@dataclass(slots=True)
class Again:
    """A retry, from its first call until all rows have their lines.

    `before` is how many retries the checkpoint knew. `mended`: lines of the input were changed, so
    that nothing but a retry can go on until the checkpoint knows. `runs`: the next call is `run`.
    """

    choice: Choice
    before: int
    mended: bool = False
    runs: bool = False

    @classmethod
    def of(cls, chance: random.Random, before: int) -> "Again":
        stages = chance.sample(STAGES, chance.choice([0, 0, 1, 3]))
        return cls(Choice(frozenset(stages and [*stages, "input"])), before)

    def go_on(self, retries: int, chance: random.Random) -> None:
        """Decide on the next call, after one that did not come to its end."""
        self.runs = not self.is_input_ahead(retries) and chance.random() < 0.5

    def is_input_ahead(self, retries: int) -> bool:
        """Whether the checkpoint does not know yet that lines were mended."""
        return self.mended and retries == self.before

    def as_it_is(self, settings: Settings) -> Retry | None:
        return None if self.runs else Retry(self.choice, settings.recipe, lambda _: None)


def mend(rows: Path, paths: Paths, chance: random.Random) -> None:
    """Make some rows fit to be sent that were not."""
    failed = whole_lines(paths.errors)
    bad = [one["line"] for one in failed if one["error"]["stage"] == "input"]
    lines = rows.read_bytes().split(b"\n")
    for number in chance.sample(bad, chance.randint(0, len(bad))):
        lines[number - 1] = json.dumps({"prompt": f"mended {number}"}).encode()
    rows.write_bytes(b"\n".join(lines))


def put_back(db: sqlite3.Connection) -> dict[str, float]:
    """When whose operations were given up by a retry."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'retried'").fetchone():
        return {}
    found = "SELECT operation_id, at FROM retried WHERE operation_id IS NOT NULL"
    return dict(db.execute(found))
