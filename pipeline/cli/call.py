"""One call of `run`: its options, checked and resolved into what it needs."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from msgspec import Struct

from pipeline.auth.lookup import TRIAL, NoSource
from pipeline.cli.access import Access
from pipeline.cli.kinds import chosen_rates, is_auto
from pipeline.cli.pricing import price_table
from pipeline.cli.recipe import recipe_of
from pipeline.engine.retry import Retry
from pipeline.errors import BadData, StorageFailed
from pipeline.files.paths import Paths
from pipeline.input.rows import Recipe, folder_of, model_uri
from pipeline.life.item import Policy
from pipeline.money.prices import PriceTable
from pipeline.network.endpoints import Endpoints, host_of
from pipeline.outside.snapshot import Snapshot, looked_at
from pipeline.pacing.rates import NONE
from pipeline.settings import DEFAULT_POLL_RATES, DEFAULT_RATES, Settings
from pipeline.shared_quota.allowance import Unshared, state_file
from pipeline.shared_quota.known import Known

_COLLECTED = ".prom"


class Call(Struct, frozen=True):
    """One call of `run`, resolved."""

    input: Path
    paths: Paths
    settings: Settings
    known: Known | None
    access: Access
    data_logging: bool
    environment: Mapping[str, str]
    shared_quota: bool
    fresh: bool
    progress: str
    log_file: Path | None
    metrics_file: Path | None
    verbose: int
    as_json: bool
    prices: PriceTable
    endpoint: str | None = None
    on_finish: str | None = None
    retry: Retry | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any], environment: Mapping[str, str]) -> "Call":
        """Check what can be checked before anything is opened.

        Raises:
            click.UsageError: an option's value makes no sense.
            RunError: there is no credential, or no folder for the model.

        """
        if options["input_path"] == "-":
            raise click.UsageError("run can't read standard input: a resume must read it again.")
        output = Path(options["output"])
        if output.suffix in {".gz", ".zst"} or output.is_dir():
            raise click.UsageError(f"-o {output}: name a plain file; results are appended to it.")
        paths = Paths(output)
        if any(_same(Path(options["input_path"]), path) for path in paths.all()):
            raise click.UsageError(f"-o {output}: the run's own files can't be its input too.")
        try:
            access = Access.of(options, environment)
        except NoSource as error:
            raise NoSource(str(error), TRIAL if options["fresh"] else _trial(paths)) from None
        recipe = recipe_of(options, access.folder)
        known = None if options["emulator"] else _known(environment, access.endpoints, recipe)
        return cls(
            input=Path(options["input_path"]),
            paths=paths,
            settings=_settings(options, recipe, known),
            known=known,
            access=access,
            data_logging=not options["no_data_logging"],
            environment=environment,
            shared_quota=not (options["no_shared_quota"] or options["emulator"]),
            fresh=options["fresh"],
            progress=options["progress"],
            log_file=options["log_file"],
            metrics_file=options["metrics_file"],
            verbose=options["verbose"],
            as_json=options["as_json"],
            prices=price_table(options["prices"]),
            endpoint=None if options["emulator"] else options["endpoint"],
            on_finish=options["on_finish"],
        )

    def remarks(self) -> Iterator[str]:
        """What the user should know at the start."""
        yield from self.access.remarks
        if self.metrics_file is not None and self.metrics_file.suffix != _COLLECTED:
            yield (
                f"--metrics-file {self.metrics_file}: the textfile collector of Prometheus's node "
                f"exporter reads only files that end in {_COLLECTED}."
            )

    def state_file(self) -> Path:
        """Where runs of its folder share what they have.

        Raises:
            Unshared: the user has no place for it.

        """
        return _state_file(self.environment, self.access.endpoints, self.settings.recipe)


def _trial(paths: Paths) -> str:
    """What to say of the emulator; a run goes on with what it was begun with."""
    if not paths.checkpoint.exists():
        return TRIAL
    with suppress(BadData, StorageFailed):
        if looked_at(paths.checkpoint, Snapshot.settings).get("emulator"):
            return f"; {paths.output} was begun with --emulator, which goes on with it."
    return "."


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _settings(options: Mapping[str, Any], recipe: Recipe, known: Known | None) -> Settings:
    if options["budget"] is not None and options["max_tokens"] is None:
        raise click.UsageError(
            "--budget needs --max-tokens: without it no row has a worst case worth reserving."
        )
    auto = is_auto(options["rate"])
    documented = known.rates(DEFAULT_RATES) if auto and known else DEFAULT_RATES
    return Settings(
        recipe=recipe,
        rates=documented if auto else chosen_rates(options["rate"], DEFAULT_RATES),
        auto_rate=auto,
        poll_rates=chosen_rates(options["poll_rate"], DEFAULT_POLL_RATES),
        policy=Policy(
            options["attempts"],
            resubmit_doubts=options["on_doubt"] == "resubmit",
            resubmit_lost=options["on_lost"] == "resubmit",
        ),
        concurrency=options["concurrency"],
        max_in_flight=_unless_lifted(options["max_in_flight"]),
        limit=options["limit"],
        patience=options["patience"],
        raw=options["raw"],
        totals=not options["no_totals"],
        emulator=options["emulator"],
        budget=options["budget"],
        finish_by=_unless_lifted(options["finish_by"]),
        dedupe=options.get("dedupe", False),
    )


def _unless_lifted(limit: Any) -> Any:
    """None for what a flag takes back that a settings file asks for."""
    return None if limit == NONE else limit


def _known(environment: Mapping[str, str], endpoints: Endpoints, recipe: Recipe) -> Known | None:
    """What is known of the folder's quotas; None where a user has no place for it."""
    with suppress(Unshared):
        return Known(_state_file(environment, endpoints, recipe).with_suffix(".known"))
    return None


def _state_file(environment: Mapping[str, str], endpoints: Endpoints, recipe: Recipe) -> Path:
    host = host_of(endpoints.llm)
    return state_file(environment, host, folder_of(model_uri(recipe.model, recipe.folder)))
