"""One call of `retry`: a call of `run` with what the checkpoint knows of the run."""

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace

from pipeline.cli import execute as running
from pipeline.cli.answer import answer, tell
from pipeline.cli.call import Call
from pipeline.cli.config import show_settings, told_of
from pipeline.cli.proposal import Proposal
from pipeline.cli.texts import typed
from pipeline.codec import Json, encode
from pipeline.consistency.evidence import Ways
from pipeline.engine.retry import Budget, Retry, stood
from pipeline.errors import Busy, Exit
from pipeline.files.output import seal
from pipeline.files.paths import Paths
from pipeline.files.reading import whole_lines
from pipeline.files.source import Source
from pipeline.input.rows import Recipe
from pipeline.life.facts import ENDPOINT, Span
from pipeline.outside.bystander import is_running
from pipeline.outside.missing import check_files
from pipeline.outside.snapshot import Snapshot, looked_at
from pipeline.resuming.same_input import found_input
from pipeline.resuming.swap import standing
from pipeline.settings import DEDUPE
from pipeline.store.retrial import Choice, Failed, Revision, still_unfit
from pipeline.terminal.signals import Signals
from pipeline.terminal.speech import say

_TEXTS = frozenset({"system", "template"})
_ITS_OWN = frozenset({"output", "stage", "code", "dry_run", "given_input"})


@dataclass(frozen=True, slots=True)
class Begun:
    """A run as its checkpoint knows it.

    `settings` are those that make it this run, by option; `inputs` where its input may be; `rows`
    how many it was to have, as far as it knew, `not_begun` of them never taken up; `endpoint` the
    base URL that it was told of last.
    """

    settings: Mapping[str, Json]
    inputs: tuple[Path, ...]
    errors: Path
    rows: int
    pending: int
    not_begun: int
    endpoint: str | None

    @classmethod
    def seen(cls, paths: Paths, snapshot: Snapshot) -> "Begun":
        """What a checkpoint tells.

        Raises:
            BadData: a file that the run wrote is not there.

        """
        check_files(paths, snapshot)
        is_swapping = snapshot.is_swapping()
        expected, begun = snapshot.expected() or 0, snapshot.cursor().rows
        return cls(
            settings=snapshot.settings(),
            inputs=tuple(snapshot.input_paths(paths.output)),
            errors=standing(paths.errors, paths.rewritten) if is_swapping else paths.errors,
            rows=max(expected, begun),
            pending=sum(snapshot.states().values()),
            not_begun=max(expected - begun, 0),
            endpoint=snapshot.meta(ENDPOINT),
        )


def execute(context: click.Context, options: Mapping[str, Any]) -> int:
    """Put rows back and carry the run; return the exit code."""
    paths = Paths(options["output"])
    begun = looked_at(paths.checkpoint, lambda snapshot: Begun.seen(paths, snapshot))
    choice = Choice(frozenset(options["stage"]), frozenset(options["code"]))
    failed = Choice().chosen(whole_lines(begun.errors))
    dedupe = bool(begun.settings.get(DEDUPE))
    proposal = Proposal(choice, failed, begun.pending, begun.not_begun, dedupe=dedupe)
    if options["dry_run"]:
        if not proposal.is_empty:
            unfit = _looked_through(paths, _input(begun, options), proposal.chosen)
            proposal = replace(proposal, unfit=unfit)
        if options["as_json"]:
            answer([encode(proposal.to_json())])
        else:
            tell(proposal.sentences())
        return Exit.OK
    if proposal.is_empty:
        if is_running(paths.output):
            raise Busy(f"another process is running {paths.output}.", "Wait for it to end.")
        say(proposal.refusal())
        return Exit.OK
    if options["budget"] is not None and begun.settings.get("max-tokens") is None:
        raise click.UsageError(_no_budget(context, paths, begun))
    source = _input(begun, options)
    if options["endpoint"] is None and begun.endpoint is not None:
        say(f"As the run was: --endpoint {begun.endpoint}")
        # What was begun against one host must not go to another unasked.
        options = {**options, "endpoint": begun.endpoint}
    call = Call.of(_as_of_run(options, begun, source), os.environ)
    limit = call.settings.budget
    budget = None if limit is None else Budget(limit, call.prices)
    retry = Retry(choice, call.settings.recipe, say, budget)
    signals = Signals()
    if options["verbose"]:
        for setting in show_settings(context):
            say(setting)
    resume = list(_continuing(context, begun, source))
    return running.execute(replace(call, retry=retry), signals, resume)


