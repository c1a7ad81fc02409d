"""The paces of a run, which go on where those of the processes before it ended.

The checkpoint holds when POSTs were sent and ended, until when polls may have gone on, and what
was learned of the quotas.
"""

from collections.abc import Callable
from functools import partial

from pipeline.life.facts import POLLED_UNTIL, QUOTAS, RATES, Ended, Note
from pipeline.pacing.pace import Pace
from pipeline.pacing.rates import Rate
from pipeline.resuming.recovery import Files
from pipeline.settings import Settings
from pipeline.store.recorder import Recorder

Remember = Callable[[tuple[Rate, ...], tuple[Rate, ...]], None]
"""Hears which rates of submits a run found out, and which were as configured."""


def paces(
    files: Files, recorder: Recorder, settings: Settings, remember: Remember | None, now: float
) -> tuple[Pace, Pace]:
    """Paces for submits and polls; what they learn from now on is kept."""
    submits = Pace(settings.rates, open_ended=settings.auto_rate)
    polls = Pace(settings.poll_rates)
    _go_on_learning(submits, QUOTAS["submits"], files, recorder, now, remember)
    _go_on_learning(polls, QUOTAS["polls"], files, recorder, now, None)
    _restore_submits(submits, files, recorder, now)
    recorder.post(noted_rates(settings.rates, is_auto=settings.auto_rate))
    if files.resumed:
        polls.fill(now, _polled_until(files, now))
    if not polls.has_long_windows:
        # Nobody notes it anew, and an old note would hide from a later process what is polled now.
        recorder.post(Note(POLLED_UNTIL, None))
    return submits, polls


def noted_rates(rates: tuple[Rate, ...], *, is_auto: bool) -> Note:
    """The limits on submits, for whoever looks from outside."""
    # What `auto` finds out is no limit that anybody set.
    return Note(RATES, None if is_auto else " ".join(map(str, rates)))


def _go_on_learning(
    pace: Pace, note: str, files: Files, recorder: Recorder, now: float, remember: Remember | None
) -> None:
    pace.recall(files.checkpoint.meta(note), now)
    pace.on_learned = partial(_keep_learned, pace, note, recorder, remember)


def _keep_learned(pace: Pace, note: str, recorder: Recorder, remember: Remember | None) -> None:
    recorder.post(Note(note, pace.learned()))
    if remember is not None:
        remember(pace.found_out(), pace.held())


def _restore_submits(submits: Pace, files: Files, recorder: Recorder, now: float) -> None:
    sends = files.checkpoint.sends_since(now - submits.horizon)
    # A POST that its process did not see the end of can have arrived as late as now; and no
    # later, whatever the next process thinks.
    for number, _, end in sends:
        if end is None:
            recorder.post(Ended(number, now))
    # Nor can any have ended after now, unless the clock was set back meanwhile.
    submits.restore(sorted(now if end is None else min(end, now) for _, _, end in sends))


def _polled_until(files: Files, now: float) -> float:
    """When the processes before this one can have polled last."""
    try:
        noted = float(files.checkpoint.meta(POLLED_UNTIL) or now)
    except ValueError:
        return now
    return min(now, noted)
