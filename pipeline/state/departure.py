"""How a process left its run, as it notes that last of all in the checkpoint. Pure.

The note is empty while a process has the run. One that finds no time to say how it ended leaves
it so: it was told to stop twice, or killed, the machine stopped, or the disk took nothing more.
"""

from collections.abc import Callable

import msgspec
from msgspec import Struct

from pipeline.codec import Json, encode

DEPARTURE = "departure"
"""The name of the note; checkpoints of earlier versions have none."""
COMPLETE, SIGNAL, BUG = "complete", "signal", "unexpected"

_SIGNALS = {1: "HUP", 2: "Ctrl-C", 15: "TERM"}
_FIRST_SIGNAL = 128


class Departure(Struct, frozen=True):
    """When it ended, by what `end` (a word for scripts), and with which exit code.

    `why` is a sentence, or some, with what to do; None where nothing went wrong.
    """

    at: float
    end: str
    exit: int
    why: str | None = None

    @property
    def text(self) -> str:
        """As the checkpoint notes it."""
        return encode(self).decode()

    def sentence(self, local: Callable[[float], str]) -> str:
        """What to tell a person; `local` writes moments as they read them."""
        return f"Ended {local(self.at)} with exit code {self.exit}: {self._cause}"

    @property
    def _cause(self) -> str:
        match self.end:
            case "complete":
                return "every row has its line."
            case "signal":
                number = self.exit - _FIRST_SIGNAL
                return f"stopped by {_SIGNALS.get(number, f'signal {number}')}."
            case "unexpected":
                return "a bug; nothing on disk is lost."
            case _:
                return self.why or f"{self.end}."

    def to_json(self, utc: Callable[[float], str]) -> Json:
        return {"at": utc(self.at), "end": self.end, "exit": self.exit, "why": self.why}


class Vanished(Struct, frozen=True):
    """A process had the run, and does not have it any more, and has not said why."""

    def sentence(self, _: Callable[[float], str]) -> str:
        return (
            "Its last process did not say how it ended: it left at once at a second Ctrl-C, was "
            "killed, the machine stopped, or the disk failed."
        )

    def to_json(self, _: Callable[[float], str]) -> Json:
        return {"at": None, "end": "vanished", "exit": None, "why": None}


Left = Departure | Vanished


def noted(text: str | None) -> Left | None:
    """What the checkpoint notes of a run that nobody has; None of an earlier version's.

    Raises:
        ValueError: no run writes it.

    """
    if text is None:
        return None
    return msgspec.json.decode(text, type=Departure) if text else Vanished()
