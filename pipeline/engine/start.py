"""The start of a run: what is known, checked and told before the first call.

    look at a new input ─▶ open the files ─▶ look at what came behind ─▶ tell ─▶ `Run`
                                 └─ begun anew: look at all of it

A file that is no input leaves no files of a run behind; rows that were looked at when the run
began are not looked at again.
"""

from collections.abc import Callable

from pipeline.checks.preflight import Report, foretold, look
from pipeline.engine.expectation import counted, within
from pipeline.engine.run import Run
from pipeline.engine.tools import Tools
from pipeline.files import extent
from pipeline.files.paths import Paths
from pipeline.files.source import Source
from pipeline.life.facts import Cursor
from pipeline.resuming.recovery import Files, opened
from pipeline.settings import Settings
from pipeline.state.board import Ending, Outcome


async def carry(
    paths: Paths,
    source: Source,
    settings: Settings,
    tools: Tools,
    ending: Ending,
    *,
    fresh: bool = False,
    retry: Callable[[Files, float], None] | None = None,
) -> Outcome:
    """Look at the rows, open or resume the run, and carry it to its end.

    `retry` puts rows back that failed, before the run goes on; the input is for it to check.

    Raises:
        RunError: it could not begin.

    """
    before = source.signature()
    begins = fresh or not paths.checkpoint.exists()
    report = await _look_at_all(source, settings) if begins else Report()
    now, mended = tools.clock.now(), retry is not None
    with opened(paths, source, settings.identity(), now=now, fresh=fresh, mended=mended) as files:
        if retry is not None:
            retry(files, now)
        if files.anew is not None:
            tools.say(files.anew)
            begins, report = True, await _look_at_all(source, settings)
        cursor, noted = files.checkpoint.cursor(), counted(files)
        # An input that is still the same was looked at when the run began.
        if not begins and noted is None:
            report = await look(source, settings.recipe, cursor, settings.limit)
        _tell(report, source, settings, tools, begins=begins)
        note, total = None, None
        if noted is not None:
            total = within(settings.limit, noted, cursor.rows)
        if noted is None and report.complete:
            total = cursor.rows + report.rows
            note = extent.noted(total, before) if settings.limit is None else None
        with tools.connect() as service:
            run = Run(files, service, settings, tools, ending)
            try:
                return await run.carry(total, report.bad, note)
            finally:
                run.join()


async def _look_at_all(source: Source, settings: Settings) -> Report:
    return await look(source, settings.recipe, Cursor(), settings.limit, dedupe=settings.dedupe)


def _tell(
    report: Report, source: Source, settings: Settings, tools: Tools, *, begins: bool
) -> None:
    for sentence in report.sentences(source.path, settings.recipe.template):
        tools.say(sentence)
    for sentence in report.no_twins(dedupe=begins and settings.dedupe):
        tools.say(sentence)
    if begins and tools.foretell is not None and report.outset.rows:
        tools.foretell(foretold(report, source, settings, tools.prices))
