"""The long proofs, one after another, and the table of README that says what they came to.

    python -m tests.proof.evidence

What a proof came to is kept in `evidence.json` until the code changes, so that an interruption
costs one proof and not all. README is written once all have succeeded.
"""

import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import click

from tests.proof import disks, kills, mutants, nights

BEGIN, END = "<!-- evidence: `make evidence` writes what follows -->", "<!-- end of evidence -->"
_ROOT = Path(__file__).parents[2]
_README, _KEPT = _ROOT / "README.md", _ROOT / "evidence.json"
_NIGHTS, _KILLS = 500, 300
_COLUMNS = [
    *("trials", "kills", "faults", "rows", "lost", "half lines", "paid again"),
    *("doubts", "accepted twice", "longest recovery"),
]


def table(told: Mapping[str, Mapping[str, float | int]]) -> str:
    """A line for each proof; a figure that a proof does not have is left out."""
    lines = [
        f"| | {' | '.join(_COLUMNS)} |",
        f"| --- |{' --: |' * len(_COLUMNS)}",
    ]
    for name, figures in told.items():
        shown = (_shown(column, figures.get(column)) for column in _COLUMNS)
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return "\n".join(lines)


def _shown(column: str, figure: float | int | None) -> str:
    if figure is None:
        return ""
    return f"{figure:.1f} s" if column == "longest recovery" else f"{figure:,}"


def write(readme: str, text: str) -> str:
    """The README with `text` where the evidence stands."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that takes long: what README calls it, and what brings its figures."""

    name: str
    play: Callable[[], Mapping[str, float | int]]
    # Of the figures: what must be none.
    wrong: str = "wrong"


def _nights() -> Mapping[str, float | int]:
    story = nights.figures(_NIGHTS)
    told = {name.replace("_", " "): value for name, value in asdict(story).items()}
    return told | {"trials": story.nights, "kills": story.kills + story.power_cuts}


def _disks() -> Mapping[str, float | int]:
    told = disks.figures()
    return told | {"trials": told["cases"], "faults": told["calls that failed"]}


def _mutants() -> Mapping[str, float | int]:
    told = mutants.figures()
    return told | {"survived": told["mutants"] - told["caught"]}


PROOFS = [
    Proof("simulated nights", _nights, "lost"),
    Proof("real processes", lambda: kills.figures(_KILLS)),
    Proof("disks that fail", _disks),
    Proof("deliberate bugs", _mutants, "survived"),
]


def _digest() -> str:
    """The program and its proofs as they are now."""
    code = sorted([*_ROOT.glob("pipeline/**/*"), *_ROOT.glob("tests/**/*")])
    found = hashlib.sha256()
    for path in code:
        if path.suffix in {".py", ".sql", ".toml"}:
            found.update(path.read_bytes())
    return found.hexdigest()


def _kept() -> dict[str, Any]:
    """What was proved of this very code before something interrupted it."""
    kept: dict[str, Any] = json.loads(_KEPT.read_text("utf-8")) if _KEPT.exists() else {}
    return kept if kept.get("code") == _digest() else {"code": _digest()}


def _prove(proof: Proof) -> Mapping[str, float | int]:
    kept = _kept()
    if proof.name not in kept:
        kept[proof.name] = dict(proof.play())
        _KEPT.write_text(json.dumps(kept, indent=1), "utf-8")
    figures: Mapping[str, float | int] = kept[proof.name]
    click.echo(f"{proof.name}: {json.dumps(figures)}")
    if figures[proof.wrong]:
        raise click.ClickException(f"{proof.name} failed: README is left as it was.")
    return figures


@click.command()
def main() -> None:
    """Run every proof at length, going on where it was interrupted; then write README's table."""
    told = {proof.name: _prove(proof) for proof in PROOFS}
    bugs, hours = told.pop("deliberate bugs"), told["simulated nights"]["virtual hours"]
    text = (
        f"{table(told)}\n\n"
        f"The nights lasted {hours:,.0f} virtual hours. Of {bugs['mutants']} deliberate bugs "
        f"{bugs['caught']} were caught. {date.today()}, Python {platform.python_version()}."
    )
    _README.write_text(write(_README.read_text("utf-8"), text), "utf-8")


if __name__ == "__main__":
    main()
