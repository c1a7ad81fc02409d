"""A real terminal, tmux's, in which a command runs; and pictures of it that are kept as files."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.command import until
from tests.scratch import in_memory

CAPTURES = Path(__file__).parent.parent / "captures"
_VARIES = [
    (r"\d{4}-\d\d-\d\d \d\d:\d\d", "DAY TIME"),
    (r"(oldest operation) \d+ (?:s|min)", r"\1 AGE"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"Took \d+ s", "Took SECONDS"),
]
_WRITTEN = os.environ.get("CAPTURES") == "write"


def expect(name: str, picture: str, *, after: str = "") -> None:
    """Compare with what is kept under the name; `make captures` keeps what is seen now.

    What stands above the line that begins with `after` is left out.
    """
    above, begins, below = f"\n{picture}".partition(f"\n{after}")
    assert begins, f"nothing begins with {after!r}: {above}"
    picture = after + below
    for pattern, placeholder in _VARIES:
        picture = re.sub(pattern, placeholder, picture)
    picture = "".join(f"{line.rstrip()}\n" for line in picture.rstrip().splitlines())
    path = CAPTURES / f"{name}.txt"
    if _WRITTEN:
        path.write_text(picture, encoding="utf-8")
    assert picture == path.read_text(encoding="utf-8"), f"{path} differs; see `make captures`"


class Terminal:
    """A tmux with one window, and what is to be seen there."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def tmux(self, *words: str) -> str:
        return subprocess.run(
            ["tmux", "-f", "/dev/null", *words],  # noqa: S607 - wherever it is installed
            env=self._environment,
            capture_output=True,
            check=True,
            text=True,
            encoding="utf-8",
        ).stdout

    @property
    def picture(self) -> str:
        """The visible lines."""
        return self.tmux("capture-pane", "-p")

    @property
    def panel(self) -> list[str]:
        """Its last lines, from the last bar on."""
        lines = self.picture.rstrip().splitlines()
        bars = [n for n, line in enumerate(lines) if re.match(r" *\d+% \|", line)]
        return lines[bars[-1] :] if bars else []

    def until(self, *facts: str, columns: int) -> str:
        """The picture, once a panel as wide as the terminal tells all facts and is complete."""

        def is_so() -> bool:
            panel = self.panel
            told = " ".join(panel)
            is_whole = bool(panel) and panel[-1].startswith("oldest operation")
            return is_whole and len(panel[0]) == columns - 1 and all(f in told for f in facts)

        return self._once(is_so)

    def wait(self, words: str) -> str:
        """The picture, once these words are in it."""
        return self._once(lambda: words in self.picture)

    def _once(self, condition: Callable[[], bool]) -> str:
        try:
            until(condition)
        except AssertionError as late:
            late.add_note(self.picture)
            raise
        return self.picture

    def resize(self, columns: int) -> None:
        self.tmux("resize-window", "-x", str(columns))

    def press(self, key: str) -> None:
        self.tmux("send-keys", key)

    def enter(self, line: str) -> None:
        """Type a line."""
        self.tmux("send-keys", "-l", line)
        self.press("Enter")


@contextmanager
def terminal(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], columns: int
) -> Iterator[Terminal]:
    """Run a command in a terminal that stays when it has ended, and says with which code."""
    with in_memory() as place:
        shown = Terminal({**environment, "TMUX_TMPDIR": place, "LANG": "C.UTF-8"})
        story = 'trap : INT; "$@"; echo "It ended with $?."; exec cat'
        script = ["sh", "-c", story, "sh", *command]
        size = ["-x", str(columns), "-y", "24"]
        shown.tmux("new-session", "-d", *size, "-c", str(folder), *script)
        try:
            yield shown
        finally:
            shown.tmux("kill-server")
