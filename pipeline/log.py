"""Events for people who want to know more: on standard error, and as JSON lines in a file.

The vocabulary is short: → sent, ← accepted, ✓ written, ↻ back in line, ? in doubt, ! trouble.
"""

import logging
import sys
from pathlib import Path

from pipeline import codec
from pipeline.clock import stamp
from pipeline.errors import StorageFailed
from pipeline.speech import SPEECH, clean, say

_LEVELS = {0: logging.WARNING, 1: logging.INFO}


def set_up(verbose: int, log_file: Path | None) -> None:
    """Show what is asked for.

    Raises:
        StorageFailed: the log file can't be opened.

    """
    logger = logging.getLogger("yagpt-batch")
    logger.propagate = False
    screen = _Screen(_LEVELS.get(verbose, logging.DEBUG))
    logger.handlers = [screen]
    if log_file is not None:
        try:
            file = _File(log_file, encoding="utf-8")
        except OSError as error:
            raise StorageFailed(f"can't open {log_file}: {error.strerror}.") from error
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
    """Writes above the progress bar, never into it."""

    def emit(self, record: logging.LogRecord) -> None:
        # A call that has nothing to tell does without its 15 ms.
        from tqdm import tqdm  # noqa: PLC0415

        tqdm.write(clean(record.getMessage()), file=SPEECH)


class _JsonLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        event = {
            "at": stamp(record.created),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        return codec.encode(event).decode()
