"""An environment of its own for each contender, kept for the next time."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import Contender, Unmeasured

_BLOCK = 512
_LONGEST = 1800.0


@dataclass(frozen=True, slots=True)
class Environments:
    """What is under a folder.

    They are made without pip, so that they hold nothing but what a contender asked for.
    """

    folder: Path

    def install(self, contender: Contender) -> Path:
        """Give the contender's environment, made if there is none with just these requirements.

        Raises:
            Unmeasured: it can't be made.

        """
        place = self.folder / re.sub(r"\W+", "-", contender.name)
        told, asked = place / "requirements.txt", "\n".join(contender.requirements)
        # A folder may hold other code than yesterday: ourselves are installed each time.
        is_fixed = not any(
            Path(named.partition("[")[0]).is_dir() for named in contender.requirements
        )
        if is_fixed and told.exists() and told.read_text() == asked:
            return place
        _call(sys.executable, "-m", "venv", "--clear", "--without-pip", str(place))
        if contender.requirements:
            pip = (sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"))
            quietly = ("-qq", "--disable-pip-version-check", "--no-input")
            _call(*pip, "install", *quietly, *contender.requirements)
        told.write_text(asked)
        return place


def _call(*arguments: str) -> None:
    try:
        subprocess.run(  # noqa: S603 - what the list of contenders names
            arguments, check=True, capture_output=True, text=True, timeout=_LONGEST
        )
    except subprocess.CalledProcessError as error:
        raise Unmeasured(last_line(error.stderr) or f"exit {error.returncode}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unmeasured(str(error)) from None


def last_line(text: str) -> str:
    """What a program said last, for one cell of a table."""
    said = [line.strip() for line in text.splitlines() if line.strip()]
    return said[-1].replace("|", "/")[:200] if said else ""


def size(place: Path) -> int:
    """How many bytes of disk an environment takes."""
    return sum(path.lstat().st_blocks * _BLOCK for path in place.rglob("*"))
