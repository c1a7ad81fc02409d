"""The files of a run that has done very many rows, as its process would leave them.

    python -m benchmarks.finished FOLDER [--rows 1000000] [--pending 1000] [--folder-id ID]

The package's own modules write them, in large lots and without waiting for the disk, so that
`yagpt-batch audit` finds nothing. The last rows are those pending: of ten, eight run, one waits
and one is in doubt. POSTs were made at 5,000 an hour, the last ones just now.
"""

import random
import time
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path

import click

from pipeline.api.outcomes import Answer, Usage
from pipeline.clock import stamp
from pipeline.codec import encode
from pipeline.day import day_of
from pipeline.files.extent import noted
from pipeline.files.output import seal
from pipeline.files.paths import Paths
from pipeline.files.source import Line, Source
from pipeline.input.rows import Recipe, Row, parse_row
from pipeline.life.entry import Entry
from pipeline.life.facts import COUNTED, ROWS, Begin, Doubt, Ended, Fact, Finish, Sent, Span
from pipeline.life.item import Doubtful, Running, State, Waiting
from pipeline.life.records import Known, result_line
from pipeline.pacing.rates import LONGEST_WINDOW
from pipeline.resuming.recovery import Files, opened
from pipeline.settings import Settings

_MODEL = "yandexgpt-lite"
_WORDS = ("вода", "река", "город", "утро", "письмо", "работа", "ответ", "вопрос", "слово", "книга")
_LOT = 20_000
_APART = 3600.0 / 5000.0
_FLIGHT = 60


def make(folder: Path, rows: int, pending: int, recipe: Recipe) -> None:
    """Write prompts.jsonl, results.jsonl and its checkpoint into a folder."""
    path, output = folder / "prompts.jsonl", folder / "results.jsonl"
    chance, now = random.Random(1), time.time()  # noqa: TID251 - of what is on disk
    _write_input(path, rows, chance)
    source = Source(path)
    try:
        with opened(Paths(output), source, Settings(recipe).identity(), now=now) as files:
            _Past(files, recipe, rows, rows - pending, now, chance).write()
    finally:
        source.close()


def _write_input(path: Path, rows: int, chance: random.Random) -> None:
    texts = [" ".join(chance.choices(_WORDS, k=chance.randint(5, 20))) for _ in range(500)]
    with path.open("wb") as file:
        file.writelines(
            encode({"id": f"row-{number}", "prompt": chance.choice(texts)}) + b"\n"
            for number in range(1, rows + 1)
        )


class _Past:
    """What a process has done so far, written lot by lot; rows up to `done` have their lines."""

    def __init__(
        self,
        files: Files,
        recipe: Recipe,
        rows: int,
        done: int,
        now: float,
        chance: random.Random,
    ) -> None:
        self._files = files
        self._recipe = recipe
        self._rows = rows
        self._done = done
        self._began = now - (rows + 1) * _APART
        self._forgotten = now - 2 * LONGEST_WINDOW
        self._chance = chance

    def write(self) -> None:
        checkpoint, lines = self._files.checkpoint, self._files.source.read()
        # Nobody needs a benchmark's files after a power cut.
        for hurry in ("synchronous = OFF", "cache_size = -200000"):
            checkpoint._db.execute(f"PRAGMA {hurry}")  # noqa: SLF001 - no run may want it
        while lot := list(islice(lines, _LOT)):
            begins = [self._begun(line) for line in lot]
            checkpoint.record((fact for begin in begins for fact in self._facts(begin)), {})
            self._finish([begin for begin in begins if begin.line <= self._done])
        counted = noted(self._rows, self._files.source.signature())
        checkpoint.set_meta({ROWS: str(self._rows), COUNTED: counted})

    def _begun(self, line: Line) -> Begin:
        row = parse_row(line.number, line.data, self._recipe)
        assert isinstance(row, Row)  # noqa: S101 - as it was written
        span, state = Span(line.offset, len(line.data), seal(line.data)), self._state(line.number)
        begin = Entry(row, span, state, line.next).begin(state)
        assert begin is not None  # noqa: S101 - it has a cursor
        return begin

    def _state(self, line: int) -> State:
        if line > self._done and line % 10 == 0:
            return Waiting()
        if line > self._done and line % 10 == 5:
            return Doubtful(1, 1)
        return Running(f"d7q{self._chance.getrandbits(68):017x}", self._sent_at(line) + 0.1, 1, 1)

    def _sent_at(self, line: int) -> float:
        return self._began + line * _APART

    def _facts(self, begin: Begin) -> Iterator[Fact]:
        at = self._sent_at(begin.line)
        yield begin
        if at > self._forgotten:
            yield from (Sent(begin.line, at), Ended(begin.line, at + 0.1))
        if isinstance(begin.state, Doubtful):
            yield Doubt(begin.line, at + 0.1)

    def _finish(self, begins: list[Begin]) -> None:
        """Give rows their lines, in another order than they began."""
        self._chance.shuffle(begins)
        output, answers = self._files.output, [_answer(begin) for begin in begins]
        places = output.append([_line(*pair) for pair in zip(begins, answers, strict=True)])
        finishes = (
            Finish(
                begin.line, "ok", answer.finish, answer.usage, place, day_of(answer.finished_at)
            )
            for begin, answer, place in zip(begins, answers, places, strict=True)
        )
        self._files.checkpoint.record(finishes, {"output": output.signature()})


def _answer(begin: Begin) -> Answer:
    assert isinstance(begin.state, Running)  # noqa: S101 - as all that are done
    moment, asked, said = begin.state.at, begin.line % 300, begin.line % 200
    return Answer(
        text=" ".join(_WORDS[begin.line % 7 :]),
        finish="final",
        tool_calls=None,
        usage=Usage(asked, said, 0, asked + said),
        model_version="18.01.2024",
        created_at=_stamp(int(moment)),
        finished_at=_stamp(int(moment) + _FLIGHT),
        response={},
    )


_stamp = lru_cache(4096)(stamp)


def _line(begin: Begin, answer: Answer) -> bytes:
    assert isinstance(begin.state, Running)  # noqa: S101 - as above
    known = Known(begin.line, begin.own_id or "", _MODEL, None, begin.state.operation_id, 1)
    return result_line(known, answer, raw=False, emulator=False)


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--pending", default=1_000, show_default=True)
@click.option("--folder-id", default="b1gbenchmark00000000", show_default=True)
def main(folder: Path, rows: int, pending: int, folder_id: str) -> None:
    make(folder, rows, pending, Recipe(_MODEL, folder_id))


if __name__ == "__main__":
    main()
