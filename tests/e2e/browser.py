"""A real browser without a window, over its DevTools protocol; it has no network.

It is spoken to through a pair of pipes (`--remote-debugging-pipe`), which needs nothing but the
standard library: JSON messages that end with a zero byte.
"""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--disable-default-apps", "--disable-extensions", "--hide-scrollbars"),
    # Whatever it would like to fetch, it can't.
    *("--proxy-server=127.0.0.1:9", "--host-resolver-rules=MAP * ~NOTFOUND"),
    "--remote-debugging-pipe",
)
_BLOCK = 1 << 16
_PHONE = 500
# It reads from descriptor 3 and writes to 4.
_START = """
import os, sys
_, theirs, mine, *command = sys.argv
os.dup2(int(theirs), 3)
os.dup2(int(mine), 4)
os.execv(command[0], command)
"""


def program() -> str | None:
    """Where a browser is; None where there is none."""
    return next((found for found in map(shutil.which, NAMES) if found), None)


class Tab:
    """One page in the browser, and all that it said and asked for."""

    def __init__(self, ask: int, answers: int) -> None:
        self._ask, self._answers = ask, answers
        self._rest = b""
        self._calls = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Ask for something and wait for the answer."""
        self._calls += 1
        message = {"id": self._calls, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._ask, json.dumps(message).encode() + b"\0")
        while True:
            heard = self._hear()
            if heard.get("id") == self._calls:
                assert "error" not in heard, heard
                return heard["result"]
            self.events.append(heard)

    def _hear(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            block = os.read(self._answers, _BLOCK)
            assert block, "the browser is gone"
            self._rest += block
        message, _, self._rest = self._rest.partition(b"\0")
        heard: dict[str, Any] = json.loads(message)
        return heard

    def named(self, method: str) -> list[dict[str, Any]]:
        """What all events of a name told."""
        return [event["params"] for event in self.events if event.get("method") == method]

    def show(self, width: int, scheme: str = "light", media: str = "") -> None:
        """Be as wide as that, in light or dark, for a screen or on paper."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1}
        self.call("Emulation.setDeviceMetricsOverride", mobile=width < _PHONE, **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def open(self, page: Path) -> None:
        self.events.clear()
        self.call("Page.navigate", url=page.resolve().as_uri())
        while not self.named("Page.loadEventFired"):
            self.events.append(self._hear())

    def value(self, expression: str) -> Any:
        """What a piece of JavaScript comes to."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def screenshot(self, path: Path) -> None:
        taken = self.call("Page.captureScreenshot", captureBeyondViewport=True, **self._all())
        path.write_bytes(base64.b64decode(taken["data"]))

    def _all(self) -> dict[str, Any]:
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {**size, "x": 0, "y": 0, "scale": 1}}

    def pdf(self, path: Path) -> None:
        printed = self.call("Page.printToPDF", preferCSSPageSize=True)
        path.write_bytes(base64.b64decode(printed["data"]))

    def complaints(self) -> list[Any]:
        """What stands in its console, and exceptions."""
        names = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return [told for name in names for told in self.named(name)]

    def requested(self) -> list[str]:
        """Every address that it asked for."""
        return [told["request"]["url"] for told in self.named("Network.requestWillBeSent")]


@contextmanager
def browser(folder: Path) -> Iterator[Tab]:
    """Start it for the block, with a profile of its own in `folder`."""
    found = program()
    assert found is not None
    (theirs, ask), (answers, mine) = _pipe(), _pipe()
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", _START, str(theirs), str(mine)),
            *(found, *_OPTIONS, f"--user-data-dir={folder}"),
        ],
        pass_fds=(theirs, mine),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(theirs)
    os.close(mine)
    try:
        tab = Tab(ask, answers)
        yield tab
        os.write(ask, b'{"id":0,"method":"Browser.close"}\0')
    finally:
        os.close(ask)
        os.close(answers)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


def _pipe() -> tuple[int, int]:
    """Two ends, with numbers that are none of those that it has to have."""
    low = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in low)
    for end in low:
        os.close(end)
    return high[0], high[1]
