"""Which rows ask the same, and what becomes of those that wait for another's answer. Pure.

Only at temperature 0 does the same request stand for the same answer, and only a row or a command
that says so has it: without a temperature the service takes its own, which is another.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from msgspec import Struct

from pipeline.codec import decode, encode

_DIGEST_SIZE = 32
_SHORT = 16


def digest_of(body: bytes) -> bytes | None:
    """What a request asks, in 32 bytes; None where the same request may have another answer.

    It is the body as it is sent, but for how the 0 is written. The order of keys is part of it: in
    a schema it may matter.
    """
    request = decode(body)
    options = request.get("completionOptions") if isinstance(request, dict) else None
    if not isinstance(request, dict) or not isinstance(options, dict):
        return None
    temperature = options.get("temperature")
    if isinstance(temperature, bool) or temperature != 0:
        return None
    same = {**request, "completionOptions": {**options, "temperature": 0}}
    return blake2b(encode(same), digest_size=_DIGEST_SIZE).digest()


@dataclass(slots=True)
class Requests:
    """What rows asked so far, in 16 bytes each: these are counted, and nothing is decided by them.

    `same` rows asked what another had.
    """

    same: int = 0
    _asked: set[bytes] = field(default_factory=set)

    @property
    def is_without(self) -> bool:
        """Whether no row is such that another's answer could stand for its own."""
        return not self._asked

    def meet(self, body: bytes) -> bool:
        """Whether a request is the first that asks this."""
        digest = digest_of(body)
        if digest is None:
            return True
        short = digest[:_SHORT]
        if short in self._asked:
            self.same += 1
            return False
        self._asked.add(short)
        return True


class Group(Struct, frozen=True):
    """Rows that ask the same: which one is sent, how it ended, and the first of those that wait.

    `outcome` is None while it has no line; without a `sender` there is none yet.
    """

    number: int
    sender: int | None
    outcome: str | None
    twins: Sequence[int]


class Answer(Struct, frozen=True):
    """The twins have the sender's answer."""

    sender: int
    twins: Sequence[int]


class Choose(Struct, frozen=True):
    """One twin is sent, and the others wait for it."""

    twin: int


def due(group: Group) -> Answer | Choose | None:
    """What is to be done now for the twins of a group; None while they wait, or there is none."""
    if not group.twins or (group.sender is not None and group.outcome is None):
        return None
    if group.sender is not None and group.outcome == "ok":
        return Answer(group.sender, group.twins)
    # A row fails by its own sending only.
    return Choose(group.twins[0])
