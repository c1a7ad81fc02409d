"""Runs over real sockets that outlast their tokens: how often each was renewed, and what it cost.

python -m tests.proof.tokens --life 20 --seconds 90
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.emulator.model import Config
from pipeline.emulator.server import embedded
from tests.builders import new_authorized_key
from tests.e2e.command import FOLDER, Emulator, Shell
from tests.emulator_caller import public_half

_PER_SECOND = 10
_OAUTH = "y0_of-the-test-and-of-nobody-else"
SOURCES = ("jwt", "oauth", "metadata")


@dataclass(frozen=True, slots=True)
class Told:
    """One run's account: its exit code, its result lines, and what the service saw."""

    code: int
    lines: list[dict[str, Any]]
    ledger: Any

    def renewals(self, source: str) -> int:
        return len(self.ledger["token_times"][source]) - 1

    @property
    def refusals(self) -> int:
        return sum(self.ledger[f"refused_{kind}"].get("401", 0) for kind in ("submits", "polls"))


def outlive(folder: Path, source: str, life: float, seconds: float) -> Told:
    """Carry a run that takes about `seconds` with tokens of `source` that live for `life`."""
    shell, key = Shell(folder), new_authorized_key()
    path = shell.path("key.json")
    path.touch(0o600)
    path.write_text(json.dumps(key))
    rows = shell.write_rows(round(seconds * _PER_SECOND))
    config = Config(
        sa_keys=(public_half(key),),
        oauth_tokens=frozenset({_OAUTH}),
        metadata=True,
        token_life=life,
        submit_rates=(),
        latency_median=0.5,
    )
    with embedded(config, None) as url:
        variables = {
            "jwt": ("YC_SA_KEY_FILE", str(path)),
            "oauth": ("YC_OAUTH_TOKEN", _OAUTH),
            "metadata": ("YC_METADATA_ADDR", url.removeprefix("http://")),
        }
        given: dict[str, Any] = dict([("YC_API_KEY", None), variables[source]])
        done = shell.call(
            *("run", rows, "-o", "out.jsonl", "--endpoint", url, "--folder-id", FOLDER),
            *("--rate", f"{_PER_SECOND}/s"),
            seconds=seconds * 2 + 30,
            **given,
        )
        lines = [json.loads(line) for line in shell.path("out.jsonl").read_text().splitlines()]
        ledger = Emulator(url).ledger()
    return Told(done.code, [line for line in lines if "line" in line], ledger)


def main() -> None:
    """Try each source; print a line for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--life", type=float, default=20.0, help="of a token, in seconds")
    parser.add_argument("--seconds", type=float, default=90.0, help="of each run")
    options = parser.parse_args()
    for source in SOURCES:
        with TemporaryDirectory() as name:
            told = outlive(Path(name), source, options.life, options.seconds)
        ok = sum(line["status"] == "ok" for line in told.lines)
        print(  # noqa: T201 - the figures are what it is for
            f"{source}: exit {told.code}, {ok} rows ok of {len(told.lines)}, "
            f"{told.renewals(source)} renewals, {told.refusals} calls refused"
        )


if __name__ == "__main__":
    main()
