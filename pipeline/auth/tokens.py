"""What sources of IAM tokens hold, print or answer, as tokens. Pure.

Shapes: a bare token (``yc iam create-token``), the same command's JSON (``iam_token``,
``expires_at``), IAM's answer (``iamToken``, ``expiresAt``), the metadata service's
(``access_token``, ``expires_in``).
"""

import re
from datetime import datetime

from msgspec import Struct

from pipeline.codec import Json, NotJson, decode

_OBJECT = re.compile(r"^\s*\{.*", re.DOTALL | re.MULTILINE)
# What RFC 6750 lets a bearer token have.
_LETTERS = re.compile(r"[A-Za-z0-9._~+/:=-]+", re.ASCII)
# An end out of these bounds is none: Go's zero time, or a calendar's last day.
_LONGEST_PAST, _LONGEST_LIFE = 86400.0, 7 * 86400.0
# IAM takes a JWT that lives an hour at most.
_JWT_LIFE = 3600
# A machine's clock may be a little ahead of the service's.
_JWT_BACKDATED = 60
_AUDIENCE = "https://iam.api.cloud.yandex.net/iam/v1/tokens"
# Other installations are audiences of their own.
_OTHER_INSTALLATIONS = (".yandexcloud.kz",)


class BadToken(ValueError):
    """What was read is no token, or no key."""


class EmptyToken(BadToken):
    """There is nothing yet: it may just be written."""


class Token(Struct, frozen=True):
    """An IAM token, and when it ends: in unix seconds by its source's clock, if it tells."""

    secret: str
    ends_at: float | None = None


def read_token(text: str, now: float) -> Token:
    """The token in a file or in what a command printed: JSON, or else the last line.

    Raises:
        BadToken: there is none; the message is a clause that follows what was read.

    """
    bare = text.strip()
    if not bare:
        raise EmptyToken("is empty")
    # A notice may stand above either.
    object_ = _OBJECT.search(bare)
    if object_ is None:
        return Token(_token(bare.splitlines()[-1].strip()))
    try:
        return read_answer(decode(object_[0].encode()), now)
    except (NotJson, UnicodeEncodeError):
        raise BadToken("is neither a token nor JSON with one") from None


def read_answer(said: Json, now: float) -> Token:
    """The token of a JSON answer; `now` is the answerer's.

    Raises:
        BadToken: as `read_token`.

    """
    if not isinstance(said, dict):
        raise BadToken("is JSON without iam_token")
    secret = next((v for k in ("iam_token", "iamToken", "access_token") if (v := said.get(k))), "")
    if not isinstance(secret, str) or not secret:
        raise BadToken("is JSON without iam_token")
    end = _end(said, now)
    is_likely = end is not None and now - _LONGEST_PAST <= end <= now + _LONGEST_LIFE
    return Token(_token(secret), end if is_likely else None)


def checked(secret: str) -> str:
    """The secret, if it can be a header's value.

    Raises:
        BadToken: as `read_token`.

    """
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise BadToken("does not hold a credential: it has characters none has")
    return secret


def _token(secret: str) -> str:
    if not _LETTERS.fullmatch(secret) or not any(map(str.isalnum, secret)):
        raise BadToken("does not hold a token: it has characters none has")
    return secret


def _end(said: dict[str, Json], now: float) -> float | None:
    told = said.get("expires_at") or said.get("expiresAt")
    if isinstance(told, str):
        try:
            moment = datetime.fromisoformat(told)
        except ValueError:
            return None
        try:
            return moment.timestamp() if moment.tzinfo is not None else None
        except OverflowError:
            return None
    seconds = said.get("expires_in")
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds >= 0:
        return now + seconds
    return None


class AuthorizedKey(Struct, frozen=True):
    """A service account's authorized key, as ``yc iam key create`` writes it."""

    key_id: str
    service_account_id: str
    private_key: str
    folder_id: str | None = None

    def __repr__(self) -> str:
        return f"AuthorizedKey({self.key_id})"

    @classmethod
    def parse(cls, text: bytes) -> "AuthorizedKey":
        """Read the key's JSON file.

        Raises:
            BadToken: it is none; the message is a clause that follows the file's name.

        """
        try:
            said = decode(text)
        except NotJson:
            said = None
        if not isinstance(said, dict):
            raise BadToken("is no JSON object")
        found: dict[str, str] = {}
        for name in ("id", "service_account_id", "private_key"):
            value = said.get(name)
            if not isinstance(value, str) or not value.strip():
                raise BadToken(f'has no "{name}"')
            found[name] = value
        folder = said.get("folder_id")
        return cls(
            found["id"],
            found["service_account_id"],
            # Newer files have a line of warning above the key itself.
            found["private_key"][max(found["private_key"].find("-----BEGIN"), 0) :],
            folder if isinstance(folder, str) and folder else None,
        )

    def claims(self, audience: str, now: float) -> dict[str, str | int]:
        """What a JWT says that asks IAM for a token."""
        issued_at = int(now) - _JWT_BACKDATED
        return {
            "iss": self.service_account_id,
            "aud": audience,
            "iat": issued_at,
            "exp": issued_at + _JWT_LIFE,
        }


def audience(host: str) -> str:
    """Whom a JWT for this IAM host is addressed to."""
    own = host.endswith(_OTHER_INSTALLATIONS)
    return f"https://{host}/iam/v1/tokens" if own else _AUDIENCE
