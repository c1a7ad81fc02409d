"""Options that several commands have: each declared once, with its variable and its key."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click
from click.core import ParameterSource

from pipeline.auth.credentials import SOURCES
from pipeline.cli.config import DEFAULT_FILE, load_config, told_of
from pipeline.cli.kinds import (
    AuthKind,
    CountKind,
    DurationKind,
    MomentKind,
    MoneyKind,
    RateKind,
    SubmitRateKind,
)
from pipeline.cli.suggestions import files, models, values
from pipeline.cli.texts import CommandKind, SchemaKind, TemplateKind, TextKind
from pipeline.network.carriers import CHOICES

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Decorator(Protocol):
    def __call__(self, command: _Command, /) -> _Command: ...


def option(*names: str, also: str | None = None, **settings: Any) -> Decorator:
    """An option with its environment variable: YAGPT_ and its long name."""
    variable = "YAGPT_" + names[-1].removeprefix("--").upper().replace("-", "_")
    variables = [variable, also] if also else variable
    return click.option(*names, envvar=variables, show_envvar=True, **settings)


def _choice(name: str, values: Sequence[str], help_: str) -> Decorator:
    """An option that has one of some values, the first of them by default."""
    kind = click.Choice(values)
    return option(name, type=kind, default=values[0], show_default=True, help=help_)


def _together(*options: Decorator) -> Decorator:
    """All of them, to be listed by the help in this order."""

    def decorate(command: _Command, /) -> _Command:
        for one in reversed(options):
            command = one(command)
        return command

    return decorate


def by_hand(*options: Decorator) -> Decorator:
    """The same options without their variables, for what is asked at one moment only."""

    def decorate(command: _Command, /) -> _Command:
        before = len(getattr(command, "__click_params__", ()))
        command = _together(*options)(command)
        for parameter in getattr(command, "__click_params__", [])[before:]:
            parameter.envvar, parameter.show_envvar = None, False
        return command

    return decorate


model_options = _together(
    option(
        "--model",
        default="yandexgpt-lite",
        show_default=True,
        shell_complete=models,
        help="A name or a gpt:// URI.",
    ),
    option("--folder-id", also="YC_FOLDER_ID", help="The folder that pays."),
)
request_options = _together(
    model_options,
    option("--system", type=TextKind(), help="What the model is told before each prompt."),
    option(
        "--template",
        type=TemplateKind(),
        help="Makes a prompt of a row's fields: 'Translate to {language}: {text}'.",
    ),
    option("--temperature", type=click.FloatRange(0, 1), help="Sent only if given."),
    option("--max-tokens", type=click.IntRange(1), help="Of an answer; sent only if given."),
    option("--json-object", is_flag=True, help="Answers must be JSON objects; results get data."),
    option(
        "--json-schema",
        type=SchemaKind(),
        metavar="FILE",
        shell_complete=files,
        help="Answers must be JSON that fits this JSON Schema, or {…} itself; results get data.",
    ),
)
dedupe_option = option(
    "--dedupe", is_flag=True, help="Send the same request at temperature 0 once, for all."
)
limit_option = option(
    "--limit", type=click.IntRange(1), help="Take only the first N rows of the input."
)
_NEARNESS = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT, ParameterSource.DEFAULT_MAP)


def _of_one_host(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Let a nearer word win: a flag over a variable, that over the settings file.

    Raises:
        click.UsageError: both the emulator and another host are asked for, and neither is nearer.

    """
    given = context.params | {str(parameter.name): value}
    if given.get("emulator") and given.get("endpoint"):
        sources = [context.get_parameter_source(name) for name in ("emulator", "endpoint")]
        emulator, endpoint = (_NEARNESS.index(source) for source in sources if source in _NEARNESS)
        if emulator >= endpoint:
            both = " and ".join(told_of(context, name) for name in ("emulator", "endpoint"))
            raise click.UsageError(f"{both}: give one of them.")
    return value