def _input(begun: Begun, options: Mapping[str, Any]) -> Path:
    given = options["given_input"]
    return found_input(begun.inputs if given is None else [given])


def _looked_through(paths: Paths, path: Path, chosen: Mapping[int, Failed]) -> frozenset[int]:
    """Rows whose lines would be found wrong again.

    Raises:
        BadData: the input is one that a retry of these rows refuses.

    """
    with closing(Source(path)) as source:

        def see(snapshot: Snapshot) -> tuple[Recipe, dict[int, Span]]:
            recipe = Ways.of(snapshot.settings()).recipe
            rows = [row for row in map(snapshot.rows.of, chosen) if row is not None]
            unsent = frozenset(row.line for row in rows if not row.submits)
            if source.signature() != snapshot.signature("input"):
                begun = ((row.line, row.span) for row in snapshot.rows.begun())
                revision = Revision(str(path), recipe, unsent, seal)
                revision.compare(stood(source), begun, snapshot.cursor().rows)
            wrong = (row for row in rows if chosen[row.line].stage == "input")
            return recipe, {row.line: row.span for row in wrong}

        recipe, were = looked_at(paths.checkpoint, see)
        lines = ((line.number, line.data) for line in source.read())
        return still_unfit(lines, were, recipe, seal)


def _as_of_run(options: Mapping[str, Any], begun: Begun, source: Path) -> dict[str, Any]:
    """The options of a call of `run` that goes on with this run."""
    settings = {name.replace("-", "_"): _given(value) for name, value in begun.settings.items()}
    others = {"input_path": str(source), "limit": begun.rows, "fresh": False}
    return {**options, **settings, **others}


def _continuing(context: click.Context, begun: Begun, source: Path) -> Iterator[str]:
    """The call of `run` that goes on without putting anything back again."""
    yield from ("yagpt-batch", "run", str(source), "-o", str(context.params["output"]))
    yield from _begun_with(context, begun)
    # As they were written: 12h, and not so many seconds.
    written, _, _ = context.command.make_parser(context).parse_args(sys.argv[2:])
    for parameter in context.command.params:
        if parameter.name in written and parameter.name not in _ITS_OWN:
            value = written[parameter.name]
            if isinstance(parameter, click.Option) and parameter.count:
                value = [True] * value
            for one in value if isinstance(value, list) else [value]:
                yield from _words(parameter.opts[-1], one)


def _begun_with(context: click.Context, begun: Begun) -> Iterator[str]:
    for name, value in begun.settings.items():
        for one in value if isinstance(value, list) else [value]:
            yield from _words(f"--{name}", _given(one), is_typed=name not in _TEXTS)
    if context.params["endpoint"] is None and begun.endpoint is not None:
        yield from _words("--endpoint", begun.endpoint)


def _no_budget(context: click.Context, paths: Paths, begun: Begun) -> str:
    """Why there can be none, and how the rows can be sent with one all the same."""
    again = paths.output.with_name(f"{paths.output.name.removesuffix('.jsonl')}.again.jsonl")
    words = ["yagpt-batch", "run", str(begun.errors), "-o", str(again)]
    words += [*_begun_with(context, begun), "--budget", str(context.params["budget"])]
    return (
        f"{told_of(context, 'budget')}: this run was begun without --max-tokens and keeps to "
        "that, so no row has a worst case worth reserving. Retry without --budget; or send the "
        "rows of the errors file as a run of their own, with a number for N: "
        f"{shlex.join(words)} --max-tokens N"
    )


def _given(value: Json) -> Json:
    """A setting as an option has it: a schema is one text."""
    return encode(value).decode() if isinstance(value, dict) else value


def _words(option: str, value: Json, *, is_typed: bool = True) -> Iterator[str]:
    match value:
        case None | False:
            pass
        case True:
            yield option
        case _:
            yield from (option, str(value) if is_typed else typed(str(value)))
