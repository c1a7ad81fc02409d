"""Until when rows are submitted, so that their answers are back by a moment. Pure."""

from collections.abc import Sequence
from math import inf

from msgspec import Struct

from pipeline.ending.prospect import Told
from pipeline.errors import DeadlineReached
from pipeline.operations.latency import Latency
from pipeline.pacing.curve import Curve
from pipeline.pacing.window import Window
from pipeline.wording import so_many

_TYPICAL = 0.5


class Deadline(Struct, frozen=True):
    """Answers are wanted by `at`, in seconds since 1970; the process began at `begun`."""

    at: float
    begun: float = -inf

    def against(
        self, now: float, known: Sequence[tuple[float, Latency]], local: Told
    ) -> DeadlineReached | None:
        """Why nothing may be submitted any more; None if it may."""
        if now + typical(known) <= self.at:
            return None
        if self.at <= self.begun:
            return DeadlineReached(
                f"--finish-by {local(self.at)} is past: no row was submitted, and what earlier "
                "calls had submitted was fetched.",
                "Run the same command with a later --finish-by to go on.",
            )
        return DeadlineReached(
            f"--finish-by {local(self.at)} is reached: what was submitted is fetched, and nothing "
            "else would be back in time.",
            "Run the same command with a later --finish-by to go on.",
        )

    def rows(
        self,
        now: float,
        known: Sequence[tuple[float, Latency]],
        windows: Sequence[Window],
        at_most: int,
    ) -> int:
        """How many of the next rows can be submitted in time through these windows."""
        last = self.at - typical(known)
        if at_most <= 0 or last < now:
            return 0
        curve = Curve(windows, now, at_most)
        few, many = 0, at_most
        while few < many:
            middle = (few + many + 1) // 2
            if curve.at(middle - 1) <= last:
                few = middle
            else:
                many = middle - 1
        return few

    def foretold(
        self,
        now: float,
        fits: tuple[int, int] | None,
        *,
        latency_known: bool,
        local: Told,
        dedupe: bool = False,
    ) -> str:
        """What to tell of it at the start; empty where no row is to be submitted.

        `fits`: how many rows are in time, of how many; None where these are not counted yet. With
        `dedupe` some of them may turn out to need no request.
        """
        at = f"--finish-by {local(self.at)}"
        ahead = "to submit (fewer where some ask the same)" if dedupe else "to submit"
        if self.at <= now and (fits is None or fits[1]):
            return f"{at} is past: no row is submitted."
        match fits:
            case None:
                return (
                    f"Rows are submitted as long as their answers are likely to be back by {at}."
                )
            case (_, 0):
                return ""
            case (0, many):
                return f"None of {so_many(many, 'row')} {ahead} can be back by {at}."
            case (few, many) if few < many:
                of_these = f"Of {many:,} rows {ahead}, about {few:,} can be"
                if latency_known:
                    return f"{of_these} back by {at} at these rates; the others wait."
                return (
                    f"{of_these} submitted by {at} at these rates, and fewer be back: how long "
                    "answers take is not known yet. The others wait."
                )
            case (_, many):
                rows = "The only row to submit" if many == 1 else f"All {many:,} rows {ahead}"
                if latency_known:
                    return f"{rows} can be back by {at} at these rates."
                return (
                    f"{rows} can be submitted by {at} at these rates; how long answers take is "
                    "not known yet."
                )


def typical(known: Sequence[tuple[float, Latency]]) -> float:
    """How long half of all operations take, in seconds; 0 while nothing is known."""
    return sum(share * latency.age_of(0.0, _TYPICAL) for share, latency in known)
