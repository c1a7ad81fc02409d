"""What is to be seen of a run at one moment, as phrases for people and as values. Pure.

A bar, a line in a log, an object for a program and a file of metrics all tell of one `Scene`.
"""

from msgspec import Struct

from pipeline.codec import Json
from pipeline.ending.prospect import Eta, Told, as_json, duration, phrases, words
from pipeline.money.spent import Spent
from pipeline.state.board import Counts


class Scene(Struct, frozen=True):
    """Where a run stands at `now`; moments in seconds since 1970.

    `oldest` is when the oldest operation that is waited for was accepted; None if none is.
    """

    counts: Counts
    now: float = 0.0
    oldest: float | None = None
    eta: Eta | None = None
    spent: Spent | None = None

    @property
    def age(self) -> float | None:
        """Of the oldest operation that is waited for, in seconds."""
        return None if self.oldest is None else max(self.now - self.oldest, 0.0)

    @property
    def rows(self) -> str:
        """How many are done, of how many."""
        total = "?" if self.counts.total is None else f"{self.counts.total:,}"
        return f"{self.counts.finished:,}/{total} rows"

    def told(self, local: Told) -> list[list[str]]:
        """All facts but `rows`, as groups of phrases; `local` writes moments as people read them.

        The most important group is the first.
        """
        groups = [
            _rows(self.counts),
            [] if self.spent is None or not self.counts.finished else self.spent.phrases(),
            [] if self.eta is None else phrases(self.eta, local),
            [] if self.age is None else [f"oldest operation {duration(self.age)}"],
        ]
        return [group for group in groups if group]

    def line(self, local: Told) -> str:
        """All facts on one line."""
        first, *others = self.told(local)
        return " · ".join([self.rows, *first, *map(", ".join, others)])

    def to_json(self, local: Told, utc: Told) -> dict[str, Json]:
        """The same as values; `utc` writes moments, null is what is not known."""
        counts, age = self.counts, self.age
        return {
            "at": utc(self.now),
            "total": counts.total,
            "finished": counts.finished,
            "submitted": counts.submitted,
            "in_flight": counts.running,
            "ok": counts.ok,
            "failed": counts.failed,
            "held": counts.held,
            "doubts": counts.doubts,
            "posting": counts.posting,
            "open": counts.open,
            "oldest_age_seconds": None if age is None else round(age, 1),
            **({} if self.spent is None else self.spent.to_json()),
            **as_json(self.eta, utc),
            "note": "" if self.eta is None else words(self.eta, local),
        }


def _rows(counts: Counts) -> list[str]:
    always = [
        f"{counts.submitted:,} submitted",
        f"{counts.running:,} in flight",
        f"{counts.ok:,} ok",
        f"{counts.failed:,} failed",
    ]
    troubles = [(counts.held, "held"), (counts.doubts, "in doubt")]
    return [*always, *(f"{n:,} {what}" for n, what in troubles if n)]
