"""Who is let in: the Authorization header against the credentials that the service knows."""

import re
from collections.abc import Mapping

from pipeline.emulator.issued import IamToken
from pipeline.emulator.model import Config, Service
from pipeline.emulator.refusals import Forbidden, Invalid, Unauthenticated
from pipeline.emulator.uris import foreign_folder

_FORM = re.compile(r"(Api-Key|Bearer) (\S+)")
# How the service's own credentials begin: enough to notice one sent in the other's place.
_MISPLACED = {"Api-Key": ("t1.",), "Bearer": ("AQVN", "y0_", "y1_", "y2_", "y3_")}
_NO_TOKEN = "Token is invalid or has expired."  # noqa: S105 - it is what is said of one


def check_access(service: Service, headers: Mapping[str, str], now: float) -> None:
    """Raise `Unauthenticated` or `Forbidden`, or `Invalid` for a foreign ``x-folder-id``."""
    config = service.config
    scheme, credential = _given(headers)
    if scheme == "Api-Key":
        _check_key(config, credential)
        names = {credential}
    else:
        token = _checked_token(service, credential, now)
        names = {credential} if token is None else {credential, token.origin}
    if names & config.forbidden:
        raise Forbidden(f"Permission to [resource-manager.folder {config.folder}] denied")
    folder = headers.get("x-folder-id", config.folder)
    if folder != config.folder:
        raise Invalid(foreign_folder(folder, config.folder))


def issued_token(service: Service, headers: Mapping[str, str], now: float) -> IamToken | None:
    """The good token that a call comes with, None for one that is listed; IAM takes no API keys.

    Raises:
        Unauthenticated: there is none.

    """
    scheme, credential = _given(headers)
    if scheme != "Bearer":
        raise Unauthenticated(_NO_TOKEN)
    return _checked_token(service, credential, now)


def _given(headers: Mapping[str, str]) -> tuple[str, str]:
    match = _FORM.fullmatch(headers.get("authorization", ""))
    if match is None:
        raise Unauthenticated(_NO_TOKEN)
    scheme, credential = match.groups()
    return scheme, credential


def _check_key(config: Config, key: str) -> None:
    if key in config.expired:
        raise Unauthenticated("The apikey has expired")
    if not _known(config, "Api-Key", key):
        # The service repeats the key in its answer, and clients must not pass that on.
        raise Unauthenticated(f"Unknown api key '{key}'")


def _checked_token(service: Service, text: str, now: float) -> IamToken | None:
    token = service.issued.get(text)
    if token is None and not _known(service.config, "Bearer", text):
        raise Unauthenticated(_NO_TOKEN)
    if service.issued.has_died(text, now):
        raise Unauthenticated(_NO_TOKEN)
    return token


def _known(config: Config, scheme: str, credential: str) -> bool:
    if config.takes_any:
        return not credential.startswith(_MISPLACED[scheme])
    listed = config.api_keys if scheme == "Api-Key" else config.iam_tokens
    return credential in listed | config.forbidden
