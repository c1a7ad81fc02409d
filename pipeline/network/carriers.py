"""Which carrier carries: the fast one where it is installed, else httpx."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Literal, get_args

from pipeline.errors import BadSettings
from pipeline.network.carrier import Carrier, Reply
from pipeline.network.certificates import are_named

Http = Literal["auto", "httpx", "httptools"]
CHOICES: tuple[Http, ...] = get_args(Http)
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def carrier(connections: int, http: Http = "auto", *, trust_environment: bool = True) -> Carrier:
    """A carrier of the kind asked for, with up to so many connections to a host.

    Proxies that the environment names are httpx's.

    Raises:
        BadSettings: it can't be had, or the environment's proxy or certificates can't be used.

    """
    names = [written for name in _PROXIES for written in (name, name.upper())]
    is_proxied = trust_environment and any(os.environ.get(name) for name in names)
    is_there = find_spec("httptools") is not None
    if http == "httptools" and not is_there:
        advice = "Run pip install '.[fast]' in a copy of the repository, or leave the option out."
        raise BadSettings("--http httptools: it is not installed.", advice)
    if http == "httptools" and is_proxied:
        raise BadSettings(
            "--http httptools: the environment names a proxy, which only httpx goes through.",
            "Leave the option out, or take HTTP_PROXY, HTTPS_PROXY and ALL_PROXY away.",
        )
    is_fast = http == "httptools" or (http == "auto" and is_there and not is_proxied)
    make = partial(_fast if is_fast else _httpx, connections, trust_environment=trust_environment)
    # What may be wrong is to be told before anything is sent.
    has_settings = is_proxied or (trust_environment and are_named())
    return make() if has_settings else _OnDemand(make)


def _fast(_connections: int, *, trust_environment: bool) -> Carrier:
    from pipeline.network.httptools_carrier import HttptoolsCarrier  # noqa: PLC0415 - see `_OnDemand`

    return HttptoolsCarrier(trust_environment=trust_environment)


def _httpx(connections: int, *, trust_environment: bool) -> Carrier:
    from pipeline.network.httpx_carrier import HttpxCarrier  # noqa: PLC0415 - see `_OnDemand`

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
