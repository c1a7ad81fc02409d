"""Calls to the emulator's pure face, for its tests: plain arguments in, status and JSON out."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jwt

from pipeline.emulator.api import Api, Reply
from pipeline.emulator.keys import AUDIENCE, AuthorizedKey
from pipeline.emulator.model import Accepted, Config, Service

FOLDER = Config().folder
URI = f"gpt://{FOLDER}/yandexgpt-lite"
SUBMIT = "/foundationModels/v1/completionAsync"
SYNC = "/foundationModels/v1/completion"
TOKENS = "/iam/v1/tokens"
KEY = {"authorization": "Api-Key secret"}
START = 1_800_000_000.0

RECORDED = Path(__file__).parent / "recorded"


def recorded(name: str) -> Any:
    """Read a body that the real service or its documentation gave."""
    return json.loads((RECORDED / name).read_bytes())


def shape(value: Any) -> Any:
    """Keep of a JSON value its keys in their order, and the types of what is no object."""
    match value:
        case dict():
            return [(key, shape(item)) for key, item in value.items()]
        case list():
            return [shape(item) for item in value]
        case _:
            return type(value).__name__


def request(text: str = "ping", **fields: Any) -> dict[str, Any]:
    """Build a request body; a field given as None is left out."""
    body = {"modelUri": URI, "messages": [{"role": "user", "text": text}]} | fields
    return {name: value for name, value in body.items() if value is not None}


def public_half(key: Mapping[str, str]) -> AuthorizedKey:
    """What the service keeps of an authorized key."""
    return AuthorizedKey.parse(json.dumps(key).encode())


def claimed(key: Mapping[str, str], at: float = START, **changes: Any) -> dict[str, Any]:
    """Build a JWT's claims; one given as None is left out."""
    times = {"iat": int(at), "exp": int(at) + 3600}
    claims = {"aud": AUDIENCE, "iss": key["service_account_id"], **times, **changes}
    return {name: value for name, value in claims.items() if value is not None}


def signed(key: Mapping[str, str], at: float = START, **changes: Any) -> str:
    """Sign a JWT with an authorized key, as clients of IAM do it."""
    private = key["private_key"].partition("\n")[2]
    claims = claimed(key, at, **changes)
    return jwt.encode(claims, private, algorithm="PS256", headers={"kid": key["id"]})


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


class Caller:
    """One service and its face, called with a credential that it knows."""

    def __init__(self, accepted: Iterator[Accepted] | None = None, **settings: Any) -> None:
        defaults = {"latency_median": 5.0, "latency_sigma": 0.0}
        self.service = Service(Config(**(defaults | settings)), accepted or ())
        self.api = Api(self.service)

    def call(
        self,
        method: str,
        path: str,
        body: object = b"",
        *,
        at: float = START,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        return self.api.respond(method, path, KEY if headers is None else headers, raw, at)

    def post(self, body: object, path: str = SUBMIT, **how: Any) -> Reply:
        return self.call("POST", path, body, **how)

    def submit(self, text: str = "ping", *, at: float = START, **fields: Any) -> str:
        """Submit a request that must be accepted; return the operation's id."""
        reply = self.post(request(text, **fields), at=at)
        assert reply.status == 200, reply.body
        operation_id: str = json.loads(reply.body)["id"]
        return operation_id

    def poll(self, operation_id: str, *, at: float, **how: Any) -> Any:
        return json.loads(self.call("GET", f"/operations/{operation_id}", at=at, **how).body)

    def answer(self, text: str = "ping", **fields: Any) -> Any:
        """Submit, wait and fetch; return the response."""
        return self.poll(self.submit(text, **fields), at=START + 60)["response"]

    def refusal(self, body: object, path: str = SUBMIT, **how: Any) -> tuple[int, Any]:
        reply = self.post(body, path, **how)
        return reply.status, json.loads(reply.body)

    def exchange(self, body: object, *, at: float = START) -> tuple[int, Any]:
        """Ask IAM for a token."""
        return self.refusal(body, TOKENS, at=at, headers={})

    def token(self, body: object, *, at: float = START) -> str:
        """Ask IAM for a token, which it must give; return its text."""
        status, said = self.exchange(body, at=at)
        assert status == 200, said
        text: str = said["iamToken"]
        return text

    def status(self, token: str, *, at: float = START) -> int:
        """Poll for nothing with a token: 404 says that it is good."""
        return self.call("GET", "/operations/d7q", at=at, headers=bearer(token)).status

    def ledger(self) -> Any:
        return json.loads(self.call("GET", "/emulator/ledger").body)
