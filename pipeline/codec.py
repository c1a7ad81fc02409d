r"""JSON text to Python values and back, without losing a character.

msgspec does the work. The one thing that it refuses and that services and users do send is a lone
surrogate (``"\ud83d"``): UTF-8 can't hold it, JSON escapes can. Such text takes the standard
library's way, so that what was escaped stays escaped.
"""

import json
import math
import re
from typing import NoReturn

import msgspec

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

_AT_BYTE = re.compile(r"\(byte (\d+)\)$")

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


class NotJson(ValueError):
    """The bytes are not one JSON value in UTF-8; the message says why in a few words."""


class TooDeep(NotJson):
    """JSON that is nested too deeply to be read."""


def decode(data: bytes) -> Json:
    """Read one JSON value.

    Raises:
        NotJson: not UTF-8, not JSON, a number that no float can hold, or nested too deeply.

    """
    try:
        value: Json = _decoder.decode(data)
    except UnicodeDecodeError:
        raise NotJson("not UTF-8") from None
    except RecursionError:
        raise TooDeep("nested too deeply to be read") from None
    except msgspec.DecodeError as error:
        if b"\\u" not in data:
            raise NotJson(f"not JSON ({_why(error)})") from None
        return _decode_surrogates(data)
    return value


def encode(value: object) -> bytes:
    """Write one JSON value as UTF-8 on one line, Cyrillic as Cyrillic."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        # What UTF-8 can't hold are lone surrogates only, and Python's own escape of one is JSON's.
        return text.encode("utf-8", "backslashreplace")


def is_utf8(text: str) -> bool:
    """Whether UTF-8 can hold it: a database, a URL and a terminal can't hold lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _why(error: msgspec.DecodeError) -> str:
    """What msgspec says, for people who never heard of it."""
    words = str(error).removeprefix("JSON is malformed: ")
    words = words.replace("Input data was truncated", "it ends too early")
    return _AT_BYTE.sub(r"at byte \1", words)


def _decode_surrogates(data: bytes) -> Json:
    try:
        text = data.decode()
        value: Json = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except UnicodeDecodeError:
        raise NotJson("not UTF-8") from None
    except RecursionError:
        raise TooDeep("nested too deeply to be read") from None
    except ValueError as error:
        raise NotJson(f"not JSON ({error})") from None
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("number out of range")
    return number
