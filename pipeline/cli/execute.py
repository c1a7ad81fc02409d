"""Makes a run of resolved options: finds what it needs, carries it, says how it went."""

import asyncio
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Thread

from pipeline import log
from pipeline.auth.keeper import Keeper
from pipeline.calls.service import Account, Service
from pipeline.cli.answer import answer, tell
from pipeline.cli.call import Call
from pipeline.cli.summary import Summary, of_a_bug
from pipeline.cli.watched import watched
from pipeline.clock import Clock
from pipeline.codec import Json, encode
from pipeline.engine.start import carry
from pipeline.engine.tools import Tools
from pipeline.errors import RunError
from pipeline.files.source import Source
from pipeline.money.totals import no_price
from pipeline.pacing.rates import Kind, Rate
from pipeline.shared_quota.allowance import Allowance
from pipeline.shared_quota.refill import Opener
from pipeline.state.board import Complete, Ending, Outcome, Stopped
from pipeline.state.resumption import Called, shareable
from pipeline.terminal.signals import Signals, die_by
from pipeline.terminal.speech import say
from pipeline.terminal.step import Step
from pipeline.view.metrics import Metrics
from pipeline.view.progress import view_of

# For probes and tokens, beside a connection for each lane.
_SPARE_CONNECTIONS = 8


def execute(call: Call, signals: Signals, resume: Sequence[str]) -> int:
    """Carry the run; return the exit code, or die by the signal that stopped it.

    `resume` are the words of the call that would go on with it.
    """
    log.set_up(call.verbose, call.log_file)
    for remark in call.remarks():
        say(remark)
    # What a run makes is freed as it goes; looking for cycles among all else takes its time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    follow = _sequel(call.on_finish)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            outcome = runner.run(carry_out(call, signals, _called(resume)))
    except RunError:
        # It could not begin.
        raise
    except Exception:
        signals.rest()
        follow(of_a_bug(call.paths, resume))
        raise
    signals.rest()
    summary = Summary.of(call.paths, call.prices, outcome, resume)
    _conclude(call, summary)
    follow(summary.to_json())
    if isinstance(outcome.end, Stopped):
        die_by(outcome.end.signal)
    return outcome.exit_code


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where it is installed: half of what asyncio's own costs; None is that."""
    with suppress(ImportError):
        import uvloop  # noqa: PLC0415

        return uvloop.new_event_loop
    return None


def _called(resume: Sequence[str]) -> Called | None:
    """What is noted of it; nothing where nobody can say where that is."""
    with suppress(OSError):
        return Called(shareable(resume), str(Path.cwd()))
    return None


async def carry_out(call: Call, signals: Signals, called: Called | None = None) -> Outcome:
    """Carry the run, and let whoever watches it see its end; `called` is what goes on with it.

    Raises:
        RunError: it could not begin.

    """
    clock = Clock()
    with watched(call.paths.output, call.settings.recipe.model, call.metrics_file, clock) as end:
        try:
            outcome = await _carried(call, signals, clock, called, end.metrics)
        except RunError as error:
            end.exit_code, end.refused = error.exit_code, True
            raise
        end.exit_code = outcome.exit_code
        return outcome


async def _carried(
    call: Call, signals: Signals, clock: Clock, called: Called | None, metrics: Metrics | None
) -> Outcome:
    ending = Ending()
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        # Too late is too late: the run has ended already.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(ending.set, Stopped(number))

    signals.tell(stop)
    source = Source(call.input)
    lanes = call.settings.concurrency + call.settings.poll_lanes
    carrier = call.access.carrier(lanes + _SPARE_CONNECTIONS)
    keeper = Keeper(call.access.source, carrier, clock, call.settings.patience)
    account = Account(keeper, call.settings.recipe.folder, call.data_logging)

    @contextmanager
    def connect() -> Iterator[Service]:
        with call.access.served(call.paths.emulator) as endpoints:
            yield Service(carrier, endpoints, account, clock)

    view = view_of(call.progress)
    tools = Tools(
        *(connect, clock, call.prices, [view, *([metrics] if metrics else [])]),
        *(say, _allowance(call, clock)),
        remember=None if call.known is None else partial(_aside, call.known.remember),
        foretell=None if call.progress == "none" else say,
        control=call.paths.control,
        endpoint=call.endpoint,
        called=called,
    )
    try:
        return await carry(
            *(call.paths, source, call.settings, tools, ending),
            fresh=call.fresh,
            retry=call.retry,
        )
    finally:
        view.close()
        await carrier.close()
        source.close()


def _allowance(call: Call, clock: Clock) -> Opener | None:
    """How to open what this run shares with others that use its folder."""
    if not call.shared_quota:
        return None

    def opened(rates: Mapping[Kind, tuple[Rate, ...]]) -> Allowance:
        return Allowance(call.state_file(), rates, clock)

    return opened


def _aside(work: Callable[..., None], *given: object) -> None:
    """Do what nobody waits for, on a disk that may hang."""
    Thread(target=work, args=given, daemon=True).start()


def _sequel(command: str | None) -> Callable[[Json], None]:
    """What to do with the summary once the run has ended."""
    if command is None:
        return lambda _: None
    # Now: a long run may outlast the package that it was begun with.
    from pipeline.cli.sequel import follow  # noqa: PLC0415 - only where there is one

    return lambda told: follow(command, encode(told) + b"\n")


def _conclude(call: Call, summary: Summary) -> None:
    """The summary on standard output; why it ended, and what goes on, on standard error."""
    if call.as_json:
        answer([encode(summary.to_json()).decode()])
    else:
        tell(summary.sentences())
    unpriced = summary.outcome.totals.unpriced(call.prices)
    if unpriced:
        say(no_price(unpriced))
    advice = summary.advice()
    match summary.outcome.end:
        case RunError() as error:
            say(f"yagpt-batch: {error.told}")
            if summary.changed:
                say(summary.changed)
            if advice is not None:
                say(advice)
        case Stopped():
            if advice is not None:
                say(Step(f"Stopped. {advice.why}", advice.words))
            else:
                say(f"Stopped. {summary.changed}".rstrip())
        case Complete():
            pass
