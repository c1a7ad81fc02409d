"""Prints the requests of a few rows, byte by byte what their POSTs would carry."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pipeline.checks.complaints import told
from pipeline.checks.preflight import Report, judged, look_at, unusable
from pipeline.cli.answer import answer
from pipeline.cli.given import input_of, lines_of, name_of
from pipeline.cli.recipe import recipe_of
from pipeline.errors import BadData, Exit
from pipeline.files.ids import Ids
from pipeline.input.rows import Recipe, Row, is_blank
from pipeline.terminal.speech import clean, say

_NO_FOLDER = "FOLDER"


def execute(options: Mapping[str, Any]) -> int:
    """Print the requests; return the exit code.

    Raises:
        RunError: the input can't be read, or there is no row to print.

    """
    path = input_of(options)
    recipe = recipe_of(options, options["folder_id"] or _NO_FOLDER)
    if options["line"] is None:
        rows = _first(path, recipe, options["limit"])
    else:
        rows = _on_line(path, recipe, options["line"])
    answer(_texts(rows, recipe, pretty=options["pretty"]))
    return Exit.OK


def _first(path: Path | None, recipe: Recipe, limit: int) -> Iterator[Row]:
    report, name, found = Report(), name_of(path), 0
    with lines_of(path) as lines, Ids() as seen:
        for line in lines:
            if found == limit:
                break
            row = None if is_blank(line.data) else look_at(line, recipe, report, seen)
            if row is not None:
                found += 1
                yield row
    if not found:
        raise unusable(name, report)
    for sentence in report.sentences(name, recipe.template):
        say(sentence)


def _on_line(path: Path | None, recipe: Recipe, number: int) -> Iterator[Row]:
    """The row on a line; those before it are read too, for it may repeat an id of theirs."""
    name, last = name_of(path), 0
    with lines_of(path) as lines, Ids() as seen:
        for line in lines:
            last = line.number
            if is_blank(line.data):
                if last == number:
                    raise BadData(f"{name}:{number}: the line is blank.", "Name another one.")
                continue
            row = judged(line, recipe, seen)
            if last == number:
                if isinstance(row, Row):
                    yield row
                    return
                raise BadData(f"{told(row, str(name))}.")
    raise BadData(f"{name} has no line {number:,}: it ends with line {last:,}.")


def _texts(rows: Iterator[Row], recipe: Recipe, *, pretty: bool) -> Iterator[bytes | str]:
    is_nameless = False
    for row in rows:
        is_nameless |= recipe.folder == _NO_FOLDER and "://" not in row.model
        yield _text(row.body, pretty=pretty)
    if is_nameless:
        say(
            f"No folder is named, so {_NO_FOLDER} stands where it belongs: "
            "set it with --folder-id or YC_FOLDER_ID."
        )


def _text(body: bytes, *, pretty: bool) -> bytes | str:
    shown = msgspec.json.format(body, indent=2) if pretty else body
    if not sys.stdout.isatty():
        return shown
    # A terminal is not to be driven by what stands in a prompt.
    return "\n".join(clean(line) for line in shown.decode().split("\n"))
