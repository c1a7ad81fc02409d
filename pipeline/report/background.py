"""What the checkpoint of a run tells a report, beside what its lines do. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.codec import Json
from pipeline.pacing.rates import Rate
from pipeline.report.buckets import Buckets


@dataclass(frozen=True, slots=True)
class Background:
    """What the checkpoint tells of a run.

    `sends` are POSTs by our own clock; of those before the second `since` it knows no more, and
    of all of them if that is None. `ends` tells the end in sight, as a sentence, `changed`
    what an input that is another now means, `resume` the command that continues the run, where it
    is known and would help.
    """

    settings: Mapping[str, Json]
    rates: tuple[Rate, ...] | None
    state: str
    expected: int | None
    ends: str = ""
    changed: str = ""
    resume: str = ""
    sends: Buckets = field(default_factory=Buckets)
    since: int | None = None

    def submitted(self, accepted: Buckets) -> Buckets:
        """POSTs where they are known; before that, rows whose answers tell when it was."""
        if not self.sends.counts:
            return accepted
        width = max(accepted.width, self.sends.width)
        both = self.sends.at_least(width)
        if self.since is not None:
            for begin, count in accepted.at_least(width).in_order():
                if begin + width <= self.since:
                    both.add(begin, count)
        return both
