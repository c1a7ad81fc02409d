"""What happens on the wire to a call: a reply that arrives, or whatever is done in its place.

Each carries what the service has accepted with it: that must be kept before anything leaves.
"""

from dataclasses import dataclass

from pipeline.emulator.api import Reply
from pipeline.emulator.model import Accepted


@dataclass(frozen=True, slots=True)
class Sent:
    """The reply arrives, whatever it says."""

    reply: Reply

    @property
    def accepted(self) -> Accepted | None:
        """What must be kept before it leaves; so with the others."""
        return self.reply.accepted


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset, without a byte of an answer."""

    accepted: Accepted | None


@dataclass(frozen=True, slots=True)
class Silence:
    """The connection stays open, and nothing is ever said."""

    accepted: Accepted | None


@dataclass(frozen=True, slots=True)
class Drip:
    """The reply arrives, its body a byte at a time."""

    reply: Reply

    @property
    def accepted(self) -> Accepted | None:
        return self.reply.accepted


@dataclass(frozen=True, slots=True)
class Cut:
    """The reply's head arrives whole; after `size` bytes of the body the connection closes."""

    reply: Reply
    size: int

    @property
    def accepted(self) -> Accepted | None:
        return self.reply.accepted


@dataclass(frozen=True, slots=True)
class Misstated:
    """The whole reply arrives, and its content-length says `length`, which is less."""

    reply: Reply
    length: int

    @property
    def accepted(self) -> Accepted | None:
        return self.reply.accepted


Delivery = Sent | Reset | Silence | Drip | Cut | Misstated
