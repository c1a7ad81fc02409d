"""The emulator's decisions behind a raw socket that can be told to misbehave.

What is accepted is the emulator's to say and stands in its ledger; what reaches the client is
decided here, call by call. All calls are kept as they came.
"""

import json
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pipeline.clock import Clock
from pipeline.emulator.api import Api
from pipeline.emulator.model import Config, Service
from tests.e2e.command import FOLDER, UNLIMITED

SUBMIT = "/foundationModels/v1/completionAsync"
TOKENIZE = "/foundationModels/v1/tokenize"
_NUMBER = re.compile(r"Строка (\d+):")


@dataclass(frozen=True, slots=True)
class Seen:
    """One call as it came; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def prompt(self) -> str:
        """The user's words, of a submit."""
        text: str = self.json["messages"][-1]["text"]
        return text


@dataclass(frozen=True, slots=True)
class HangUp:
    """The service takes the call; the connection ends without an answer."""


@dataclass(frozen=True, slots=True)
class Silence:
    """The service takes the call; nothing is said until `Hostile.relent`, then all is well."""


@dataclass(frozen=True, slots=True)
class Late:
    """The service takes the call; all is well, but said only after a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Say:
    """Something else than the service's answer; `taken`: it took the call all the same."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    taken: bool = False


Fault = HangUp | Silence | Late | Say
BAD_GATEWAY = Say(502, b"<html><h1>502 Bad Gateway</h1></html>", {"content-type": "text/html"})
RUDE = Say(400, b'{"error": {"grpcCode": 3, "message": "too rude a question"}}')


def well(_number: int, _seen: Seen) -> Fault | None:
    """No fault."""
    return None


def at_rows(faults: Mapping[int, Fault]) -> Callable[[int, Seen], Fault | None]:
    """Faults for rows of `Shell.write_rows` by their numbers, however often they are sent."""

    def fault(_: int, seen: Seen) -> Fault | None:
        number = _NUMBER.match(seen.prompt)
        return None if number is None else faults.get(int(number[1]))

    return fault


def as_it_is(body: bytes) -> bytes:
    """No change."""
    return body


class Hostile:
    """The service with its faults.

    `fault` is asked at every submit, with the submit's number, counted from 1. `edit` may change
    the body of an answer to a poll.
    """

    def __init__(self, config: Config) -> None:
        self._api = Api(Service(config))
        self._clock = Clock()
        self._lock = threading.Lock()
        self._relented = threading.Event()
        self.seen: list[Seen] = []
        self.fault: Callable[[int, Seen], Fault | None] = well
        self.edit: Callable[[bytes], bytes] = as_it_is
        self.url = ""

    @property
    def options(self) -> tuple[str, ...]:
        """What makes `run` use it, without limits; a rate that follows sets one all the same."""
        return ("--folder-id", FOLDER, *self.retry_options)

    @property
    def retry_options(self) -> tuple[str, ...]:
        """As `options`, of a call that knows the folder from the run."""
        return ("--endpoint", self.url, *UNLIMITED)

    @property
    def submits(self) -> list[Seen]:
        """Every POST that came, accepted or not."""
        return [seen for seen in list(self.seen) if seen.path == SUBMIT]

    def ledger(self) -> Any:
        with self._lock:
            reply = self._api.respond("GET", "/emulator/ledger", {}, b"", self._clock.now())
        return json.loads(reply.body)

    def relent(self) -> None:
        """No fault from now on; silence ends."""
        self.fault = well
        self._relented.set()

    def answer(self, seen: Seen) -> Say | None:
        """What to send; None to hang up."""
        with self._lock:
            self.seen.append(seen)
            number = len(self.submits)
        match self.fault(number, seen) if seen.path == SUBMIT else None:
            case None:
                return self._decide(seen)
            case HangUp():
                self._decide(seen)
                return None
            case Silence():
                said = self._decide(seen)
                self._relented.wait()
                return said
            case Late(seconds):
                said = self._decide(seen)
                self._relented.wait(seconds)
                return said
            case Say(taken=taken) as said:
                if taken:
                    self._decide(seen)
                return said

    def _decide(self, seen: Seen) -> Say:
        with self._lock:
            reply = self._api.respond(
                seen.method, seen.path, seen.headers, seen.body, self._clock.now()
            )
        body = self.edit(reply.body) if seen.method == "GET" else reply.body
        return Say(reply.status, body, reply.headers)


@contextmanager
def serving(config: Config) -> Iterator[Hostile]:
    """Serve on a free port of the loopback interface for as long as the block lasts."""
    hostile = Hostile(config)

    class Connection(_Connection):
        service = hostile

    with _Server(("127.0.0.1", 0), Connection) as server:
        hostile.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield hostile
        finally:
            hostile.relent()
            server.shutdown()
            thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


class _Connection(socketserver.StreamRequestHandler):
    service: Hostile
    disable_nagle_algorithm = True

    def handle(self) -> None:
        try:
            while (seen := self._read()) is not None:
                said = self.service.answer(seen)
                if said is None:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self._send(said)
        except OSError:
            # The client is gone: killed, as a rule.
            return

    def _read(self) -> Seen | None:
        first = self.rfile.readline()
        if not first:
            return None
        method, path, _ = first.decode("ascii").split(" ")
        headers = {}
        while line := self.rfile.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return Seen(method, path, headers, self.rfile.read(int(headers.get("content-length", 0))))

    def _send(self, said: Say) -> None:
        headers = said.headers | {"content-length": str(len(said.body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.wfile.write(f"HTTP/1.1 {said.status} Said\r\n{head}\r\n".encode() + said.body)
