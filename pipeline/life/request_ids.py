"""The ids by which the service's support finds a POST: each is known from its run, row and try.

They are UUIDs of version 5, as `uuid.uuid5` makes them with the run's own as the namespace
(RFC 9562, 5.5), for a fifth of its time.
"""

from hashlib import sha1
from uuid import UUID


class RequestIds:
    """The ids of one run's POSTs."""

    def __init__(self, run_id: UUID) -> None:
        self._begun = sha1(run_id.bytes, usedforsecurity=False)

    def of(self, line: int, submits: int) -> str:
        """The id of a row's POST, of which it is the so manieth."""
        digest = self._begun.copy()
        digest.update(b"%d/%d" % (line, submits))
        octets = bytearray(digest.digest()[:16])
        octets[6] = octets[6] & 0x0F | 0x50
        octets[8] = octets[8] & 0x3F | 0x80
        text = octets.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
