"""Which hosts are trusted to be who they say: by the certificates that the environment names.

Where it names none these are Mozilla's (certifi), for every carrier alike.
"""

import errno
import os
from typing import TYPE_CHECKING

from pipeline.network.carrier import NotSentError, bad_environment, described

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


class Certificates:
    """The same for one carrier: read once, and only where they are needed or the user's own."""

    def __init__(self, *, trust_environment: bool) -> None:
        """Read those that the environment names, if any.

        Raises:
            BadSettings: they can't be used.

        """
        self._trust_environment = trust_environment
        self._context: ssl.SSLContext | None = None
        if trust_environment and are_named():
            try:
                self._context = trusted(trust_environment=True)
            except OSError as error:
                raise bad_environment(error) from error

    def context(self) -> "ssl.SSLContext":
        """What a connection is made with.

        Raises:
            NotSentError: they can't be read.

        """
        if self._context is None:
            try:
                self._context = trusted(trust_environment=self._trust_environment)
            except OSError as error:
                raise NotSentError(described(error)) from error
        return self._context


def are_named() -> bool:
    return any(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
