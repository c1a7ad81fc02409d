"""JSON read as the service's gateway reads it into protocol buffer messages.

Unknown names are refused, null counts as absent, absent means the default, 64-bit integers come
as strings or numbers. Everything wrong here is `Malformed`; which values are allowed is not known
here.
"""

import re
from collections.abc import Iterator

from pipeline.codec import Json
from pipeline.emulator.refusals import Malformed

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_INT64 = range(-(1 << 63), 1 << 63)


class Fields:
    """The fields of one JSON object; `where` is its path, for messages."""

    def __init__(self, value: Json, known: str, where: str = "") -> None:
        if not isinstance(value, dict):
            raise Malformed(f"{where or 'body'}: expected an object")
        names = known.split()
        for name in value:
            if name not in names:
                raise Malformed(f'unknown field "{name}"' + (f" in {where}" if where else ""))
        self._values = {name: item for name, item in value.items() if item is not None}
        self._where = where

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str:
        """Return a string; absent is empty."""
        value = self._values.get(name, "")
        if not isinstance(value, str):
            raise self._wrong(name)
        return value

    def flag(self, name: str) -> bool:
        """Return a boolean; absent is false."""
        value = self._values.get(name, False)
        if not isinstance(value, bool):
            raise self._wrong(name)
        return value

    def number(self, name: str) -> float | None:
        """Return a number, which must not come as a string."""
        value = self._values.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | None):
            raise self._wrong(name)
        return value

    def integer(self, name: str) -> int | None:
        """Return a 64-bit integer, which may come as a string."""
        value = self._values.get(name)
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            value = int(value)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value not in _INT64:
            raise self._wrong(name)
        return value

    def choice(self, name: str, options: tuple[str, ...]) -> str:
        """Return one of `options`, the first of which is the default."""
        value = self._values.get(name, options[0])
        if not isinstance(value, str) or value not in options:
            raise self._wrong(name)
        return value

    def struct(self, name: str) -> dict[str, Json]:
        """Return an object whose fields are free; absent is empty."""
        value = self._values.get(name, {})
        if not isinstance(value, dict):
            raise self._wrong(name)
        return value

    def message(self, name: str, known: str) -> "Fields":
        """Return a nested message; absent has no fields."""
        return Fields(self._values.get(name, {}), known, self._path(name))

    def messages(self, name: str, known: str) -> Iterator["Fields"]:
        """Yield the messages of a repeated field."""
        values = self._values.get(name, [])
        if not isinstance(values, list):
            raise self._wrong(name)
        for index, value in enumerate(values):
            yield Fields(value, known, f"{self._path(name)}[{index}]")

    def one_of(self, *names: str) -> str | None:
        """Return the only one of `names` that is present."""
        present = [name for name in names if name in self]
        if len(present) > 1:
            raise Malformed(f"{self._path(present[1])}: {present[0]} is already set")
        return present[0] if present else None

    def _path(self, name: str) -> str:
        return f"{self._where}.{name}" if self._where else name

    def _wrong(self, name: str) -> Malformed:
        return Malformed(f"invalid value for field {self._path(name)}")
