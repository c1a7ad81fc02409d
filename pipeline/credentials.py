"""Where the credential comes from, and what to do when the service stops accepting it.

A source hands out a `Credential` and is asked for another when one was refused. Sources that can't
change under a running process say so by returning None.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pipeline.errors import NoPermission

ADVICE = (
    "Set YC_API_KEY to a service account's API key, or YC_IAM_TOKEN to the output of "
    "`yc iam create-token`; to try the program without an account, add --emulator."
)


# So many characters of a secret say whose it is.
_TELLING = 8


@dataclass(frozen=True, slots=True)
class Credential:
    """What authorizes a call; never shown. A user's own token needs the folder beside it."""

    scheme: str
    secret: str
    is_users: bool

    def __repr__(self) -> str:
        return f"Credential({self.scheme} ***)"

    def headers(self, folder: str | None) -> dict[str, str]:
        headers = {"authorization": f"{self.scheme} {self.secret}"}
        if self.is_users and folder is not None:
            headers["x-folder-id"] = folder
        return headers

    def redact(self, text: str) -> str:
        """The text without the secret, nor a long beginning of it where the text was cut."""
        if len(self.secret) < 2 * _TELLING:
            return text.replace(self.secret, "***")
        beginning = re.escape(self.secret[:_TELLING])
        return re.sub(beginning + r"""[^\s"']*""", "***", text)


class CredentialSource(Protocol):
    """Hands out credentials; `name` says where they come from."""

    @property
    def name(self) -> str: ...

    async def current(self) -> Credential: ...

    async def renewed(self, refused: Credential) -> Credential | None:
        """Another credential than the one that was refused, or None where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """A credential that was given at the start and can't change."""

    name: str
    credential: Credential

    async def current(self) -> Credential:
        return self.credential

    async def renewed(self, refused: Credential) -> Credential | None:  # noqa: ARG002 - fixed
        return None


_API_KEY = ("YC_API_KEY", "Api-Key", False)
_IAM_TOKEN = ("YC_IAM_TOKEN", "Bearer", True)


def find_credential(environment: Mapping[str, str]) -> CredentialSource:
    """The first source that the environment offers; a ``YAGPT_`` name beats its ``YC_`` one.

    Raises:
        NoPermission: there is none, or it can't be a header's value.

    """
    for name, scheme, is_users in (_API_KEY, _IAM_TOKEN):
        for variable in (name.replace("YC_", "YAGPT_", 1), name):
            secret = environment.get(variable, "").strip()
            if secret:
                return Fixed(variable, Credential(scheme, _checked(variable, secret), is_users))
    raise NoPermission("there is no credential.", ADVICE)


def _checked(variable: str, secret: str) -> str:
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise NoPermission(f"{variable} does not hold a credential: it has characters none has.")
    return secret
