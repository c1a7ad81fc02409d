"""A service that misbehaves: what reaches the caller in place of what the service said.

`Unreliable` stands before an `Api` and returns what is to happen on the wire, a `Delivery`; doing
it is the caller's part. A fault of a call either keeps it from the service or spoils the answer
after the service has taken it; what was taken is carried along, since it must be kept whatever the
caller gets to see. Faults of operations are handed to the model, and tokens are revoked there.
Everything that chance decides
follows from the seed and from numbers, so that a run can be repeated.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Literal, assert_never

from pipeline.codec import NotJson, decode, encode
from pipeline.emulator import chance
from pipeline.emulator.ailments import Ailments
from pipeline.emulator.api import IAM, LEDGER, METADATA, OPERATIONS, SUBMITS, Api, Reply
from pipeline.emulator.deliveries import Cut, Delivery, Drip, Misstated, Reset, Sent, Silence
from pipeline.emulator.refusals import (
    Internal,
    OverQuota,
    Refusal,
    Unauthenticated,
    Unavailable,
)
from pipeline.emulator.schedules import (
    Fault,
    NotTaken,
    NotTakenKind,
    OfOperation,
    OfTokens,
    Span,
    Taken,
    TakenKind,
    covers,
)

_Broken = Literal["500", "502", "503", "504"]
_BrokenAfter = Literal["500-after", "502-after", "503-after", "504-after"]
_OverQuota = Literal["429", "429-seconds", "429-date", "429-absurd"]
_Side = Literal["submits", "polls", "iam", "others"]

_BEFORE: dict[_BrokenAfter, _Broken] = {
    "500-after": "500",
    "502-after": "502",
    "503-after": "503",
    "504-after": "504",
}
_TITLES = {200: "Welcome", 502: "502 Bad Gateway", 504: "504 Gateway Time-out"}
# What calls are made for: an operation's id, or a token.
_GIVEN = ("id", "iamToken", "access_token")
_RETRY_AFTER = 2
_TEN_YEARS = 10 * 365 * 86_400
_ABSURD = (str(_TEN_YEARS), "soon", "-1", "1e9", "9" * 30, "Thu, 99 Foo 2026 25:61:61 GMT", "")
_OVER_QUOTA: dict[_Side, str] = {
    "submits": "ai.textGenerationAsyncCompletionRequestsPerSecond.rate",
    "polls": "ai.textGenerationAsyncOperationRequestsPerSecond.rate",
    "iam": "iam.tokenCreateRequestsPerSecond.rate",
    "others": "ai.textGenerationTokenizerRequestsPerSecond.rate",
}


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    now: float

    @property
    def side(self) -> _Side:
        if self.path.startswith(OPERATIONS):
            return "polls"
        if self.path.startswith((IAM, METADATA)):
            return "iam"
        return "submits" if self.path.partition("?")[0] == SUBMITS else "others"


class Unreliable:
    """Answers calls as `api` does, but for the faults; the first one that applies is done.

    Faults of operations become the service's own: one `Unreliable` to a service. `start` is what
    schedules count from, in unix seconds.
    """

    def __init__(self, api: Api, faults: Iterable[Fault], seed: int, start: float) -> None:
        given = tuple(faults)
        self._api = api
        self._seed = seed
        self._start = start
        self._faults = [(f, f.what) for f in given if not isinstance(f.what, OfOperation)]
        self._looked = [0] * len(self._faults)
        self._over: set[int] = set()
        api.service.suffer(Ailments(given, seed, start))

    @property
    def injected(self) -> Counter[str]:
        """How often each kind of fault struck: a call each time, an operation once."""
        return self._api.service.ledger.faults

    def respond(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, now: float
    ) -> Delivery:
        """Answer one call, or fail to; the arguments are those of `Api.respond`."""
        if not self._faults or path.partition("?")[0] == LEDGER:
            return Sent(self._api.respond(method, path, headers, body, now))
        call = _Call(method, path, headers, body, now)
        match self._befalling(call):
            case None:
                return Sent(self._respond(call))
            case NotTaken(kind=kind):
                return self._kept_away(kind, call)
            case Taken(kind=kind):
                return self._spoilt(kind, call, self._respond(call))

    def _respond(self, call: _Call) -> Reply:
        return self._api.respond(call.method, call.path, call.headers, call.body, call.now)

    def _befalling(self, call: _Call) -> NotTaken | Taken | None:
        # All are asked: a fault counts the calls that it looks at, also where another one strikes.
        befalling: NotTaken | Taken | None = None
        for position, (fault, what) in enumerate(self._faults):
            if what.side in ("all", call.side) and self._strikes(position, fault, call.now):
                if isinstance(what, OfTokens):
                    self._revoke(position, fault)
                else:
                    befalling = befalling or what
        if befalling is not None:
            self.injected[befalling.kind] += 1
        return befalling

    def _revoke(self, position: int, fault: Fault) -> None:
        # A stretch of time strikes once, or no token would be good for as long as it lasts.
        if position not in self._over:
            self.injected[fault.kind] += 1
            self._api.service.issued.revoke_all()
        if isinstance(fault.when, Span):
            self._over.add(position)

    def _strikes(self, position: int, fault: Fault, now: float) -> bool:
        self._looked[position] += 1
        number = self._looked[position]
        if not covers(fault.when, now - self._start, number):
            return False
        drawn = chance.draw(self._seed, "fault", position, fault.kind, number)
        return chance.happens(fault.rate, drawn)

    def _kept_away(self, kind: NotTakenKind, call: _Call) -> Delivery:
        match kind:
            case "reset-before":
                return Reset(None)
            case "hang-before":
                return Silence(None)
            case "500" | "502" | "503" | "504":
                return Sent(self._broken(kind, call))
            case "401":
                refusal = Unauthenticated("Token is invalid or has expired.")
                return Sent(self._refused(refusal, call))
            case "429" | "429-seconds" | "429-date" | "429-absurd":
                text = f"{_OVER_QUOTA[call.side]} rate quota limit exceed: allowed 10 requests"
                reply = self._refused(OverQuota(text), call)
                return Sent(replace(reply, headers=reply.headers | self._retry_after(kind, call)))
            case _:
                assert_never(kind)

    def _spoilt(self, kind: TakenKind, call: _Call, reply: Reply) -> Delivery:
        match kind:
            case "reset-after":
                return Reset(reply.accepted)
            case "hang":
                return Silence(reply.accepted)
            case "drip":
                return Drip(reply)
            case "truncate":
                return Cut(reply, len(reply.body) // 2)
            case "length":
                return Misstated(reply, len(reply.body) // 2)
            case "bad-gzip":
                return Sent(replace(reply, headers=reply.headers | {"content-encoding": "gzip"}))
            case "html":
                return Sent(replace(self._page(200, call), accepted=reply.accepted))
            case "no-id":
                return Sent(replace(reply, status=200, body=_without_id(reply.body)))
            case "500-after" | "502-after" | "503-after" | "504-after":
                return Sent(replace(self._broken(_BEFORE[kind], call), accepted=reply.accepted))
            case _:
                assert_never(kind)

    def _broken(self, kind: _Broken, call: _Call) -> Reply:
        match kind:
            case "500":
                return self._refused(Internal("Internal error"), call)
            case "503":
                return self._refused(Unavailable("Service is temporarily unavailable"), call)
            case "502" | "504":
                return self._page(int(kind), call)
            case _:
                assert_never(kind)

    def _refused(self, refusal: Refusal, call: _Call) -> Reply:
        return self._api.refuse(call.method, call.path, call.headers, call.now, refusal)

    def _page(self, status: int, call: _Call) -> Reply:
        """What a proxy says that knows nothing of the service: no JSON and no request id."""
        headers = {
            "content-type": "text/html",
            "server": "nginx",
            "date": self._date(call.now),
        }
        title = _TITLES[status]
        return Reply(status, headers, f"<html><body><h1>{title}</h1></body></html>\n".encode())

    def _retry_after(self, kind: _OverQuota, call: _Call) -> dict[str, str]:
        match kind:
            case "429":
                return {}
            case "429-seconds":
                return {"retry-after": str(_RETRY_AFTER)}
            case "429-date":
                return {"retry-after": self._date(call.now + _RETRY_AFTER)}
            case "429-absurd":
                drawn = chance.draw(self._seed, "absurd", call.now)
                return {"retry-after": _ABSURD[drawn[0] % len(_ABSURD)]}
            case _:
                assert_never(kind)

    def _date(self, moment: float) -> str:
        return formatdate(self._api.service.said(moment), usegmt=True)


def _without_id(body: bytes) -> bytes:
    try:
        said = decode(body)
    except NotJson:
        return b"{}"
    if not isinstance(said, dict):
        return b"{}"
    return encode({name: value for name, value in said.items() if name not in _GIVEN})
