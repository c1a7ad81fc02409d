"""What a watching person, or a program, sees on standard error while a run goes on.

The panel is one tqdm bar that draws several lines. Between two pictures the cursor stands where
the first line begins, and everything below belongs to the panel: so it is wiped whole, however a
terminal that was resized has folded its lines.
"""

from typing import TYPE_CHECKING, Protocol

from pipeline import codec
from pipeline.clock import local_day_and_time, stamp
from pipeline.terminal.speech import SPEECH, is_screen, say_whole
from pipeline.view.scene import Scene

if TYPE_CHECKING:
    from pipeline.view.drawing import Drawing


class View(Protocol):
    """Shows where a run stands, every `interval` seconds."""

    interval: float

    def show(self, scene: Scene) -> None: ...

    def close(self) -> None: ...


class Silent:
    """Shows nothing."""

    interval = 3600.0

    def show(self, scene: Scene) -> None: ...

    def close(self) -> None: ...


class Panel:
    """Some lines on a terminal, redrawn in place; what is said meanwhile stands above them."""

    interval = 0.5

    def __init__(self) -> None:
        self._drawing: Drawing | None = None

    def show(self, scene: Scene) -> None:
        if self._drawing is None:
            # Where no panel is shown, nobody waits 15 ms for tqdm.
            from pipeline.view.drawing import Drawing  # noqa: PLC0415

            self._drawing = Drawing(SPEECH)
        self._drawing.draw(scene)

    def close(self) -> None:
        if self._drawing is not None:
            self._drawing.close()


class Plain:
    """A line a minute, for logs."""

    interval = 60.0

    def __init__(self) -> None:
        self._last = ""

    def show(self, scene: Scene) -> None:
        line = f"{local_day_and_time(scene.now)} {scene.line(local_day_and_time)}"
        # The end may come within the minute of the line before, and have nothing new.
        if line != self._last:
            self._last = line
            say_whole(line)

    def close(self) -> None: ...


class JsonLines:
    """A JSON object a line, for machines."""

    interval = 10.0

    def show(self, scene: Scene) -> None:
        say_whole(codec.encode(scene.to_json(local_day_and_time, stamp)).decode())

    def close(self) -> None: ...


def view_of(progress: str) -> View:
    """What `--progress` asks for; a panel is for terminals that can move their cursor."""
    if progress in ("auto", "bar"):
        progress = "bar" if is_screen(SPEECH) else "plain"
    views: dict[str, type[View]] = {
        "bar": Panel,
        "plain": Plain,
        "json": JsonLines,
        "none": Silent,
    }
    return views[progress]()
