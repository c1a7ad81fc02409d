"""Where the service is: base URLs, from one option or from a variable for each."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from pipeline.errors import BadSettings

_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?", re.ASCII)
_METADATA_ADDRESS = "YC_METADATA_ADDR"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Base URLs, without a final slash."""

    llm: str = "https://llm.api.cloud.yandex.net"
    operations: str = "https://operation.api.cloud.yandex.net"
    iam: str = "https://iam.api.cloud.yandex.net"
    metadata: str = "http://169.254.169.254"

    @classmethod
    def chosen(cls, endpoint: str | None, environment: Mapping[str, str]) -> "Endpoints":
        """`endpoint` is where all of it is; ``YAGPT_…_URL`` variables win over it, one by one.

        Raises:
            BadSettings: one of them is no URL.

        """
        address = environment.get(_METADATA_ADDRESS, "").strip()
        named = {
            field.name: environment.get(f"YAGPT_{field.name.upper()}_URL") for field in fields(cls)
        }
        if not named["metadata"] and address:
            named["metadata"] = address if "://" in address else f"http://{address}"
        urls = {name: url or endpoint for name, url in named.items()}
        for name, url in urls.items():
            if url and not _URL.fullmatch(url):
                where = "--endpoint" if url == endpoint else f"the {name} URL"
                raise BadSettings(
                    f"{where} {url!r} is no URL.", "Write it like https://host:port."
                )
        return cls(**{name: url.rstrip("/") for name, url in urls.items() if url})


def host_of(url: str) -> str:
    """The host of a base URL, with its port where that is not its scheme's own."""
    scheme, _, rest = url.partition("://")
    port = {"https": ":443", "http": ":80"}[scheme]
    return rest.partition("/")[0].lower().removesuffix(port)
