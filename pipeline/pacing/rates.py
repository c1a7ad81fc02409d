"""A limit on calls, as people write it and as they say it."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from pipeline.pacing.quota import UNLIMITED

Kind = Literal["submits", "polls"]
"""What has quotas of its own."""

NONE: Final = "none"
"""How users write that there is no limit."""
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST_WINDOW = 86400.0
_PERIODS = {1.0: "a second", 60.0: "a minute", 3600.0: "an hour", 86400.0: "a day"}
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
        if int(match[1]) > UNLIMITED:
            raise ValueError(f"{text!r} is not a rate: 999999 is the most; none lifts a limit")
        seconds = float(match[2] or 1) * _UNITS[match[3]]
        if seconds > LONGEST_WINDOW:
            raise ValueError(f"{text!r} is not a rate: a window is a day at most")
        return cls(int(match[1]), seconds)

    @property
    def words(self) -> str:
        """As people say it: ``5,000 an hour``."""
        period = _PERIODS.get(self.seconds, f"in {self.seconds:g} s")
        return f"{self.limit:,} {period}"

    def __str__(self) -> str:
        for unit, seconds in reversed(_UNITS.items()):
            if self.seconds % seconds == 0:
                count = int(self.seconds // seconds)
                return f"{self.limit}/{'' if count == 1 else count}{unit}"
        return f"{self.limit}/{self.seconds:g}s"
