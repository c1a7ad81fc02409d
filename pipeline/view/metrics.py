"""A file of metrics, written anew every few seconds, and once more when the run has ended.

It is replaced at once, never seen half written. A thread writes it, so that a disk that hangs
holds up nothing; and a file that can't be written is said once, and is no reason to stop.
"""

import os
from contextlib import suppress
from pathlib import Path
from threading import Condition, Thread

from pipeline.clock import Clock
from pipeline.files.paths import why_not
from pipeline.terminal.speech import say
from pipeline.view.gauges import Told, families, text_of
from pipeline.view.scene import Scene

_PATIENCE = 2.0


class Metrics:
    """Shows scenes to Prometheus."""

    interval = 5.0

    def __init__(self, path: Path, told: Told, clock: Clock) -> None:
        self.path = path
        self._told = told
        self._clock = clock
        self._scene: Scene | None = None
        self._texts: list[str] = []
        self._is_over = self._is_said = self._is_writing = False
        self._changed = Condition()
        self._thread = Thread(target=self._write_on, daemon=True)
        self._thread.start()

    def show(self, scene: Scene) -> None:
        self._scene = scene
        self._put(None)

    def close(self) -> None: ...

    @property
    def is_behind(self) -> bool:
        """Whether something is still to be written."""
        with self._changed:
            return self._is_writing or bool(self._texts)

    def end(self, exit_code: int) -> None:
        """Write how it ended, and wait for that a moment."""
        self._put(exit_code)
        self._thread.join(_PATIENCE)

    def _put(self, exit_code: int | None) -> None:
        found = families(self._told, self._scene, exit_code, self._clock.now())
        with self._changed:
            # Of what was not written yet only the newest counts.
            self._texts = [text_of(found, self._told.output)]
            self._is_over = exit_code is not None
            self._changed.notify()

    def _write_on(self) -> None:
        is_over = False
        while not is_over:
            with self._changed:
                self._changed.wait_for(lambda: self._texts)
                text, is_over = self._texts.pop(), self._is_over
                self._is_writing = True
            self._write(text)
            with self._changed:
                self._is_writing = False

    def _write(self, text: str) -> None:
        # Collectors read what ends in .prom, and would read this, too.
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            beside.write_bytes(text.encode("utf-8", "replace"))
            beside.replace(self.path)
        except OSError as error:
            with suppress(OSError):
                beside.unlink()
            if not self._is_said:
                self._is_said = True
                why = why_not(self.path, error)
                say(f"The metrics {self.path} can't be written: {why}; tried again.")
