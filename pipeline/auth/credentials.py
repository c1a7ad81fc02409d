"""What authorizes calls, and what any source of it offers.

A source hands out a `Credential` and is asked for another one before it ends, or when the service
refuses it. What the sources are is told in `lookup`, when they are asked in `renewal`.
"""

import re
from dataclasses import dataclass

# Where a credential is looked for, in this order; the variables are named so, with YC_ before.
SOURCES = (
    "api-key",
    "iam-token",
    "iam-token-file",
    "token-command",
    "oauth-token",
    "sa-key-file",
    "metadata",
    "token",
    "yc",
)
ROLE = "ai.languageModels.user"
SCOPE = "yc.ai.languageModels.execute"

# So many characters of a secret say whose it is.
_TELLING = 8
# How secrets of Yandex Cloud begin: IAM tokens, OAuth tokens, API keys, and signed JWTs.
_SECRET = re.compile(
    r"\b(?:t1\.[\w.=-]{16,}|y[0-3]_[\w-]{16,}|AQVN[\w-]{16,}|eyJ[\w-]+\.[\w-]+\.[\w-]+)"
)
_HIDDEN = "***"
# What plainly is something else than its variable is for, and the variable that it is for.
_LOOKS = {
    "YC_IAM_TOKEN": re.compile(r"t1\."),
    "YC_API_KEY": re.compile(r"AQVN"),
    "YC_OAUTH_TOKEN": re.compile(r"y[0-3]_"),
    "YC_SA_KEY_FILE": re.compile(r"[~.]?/|.*\.json$"),
}
_SCHEMES = {"Api-Key": "YC_API_KEY", "Bearer": "YC_IAM_TOKEN"}


class NoCredentialError(Exception):
    """A source has none to hand out. ``str()`` says why, in words that hold no secret.

    Attributes:
        advice: what the user can do.
        may_pass: it may have one soon, without anybody doing anything.

    """

    def __init__(self, why: str, advice: str = "", *, may_pass: bool = False) -> None:
        super().__init__(why)
        self.advice = advice
        self.may_pass = may_pass


@dataclass(frozen=True, slots=True)
class Credential:
    """What authorizes a call; never shown. A user's own token needs the folder beside it.

    `ends_at` is when it ends by our clock, in unix seconds; None where that is not known.
    """

    scheme: str
    secret: str
    is_users: bool = False
    ends_at: float | None = None

    def __repr__(self) -> str:
        return f"Credential({self.scheme} {_HIDDEN})"

    def headers(self, folder: str | None) -> dict[str, str]:
        headers = {"authorization": f"{self.scheme} {self.secret}"}
        if self.is_users and folder is not None:
            headers["x-folder-id"] = folder
        return headers

    def redact(self, text: str) -> str:
        """The text without this secret, whole or cut, nor any other that looks like one."""
        return scrubbed(without(self.secret, text))

    @property
    def misplaced(self) -> str:
        """Advice where it plainly is something else than what it was given as; else empty."""
        return misplaced(self.secret, _SCHEMES[self.scheme])


def misplaced(secret: str, variable: str) -> str:
    """Advice where what was given in a variable plainly belongs in another one; else empty."""
    if secret[:1] in "'\"":
        return "There are quotes around it: give it without."
    found = next((name for name, looks in _LOOKS.items() if looks.match(secret)), variable)
    return "" if found == variable else f"It looks like what belongs in {found}: set that instead."


def without(secret: str, text: str) -> str:
    """The text without the secret, nor a long part of it where the text was cut or broken."""
    if len(secret) < 2 * _TELLING:
        return text.replace(secret, _HIDDEN)
    beginning = re.escape(secret[:_TELLING])
    text = re.sub(beginning + r"""[^\s"']*""", _HIDDEN, text)
    parts = {secret[at : at + _TELLING] for at in range(len(secret) - _TELLING + 1)}
    found = [at for at in range(len(text) - _TELLING + 1) if text[at : at + _TELLING] in parts]
    hidden = {at + further for at in found for further in range(_TELLING)}
    shown = ("\0" if at in hidden else letter for at, letter in enumerate(text))
    return re.sub("\0+", _HIDDEN, "".join(shown)) if hidden else text


def scrubbed(text: str) -> str:
    """The text without anything that looks like a secret of Yandex Cloud."""
    return _SECRET.sub(_HIDDEN, text)
