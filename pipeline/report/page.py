"""What stands on the page of a report: sentences, pictures and cells of tables. Pure.

Nothing here is markup; the template makes it, and escapes every word.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.codec import Json
from pipeline.estimate.quote import span
from pipeline.money.account import Account, sentences
from pipeline.money.prices import PriceTable
from pipeline.money.totals import add, no_price
from pipeline.report.background import Background
from pipeline.report.chronicle import Chronicle
from pipeline.report.figures import BARS, Flow, least_seconds, per_bucket, so_far, took
from pipeline.report.plots import Plot, Zone
from pipeline.report.shortlist import beginning
from pipeline.report.tables import OUTCOMES, Table, by_finish, by_model, cited, failures
from pipeline.settings import DEFAULT_RATES
from pipeline.wording import so_many, so_much

_PERCENTS = (50, 90, 99)
_UNSAID: tuple[Json, ...] = (None, False, [])


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure at the head of the page."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A plot with what it shows in words."""

    plot: Plot
    caption: str


@dataclass(frozen=True, slots=True)
class Page:
    """All of it, in order."""

    name: str
    state: str
    made: str
    facts: Sequence[Fact]
    settings: Sequence[tuple[str, str]]
    throughput: Sequence[Picture]
    latency: Picture | None
    models: Table
    below_models: Sequence[str]
    finishes: Table
    troubles: Table
    slowest: Table
    costliest: Table
    remarks: Sequence[str]


_DOCUMENTED = "the documented"


@dataclass(frozen=True, slots=True)
class Report:
    """What a page is made of."""

    name: str
    account: Account
    chronicle: Chronicle
    background: Background | None
    prices: PriceTable
    zone: Zone
    now: float
    remarks: Sequence[str] = ()

    @property
    def flow(self) -> Flow:
        """Of a run that does not say what it kept to, the documented quota is shown."""
        known, accepted = self.background, self.chronicle.submitted
        rates = None if known is None else known.rates
        return Flow(
            accepted if known is None else known.submitted(accepted),
            *(self.chronicle.finished, DEFAULT_RATES if rates is None else rates, self.zone),
            *([_DOCUMENTED] if rates is None else []),
        )


def page(report: Report) -> Page:
    account, chronicle = report.account, report.chronicle
    return Page(
        name=report.name,
        state=_state(report),
        made=f"Made {report.zone.moment(report.now)}; all times are {report.zone.name}.",
        facts=list(_facts(report)),
        settings=list(_settings(report.background)),
        throughput=list(_throughput(report)),
        latency=_latency(chronicle),
        models=by_model(account, report.prices),
        below_models=list(_below(account, report.prices)),
        finishes=by_finish(account),
        troubles=failures(chronicle),
        slowest=cited(chronicle.slowest.rows(), report.prices),
        costliest=cited(chronicle.costliest.rows(), report.prices),
        remarks=report.remarks,
    )


def _state(report: Report) -> str:
    done, known = report.account.totals.rows(), report.background
    if known is None:
        rows = so_many(done, "row")
        return f"{rows} done; without its checkpoint it is not known how many there are."
    of_all = "" if known.expected is None else f" of {known.expected:,}"
    ends = f" {known.ends}" if known.ends else ""
    goes_on = "".join(f" {told}" for told in (known.changed, known.resume) if told)
    if not goes_on and known.state == "stopped":
        goes_on = " The same command continues it."
    return f"{known.state.capitalize()}, {done:,}{of_all} rows done.{goes_on}{ends}"


def _facts(report: Report) -> Iterator[Fact]:
    account, prices, totals = report.account, report.prices, report.account.totals
    sums, cost = add(part.tally for part in account.parts), account.cost(prices)
    outcomes = ((name, totals.rows(name)) for name in ("failed", "held"))
    troubles = "".join(f", {n:,} {OUTCOMES[name]}" for name, n in outcomes if n)
    yield Fact("Rows", f"{totals.rows():,}", f"{totals.rows('ok'):,} ok{troubles}")
    reasoning = f", {sums.reasoning_tokens:,} of them reasoning" if sums.reasoning_tokens else ""
    unknown = f"; unknown for {so_many(sums.unknown, 'row')}" if sums.unknown else ""
    out = f"{sums.completion_tokens:,} out{reasoning}{unknown}"
    listed = ", ".join(account.lists(prices)) or prices.date
    yield Fact("Tokens in", f"{sums.input_tokens:,}", out)
    yield Fact(
        "Cost",
        "unknown" if cost is None else so_much(cost, prices.currency),
        f"prices of {listed}{_superseded(account, prices)}",
    )
    yield _doubts(account, prices)
    yield from _ends(report)


def _superseded(account: Account, prices: PriceTable) -> str:
    if not add(account.superseded).total_tokens:
        return ""
    more = so_much(account.replaced_cost(prices), prices.currency)
    return f"; and {more} for superseded operations"


