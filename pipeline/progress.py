"""What a watching person, or a program, sees on standard error while a run goes on."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Never, Protocol

from pipeline import codec
from pipeline.board import Counts
from pipeline.clock import local_day_and_time, stamp
from pipeline.prospect import Eta, as_json, words
from pipeline.speech import SPEECH, say
from pipeline.spending import Spent

if TYPE_CHECKING:
    from tqdm import tqdm


class View(Protocol):
    """Shows where a run stands, every `interval` seconds."""

    interval: float

    def show(self, counts: Counts, eta: Eta | None = None, spent: Spent | None = None) -> None: ...

    def close(self) -> None: ...


class Silent:
    """Shows nothing."""

    interval = 3600.0

    def show(self, counts: Counts, eta: Eta | None = None, spent: Spent | None = None) -> None: ...

    def close(self) -> None: ...


class Bar:
    """One line on a terminal, redrawn in place; the rate counts this process's rows only."""

    interval = 0.5

    def __init__(self) -> None:
        self._bar: tqdm[Never] | None = None

    def show(self, counts: Counts, eta: Eta | None = None, spent: Spent | None = None) -> None:
        if self._bar is None:
            # Where no bar is shown, nobody waits 15 ms for it.
            from tqdm import tqdm  # noqa: PLC0415

            self._bar = tqdm(
                file=SPEECH,
                initial=counts.finished,
                dynamic_ncols=True,
                bar_format="{percentage:3.0f}% {bar:10} {desc}",
            )
        self._bar.total = counts.total
        self._bar.n = counts.finished
        self._bar.set_description_str(_line(counts, eta, spent))

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class Plain:
    """A line a minute, for logs."""

    interval = 60.0

    def show(self, counts: Counts, eta: Eta | None = None, spent: Spent | None = None) -> None:
        say(_line(counts, eta, spent))

    def close(self) -> None: ...


class JsonLines:
    """A JSON object a line, for machines."""

    interval = 10.0

    def show(self, counts: Counts, eta: Eta | None = None, spent: Spent | None = None) -> None:
        line = asdict(counts) | {"finished": counts.finished, "note": _note(eta)}
        money = {} if spent is None else spent.to_json()
        say(codec.encode(line | as_json(eta, stamp) | money).decode())

    def close(self) -> None: ...


def _note(eta: Eta | None) -> str:
    return "" if eta is None else words(eta, local_day_and_time)


def _line(counts: Counts, eta: Eta | None, spent: Spent | None) -> str:
    total = "?" if counts.total is None else f"{counts.total:,}"
    parts = [f"{counts.finished:,}/{total} rows", f"{counts.running:,} running"]
    if counts.failed:
        parts.append(f"{counts.failed:,} failed")
    if counts.doubts:
        parts.append(f"{counts.doubts:,} in doubt")
    if spent is not None and counts.finished:
        parts.append(spent.words())
    if note := _note(eta):
        parts.append(note)
    return " · ".join(parts)
