"""What is to go wrong, when and how often: faults as people write them.

    KIND[:submits|:polls|:iam|:all][@WHEN][=RATE]

    hang:submits=0.02          two submits in a hundred are taken and never answered
    502@60s+1h                 from the first minute on, every call draws a 502, for an hour
    reset-after:submits@3-7    the third to the seventh submit
    never-done=0.01            one operation in a hundred
    revoked@30m+               half an hour after the start, no token is good that was before

Here stands which faults there are, not what they do: `faults` does that to calls, `model` to
operations. A kind of operation takes no ``:submits``; its WHEN is about the submit that began it.
``:iam`` are calls for tokens, to IAM and the metadata service; ``:all``, also meant where nothing
is said, are all calls but those to the ledger: these two, and the tokenizer's.
"""

import math
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, assert_never

NotTakenKind = Literal[
    "reset-before",
    "hang-before",
    "401",
    "429",
    "429-seconds",
    "429-date",
    "429-absurd",
    "500",
    "502",
    "503",
    "504",
]
TakenKind = Literal[
    "reset-after",
    "hang",
    "drip",
    "truncate",
    "length",
    "bad-gzip",
    "html",
    "no-id",
    "500-after",
    "502-after",
    "503-after",
    "504-after",
]
OperationKind = Literal[
    "never-done",
    "done-at-once",
    "neither",
    "both",
    "flips-back",
    "no-usage",
    "huge-usage",
    "no-alternatives",
    "duplicate-id",
    "forgotten",
    "404-once",
    "fails",
    "not-json",
    "misfit",
    "fenced",
]
TokenKind = Literal["revoked"]
Side = Literal["all", "submits", "polls", "iam"]

NOT_TAKEN: dict[NotTakenKind, str] = {
    "reset-before": "hangs up",
    "hang-before": "never answers",
    "401": "the credential is refused",
    "429": "over quota, without Retry-After",
    "429-seconds": "Retry-After in seconds",
    "429-date": "Retry-After as a date",
    "429-absurd": "Retry-After of 10 years, or garbage",
    "500": "an error of the service",
    "502": "a page of a gateway",
    "503": "an error of the service",
    "504": "a page of a gateway",
}
"""Kinds of calls that the service never saw, or did not take."""

TAKEN: dict[TakenKind, str] = {
    "reset-after": "hangs up",
    "hang": "never answers",
    "drip": "answers a byte a second",
    "truncate": "the body ends too early",
    "length": "content-length is too small",
    "bad-gzip": "says gzip, and it is none",
    "html": "200 with a proxy's page",
    "no-id": "200 with JSON, without an id or token",
    "500-after": "as 500, and it took the call",
    "502-after": "as 502, and it took the call",
    "503-after": "as 503, and it took the call",
    "504-after": "as 504, and it took the call",
}
"""Kinds of calls that the service took all the same."""

OPERATIONS: dict[OperationKind, str] = {
    "never-done": "runs for ever",
    "done-at-once": "is done in the submit's answer",
    "neither": "done, no response, no error",
    "both": "done, a response and an error",
    "flips-back": "done, a minute not done, done",
    "no-usage": "the response has no usage",
    "huge-usage": "10^18 tokens",
    "no-alternatives": "the response has none",
    "duplicate-id": "the id of an earlier operation",
    "forgotten": "404 from the first poll on",
    "404-once": "404 at the first poll only",
    "fails": "done with an error",
    "not-json": "the answer is half of itself",
    "misfit": "the answer is [null]",
    "fenced": "the answer stands in a Markdown fence",
}
"""Kinds of operations."""

TOKENS: dict[TokenKind, str] = {
    "revoked": "all tokens so far are refused from then on",
}
"""Kinds of IAM tokens."""

GRAMMAR = "KIND[:submits|:polls|:iam|:all][@WHEN][=RATE]"
_FORM = re.compile(r"([^:@=]+)(?::([^:@=]*))?(?:@([^:@=]*))?(?:=([^:@=]*))?")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhd])\+(?:(\d+(?:\.\d+)?)([smhd]))?")
_CALLS = re.compile(r"([1-9]\d*)(?:-([1-9]\d*))?")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass(frozen=True, slots=True)
class Always:
    """From the start on, for ever."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, in seconds since the emulator started; the length can be infinite."""

    begin: float
    length: float


