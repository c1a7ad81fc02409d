"""How fast we may ask: sliding windows that hold at the service's clock, and the gate a 429 closes."""

import re
from dataclasses import dataclass

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_RATE = re.compile(r"(\d+)/(\d*)([smhd])")


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `limit` calls in any stretch of `seconds`."""

    limit: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """Read ``10/s``, ``5000/h`` or ``100/20s``.

        Raises:
            ValueError: not of that form, or zero.

        """
        match = _RATE.fullmatch(text.strip())
        if match is None or int(match[1]) == 0 or match[2].strip("0") == "" != match[2]:
            raise ValueError(f"{text!r} is not a rate: write 10/s, 5000/h or 100/20s")
        return cls(int(match[1]), float(match[2] or 1) * _UNITS[match[3]])

    def __str__(self) -> str:
        for unit, seconds in reversed(_UNITS.items()):
            if self.seconds % seconds == 0:
                count = int(self.seconds // seconds)
                return f"{self.limit}/{'' if count == 1 else count}{unit}"
        return f"{self.limit}/{self.seconds:g}s"
