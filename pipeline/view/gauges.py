"""A run as Prometheus reads it: the text exposition format, as node_exporter takes it from files.

Counters are those of the run, not of the process: they go on where an earlier one left off.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from msgspec import Struct

from pipeline.ending.prospect import Eta
from pipeline.money.spent import Spent
from pipeline.state.board import Counts
from pipeline.view.scene import Scene

# Of an amount: prices are of a thousand tokens, and sums of shares have no end.
_PLACES = 6
PREFIX = "yagpt_batch_"
_Value = int | float | Decimal
_Samples = list[tuple[Mapping[str, str], _Value]]


class Told(Struct, frozen=True):
    """What stays the same: the run, by its output, and the process that has it."""

    output: str
    model: str
    version: str
    begun_at: float


class Family(Struct, frozen=True):
    """A metric with all its samples, by labels; a name that ends in _total is a counter's."""

    name: str
    help: str
    samples: _Samples

    @property
    def kind(self) -> str:
        return "counter" if self.name.endswith("_total") else "gauge"


def families(told: Told, scene: Scene | None, exit_code: int | None, now: float) -> list[Family]:
    """All that is known at `now`; what is not known has no sample, and none has no family."""
    found = [
        Family(
            "info",
            "The program and the model that rows have which name none.",
            [({"version": told.version, "model": told.model}, 1)],
        ),
        _one(
            "running",
            "1 while a process carries the run, 0 once it has ended.",
            int(exit_code is None),
        ),
        _one(
            "exit_code",
            "Of the process, once it has ended: 0, 3 and 4 are complete runs.",
            exit_code,
        ),
        _one("start_timestamp_seconds", "When the process took up the run.", told.begun_at),
        _one("last_update_timestamp_seconds", "When this was written.", now),
    ]
    if scene is not None:
        found += [*_rows(scene.counts), *_end(scene.eta), *_money(scene.spent)]
        age = None if scene.oldest is None else max(now - scene.oldest, 0.0)
        found.append(
            _one(
                "oldest_operation_age_seconds",
                "Of the operation in flight that was accepted first.",
                age,
            )
        )
    return [family for family in found if family.samples]


def _one(name: str, help_: str, value: _Value | None) -> Family:
    return Family(name, help_, [] if value is None else [({}, value)])


def _rows(counts: Counts) -> Iterator[Family]:
    states = {
        "ok": counts.ok,
        "failed": counts.failed,
        "held": counts.held,
        "in_flight": counts.running,
        "posting": counts.posting,
        "waiting": counts.unsent,
        "same_as_another": counts.twins,
    }
    if counts.total is not None:
        states["not_begun"] = max(counts.total - counts.finished - counts.open, 0)
    yield Family(
        "rows",
        "Rows by where they stand; in_flight are operations that are waited for.",
        [({"state": state}, number) for state, number in states.items()],
    )
    yield _one("rows_expected", "Rows that the run is to have.", counts.total)
    yield _one("submits_total", "POSTs announced, refused ones too.", counts.submits)
    yield _one("doubts_total", "POSTs whose acceptance can't be known.", counts.doubts)
    tokens = {"input": counts.input_tokens, "completion": counts.completion_tokens}
    yield Family(
        "tokens_total",
        "Tokens of all rows that have their line.",
        [({"kind": kind}, number) for kind, number in tokens.items()],
    )


def _end(eta: Eta | None) -> Iterator[Family]:
    if eta is None:
        return
    ends = {"earliest": eta.earliest, "likely": eta.likely, "latest": eta.latest}
    yield _one("submitted_timestamp_seconds", "When the last row will be.", eta.submitted)
    yield Family(
        "end_timestamp_seconds",
        "When the last answer will be in, with chances of 10, 50 and 90 %.",
        [({"bound": name}, moment) for name, moment in ends.items() if moment is not None],
    )


def _money(spent: Spent | None) -> Iterator[Family]:
    if spent is None:
        return
    currency = {"currency": spent.currency}
    yield Family(
        "cost_total",
        "What all rows cost that have their line.",
        [] if spent.amount is None else [(currency, spent.amount)],
    )
    projected = {"low": spent.low, "likely": spent.likely, "high": spent.high}
    yield Family(
        "projected_cost",
        "What the whole run will cost, with 95 % between low and high.",
        [({**currency, "bound": b}, cost) for b, cost in projected.items() if cost is not None],
    )


def text_of(found: list[Family], output: str) -> str:
    """As a file; every sample bears the run's output, so that runs stay apart in one place."""
    return "".join(line + "\n" for family in found for line in _lines(family, output))


def _lines(family: Family, output: str) -> Iterator[str]:
    name = PREFIX + family.name
    yield f"# HELP {name} {family.help}"
    yield f"# TYPE {name} {family.kind}"
    for labels, value in family.samples:
        pairs = {"output": output, **labels}
        shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in pairs.items())
        yield f"{name}{{{shown}}} {_number(value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: _Value) -> str:
    match value:
        case float():
            return f"{value:.3f}"
        case Decimal():
            return f"{round(value, _PLACES).normalize():f}"
        case _:
            return str(value)
