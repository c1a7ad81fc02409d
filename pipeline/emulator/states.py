"""How far an operation has come, as the service gives it out."""

from dataclasses import dataclass
from typing import Literal, get_args

from pipeline.emulator.answers import Answer


@dataclass(frozen=True, slots=True)
class Running:
    """An operation that is not done."""

    operation_id: str
    created: float


@dataclass(frozen=True, slots=True)
class Finished:
    """An operation that is done, with its answer."""

    operation_id: str
    created: float
    finished: float
    answer: Answer


Misprint = Literal[
    "neither",
    "both",
    "no-usage",
    "huge-usage",
    "no-alternatives",
    "fails",
    "not-json",
    "misfit",
    "fenced",
]
MISPRINTS: tuple[Misprint, ...] = get_args(Misprint)


@dataclass(frozen=True, slots=True)
class Misprinted:
    """An operation that is done, shown as it never should be."""

    finished: Finished
    how: Misprint


State = Running | Finished | Misprinted
