"""What a pace learned beyond what was configured, as a note for the next process. Pure."""

from collections.abc import Collection
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from pipeline import codec
from pipeline.codec import Json
from pipeline.pacing.quota import UNLIMITED
from pipeline.pacing.rates import LONGEST_WINDOW, Rate

_Seconds = Annotated[float, Meta(gt=0, le=LONGEST_WINDOW)]
_Number = Annotated[int, Meta(gt=0, le=UNLIMITED)]
_Entry = TypeVar("_Entry")


class KnownQuota(Struct, frozen=True):
    """How many calls a window may hold; `configured`: what the user said then, if anything."""

    seconds: _Seconds
    known: _Number
    configured: int | None = None

    def is_of(self, rates: Collection[str]) -> bool:
        """Whether it still tells anything where the user asks for these rates."""
        return self.configured is None or str(Rate(self.configured, self.seconds)) in rates


class Shared(Struct, frozen=True):
    """A long window that somebody else uses too, for all that is known up to then."""

    seconds: _Seconds
    until: float


class Learned(Struct, frozen=True):
    """Quotas that are not as configured, and windows that are shared with strangers."""

    quotas: tuple[KnownQuota, ...] = ()
    shared: tuple[Shared, ...] = ()

    @property
    def text(self) -> str:
        return codec.encode(self).decode()

    @classmethod
    def parse(cls, noted: str | None) -> "Learned":
        """What a note says, but for what makes no sense."""
        try:
            state = codec.decode((noted or "{}").encode())
        except codec.NotJson:
            return cls()
        fields = state if isinstance(state, dict) else {}
        return cls(
            _sensible(fields.get("quotas"), KnownQuota), _sensible(fields.get("shared"), Shared)
        )


def _sensible(value: Json, kind: type[_Entry]) -> tuple[_Entry, ...]:
    entries = list[_Entry]()
    for one in value if isinstance(value, list) else ():
        try:
            entries.append(msgspec.convert(one, kind))
        except msgspec.ValidationError:
            continue
    return tuple(entries)
