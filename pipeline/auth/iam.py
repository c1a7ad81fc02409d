"""Credentials that another service hands out: Yandex Cloud's IAM, and the metadata of a machine.

Sources: `POST /iam/v1/tokens` and the authorized key's JWT as the IAM documentation describes them
(PS256 only, an hour at most); the metadata service as Compute Cloud's does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote, urlsplit

from pipeline.api.refusals import read_problem
from pipeline.auth.credentials import (
    ROLE,
    Credential,
    NoCredentialError,
    misplaced,
    scrubbed,
    without,
)
from pipeline.auth.renewal import Renews
from pipeline.auth.secret_file import content_of
from pipeline.auth.tokens import AuthorizedKey, BadToken, Token, audience, read_answer
from pipeline.codec import NotJson, decode, encode
from pipeline.network.carrier import (
    Carrier,
    NoAnswerError,
    NotSentError,
    Reply,
    UndecodableError,
)
from pipeline.network.carriers import carrier

_TIMEOUT = 30.0
_METADATA_TIMEOUT = 5.0
# Between clocks that agree, and what no clock shows.
_CLOCKS_APART, _NO_CLOCK = 60.0, 366 * 86400.0
_METADATA = "/computeMetadata/v1/instance"
_FLAVOR = {"metadata-flavor": "Google"}
# The metadata service of another cloud answers the same call with a token of its own.
_FOREIGN = "ya29."
_MAKE_A_KEY = "Make a new one with `yc iam key create --service-account-name NAME -o key.json`."
_SMALLEST_KEY = 2048
_LOOK_AT_ACCOUNT = f"Check that the service account exists and has the role {ROLE} on the folder."


@dataclass(frozen=True, slots=True)
class OAuth:
    """A user's OAuth token, exchanged for IAM tokens. `url` is IAM's."""

    name: str
    secret: str = field(repr=False)
    url: str
    advice: str = "Get a new OAuth token, and check that its account has access to the folder."
    renews: Renews = "always"

    async def fresh(self, carrier: Carrier, now: float) -> Credential:
        body = {"yandexPassportOauthToken": self.secret}
        advice = misplaced(self.secret, "YC_OAUTH_TOKEN") or self.advice
        token = await _exchanged(carrier, self.url, body, now, advice)
        return Credential("Bearer", token.secret, is_users=True, ends_at=token.ends_at)


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service account's authorized key in a file, which is read again each time."""

    name: str
    path: Path
    url: str
    advice: str = _LOOK_AT_ACCOUNT
    renews: Renews = "always"

    async def fresh(self, carrier: Carrier, now: float) -> Credential:
        try:
            token = await self._exchanged(carrier, now, now)
        except _RefusedError as error:
            if not error.clock_is_off:
                raise
            # IAM judges a JWT by its own clock; this machine's seems to be wrong.
            token = await self._exchanged(carrier, error.said_at or now, now)
        return Credential("Bearer", token.secret, ends_at=token.ends_at)

    async def _exchanged(self, carrier: Carrier, signed_at: float, now: float) -> Token:
        to = audience(urlsplit(self.url).hostname or "")
        assertion = _signed(self.key(), to, signed_at, self.path)
        return await _exchanged(carrier, self.url, {"jwt": assertion}, now, _MAKE_A_KEY)

    def key(self) -> AuthorizedKey:
        """The key as it is in the file now.

        Raises:
            NoCredentialError: the file can't be read, or holds none.

        """
        try:
            return AuthorizedKey.parse(content_of(self.path))
        except OSError as error:
            raise NoCredentialError(f"{self.path}: {error.strerror}", _MAKE_A_KEY) from error
        except BadToken as error:
            raise NoCredentialError(f"{self.path} {error}", _MAKE_A_KEY) from error

    async def folder(self, carrier: Carrier, now: float) -> str | None:
        """The account's folder: of the key, or of IAM, where the account may ask for it."""
        key = self.key()
        if key.folder_id is not None:
            return key.folder_id
        credential = await self.fresh(carrier, now)
        url = f"{self.url}/iam/v1/serviceAccounts/{quote(key.service_account_id, safe='')}"
        try:
            reply = await carrier.send("GET", url, credential.headers(None), b"", _TIMEOUT)
            said = decode(reply.body) if reply.status == 200 else None
        except (NotSentError, NoAnswerError, UndecodableError, NotJson):
            return None
        folder = said.get("folderId") if isinstance(said, dict) else None
        return folder if isinstance(folder, str) else None


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata service of the machine that this runs on; no proxy stands between."""

    url: str
    timeout: float = _METADATA_TIMEOUT
    name: str = "the metadata service"
    advice: str = f"Check that the machine's service account has the role {ROLE} on the folder."
    renews: Renews = "perhaps"

    async def fresh(self, _: Carrier, now: float) -> Credential:
        reply = await self._asked("/service-accounts/default/token")
        if reply.status != 200:
            why = f"{self.url} answers HTTP {reply.status}"
            advice = "Link a service account to the machine, or set YC_API_KEY."
            raise NoCredentialError(why, advice, may_pass=reply.status >= 500)
        try:
            token = read_answer(decode(reply.body), now)
        except (NotJson, BadToken) as error:
            raise NoCredentialError(f"{self.url} answers without a token") from error
        if token.secret.startswith(_FOREIGN):
            raise NoCredentialError(f"{self.url} is another cloud's")
        return Credential("Bearer", token.secret, ends_at=token.ends_at)

    async def folder(self, _carrier: Carrier, _now: float) -> str | None:
        """The folder that the machine is in."""
        reply = await self._asked("/vendor/folder-id")
        folder = reply.body.decode("ascii", "replace").strip()
        return folder if folder and reply.status == 200 else None

    async def _asked(self, path: str) -> Reply:
        straight = carrier(1, trust_environment=False)
        try:
            url = f"{self.url}{_METADATA}{path}"
            reply = await straight.send("GET", url, _FLAVOR, b"", self.timeout)
        except (NotSentError, NoAnswerError, UndecodableError) as error:
            raise NoCredentialError(f"{self.url}: {error}", may_pass=True) from error
        finally:
            await straight.close()
        return reply


class _RefusedError(NoCredentialError):
    """IAM said no, at `said_at` by its own clock, where it told; `now` by ours."""

    def __init__(
        self, why: str, advice: str, *, may_pass: bool, said_at: float | None, now: float
    ) -> None:
        self.said_at = said_at
        off = 0.0 if said_at is None else abs(said_at - now)
        self.clock_is_off = _CLOCKS_APART < off < _NO_CLOCK
        if self.clock_is_off:
            advice = f"This machine's clock is {off:,.0f} s wrong: set it."
        super().__init__(why, advice, may_pass=may_pass)


def _signed(key: AuthorizedKey, to: str, now: float, path: Path) -> str:
    # Most runs sign nothing, and these take their time to load.
    import jwt  # noqa: PLC0415
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_private_key,
    )

    try:
        private = load_pem_private_key(key.private_key.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Their words may hold what was meant to be the key.
        private = None
    if not isinstance(private, RSAPrivateKey) or private.key_size < _SMALLEST_KEY:
        why = f'{path}: "private_key" is no RSA key of {_SMALLEST_KEY} bits in PEM'
        raise NoCredentialError(why, "Use the file as `yc iam key create` wrote it.")
    return jwt.encode(dict(key.claims(to, now)), private, "PS256", headers={"kid": key.key_id})


async def _exchanged(
    carrier: Carrier, url: str, body: Mapping[str, str], now: float, advice: str
) -> Token:
    headers = {"content-type": "application/json"}
    try:
        reply = await carrier.send("POST", f"{url}/iam/v1/tokens", headers, encode(body), _TIMEOUT)
    except (NotSentError, NoAnswerError, UndecodableError) as error:
        why, check = f"{url} can't be reached: {error}", "Check the network, or YAGPT_IAM_URL."
        raise NoCredentialError(why, check, may_pass=True) from error
    said_at = _date(reply)
    if not 200 <= reply.status < 300:
        raise _refusal(reply, body, now, said_at, advice)
    try:
        # How long it lasts is told by IAM's clock alone, whatever ours says.
        token = read_answer(decode(reply.body), now if said_at is None else said_at)
    except (NotJson, BadToken) as error:
        raise NoCredentialError(f"{url} answers without a token", may_pass=True) from error
    if token.ends_at is None or said_at is None:
        return token
    return Token(token.secret, now + (token.ends_at - said_at))


def _refusal(
    reply: Reply, body: Mapping[str, str], now: float, said_at: float | None, advice: str
) -> _RefusedError:
    words = read_problem(reply.status, reply.headers, reply.body).message
    for secret in body.values():
        words = without(secret, words)
    may_pass = reply.status in {408, 429} or reply.status >= 500
    why = f"IAM says: {scrubbed(words)}"
    if may_pass:
        advice = "It may pass."
    elif reply.status == 404 or reply.status < 400:
        advice = "Check YAGPT_IAM_URL and --endpoint."
    return _RefusedError(why, advice, may_pass=may_pass, said_at=said_at, now=now)


def _date(reply: Reply) -> float | None:
    try:
        return parsedate_to_datetime(reply.headers.get("date", "")).timestamp()
    except (ValueError, OverflowError):
        return None
