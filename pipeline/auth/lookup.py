"""Where the credential is looked for: the order of the official SDK, with four places more.

    YC_API_KEY → YC_IAM_TOKEN → YC_IAM_TOKEN_FILE → YC_TOKEN_COMMAND → YC_OAUTH_TOKEN →
    YC_SA_KEY_FILE → metadata service → YC_TOKEN → yc

A ``YAGPT_`` name beats its ``YC_`` one.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from msgspec import Struct

from pipeline.auth.credentials import (
    SCOPE,
    SOURCES,
    Credential,
    NoCredentialError,
    scrubbed,
)
from pipeline.auth.iam import Metadata, OAuth, ServiceAccount
from pipeline.auth.keeper import CredentialSource
from pipeline.auth.local_tokens import Fixed, TokenCommand, TokenFile, Yc
from pipeline.auth.secret_file import is_read_by_others
from pipeline.auth.tokens import BadToken, checked
from pipeline.clock import local_day_and_time
from pipeline.errors import NoPermission, Unreachable
from pipeline.network.carrier import Carrier
from pipeline.network.endpoints import Endpoints

_ADVICE = (
    "Set YC_API_KEY to a service account's API key, or see `yagpt-batch run --help` for the "
    "other ways"
)
TRIAL = "; to try the program without an account, add --emulator."
"""How the advice ends where a stand-in would do: not in a run that was begun with the service."""
_KEY_ADVICE = (
    "Check that it is a service account's whole API key, not expired, with the scope "
    f"{SCOPE} (`yc iam api-key create --service-account-name NAME` makes one)."
)
_TOKEN_ADVICE = "Get a new one with `yc iam create-token`."  # noqa: S105 - no token
# IAM tokens last no longer; where one ends can't be read off it.
_LONGEST_LIFE = 12 * 3600.0
# As the official SDK does: nobody is kept waiting where there is no such service.
_METADATA_TIMEOUT, _NAMED_METADATA_TIMEOUT = 0.1, 1.0
_FOLDER = re.compile(r"[\w.-]{1,64}", re.ASCII)


@runtime_checkable
class _InFolder(Protocol):
    """A source that can tell its account's folder."""

    async def folder(self, carrier: Carrier, now: float) -> str | None: ...


class NoSource(NoPermission):
    """There is no credential at all; `end` is how the advice ends."""

    def __init__(self, what: str, end: str = TRIAL) -> None:
        super().__init__(what, f"{_ADVICE}{end}")


class Places(Struct, frozen=True):
    """Where to look."""

    environment: Mapping[str, str]
    endpoints: Endpoints
    now: float

    def named(self, name: str) -> tuple[str, str] | None:
        """The variable that is set, and its value, for a name without ``YC_``."""
        for variable in (f"YAGPT_{name}", f"YC_{name}"):
            value = self.environment.get(variable, "").strip()
            if value:
                return variable, value
        return None


@dataclass(frozen=True, slots=True)
class Found:
    """A source, and what its user should know at the start."""

    source: CredentialSource
    remarks: tuple[str, ...] = ()


def _api_key(places: Places) -> Found | None:
    return _fixed(places, "API_KEY", "Api-Key", _KEY_ADVICE)


def _iam_token(places: Places) -> Found | None:
    return _passing(places, "IAM_TOKEN", is_users=True)


def _token(places: Places) -> Found | None:
    return _passing(places, "TOKEN", is_users=False)


def _passing(places: Places, name: str, *, is_users: bool) -> Found | None:
    found = _fixed(places, name, "Bearer", _TOKEN_ADVICE, is_users=is_users)
    if found is None:
        return None
    ends = local_day_and_time(places.now + _LONGEST_LIFE)
    remark = (
        f"The token of {found.source.name} can't be renewed and ends by {ends} at the latest: a "
        "run that takes longer stops then, and can be continued with a new one."
    )
    return replace(found, remarks=(remark,))


