"""Authorized keys of service accounts, and the JWTs that are signed with them.

A JWT is taken as IAM's documentation describes it: PS256 and nothing else, the salt as long as the
hash, the token service as audience, the key's account as issuer, at most an hour from ``iat`` to
``exp``. Times are judged by the service's clock, which the caller hands in. Where public sources
say nothing it is decided strictly, and these are assumptions: the texts of the refusals, ``aud``
as one string, a minute for clocks that disagree about ``iat``, none about ``exp``.
"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.codec import Json, NotJson, decode
from pipeline.emulator.refusals import Invalid, Unauthenticated

AUDIENCE = "https://iam.api.cloud.yandex.net/iam/v1/tokens"

_LIFE = 3600
_LEEWAY = 60
_BEGINS = "-----BEGIN PUBLIC KEY-----"
_PART = re.compile(r"[A-Za-z0-9_-]+")
# Larger numbers are no moments, and floats can't tell them apart.
_LATEST = 1 << 53


class NoKeyError(ValueError):
    """It is no authorized key; the message says in a few words why."""


@dataclass(frozen=True, slots=True)
class AuthorizedKey:
    """The half of an authorized key that the service keeps; `public_key` is in PEM."""

    id: str
    service_account_id: str
    public_key: str

    @classmethod
    def parse(cls, data: bytes) -> "AuthorizedKey":
        """Read the JSON that ``yc iam key create`` writes; of the private half nothing is kept.

        Raises:
            NoKeyError: it is something else.

        """
        try:
            fields = decode(data)
        except NotJson as error:
            raise NoKeyError(f"it is {error}") from None
        if not isinstance(fields, dict):
            raise NoKeyError("it holds no JSON object")
        key = cls(*(_text(fields, name) for name in ("id", "service_account_id", "public_key")))
        if not key.public_key.strip().startswith(_BEGINS):
            raise NoKeyError("its public_key is no public key in PEM")
        key.verifies(b"", b"")
        return key

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        """Whether the private half made this signature, by PS256.

        Raises:
            NoKeyError: the public half can't be read.

        """
        # Most emulators never verify anything, and cryptography takes its time to load.
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
            load_pem_public_key,
        )
        from jwt.algorithms import RSAPSSAlgorithm  # noqa: PLC0415

        try:
            public = load_pem_public_key(self.public_key.encode())
        except ValueError:
            raise NoKeyError("its public_key can't be read") from None
        if not isinstance(public, RSAPublicKey):
            raise NoKeyError("its public_key is not RSA's")
        return RSAPSSAlgorithm(RSAPSSAlgorithm.SHA256).verify(signed, public, signature)


def signer(jwt: str, keys: Iterable[AuthorizedKey], now: float) -> AuthorizedKey:
    """Say which of `keys` signed a JWT that is good at `now`, by the service's clock.

    Raises:
        Invalid: it is no JWT.
        Unauthenticated: it is one, and no good.

    """
    head, body, signature = _parts(jwt)
    header, claims = _object(head), _object(body)
    if header.get("alg") != "PS256":
        raise Unauthenticated("JWT algorithm must be PS256")
    if not header.get("kid"):
        raise Unauthenticated("JWT header has no kid")
    key = next((key for key in keys if key.id == header["kid"]), None)
    if key is None:
        raise Unauthenticated("JWT key ID is unknown")
    if not key.verifies(f"{head}.{body}".encode(), _bytes(signature)):
        raise Unauthenticated("JWT signature is invalid")
    _check(claims, key, now)
    return key


def _check(claims: dict[str, Json], key: AuthorizedKey, now: float) -> None:
    if claims.get("aud") != AUDIENCE:
        raise Unauthenticated(f"JWT audience must be {AUDIENCE}")
    if claims.get("iss") != key.service_account_id:
        raise Unauthenticated("JWT issuer is not the service account of its key")
    issued, expires = _moment(claims, "iat"), _moment(claims, "exp")
    if expires - issued > _LIFE:
        raise Unauthenticated(f"JWT lifetime must be at most {_LIFE} seconds")
    if expires <= now:
        raise Unauthenticated("JWT has expired")
    if issued > now + _LEEWAY:
        raise Unauthenticated("JWT is issued in the future")


def _moment(claims: dict[str, Json], name: str) -> float:
    value = claims.get(name)
    if value is None:
        raise Unauthenticated(f"JWT has no {name}")
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LATEST:
        raise Invalid(f"JWT has {name} that is no time in seconds")
    return value


def _parts(jwt: str) -> tuple[str, str, str]:
    # An unsigned token ends in a dot, and is one of the wrong algorithm.
    match jwt.split("."):
        case [head, body, signature] if _PART.fullmatch(head + body + (signature or head)):
            return head, body, signature
        case _:
            raise Invalid("JWT is malformed")


def _object(part: str) -> dict[str, Json]:
    try:
        value = decode(_bytes(part))
    except NotJson:
        value = None
    if not isinstance(value, dict):
        raise Invalid("JWT is malformed")
    return value


def _bytes(part: str) -> bytes:
    try:
        return urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise Invalid("JWT is malformed") from None


def _text(fields: dict[str, Json], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise NoKeyError(f"it has no {name}")
    return value
