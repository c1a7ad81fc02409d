"""What is asked of a run from another shell, and what it then goes by. Pure.

A pause stands until it is taken back, whatever process has the run. A change is for the process
that it was asked of, which `process` names: the next one goes by its own options.
"""

import shlex
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, replace

from pipeline import codec
from pipeline.ending.prospect import Told
from pipeline.pacing.rates import NONE, Rate
from pipeline.wording import so_many, so_much

_VERSION = 1
_N = TypeVar("_N", int, float)
_Moment = Annotated[float, msgspec.Meta(ge=0, le=1e11)]
_Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Money = Annotated[str, msgspec.Meta(pattern=r"^\d{1,12}(\.\d{1,6})?$")]
_Rates = Annotated[tuple[str, ...], msgspec.Meta(max_length=50)]
_Most = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
# What is not named stays as it is.
_Lifted = Literal["none"]


class Unreadable(ValueError):
    """What stands in a control file was not written by us; the message says why."""


class Change(Struct, frozen=True, omit_defaults=True):
    """What to go by from now on; None is left as it is. No rate at all is no limit.

    `auto`: more than `rates` is tried now and then.
    """

    rates: _Rates | None = None
    auto: bool = False
    poll_rates: _Rates | None = None
    budget: _Money | None = None
    finish_by: _Moment | _Lifted | None = None
    max_in_flight: _Most | _Lifted | None = None

    def then(self, later: "Change") -> "Change":
        """Both in one: the later one wins in what it names."""
        named = {name: value for name, value in asdict(later).items() if value is not None}
        auto = self.auto if later.rates is None else later.auto
        return replace(self, **(named | {"auto": auto}))

    def options(self, local: Told) -> Iterator[str]:
        """As a call of `run` would say it; `local` writes moments."""
        yield from _rate_options("--rate", ("auto",) if self.auto else self.rates)
        yield from _rate_options("--poll-rate", self.poll_rates)
        if self.budget is not None:
            yield f"--budget {self.budget}"
        if self.finish_by is not None:
            end = self.finish_by if self.finish_by == NONE else local(self.finish_by)
            yield f"--finish-by {end.replace(' ', 'T')}"
        if self.max_in_flight is not None:
            yield f"--max-in-flight {self.max_in_flight}"


def _rate_options(option: str, rates: Sequence[str] | None) -> Iterator[str]:
    if rates is not None:
        yield from (f"{option} {rate}" for rate in rates or ("none",))


class Control(Struct, frozen=True):
    """What a control file says; each one written has a greater `number` than the one before."""

    number: _Number = 0
    paused_since: _Moment | None = None
    process: str = ""
    change: Change | None = None
    version: int = _VERSION

    def asked_of(self, process: str) -> Change | None:
        return self.change if self.process == process else None

    def written(self) -> bytes:
        return codec.encode(self) + b"\n"

    @classmethod
    def read(cls, data: bytes) -> "Control":
        """What was written.

        Raises:
            Unreadable: another program wrote it, or another version.

        """
        try:
            found = codec.decode(data)
            is_ours = isinstance(found, dict) and found.get("version") == _VERSION
            control = msgspec.convert(found, cls) if is_ours else None
            for rate in () if control is None else _rates(control.change):
                Rate.parse(rate)
        except ValueError as error:
            raise Unreadable(str(error)) from None
        if control is None:
            raise Unreadable("another program or another version of yagpt-batch wrote it")
        return control


def _rates(change: Change | None) -> Sequence[str]:
    return () if change is None else (*(change.rates or ()), *(change.poll_rates or ()))


def _lifted(asked: _N | _Lifted | None, before: _N | None) -> _N | None:
    """What a limit is once that was asked for."""
    if asked is None:
        return before
    return None if asked == NONE else asked


class InForce(Struct, frozen=True):
    """What a running process goes by, as it notes it in the checkpoint.

    `heard`: the number of the control that it read last. `changed` is all that it was told since
    it began.
    """

    process: str
    heard: int
    paused_since: float | None
    rates: tuple[str, ...]
    auto: bool
    poll_rates: tuple[str, ...]
    budget: str | None
    finish_by: float | None
    max_in_flight: int | None
    changed: Change | None = None

    def after(self, control: Control) -> "InForce":
        """What it goes by once it has heard this."""
        heard = replace(self, heard=control.number, paused_since=control.paused_since)
        change = control.asked_of(self.process)
        if change is None:
            return heard
        if self.budget is None:
            # What can have been spent so far nobody has counted.
            change = replace(change, budget=None)
        return replace(
            heard,
            rates=self.rates if change.rates is None else change.rates,
            auto=self.auto if change.rates is None else change.auto,
            poll_rates=self.poll_rates if change.poll_rates is None else change.poll_rates,
            budget=change.budget or self.budget,
            finish_by=_lifted(change.finish_by, self.finish_by),
            max_in_flight=_lifted(change.max_in_flight, self.max_in_flight),
            changed=change if self.changed is None else self.changed.then(change),
        )

    def to_json(self, utc: Told) -> dict[str, codec.Json]:
        return {
            "paused_since": _moment(self.paused_since, utc),
            "rates": ["auto"] if self.auto else list(self.rates),
            "poll_rates": list(self.poll_rates),
            "budget": self.budget,
            "finish_by": _moment(self.finish_by, utc),
            "max_in_flight": self.max_in_flight,
        }

    def sentence(self, currency: str, local: Told) -> str:
        """What it goes by, for people."""
        return f"In force: {'; '.join(self._parts(currency, local))}."

    def differences(self, before: "InForce", currency: str, local: Told) -> str:
        """What is other than before, and how it was; empty if nothing is."""
        now, was = self._parts(currency, local), before._parts(currency, local)  # noqa: SLF001 - its like
        return "; ".join(f"{a} (before: {b})" for a, b in zip(now, was, strict=True) if a != b)

    def _parts(self, currency: str, local: Told) -> list[str]:
        more = " and more where it is to be had" if self.auto else ""
        budget = so_much(Decimal(self.budget or 0), currency)
        most = self.max_in_flight
        operations = "any number of operations" if most is None else so_many(most, "operation")
        return [
            f"submits {_words(self.rates)}{more}",
            f"polls {_words(self.poll_rates)}",
            "no budget" if self.budget is None else f"a budget of {budget}",
            "no end set" if self.finish_by is None else f"to finish by {local(self.finish_by)}",
            f"{operations} at once",
        ]


def unpausing(output: str) -> str:
    """The command that lets a paused run go on."""
    return shlex.join(["yagpt-batch", "unpause", output])


def _words(rates: Sequence[str]) -> str:
    return " and ".join(Rate.parse(rate).words for rate in rates) or "without a limit"


def _moment(moment: float | None, utc: Told) -> codec.Json:
    return None if moment is None else utc(moment)
