"""The panel as tqdm draws it: a bar and the facts below it, in as many lines as they take."""

from threading import RLock
from typing import TYPE_CHECKING, Never

from tqdm import tqdm

from pipeline.clock import local_day_and_time
from pipeline.terminal.speech import Speech
from pipeline.view.panel import laid_out
from pipeline.view.scene import Scene
from pipeline.view.suspension import Suspension

_SHORTEST_BAR = 4
WIPE = "\r\x1b[2K \x1b[J\r"
"""Removes the panel. The blank is for terminals that keep a screen which is wiped from its very
first place in their history; the first line goes by itself, or what is folded leaves a rest."""
# A terminal may be narrower by now than it says: what it folded could not be counted.
_CUT, _FOLD = "\x1b[?7l", "\x1b[?7h"


if TYPE_CHECKING:
    _Bar = tqdm[Never]
else:
    # It is generic for those who check types only.
    _Bar = tqdm


class Drawing(_Bar):
    """One bar, which is several lines high. Made once a process: `write` and it share a lock."""

    # Nobody else is to draw, and no thread to wait for it.
    monitor_interval = 0

    def __init__(self, speech: Speech) -> None:
        # The lock of tqdm's own is for several processes too, and takes its time to make.
        tqdm.set_lock(RLock())
        self._speech = speech
        self._scene: Scene | None = None
        self._picture: list[str] = []
        self._size = (0, 0)
        self._is_last = False
        super().__init__(file=speech)
        speech.route(self._tell, WIPE)
        self._suspension = Suspension(lambda: len(self._picture))

    def draw(self, scene: Scene) -> None:
        """Show this from now on."""
        self._scene = scene
        self._picture = []
        self.refresh()

    def display(self, msg: str | None = None, pos: int | None = None) -> None:  # noqa: ARG002
        """Draw all lines, and go back to where the first one begins; at the end, stay below."""
        if self._scene is None:
            return
        size = self._speech.size()
        if not self._picture or size != self._size:
            columns, rows = self._size = size
            # The last column stays free: some terminals go to the next line once it is filled.
            self._picture = self._lines(self._scene, columns - 1)[: max(rows - 1, 1)]
        below = len(self._picture) - 1
        up = f"\x1b[{below}A\r" if below else "\r"
        picture = _CUT + "\n".join(self._picture) + _FOLD
        self.fp.write(WIPE + picture + ("" if self._is_last else up))

    def clear(self, nolock: bool = False) -> None:  # noqa: ARG002 - tqdm's own
        """Make room for what is said; it calls this with the lock in hand."""
        self.fp.write(WIPE)

    def close(self) -> None:
        """Leave the last picture, and the cursor below it."""
        if self._is_last:
            # Whoever takes it apart closes it once more, when another may stand there.
            return
        self._is_last = True
        super().close()
        self._suspension.end()
        self._speech.route(None)

    def _tell(self, lines: str) -> None:
        """Say it above the picture."""
        tqdm.write(lines, file=self._speech)

    def _lines(self, scene: Scene, width: int) -> list[str]:
        facts = laid_out(scene.told(local_day_and_time), width)
        lines = [*self._bar(scene, width), *facts]
        return [line.replace("·", "-") for line in lines] if self.ascii else lines

    def _bar(self, scene: Scene, width: int) -> list[str]:
        """A bar, if there is room for one and it is known how long it is to be."""
        counts, rows = scene.counts, scene.rows
        share = 100 * counts.finished // counts.total if counts.total else 0
        around = f"{share:3d}% |{{bar}}| {rows}"
        if not counts.total or width - len(around.format(bar="")) < _SHORTEST_BAR:
            return laid_out([[f"{share}%", rows] if counts.total else [rows]], width)
        n, total = min(counts.finished, counts.total), counts.total
        return [self.format_meter(n, total, 0, width, ascii=self.ascii, bar_format=around)]