@dataclass(frozen=True, slots=True)
class Calls:
    """From one call to another, both included, counted from 1."""

    first: int
    last: int


When = Always | Span | Calls


def covers(when: When, elapsed: float, number: int) -> bool:
    """Whether a schedule covers the call of this number, `elapsed` seconds after the start."""
    match when:
        case Always():
            return True
        case Span(begin=begin, length=length):
            return begin <= elapsed < begin + length
        case Calls(first=first, last=last):
            return first <= number <= last
        case _:
            assert_never(when)


@dataclass(frozen=True, slots=True)
class NotTaken:
    """It befalls calls that the service does not take."""

    kind: NotTakenKind
    side: Side


@dataclass(frozen=True, slots=True)
class Taken:
    """It befalls calls that the service has taken."""

    kind: TakenKind
    side: Side


@dataclass(frozen=True, slots=True)
class OfOperation:
    """It befalls an operation."""

    kind: OperationKind


@dataclass(frozen=True, slots=True)
class OfTokens:
    """It befalls the tokens that there are when a call comes, and does nothing to the call."""

    kind: TokenKind
    side: Side


What = NotTaken | Taken | OfOperation | OfTokens


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong; `rate` is its probability where `when` allows it."""

    what: What
    when: When = Always()
    rate: float = 1.0

    @property
    def kind(self) -> NotTakenKind | TakenKind | OperationKind | TokenKind:
        """What it is called."""
        return self.what.kind

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Read ``KIND[:submits|:polls|:iam|:all][@WHEN][=RATE]``.

        Raises:
            ValueError: not of that form; the message says what is wrong and what is known.

        """
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is no fault: write {GRAMMAR}")
        kind, side, when, rate = match.groups()
        return cls(_what(kind, side), _when(when), _rate(rate))


def _what(kind: str, side: str | None) -> What:
    for not_taken in NOT_TAKEN:
        if kind == not_taken:
            return NotTaken(not_taken, _side(side))
    for taken in TAKEN:
        if kind == taken:
            return Taken(taken, _side(side))
    for of_tokens in TOKENS:
        if kind == of_tokens:
            return OfTokens(of_tokens, _side(side))
    for operation in OPERATIONS:
        if kind == operation:
            if side is not None:
                raise ValueError(f"{kind} befalls operations, not calls: leave :{side} out")
            return OfOperation(operation)
    raise ValueError(_unknown(kind))


def _unknown(kind: str) -> str:
    known = [*NOT_TAKEN, *TAKEN, *OPERATIONS, *TOKENS]
    close = get_close_matches(kind, known, 1)
    meant = f"did you mean {close[0]}? " if close else ""
    return f"{kind!r} is no kind of fault; {meant}Known are {', '.join(known)}"


def _side(text: str | None) -> Side:
    match text:
        case None | "all":
            return "all"
        case "submits" | "polls" | "iam":
            return text
        case _:
            raise ValueError(f"{text!r} is no kind of call: write :submits, :polls, :iam or :all")


def _when(text: str | None) -> When:
    if text is None:
        return Always()
    if span := _SPAN.fullmatch(text):
        begin, unit, length, other = span.groups()
        lasts = math.inf if length is None else float(length) * _SECONDS[other]
        return Span(float(begin) * _SECONDS[unit], lasts)
    if calls := _CALLS.fullmatch(text):
        first = int(calls[1])
        last = int(calls[2] or first)
        if first <= last:
            return Calls(first, last)
    raise ValueError(
        f"{text!r} is no schedule: write 60s+1h (from, for), 10m+ (from), or the calls 5 or 3-7"
    )


def _rate(text: str | None) -> float:
    try:
        rate = 1.0 if text is None else float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise ValueError(f"{text!r} is no rate: write a probability from 0 to 1, such as 0.05")
    return rate
