"""Who is let in: the Authorization header against the credentials that the service knows."""

import re
from collections.abc import Mapping

from pipeline.emulator.model import Config, Service
from pipeline.emulator.refusals import Forbidden, Invalid, Unauthenticated
from pipeline.emulator.uris import foreign_folder

_FORM = re.compile(r"(Api-Key|Bearer) (\S+)")
# How the service's own credentials begin: enough to notice one sent in the other's place.
_MISPLACED = {"Api-Key": "t1.", "Bearer": "AQVN"}


def check_access(service: Service, headers: Mapping[str, str], now: float) -> None:
    """Raise `Unauthenticated` or `Forbidden`, or `Invalid` for a foreign ``x-folder-id``."""
    config = service.config
    match = _FORM.fullmatch(headers.get("authorization", ""))
    if match is None:
        raise Unauthenticated("Token is invalid or has expired.")
    scheme, credential = match.groups()
    if credential in config.forbidden:
        raise Forbidden(f"Permission to [resource-manager.folder {config.folder}] denied")
    if not _known(config, scheme, credential):
        # The service repeats the key in its answer, and clients must not pass that on.
        unknown = f"Unknown api key '{credential}'"
        raise Unauthenticated(
            unknown if scheme == "Api-Key" else "Token is invalid or has expired."
        )
    if scheme == "Bearer" and service.has_died(credential, now):
        raise Unauthenticated("Token is invalid or has expired.")
    folder = headers.get("x-folder-id", config.folder)
    if folder != config.folder:
        raise Invalid(foreign_folder(folder, config.folder))


def _known(config: Config, scheme: str, credential: str) -> bool:
    if not config.api_keys and not config.iam_tokens:
        return not credential.startswith(_MISPLACED[scheme])
    return credential in (config.api_keys if scheme == "Api-Key" else config.iam_tokens)
