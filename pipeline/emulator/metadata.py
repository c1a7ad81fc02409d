"""The metadata service of a virtual machine: its account's tokens, and its folder.

Paths, the header and the token's JSON are documented; the words of refusals are not. It is an
assumption too that a token is handed out again until a tenth of its life is left, and that one
which was revoked is not.
"""

from collections.abc import Mapping

from pipeline.emulator.issued import IamToken
from pipeline.emulator.model import Service
from pipeline.emulator.refusals import Forbidden, NotFound

ROOT = "/computeMetadata/"
TOKEN = f"{ROOT}v1/instance/service-accounts/default/token"
FOLDER = f"{ROOT}v1/instance/vendor/folder-id"
FLAVOR = ("metadata-flavor", "Google")


def read(service: Service, path: str, headers: Mapping[str, str], now: float) -> IamToken | str:
    """Look a path up: a token, or a text; or raise `NotFound` or `Forbidden`."""
    if not service.config.metadata or path not in (TOKEN, FOLDER):
        raise NotFound("Not Found")
    name, value = FLAVOR
    if headers.get(name) != value:
        raise Forbidden("Missing Metadata-Flavor:Google header.")
    return _token(service, now) if path == TOKEN else service.config.folder


def _token(service: Service, now: float) -> IamToken:
    lasting = service.issued.lasting("metadata", now)
    return lasting or service.issued.issue("metadata", service.created_by, "metadata", now)
