"""Events for people who want to know more: on standard error, and as JSON lines in a file.

What they are, `events` lists.
"""

import logging
import sys
from functools import lru_cache
from pathlib import Path

from pipeline import codec
from pipeline.clock import stamp
from pipeline.codec import Json
from pipeline.events import Event
from pipeline.files.paths import unwritable
from pipeline.terminal.speech import say

_LEVELS = {0: logging.WARNING, 1: logging.INFO}
_OTHER = "note"
_DIGITS = 3


def set_up(verbose: int, log_file: Path | None) -> None:
    """Show what is asked for.

    Raises:
        StorageFailed: the log file can't be opened.

    """
    logger = logging.getLogger("yagpt-batch")
    logger.propagate = False
    # A third of what an event takes, for what no line tells.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    screen = _Screen(_LEVELS.get(verbose, logging.DEBUG))
    logger.handlers = [screen]
    if log_file is not None:
        try:
            file = _File(log_file, encoding="utf-8")
        except OSError as error:
            raise unwritable("open", log_file, error) from error
        file.setFormatter(_JsonLine())
        file.setLevel(logging.INFO)
        logger.addHandler(file)
    # An event that nobody wants to hear of is then not even made.
    logger.setLevel(min(handler.level for handler in logger.handlers))


class _File(logging.FileHandler):
    """A file that a run does not depend on: what it can't take is said once."""

    def handleError(self, _: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        logging.getLogger("yagpt-batch").removeHandler(self)
        say(f"The log {self.baseFilename} can't be written: {sys.exc_info()[1]}.")


class _Screen(logging.Handler):
    """Says it, above whatever shows the progress."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


class _JsonLine(logging.Formatter):
    """An event with its fields; what is none is a note."""

    def format(self, record: logging.LogRecord) -> str:
        event = record.msg
        line: dict[str, Json] = {
            "at": _at(int(record.created)),
            "level": record.levelname.lower(),
            "event": event.name if isinstance(event, Event) else _OTHER,
            "message": record.getMessage(),
        }
        if isinstance(event, Event) and isinstance(record.args, tuple):
            for name, value in zip(event.fields, record.args, strict=True):
                if not name.startswith("_"):
                    line[name] = _value(value)
        return codec.encode(line).decode()


@lru_cache(maxsize=1)
def _at(second: int) -> str:
    """Many events are of the same one."""
    return stamp(second)


def _value(value: object) -> Json:
    match value:
        case float():
            return round(value, _DIGITS)
        case None | int() | str():
            return value
        case _:
            return str(value)