def _fixed(
    places: Places, name: str, scheme: str, advice: str, *, is_users: bool = False
) -> Found | None:
    given = places.named(name)
    if given is None:
        return None
    variable, secret = given
    try:
        credential = Credential(scheme, checked(secret), is_users)
    except BadToken as error:
        raise NoPermission(f"{variable} {error}.") from None
    return Found(Fixed(variable, credential, advice))


def _iam_token_file(places: Places) -> Found | None:
    given = places.named("IAM_TOKEN_FILE")
    if given is None:
        return None
    path = _path(*given)
    return Found(TokenFile(f"{given[0]} ({path})", path), _read_by_others(path))


def _token_command(places: Places) -> Found | None:
    given = places.named("TOKEN_COMMAND")
    if given is None:
        return None
    # A shell, so that it can be what would be typed.
    words = ["/bin/sh", "-c", given[1]]
    return Found(TokenCommand(f"the command of {given[0]}", words, places.environment))


def _oauth_token(places: Places) -> Found | None:
    given = places.named("OAUTH_TOKEN")
    if given is None:
        return None
    try:
        return Found(OAuth(given[0], checked(given[1]), places.endpoints.iam))
    except BadToken as error:
        raise NoPermission(f"{given[0]} {error}.") from None


def _sa_key_file(places: Places) -> Found | None:
    given = places.named("SA_KEY_FILE")
    if given is None:
        return None
    path = _path(*given)
    source = ServiceAccount(f"{given[0]} ({path})", path, places.endpoints.iam)
    return Found(source, _read_by_others(path))


def _metadata(places: Places) -> Found | None:
    return Found(Metadata(places.endpoints.metadata))


def _yc(places: Places) -> Found | None:
    source = Yc.found(places.environment)
    return None if source is None else Found(source)


_LOOKS: tuple[Callable[[Places], Found | None], ...] = (
    _api_key,
    _iam_token,
    _iam_token_file,
    _token_command,
    _oauth_token,
    _sa_key_file,
    _metadata,
    _token,
    _yc,
)
_BY_NAME = dict(zip(SOURCES, _LOOKS, strict=True))


async def find(places: Places, carrier: Carrier, name: str | None = None) -> Found:
    """The first source that there is, or the one of this name.

    Raises:
        NoPermission: there is none, or it can't be a credential.

    """
    if name is not None:
        found = _BY_NAME[name](places)
        if found is None:
            raise NoSource(f"there is no credential for --auth {name}.")
        return found
    for place, look in _BY_NAME.items():
        found = look(places)
        if found is not None and (place != "metadata" or await _answers(places, carrier)):
            return found
    raise NoSource("there is no credential.")


async def find_folder(found: Found, places: Places, carrier: Carrier) -> str | None:
    """The folder of the source's account, where that can be known.

    Raises:
        NoPermission: the source turned out to have no credential.
        Unreachable: nobody could be asked.

    """
    if not isinstance(found.source, _InFolder):
        return None
    try:
        folder = await found.source.folder(carrier, places.now)
    except NoCredentialError as error:
        if error.may_pass:
            advice = f"{error.advice} Or say which folder it is: --folder-id."
            raise Unreachable(f"{found.source.name}: {error}", advice) from error
        raise NoPermission(f"{found.source.name}: {error}", error.advice) from error
    is_one = folder is not None and _FOLDER.fullmatch(folder) and scrubbed(folder) == folder
    return folder if is_one else None


async def _answers(places: Places, carrier: Carrier) -> bool:
    is_named = places.endpoints.metadata != Endpoints().metadata
    timeout = _NAMED_METADATA_TIMEOUT if is_named else _METADATA_TIMEOUT
    try:
        await Metadata(places.endpoints.metadata, timeout).fresh(carrier, places.now)
    except NoCredentialError:
        return False
    return True


def _path(variable: str, value: str) -> Path:
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise NoPermission(f"{variable} {value!r} is no path: {error}") from None


def _read_by_others(path: Path) -> tuple[str, ...]:
    if not is_read_by_others(path):
        return ()
    return (f"{path} holds a secret that others on this machine can read: chmod 600 {path}",)
