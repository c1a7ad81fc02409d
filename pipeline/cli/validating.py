"""Reads a whole input and shows its bad lines as they are found, so that memory does not grow."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.checks.complaints import SHOWN, Complaints, told
from pipeline.checks.glance import Glance
from pipeline.checks.preflight import judged
from pipeline.cli.answer import answer, tell
from pipeline.cli.given import input_of, lines_of, name_of
from pipeline.cli.recipe import recipe_of
from pipeline.codec import encode
from pipeline.emulator import FOLDER
from pipeline.errors import BadData, Exit
from pipeline.files.ids import Ids
from pipeline.input.rows import BadRow, Recipe, Row, is_blank
from pipeline.terminal.speech import say
from pipeline.wording import so_many


@dataclass(slots=True)
class Tally:
    """What was found so far: rows, bad ones, fit ones with an id or a model of their own."""

    rows: int = 0
    bad: int = 0
    own_ids: int = 0
    own_models: int = 0

    def count(self, row: Row | BadRow) -> None:
        self.rows += 1
        if isinstance(row, BadRow):
            self.bad += 1
        else:
            self.own_ids += row.own_id
            self.own_models += row.own_model

    def sentence(self, name: Path, model: str) -> str:
        """What it all comes to."""
        if self.bad:
            return f"{name}: {self.bad:,} of {so_many(self.rows, 'row')} can't be sent."
        verb = "is" if self.rows == 1 else "are"
        return (
            f"{name}: {so_many(self.rows, 'row')} {verb} fit to be sent. Ids of their own: "
            f"{self.own_ids:,}, none twice; models of their own: {self.own_models:,}, "
            f"else {model}."
        )


def execute(options: Mapping[str, Any]) -> int:
    """Show the bad lines, then what it all comes to; return the exit code.

    Raises:
        RunError: the input can't be read to its end, or has no rows.

    """
    path, tally = input_of(options), Tally()
    name, as_json = name_of(path), options["as_json"]
    # Nobody is asked, and any folder will do.
    recipe = recipe_of(options, options["folder_id"] or FOLDER)
    most = None if options["show_all"] else SHOWN
    bad = _bad_rows(_rows_of(path, recipe, options["limit"]), tally, name, recipe)
    if as_json:
        answer(_as_json(bad, tally, most))
    else:
        tell(_as_text(bad, name, most))
    if not tally.rows:
        raise BadData(f"{name} has no rows.", "Write one JSON object a line into it.")
    if not as_json:
        tell([tally.sentence(name, options["model"])])
    return _code(tally)


def _code(tally: Tally) -> int:
    return Exit.BAD_DATA if tally.bad or not tally.rows else Exit.OK


def _rows_of(
    path: Path | None, recipe: Recipe, limit: int | None
) -> Iterator[tuple[Row | BadRow, bytes]]:
    """Every row with its line."""
    with lines_of(path) as lines, Ids() as seen:
        for line in lines:
            if is_blank(line.data):
                continue
            if limit is not None and line.next.rows > limit:
                return
            yield judged(line, recipe, seen), line.data


def _bad_rows(
    rows: Iterator[tuple[Row | BadRow, bytes]], tally: Tally, name: Path, recipe: Recipe
) -> Iterator[BadRow]:
    """Those that are bad; if the first are no rows at all, that is said before."""
    glance, held = Glance(), list[BadRow]()
    for row, data in rows:
        tally.count(row)
        glance.take(row, data)
        if isinstance(row, BadRow):
            held.append(row)
        if glance.is_over:
            break
    if (sentence := glance.sentence(str(name), recipe.template)) is not None:
        say(sentence)
    yield from held
    for row, _ in rows:
        tally.count(row)
        if isinstance(row, BadRow):
            yield row


def _as_text(bad: Iterator[BadRow], name: Path, most: int | None) -> Iterator[str]:
    complaints = Complaints()
    for row in bad:
        complaints.take(row)
        if most is None or complaints.bad <= most:
            yield told(row, str(name))
    if most is not None:
        yield from complaints.others(" (--all shows them)")


def _as_json(bad: Iterator[BadRow], tally: Tally, most: int | None) -> Iterator[str]:
    """One object; its list stands first, so that it can be written as it grows."""
    yield '{"bad_lines": ['
    before = ""
    for count, row in enumerate(bad):
        if most is None or count < most:
            line = {"line": row.line, "id": row.id, "code": row.code, "message": row.message}
            yield before + encode(line).decode()
            before = ","
    counts = {"rows": tally.rows, "fit": tally.rows - tally.bad, "bad": tally.bad}
    yield f"], {encode(counts | {'exit': int(_code(tally))}).decode()[1:]}"
