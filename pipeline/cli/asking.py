"""A canary: some rows are really asked, by an ordinary run that keeps what it paid for.

The rows stand in a file beside the input, the run's files beside that; the same sample is asked
once only, however often the estimate is made.
"""

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pipeline import log
from pipeline.cli.call import Call
from pipeline.cli.config import FILE_READ
from pipeline.cli.execute import carry_out
from pipeline.cli.run import run
from pipeline.codec import Json, NotJson, decode
from pipeline.errors import BadData, OtherSettings, RunError, StorageFailed
from pipeline.estimate.census import Met
from pipeline.estimate.earlier import usage_of
from pipeline.files.paths import Paths
from pipeline.files.source import Source
from pipeline.money.totals import Totals
from pipeline.state.board import Stopped
from pipeline.terminal.signals import Signals, die_by
from pipeline.terminal.speech import say
from pipeline.wording import so_many

_FINISHED = {"ok", "failed"}
_ITS_OWN = ("input_path", "limit", "as_json")


def beside(source: Path) -> tuple[Path, Path]:
    """Where the canary's rows and results go."""
    name = source.name.removesuffix(".gz").removesuffix(".zst").removesuffix(".jsonl")
    rows = source.with_name(f"{name}.canary.jsonl")
    return rows, source.with_name(f"{name}.canary.results.jsonl")


def asked(
    context: click.Context, source: Path, rows: Sequence[Met], of: int
) -> tuple[dict[int, float], Totals]:
    """Ask some rows `of` so many; return the completion tokens of answers by line, and all used.

    Raises:
        RunError: the run could not be carried to its end; the same command continues it.

    """
    path, output = beside(source)
    _keep(path, b"".join(met.data.rstrip(b"\r") + b"\n" for met in rows))
    call = _call(context, path, output)
    say(f"Canary: {_what_is_asked(len(rows), of, output, emulated=call.access.emulator)}")
    log.set_up(call.verbose, call.log_file)
    try:
        outcome = asyncio.run(carry_out(call, Signals()))
    except OtherSettings as error:
        raise BadData(str(error), _as_then(path, "these options")) from error
    if isinstance(outcome.end, Stopped):
        say("Stopped. The same command continues.")
        die_by(outcome.end.signal)
    if isinstance(outcome.end, RunError):
        raise outcome.end
    said = {rows[line - 1].line: tokens for line, tokens in _answers(output).items()}
    return said, outcome.totals


def _what_is_asked(rows: int, of: int, output: Path, *, emulated: bool) -> str:
    if sum(result.get("status") in _FINISHED for result in _lines(output)) == rows:
        return f"its {rows:,} rows were asked before, and none is again: {output} has the answers."
    price = "of the emulator, which bills nothing" if emulated else "and paid for, once"
    return f"{rows:,} of {of:,} rows are asked {price}; {output} keeps their answers."


def _keep(path: Path, content: bytes) -> None:
    try:
        if path.exists():
            if path.read_bytes() == content:
                return
            raise _another_sample(path, content)
        path.write_bytes(content)
    except OSError as error:
        raise StorageFailed(f"can't write {path}: {error.strerror}.") from error


def _another_sample(path: Path, content: bytes) -> BadData:
    was, wanted = path.read_bytes().count(b"\n"), content.count(b"\n")
    then = f"--canary {was}" if was != wanted else "--seed and the rows"
    return BadData(f"{path} holds another sample, of {so_many(was, 'row')}.", _as_then(path, then))


def _as_then(path: Path, then: str) -> str:
    others = path.with_name(f"{path.name.removesuffix('jsonl')}*")
    return f"Give {then} as then, or move {others} away: then new rows are asked, and paid for."


def _call(context: click.Context, path: Path, output: Path) -> Call:
    """A call of `run` with the settings of this command, and run's own for what it lacks."""
    words = [str(path), "-o", str(output)]
    if FILE_READ in context.meta:
        words += ["--config", str(context.meta[FILE_READ])]
    options: dict[str, Any] = dict(run.make_context("run", words, parent=context.parent).params)
    shared = {name: value for name, value in context.params.items() if name in options}
    return Call.of(options | {n: v for n, v in shared.items() if n not in _ITS_OWN}, os.environ)


def _answers(output: Path) -> dict[int, float]:
    """Completion tokens by line of the canary's file."""
    found = {}
    for result in _lines(output):
        line, pair = result.get("line"), usage_of(result)
        if isinstance(line, int) and pair is not None:
            found[line] = pair[1]
    return found


def _lines(output: Path) -> Iterator[Mapping[str, Json]]:
    for path in (output, Paths(output).errors):
        if path.exists():
            yield from results(path)


def results(path: Path) -> list[Mapping[str, Json]]:
    """The lines of an output or errors file."""
    source = Source(path)
    try:
        return [value for line in source.read() if (value := _object(line.data)) is not None]
    finally:
        source.close()


def _object(data: bytes) -> dict[str, Json] | None:
    try:
        value = decode(data)
    except NotJson:
        return None
    return value if isinstance(value, dict) else None
