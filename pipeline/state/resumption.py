"""The call that goes on with a run: noted by its process, told to whoever finds it ended. Pure."""

import shlex
from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from pipeline.codec import encode
from pipeline.errors import Exit
from pipeline.state.departure import Departure, Left
from pipeline.terminal.step import Step

CALL = "call"
"""The name of the note; checkpoints of earlier versions have none."""
# In commands for people, where the old value would lead to the same end: no option takes these.
_MORE, _LATER = "MORE", "LATER"
_LIMIT, _BUDGET, _FINISH_BY, _ON_FINISH = "--limit", "--budget", "--finish-by", "--on-finish"


class Resumption(Struct, frozen=True):
    """The call as it was, for scripts, and what to call, for people."""

    command: str
    step: Step


class Called(Struct, frozen=True):
    """The words of a call, and the folder that its paths are meant in."""

    words: Sequence[str]
    folder: str

    @property
    def text(self) -> str:
        """As the checkpoint notes it."""
        return encode(self).decode()

    def going_on(self, left: Left | None, here: str) -> Resumption | None:
        """What continues the run that was left so, for somebody in the folder `here`.

        None where it would not help: something is to be put right first, as the end has told.
        """
        match left:
            case Departure(exit=Exit.BAD_DATA | Exit.SETTINGS):
                return None
            case Departure(exit=Exit.BUDGET):
                step = with_more(self.words)
            case Departure(exit=Exit.DEADLINE):
                step = with_later(self.words)
            case _:
                step = Step("To continue", self.words)
        return Resumption(shlex.join(self.words), self._in_place(step, here))

    def unlimited(self, here: str) -> Step | None:
        """What sends the rows that --limit left out; None where the call has none."""
        step = unlimited(self.words)
        return None if step is None else self._in_place(step, here)

    def _in_place(self, step: Step, here: str) -> Step:
        if self.folder == here:
            return step
        return Step(f"{step.why}, in {self.folder}", step.words)


def with_more(words: Sequence[str]) -> Step:
    """For a run whose budget is reached."""
    return Step(f"To continue, with a larger {_BUDGET}", with_value(words, _BUDGET, _MORE))


def with_later(words: Sequence[str]) -> Step:
    """For a run whose time is over."""
    return Step(f"To continue, with a later {_FINISH_BY}", with_value(words, _FINISH_BY, _LATER))


def with_value(words: Sequence[str], option: str, value: str) -> list[str]:
    """A call of `yagpt-batch run` with another value of an option, wherever that came from."""
    changed = [
        value
        if before == option
        else f"{option}={value}"
        if word.startswith(f"{option}=")
        else word
        for before, word in pairwise(["", *words])
    ]
    return changed if changed != [*words] else [*words[:2], option, value, *words[2:]]


def unlimited(words: Sequence[str]) -> Step | None:
    """For a complete run of the first rows; None where the call itself has no limit."""
    left = _without(words, _LIMIT)
    return None if left == [*words] else Step("To send the other rows of the input, too", left)


def limited(rows: int) -> str:
    """What a limit did, as a sentence."""
    first = "row" if rows == 1 else f"{rows:,} rows"
    are = "This is" if rows == 1 else "These are"
    return f"{are} the first {first} of the input, as --limit said; without it the run goes on."


def shareable(words: Sequence[str]) -> list[str]:
    """The call without what is done at its end: that text may hold a secret, as addresses do."""
    return _without(words, _ON_FINISH)


def _without(words: Sequence[str], option: str) -> list[str]:
    """The words without an option and its value, in either way of writing them."""
    pairs = pairwise(["", *words])
    return [word for before, word in pairs if option not in (before, word.partition("=")[0])]
