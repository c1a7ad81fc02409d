"""Chance that can be repeated: every draw is a hash of the seed and of what is being drawn.

Nothing here keeps state, so a service restored from its records draws what it would have drawn.
"""

import math
from hashlib import blake2b

_BASE32 = "0123456789abcdefghijklmnopqrstuv"


def draw(seed: int, *names: object) -> bytes:
    """Return 32 bytes that only these arguments decide."""
    return blake2b("/".join(map(str, (seed, *names))).encode(), digest_size=32).digest()


def identifier(prefix: str, drawn: bytes) -> str:
    """Write an id as the cloud writes them: three letters and 17 of ``[0-9a-v]``."""
    return prefix + "".join(_BASE32[byte & 31] for byte in drawn[:17])


def uuid(drawn: bytes) -> str:
    """Write 16 bytes in the form of a random UUID (version 4)."""
    digits = drawn[:16].hex()
    variant = "89ab"[drawn[8] & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def happens(rate: float, drawn: bytes) -> bool:
    """Whether something of this probability comes to pass: never at 0, always at 1."""
    return _uniform(drawn[:7]) < rate


def lognormal(median: float, sigma: float, drawn: bytes) -> float:
    """Draw from the log-normal distribution (Box and Muller's transform gives the normal one)."""
    radius = math.sqrt(-2 * math.log(1 - _uniform(drawn[:7])))
    return median * math.exp(sigma * radius * math.cos(math.tau * _uniform(drawn[7:14])))


def _uniform(seven: bytes) -> float:
    # 53 bits, so that the result never rounds up to 1.
    return (int.from_bytes(seven) >> 3) / (1 << 53)
