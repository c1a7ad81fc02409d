"""README.md as data: its sections, tables, commands and the transcripts below them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
RUSSIAN = (ROOT / "README.ru.md").read_text(encoding="utf-8")

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"\s+# .*$")
_CODE = re.compile(r"# .*?\b(?:exits with|код) (\d+)")
_PROMPT = "$ "


@dataclass(frozen=True, slots=True)
class Shown:
    """A command as a reader would type it, how it is said to end, and what it is said to print."""

    line: str
    code: int
    said: tuple[str, ...]


def commands_in(text: str) -> list[list[Shown]]:
    """The commands of each block that shows some; a block is a transcript if it has prompts."""
    blocks = (block.splitlines() for kind, block in _BLOCK.findall(text) if not kind)
    return [list(_transcript(lines)) for lines in blocks if lines]


def _transcript(lines: list[str]) -> Iterator[Shown]:
    if not any(line.startswith(_PROMPT) for line in lines):
        lines = [_PROMPT + line for line in lines]
    starts = [at for at, line in enumerate(lines) if line.startswith(_PROMPT)]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        typed = lines[start].removeprefix(_PROMPT)
        code = _CODE.search(typed)
        said = (line for line in lines[start + 1 : end] if line not in {"", "…"})
        yield Shown(_COMMENT.sub("", typed), int(code[1]) if code else 0, tuple(said))


def section(title: str, text: str = README) -> str:
    """What stands below a heading, up to the next one."""
    _, found, rest = text.partition(f"\n## {title}\n")
    assert found, title
    return rest.partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of each line of the tables in a text, heads and rules left out."""
    lines = text.splitlines()
    ruled = {at for at, line in enumerate(lines) if re.fullmatch(r"\|[ :|-]+\|", line)}
    body = (line for at, line in enumerate(lines) if at not in ruled and at + 1 not in ruled)
    return [_cells(line) for line in body if line.startswith("|")]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def options_in(text: str) -> set[str]:
    """The long options that stand in a text as code."""
    code = " ".join(quoted(text))
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", code))


def quoted(text: str) -> list[str]:
    """What stands in a text as code, blocks left out."""
    return re.findall(r"`([^`]+)`", _BLOCK.sub("", text))
