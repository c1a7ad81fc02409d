"""The lines of rows that have ended, as files get them, and what the checkpoint says of each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pipeline.api.outcomes import Answer
from pipeline.files.source import Source
from pipeline.life.facts import End, Finish, Span
from pipeline.life.records import Failure, Known, Same, failed_line, result_line, twin_line
from pipeline.store.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Style:
    """How lines are written."""

    model: str
    raw: bool = False
    emulator: bool = False


class Pen:
    """Writes lines from what checkpoint and input know of their rows; blocks as these do."""

    def __init__(self, checkpoint: Checkpoint, source: Source, style: Style) -> None:
        self._checkpoint = checkpoint
        self._source = source
        self._style = style

    def lines(self, ends: Sequence[End]) -> list[bytes]:
        sources = self._sources(e.line for e in ends if isinstance(e.end, Failure))
        known = self._checkpoint.known_of((e.line for e in ends), self._style.model)
        return [self._line(end, known[end.line], sources) for end in ends]

    def _line(self, end: End, known: Known, sources: dict[int, bytes]) -> bytes:
        if end.shown_id is not None:
            known = replace(known, id=end.shown_id)
        if isinstance(end.end, Same):
            return twin_line(known, end.end)
        if isinstance(end.end, Answer):
            style = self._style
            return result_line(known, end.end, raw=style.raw, emulator=style.emulator)
        return failed_line(
            known, end.end, end.usage, sources[end.line], emulator=self._style.emulator
        )

    def _sources(self, lines: Iterable[int]) -> dict[int, bytes]:
        spans = sorted(self._checkpoint.spans(lines).items())
        fetched = self._source.fetch(span for _, span in spans)
        return {line: data for (line, _), data in zip(spans, fetched, strict=True)}


def finished(end: End, place: Span) -> Finish:
    """What the checkpoint is to say of a row whose line stands at `place`."""
    match end.end:
        case Answer(finish=finish):
            return Finish(end.line, "ok", finish, end.usage, place, end.day)
        case Same(line, result):
            said = result.get("finish")
            how = said if isinstance(said, str) else None
            return Finish(end.line, "ok", how, None, place, same_as=line)
        case Failure(stage="doubt"):
            return Finish(end.line, "held", None, end.usage, place)
        case Failure():
            return Finish(end.line, "failed", None, end.usage, place)
