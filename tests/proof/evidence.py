"""The long proofs, one after another, and the table of README that says what they came to.

    python -m tests.proof.evidence

Nothing is written where a proof fails.
"""

import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from pathlib import Path

import click

from tests.proof import disks, kills, mutants, nights

BEGIN, END = "<!-- evidence: `make evidence` writes what follows -->", "<!-- end of evidence -->"
_README = Path(__file__).parents[2] / "README.md"
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


def _of_nights() -> tuple[str, dict[str, float | int]]:
    story = {
        name.replace("_", " "): value for name, value in asdict(nights.figures(_NIGHTS)).items()
    }
    hours = f"{story['virtual hours']:,.0f} hours"
    story |= {"trials": story["nights"], "kills": story["kills"] + story["power cuts"]}
    return f"simulated nights ({hours}, {story['power cuts']:,} power cuts)", story


@click.command()
def main() -> None:
    """Run every proof at length, and write README's table."""
    name, story = _of_nights()
    told: dict[str, Mapping[str, float | int]] = {name: story}
    told["real processes"] = killed = kills.figures(_KILLS)
    told["disks that fail"] = failed = disks.figures()
    caught = mutants.figures()
    text = (
        f"{table(told)}\n\n"
        f"Of {caught['mutants']} deliberate bugs {caught['caught']} were caught. "
        f"{date.today()}, Python {platform.python_version()}."
    )
    click.echo(text)
    if killed["wrong"] or failed["wrong"] or caught["caught"] != caught["mutants"]:
        raise click.ClickException("A proof failed: README is left as it was.")
    _README.write_text(write(_README.read_text("utf-8"), text), "utf-8")


if __name__ == "__main__":
    main()
