"""Which hosts are trusted to be who they say: by the certificates that the environment names.

Where it names none these are Mozilla's (certifi), for every carrier alike.
"""

import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl


def trusted(*, trust_environment: bool) -> "ssl.SSLContext":
    """What connections are made with; reading the certificates takes 10 ms or more.

    Raises:
        OSError: the file or folder that the environment names is not there, or holds none.

    """
    # Commands that call nobody need not wait for it.
    import ssl  # noqa: PLC0415

    file, folder = (os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    if trust_environment and file:
        return ssl.create_default_context(cafile=file)
    if trust_environment and folder:
        # OpenSSL looks into it at the first handshake, and takes one that is not there for empty.
        if not any(map(os.path.isdir, folder.split(os.pathsep))):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)
        return ssl.create_default_context(capath=folder)
    import certifi  # noqa: PLC0415 - as above

    return ssl.create_default_context(cafile=certifi.where())


def are_named() -> bool:
    return any(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
