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
from pipeline.view.gauges import Told
from pipeline.view.metrics import Metrics

_log = logging.getLogger("yagpt-batch")


@dataclass(slots=True)
class End:
    """How it ends; whatever says nothing of that is a bug. `refused`: it did not begin."""

    metrics: Metrics | None
    exit_code: int = Exit.UNEXPECTED
    refused: bool = False


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
        if end.metrics is not None and _concerns(end, end.metrics.path):
            end.metrics.end(end.exit_code)


def _concerns(end: End, metrics_file: Path) -> bool:
    """Whether the end is told there."""
    if end.exit_code == Exit.BUSY:
        # Another process has this run, and perhaps this file.
        return False
    # A mistaken call leaves no file behind; whoever watches one that is there is told of it.
    return not end.refused or metrics_file.exists()