real_host_options = _together(
    option(
        "--endpoint",
        metavar="URL",
        callback=_of_one_host,
        help="One base URL for all services.",
    ),
    _choice(
        "--http", CHOICES, "What carries calls: the fast one where it is installed, else httpx."
    ),
    option(
        "--auth",
        type=AuthKind(),
        shell_complete=values(*SOURCES),
        help="Which credential to use, as its variable is named; the first there is by default.",
    ),
)
host_options = _together(
    option(
        "--emulator",
        is_flag=True,
        callback=_of_one_host,
        help="Use the embedded stand-in: no account, no money.",
    ),
    real_host_options,
)
rate_options = _together(
    option(
        "--rate",
        type=SubmitRateKind(),
        multiple=True,
        shell_complete=values("10/s", "5000/h", "auto", "none"),
        help="Submits: 10/s and 5000/h by default; auto finds out more; or none.",
    ),
    option(
        "--poll-rate",
        type=RateKind(),
        multiple=True,
        shell_complete=values("50/s", "none"),
        help="Polls: 50/s by default; or none.",
    ),
)
# Of commands that read a whole settings file; the others have `pricing.prices_option`.
run_prices_option = option(
    "--prices",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Prices of your own, in the form that `prices --toml` shows.",
)
logging_option = option(
    "--no-data-logging", is_flag=True, help="Ask the service not to log requests."
)
no_totals_option = option(
    "--no-totals", is_flag=True, help="Leave out the last line with the totals."
)
budget_option = option(
    "--budget",
    type=MoneyKind(),
    help="What may be spent at most, doubts included; the prices' currency. Needs --max-tokens.",
)
finish_by_option = option(
    "--finish-by",
    type=MomentKind(),
    help="Submit nothing that would not be back by then: 07:30, or an ISO time; in this machine's "
    "time zone.",
)
max_in_flight_option = option(
    "--max-in-flight", type=CountKind(), help="Operations at once; no limit by default."
)
# How a run goes, and what is seen of it; none of this makes it another run.
course_options = _together(
    option(
        "--no-shared-quota", is_flag=True, help="Ignore what other runs here take of these rates."
    ),
    option(
        "--concurrency",
        type=click.IntRange(1),
        default=8,
        show_default=True,
        help="POSTs in flight: so many rows can be in doubt after a crash.",
    ),
    budget_option,
    finish_by_option,
    max_in_flight_option,
    option(
        "--attempts",
        type=click.IntRange(1),
        default=3,
        show_default=True,
        help="How often a row may be submitted.",
    ),
    _choice("--on-doubt", ["resubmit", "fail"], "Rows that may have been accepted."),
    _choice("--on-lost", ["resubmit", "fail"], "Rows whose operation the service has forgotten."),
    option(
        "--patience",
        type=DurationKind(),
        default="12h",
        show_default=True,
        shell_complete=values("1h", "12h", "3d"),
        help="How long an outage may last.",
    ),
    logging_option,
    _choice(
        "--progress", ["auto", "bar", "plain", "json", "none"], "What to show on standard error."
    ),
    option("--log-file", type=click.Path(path_type=Path), help="Append events as JSON lines."),
    option(
        "--metrics-file",
        type=click.Path(path_type=Path),
        help="Replaced every few seconds, for Prometheus: name it ….prom.",
    ),
)
# Of commands that carry a run.
finish_option = option(
    "--on-finish",
    type=CommandKind(),
    help="Called through the shell once the run has ended, with the summary as JSON on its input.",
)
config_options = _together(
    click.option(
        "-v",
        "--verbose",
        count=True,
        envvar="YAGPT_VERBOSE",
        show_envvar=True,
        help="Say more; -vv says everything.",
    ),
    click.option(
        "--config",
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=load_config,
        help=f"Settings file instead of ./{DEFAULT_FILE}.",
    ),
)
saying_options = _together(
    click.option(
        "--json",
        "as_json",
        is_flag=True,
        envvar="YAGPT_JSON",
        show_envvar=True,
        help="The summary as one JSON object.",
    ),
    config_options,
)
