"""A run's begin and end, told to those who watch: the log file and the file of metrics."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline import __version__
from pipeline.clock import Clock
from pipeline.errors import Exit
from pipeline.events import BEGUN, ENDED
from pipeline.gauges import Told
from pipeline.metrics import Metrics

_log = logging.getLogger("yagpt-batch")


@dataclass(slots=True)
class End:
    """How it ends; whatever says nothing of that is a bug."""

    metrics: Metrics | None
    exit_code: int = Exit.UNEXPECTED


@contextmanager
def watched(output: Path, model: str, metrics_file: Path | None, clock: Clock) -> Iterator[End]:
    """Tell of a run while the block carries it."""
    told = Told(str(output.resolve()), model, __version__, clock.now())
    end = End(None if metrics_file is None else Metrics(metrics_file, told, clock))
    _log.info(BEGUN, told.output, told.model, told.version)
    try:
        yield end
    finally:
        _log.info(ENDED, told.output, end.exit_code)
        # Another process has this run, and perhaps this file.
        if end.metrics is not None and end.exit_code != Exit.BUSY:
            end.metrics.end(end.exit_code)
