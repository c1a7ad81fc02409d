"""A command that can be called next, and what for; `str()` is the sentence, on one line. Pure."""

import shlex
from collections.abc import Sequence

from msgspec import Struct


class Step(Struct, frozen=True):
    """The words of a command, unquoted, and the clause that stands before it."""

    why: str
    words: Sequence[str]

    @property
    def command(self) -> str:
        """As a shell takes it."""
        return shlex.join(self.words)

    def __str__(self) -> str:
        return f"{self.why}: {self.command}"


Sentence = str | Step
"""What people are told."""