def _doubts(account: Account, prices: PriceTable) -> Fact:
    doubts = account.doubts()
    if doubts is None:
        return Fact("Doubts", "unknown", "neither checkpoint nor totals tell")
    at_worst = f"at worst {so_much(account.doubt_cost(prices), prices.currency)}" if doubts else ""
    return Fact("Doubts", f"{doubts:,}", at_worst)


def _ends(report: Report) -> Iterator[Fact]:
    first, last = report.chronicle.first, report.chronicle.last
    sends = None if report.background is None else report.background.sends.span
    begun = min((second for second in (first, sends and sends[0]) if second), default=None)
    if begun is not None:
        day, time = report.zone.moment(begun).split()
        yield Fact("Began", time, f"{day}, with the first submit")
    if begun is not None and last is not None:
        is_over = report.background is None or report.background.state == "finished"
        day, time = report.zone.moment(last).split()
        told = f"{day}, with the last answer, {span(last - begun)} later{_untold(report, last)}"
        yield Fact("Ended" if is_over else "Until now", time, told)


def _untold(report: Report, last: int) -> str:
    """Why there are submits behind the last answer, where rows failed: these tell no time."""
    totals, submitted = report.account.totals, report.flow.submitted
    ends, has_failed = submitted.span, totals.rows("failed") or totals.rows("held")
    if ends is None or not has_failed or ends[1] - submitted.width <= last:
        return ""
    return "; rows that failed, some of them submitted after that, tell no time of theirs"


def _settings(known: Background | None) -> Iterator[tuple[str, str]]:
    if known is None:
        return
    for name, value in known.settings.items():
        if value not in _UNSAID:
            yield name, beginning(value)
    if known.rates is not None:
        yield "rate", " ".join(map(str, known.rates)) or "none"


def _throughput(report: Report) -> Iterator[Picture]:
    flow = report.flow
    plot = so_far(flow)
    if plot is not None:
        yield Picture(plot, f"{_used(flow)} {_seen(report)}".strip())
    plot = per_bucket(flow)
    if plot is not None:
        yield Picture(plot, _quota(report))


def _used(flow: Flow) -> str:
    ends, rows = flow.submitted.span, flow.submitted.total
    if ends is None:
        return ""
    lasted = ends[1] - ends[0] - flow.submitted.width
    told = f"{so_many(rows, 'submit')} in {span(lasted)}, from the first to the last."
    if not flow.rates or not lasted:
        return told
    quiet = flow.submitted.quiet(max(rate.seconds for rate in flow.rates))
    least = least_seconds(flow.rates, rows)
    limits = f"{flow.whose} limits of {' and '.join(rate.words for rate in flow.rates)}"
    of_what = "the rest" if quiet else "the time"
    used = lasted - quiet
    share = f", {100 * least / used:.1f} % of {of_what}" if least <= used else ""
    return f"{told}{_unused(quiet)} At {limits} they take {span(least)} at least{share}."


def _unused(quiet: float) -> str:
    """Of the time between processes no more is known than that nothing was submitted."""
    if not quiet:
        return ""
    return (
        f" For {span(quiet)} of that there was none though the limits allowed it: no process ran, "
        "the run was paused, or the service was away."
    )


def _seen(report: Report) -> str:
    known, untimed = report.background, report.chronicle.untimed
    told = []
    if known is None or not known.sends.counts:
        told.append("Submits are those of rows that were answered, by the service's own stamps.")
    elif known.since is not None:
        told.append(
            f"Until {report.zone.moment(known.since)} submits are those of rows that were "
            "answered; from then on each POST counts."
        )
    if untimed:
        told.append(f"Answers without times of their own: {untimed:,}.")
    return " ".join(told)


def _quota(report: Report) -> str:
    flow, known = report.flow, report.background
    rate, width = flow.binding(flow.width(BARS)), flow.width(BARS)
    if rate is None:
        return "No limit on submits was configured."
    is_said = known is not None and known.rates is not None
    most = f"a bar has room for {so_many(flow.ceiling(rate, width), 'submit')} at most"
    if is_said:
        return f"By the quota of {rate.words}, as it was configured last, {most}."
    return f"By the documented quota of {rate.words} {most}; no other one is known of this run."


def _latency(chronicle: Chronicle) -> Picture | None:
    latency = chronicle.latency
    plot = took(latency)
    if plot is None:
        return None
    slowest = chronicle.slowest.rows()[0].seconds or 0
    told = [f"{percent} % within {span(latency.below(percent) or 0)}" for percent in _PERCENTS]
    return Picture(
        plot,
        f"From acceptance to the end, by the service's stamps, to the second: {', '.join(told)}; "
        f"the slowest {span(slowest)}. When it was fetched does not count.",
    )


def _below(account: Account, prices: PriceTable) -> Iterator[str]:
    yield from sentences(account, prices)
    unpriced = account.totals.unpriced(prices)
    if unpriced:
        yield no_price(unpriced)
