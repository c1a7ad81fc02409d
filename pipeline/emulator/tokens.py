"""The emulator's tokens: a rule anyone can check by hand, close to the service's on ordinary text.

A token is up to eight letters or digits of one word, or one punctuation mark, or one line end;
spaces are free. On the documentation's own examples this errs by a few per cent. A conversation is
written out as the recorded one was: ten tokens frame the whole, four frame each message, so that
"ping" alone costs 15.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

_PIECE = re.compile(r"\w{1,8}|[^\w\s]|\n")

Turn = tuple[str, str]
"""A role and what it said."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token as the tokenizer shows it."""

    id: int
    text: str
    special: bool = False


_START = Token(1, "<s>", special=True)
_LINE = Token(3, "[NL]", special=True)
_COLON = Token(125851, ":")
_ASSISTANT = (Token(125904, "А"), Token(845, "сси"), Token(57590, "стент"), _COLON)
_EDITORS = (Token(502, "▁["), Token(32166, "EDIT"), Token(20386, "ORS"), Token(125895, "]"))
_END = Token(4, "[SEP]", special=True)
_ROLES = {"user": Token(16861, "▁Пользователь"), "system": Token(9514, "▁Система")}
_OTHER_ROLE = Token(11787, "▁Ассистент")

_AROUND_ALL = 1 + len(_ASSISTANT) + len(_EDITORS) + 1
_AROUND_EACH = 4


def count(text: str) -> int:
    """Count the tokens of plain text."""
    return sum(1 for _ in _PIECE.finditer(text))


def count_conversation(turns: Iterable[Turn]) -> int:
    """Count what `conversation` would yield, without making it."""
    return _AROUND_ALL + sum(_AROUND_EACH + count(text) for _, text in turns)


def cut(text: str, limit: int) -> str:
    """Return the longest beginning of `text` that has at most `limit` tokens."""
    end = 0
    for number, piece in enumerate(_PIECE.finditer(text)):
        if number == limit:
            return text[:end]
        end = piece.end()
    return text


def tokenize(text: str) -> Iterator[Token]:
    """Yield the tokens of plain text; a word's first one is marked, as the service does it."""
    for piece in _PIECE.finditer(text):
        starts = piece.start() == 0 or text[piece.start() - 1].isspace()
        yield _token(("▁" if starts else "") + piece[0])


def conversation(turns: Iterable[Turn]) -> Iterator[Token]:
    """Yield the tokens that a whole request comes to."""
    yield _START
    for role, text in turns:
        yield _ROLES.get(role, _OTHER_ROLE)
        yield _COLON
        yield from tokenize(text)
        yield _LINE
        yield _LINE
    yield from _ASSISTANT
    yield from _EDITORS
    yield _END


def _token(text: str) -> Token:
    # 129,000 is about the size of the service's vocabulary, as far as recorded ids show.
    drawn = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return Token(5 + int.from_bytes(drawn) % 129_000, text)
