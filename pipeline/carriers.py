"""Which carrier carries: the fast one where it is installed, else httpx."""

import os
from importlib.util import find_spec
from typing import Literal, get_args

from pipeline.carrier import Carrier
from pipeline.errors import BadSettings

Http = Literal["auto", "httpx", "pyreqwest"]
_PROXIES = [
    written
    for name in ("http_proxy", "https_proxy", "all_proxy")
    for written in (name, name.upper())
]
CHOICES: tuple[Http, ...] = get_args(Http)


def carrier(connections: int, http: Http = "auto", *, trust_environment: bool = True) -> Carrier:
    """A carrier of the kind asked for, with up to so many connections to a host.

    Proxies that the environment names are httpx's, unless the other one is asked for by name.

    Raises:
        BadSettings: it is not installed, or the environment's proxy or certificates can't be used.

    """
    is_there = find_spec("pyreqwest") is not None
    is_proxied = trust_environment and any(os.environ.get(name) for name in _PROXIES)
    # What is not used is not loaded: that is a good part of a start.
    if http == "pyreqwest" or (http == "auto" and is_there and not is_proxied):
        if not is_there:
            raise BadSettings(
                "--http pyreqwest: it is not installed.", "Install yagpt-batch[fast], or leave it."
            )
        from pipeline.pyreqwest_carrier import PyreqwestCarrier  # noqa: PLC0415

        return PyreqwestCarrier(trust_environment=trust_environment)
    from pipeline.httpx_carrier import HttpxCarrier  # noqa: PLC0415

    return HttpxCarrier(connections, trust_environment=trust_environment)
