"""The IAM tokens that the service has given out, and until when any token is good.

A token that was issued here lives from then on. One that is only accepted, being listed or because
any will do, was issued nobody knows when: its life begins with its first use. `revoke_all` ends
the lives of all that the service has met by then. All of it is this process's own: a service that
is made again from its records knows no token of its former life.
"""

import math
from base64 import urlsafe_b64encode
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from pipeline.emulator import chance

Kind = Literal["jwt", "oauth", "metadata"]

# What IAM's documentation gives as the most.
_LONGEST = 12 * 3600.0


@dataclass(frozen=True, slots=True)
class IamToken:
    """One token, and whom it was given to; times are in unix seconds.

    Attributes:
        account: the service account's id, or one made up for a user.
        origin: what it was given for: the authorized key's id, the OAuth token, or "metadata".

    """

    text: str = field(repr=False)
    kind: Kind
    account: str
    origin: str = field(repr=False)
    issued: float
    ends: float


class Issued:
    """All tokens of one service; `life` is in seconds, and can be infinite.

    Attributes:
        times: when each token was issued.
        refused: how many exchanges were refused, by HTTP status.

    """

    def __init__(self, life: float, seed: int) -> None:
        self._life = life
        self._seed = seed
        self._tokens: dict[str, IamToken] = {}
        self._latest: dict[Kind, IamToken] = {}
        self._first_uses: dict[str, float] = {}
        self._revoked: set[str] = set()
        self.times: dict[Kind, list[float]] = {}
        self.refused: Counter[int] = Counter()

    def issue(self, kind: Kind, account: str, origin: str, now: float) -> IamToken:
        """Give out a new token; older ones stay good until their own end."""
        ends = now + (_LONGEST if math.isinf(self._life) else self._life)
        token = IamToken(self._new_text(now), kind, account, origin, now, ends)
        self._tokens[token.text] = self._latest[kind] = token
        self.times.setdefault(kind, []).append(now)
        return token

    def get(self, text: str) -> IamToken | None:
        """The token of this text, dead or alive, if it was issued here."""
        return self._tokens.get(text)

    def lasting(self, kind: Kind, now: float) -> IamToken | None:
        """The latest token of a kind, while more than a tenth of its life is left."""
        token = self._latest.get(kind)
        if token is None or token.text in self._revoked:
            return None
        return token if now < token.ends - (token.ends - token.issued) / 10 else None

    def has_died(self, text: str, now: float) -> bool:
        """Whether a token's life is over; the first call that asks may begin it."""
        if text in self._revoked:
            return True
        if text in self._tokens:
            return now >= self._tokens[text].ends
        return now >= self._first_uses.setdefault(text, now) + self._life

    def revoke_all(self) -> None:
        """End the lives of all tokens issued or used so far."""
        self._revoked |= self._tokens.keys() | self._first_uses.keys()

    def _new_text(self, now: float) -> str:
        """A token of the documented form: ``t1.``, what it says, a dot, and 64 signed bytes."""
        # The time takes part so that a service made again does not repeat itself.
        names = ("token", len(self._tokens), now)
        says, *signature = (chance.draw(self._seed, *names, n) for n in range(3))
        return f"t1.{_base64(says)}.{_base64(b''.join(signature))}"


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
