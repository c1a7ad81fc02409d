"""Which operations are learned from, where more are heard of than learning needs.

What is known fades after some hundreds of operations, so thousands a second teach no more than a
hundred of them do, and learning from one takes as long as all else that is done for it.
"""

_MOST = 100.0
"""Operations a second."""
# Beside a share that halves or doubles, it neither halves nor doubles at once again.
_SLACK = 4.0
_LOOKED_EVERY = 1.0
# Knuth's multiplier: lines that come at regular distances fall on either side as if by chance.
_SCATTER, _WORD = 2654435761, 0xFFFFFFFF


class Sieve:
    """Lets an operation through each time or never, whatever is heard of it, while shares last."""

    def __init__(self) -> None:
        self._share = 1
        self._count = 0
        self._since = 0.0

    def passes(self, line: int, now: float) -> bool:
        """Whether to learn from what is heard of this row's operation."""
        self._count += 1
        if not 0.0 <= now - self._since < _LOOKED_EVERY:
            self._look(now)
        elif self._count > _MOST * self._share:
            self._share *= 2
        return (line * _SCATTER & _WORD) * self._share <= _WORD

    def _look(self, now: float) -> None:
        rate = self._count / max(now - self._since, _LOOKED_EVERY)
        self._count, self._since = 0, now
        while rate > _MOST * self._share:
            self._share *= 2
        while self._share > 1 and rate * _SLACK < _MOST * self._share:
            self._share //= 2
