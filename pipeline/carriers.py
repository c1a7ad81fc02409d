"""Which carrier carries: the fast one where it is installed, else httpx."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Literal, get_args

from pipeline.carrier import Carrier, Reply
from pipeline.errors import BadSettings

Http = Literal["auto", "httpx", "pyreqwest"]
CHOICES: tuple[Http, ...] = get_args(Http)
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def carrier(connections: int, http: Http = "auto", *, trust_environment: bool = True) -> Carrier:
    """A carrier of the kind asked for, with up to so many connections to a host.

    Proxies that the environment names are httpx's, unless the other one is asked for by name.

    Raises:
        BadSettings: it is not installed, or the environment's proxy or certificates can't be used.

    """
    is_there = find_spec("pyreqwest") is not None
    if http == "pyreqwest" and not is_there:
        advice = "Run pip install '.[fast]' in a copy of the repository, or leave the option out."
        raise BadSettings("--http pyreqwest: it is not installed.", advice)
    names = [written for name in _PROXIES for written in (name, name.upper())]
    is_proxied = trust_environment and _is_set(*names)
    is_fast = http == "pyreqwest" or (http == "auto" and is_there and not is_proxied)
    make = partial(_fast if is_fast else _httpx, connections, trust_environment=trust_environment)
    # What may be wrong is to be told before anything is sent.
    has_settings = is_proxied or (trust_environment and _is_set(*_CERTIFICATES))
    return make() if has_settings else _OnDemand(make)


def _is_set(*names: str) -> bool:
    return any(os.environ.get(name) for name in names)


def _fast(_connections: int, *, trust_environment: bool) -> Carrier:
    from pipeline.pyreqwest_carrier import PyreqwestCarrier  # noqa: PLC0415 - see `_OnDemand`

    return PyreqwestCarrier(trust_environment=trust_environment)


def _httpx(connections: int, *, trust_environment: bool) -> Carrier:
    from pipeline.httpx_carrier import HttpxCarrier  # noqa: PLC0415 - see `_OnDemand`

    return HttpxCarrier(connections, trust_environment=trust_environment)


class _OnDemand:
    """A carrier that is loaded and made for its first call: a good part of a start.

    Most credentials are found without one, and a run that is finished makes no call.
    """

    def __init__(self, make: Callable[[], Carrier]) -> None:
        self._make = make
        self._made: Carrier | None = None

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Reply:
        if self._made is None:
            self._made = self._make()
        return await self._made.send(method, url, headers, body, timeout)

    async def close(self) -> None:
        if self._made is not None:
            await self._made.close()
