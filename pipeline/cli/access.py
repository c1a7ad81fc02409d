"""In whose name a command calls the service: hosts, credential and folder, found at the start."""

import asyncio
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from pipeline.auth.credentials import Credential
from pipeline.auth.keeper import CredentialSource
from pipeline.auth.local_tokens import Fixed
from pipeline.auth.lookup import Places, find, find_folder
from pipeline.clock import Clock
from pipeline.emulator import FOLDER
from pipeline.errors import BadSettings
from pipeline.input.rows import model_uri
from pipeline.network.carrier import Carrier
from pipeline.network.carriers import Http, carrier
from pipeline.network.endpoints import Endpoints

_EMULATOR = Fixed("the emulator", Credential("Api-Key", "emulator", is_users=False))
# Seconds that the embedded emulator's answers take, so that trying out is quick.
_MOMENT = 0.5
_ID = re.compile(r"[\w.-]+", re.ASCII)


class Access(Struct, frozen=True):
    """What calls need. `remarks` are what the user should know at the start."""

    endpoints: Endpoints
    source: CredentialSource
    folder: str | None
    remarks: tuple[str, ...] = ()
    emulator: bool = False
    http: Http = "auto"

    @classmethod
    def of(cls, options: Mapping[str, Any], environment: Mapping[str, str]) -> "Access":
        """Find what the options and the environment offer, where no loop runs yet."""
        return asyncio.run(cls.found(options, environment))

    @classmethod
    async def found(cls, options: Mapping[str, Any], environment: Mapping[str, str]) -> "Access":
        """Find what the options and the environment offer.

        `options` has emulator, endpoint, auth, http, model and folder_id.

        Raises:
            NoPermission: there is no credential.
            BadSettings: no folder for the model, or what is given is none.

        """
        endpoints = Endpoints.chosen(options["endpoint"], environment)
        given: str | None = options["folder_id"]
        http: Http = options["http"]
        if given is not None and not _ID.fullmatch(given):
            raise BadSettings(f"--folder-id {given!r} is no folder id.", "It looks like b1g….")
        if options["emulator"]:
            return cls(endpoints, _EMULATOR, given or FOLDER, emulator=True, http=http)
        places, asked = Places(environment, endpoints, Clock().now()), carrier(1, http)
        try:
            found = await find(places, asked, options["auth"])
            wants_folder = given is None and "://" not in options["model"]
            folder = await find_folder(found, places, asked) if wants_folder else given
        finally:
            await asked.close()
        try:
            model_uri(options["model"], folder)
        except ValueError as error:
            raise BadSettings(f"{error} or YC_FOLDER_ID.") from None
        return cls(endpoints, found.source, folder, found.remarks, http=http)

    def carrier(self, connections: int) -> Carrier:
        """What carries calls to these hosts, over up to so many connections to each.

        Raises:
            BadSettings: the environment's proxy or certificates can't be used.

        """
        return carrier(connections, self.http, trust_environment=not self.emulator)

    @contextmanager
    def served(self, store: Path | None = None) -> Iterator[Endpoints]:
        """The hosts; the embedded emulator, which keeps its operations in `store`, if wanted."""
        if not self.emulator:
            yield self.endpoints
            return
        # A server and a model of the service: a tenth of a second that no other call pays.
        from pipeline.emulator.model import Config  # noqa: PLC0415
        from pipeline.emulator.server import embedded  # noqa: PLC0415

        folder = self.folder or FOLDER
        config = Config(folder=folder, seed=secrets.randbits(32), latency_median=_MOMENT)
        with embedded(config, store) as url:
            yield Endpoints(url, url, url, url)
