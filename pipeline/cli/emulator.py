"""``yagpt-batch emulator``: the API on this machine."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.kinds import DurationKind, RateKind, chosen_rates
from pipeline.cli.staged import FaultKind, KeyFileKind, OffsetKind
from pipeline.cli.suggestions import files
from pipeline.emulator.schedules import GRAMMAR, NOT_TAKEN, OPERATIONS, TAKEN, TOKENS, Fault
from pipeline.pacing.rates import Rate

if TYPE_CHECKING:
    from pipeline.emulator.keys import AuthorizedKey

_EXAMPLES = """Serve the text generation API on this machine: no account, no money.

\b
  yagpt-batch emulator --port 8080
  YC_API_KEY=any yagpt-batch run prompts.jsonl -o results.jsonl \\
      --endpoint http://127.0.0.1:8080 --folder-id b1gemulator0000000000

It is as strict as the real service: requests are validated, quotas are enforced, and
GET /emulator/ledger tells what was accepted, polled and rejected. Stop it with Ctrl-C.

POST /iam/v1/tokens gives an IAM token for a JWT or an OAuth token, GET /computeMetadata/v1/...
gives one to whoever asks, with --metadata. Any API key and any token will do as long as no
credential is named here; as soon as one is, there are no others but the tokens that were given.
"""


def _listed(title: str, kinds: Iterable[tuple[str, str]]) -> str:
    lines = [f"  {kind:<17}{what}" for kind, what in kinds]
    return "\n".join(["\b", title, *lines])


_FAULTS = "\n\n".join(
    [
        f"A fault is {GRAMMAR}, such as hang:submits=0.02 or 502@60s+1h. :iam are calls for "
        "tokens; :all, or nothing, are all calls but those to the ledger. RATE is a probability, "
        "1 if not given. WHEN is from+for (10m+ is from then on) since the start, or which "
        "calls: 5, or 3-7. The first fault that applies strikes.",
        _listed("Calls that are not taken:", NOT_TAKEN.items()),
        _listed("Calls that are taken:", TAKEN.items()),
        _listed("Operations:", OPERATIONS.items()),
        _listed("IAM tokens, whatever else strikes; once, where WHEN is a time:", TOKENS.items()),
    ]
)


@click.command(help=_EXAMPLES, epilog=_FAULTS)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="0 takes a free one.",
)
@click.option("--folder-id", help="The only folder there is; b1gemulator0000000000 by default.")
@click.option(
    "--api-key",
    multiple=True,
    help="An API key that is accepted. Repeatable, like the five below.",
)
@click.option("--iam-token", multiple=True, help="A token that is accepted.")
@click.option(
    "--sa-key",
    type=KeyFileKind(),
    shell_complete=files,
    multiple=True,
    help="A service account's authorized key, whose JWTs are exchanged for tokens.",
)
@click.option("--oauth-token", multiple=True, help="One that is exchanged for tokens.")
@click.option("--expired-key", multiple=True, help="An API key that has expired.")
@click.option(
    "--forbidden",
    multiple=True,
    metavar="CREDENTIAL",
    help="Whose role is missing: an API key, a token, an authorized key's id, or metadata.",
)
@click.option("--metadata", is_flag=True, help="Be a virtual machine's metadata service, too.")
@click.option(
    "--rate", type=RateKind(), multiple=True, help="Submits: 10/s and 5000/h by default."
)
@click.option("--poll-rate", type=RateKind(), multiple=True, help="Polls: 50/s by default.")
@click.option(
    "--latency",
    type=click.FloatRange(0),
    default=4.0,
    show_default=True,
    metavar="SECONDS",
    help="How long operations take, the median.",
)
@click.option("--seed", type=int, help="Makes ids and latencies the same at each start.")
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    help="Keep operations in this file, or a restart forgets them.",
)
@click.option(
    "--retention",
    type=DurationKind(),
    default="3d",
    show_default=True,
    help="How long an operation is kept.",
)
@click.option(
    "--token-life",
    type=DurationKind(),
    help="How long a token is good: from when it was given, 12h by default, or from the first "
    "use of one that was not given here, for ever by default.",
)
@click.option(
    "--skew", type=OffsetKind(), default="0s", help="What the service's clock is ahead by; -90s."
)
@click.option(
    "--fault", type=FaultKind(), multiple=True, help="What is to go wrong; see below. Repeatable."
)
def emulator(
    *,
    host: str,
    port: int,
    folder_id: str | None,
    api_key: tuple[str, ...],
    iam_token: tuple[str, ...],
    sa_key: tuple["AuthorizedKey", ...],
    oauth_token: tuple[str, ...],
    expired_key: tuple[str, ...],
    forbidden: tuple[str, ...],
    metadata: bool,
    rate: tuple[Rate | None, ...],
    poll_rate: tuple[Rate | None, ...],
    latency: float,
    seed: int | None,
    store: Path | None,
    retention: float,
    token_life: float | None,
    skew: float,
    fault: tuple[Fault, ...],
) -> None:
    import secrets  # noqa: PLC0415

    from pipeline.emulator.model import Config  # noqa: PLC0415
    from pipeline.emulator.server import serve  # noqa: PLC0415

    default = Config()
    config = Config(
        folder=folder_id or default.folder,
        api_keys=frozenset(api_key),
        iam_tokens=frozenset(iam_token),
        sa_keys=sa_key,
        oauth_tokens=frozenset(oauth_token),
        expired=frozenset(expired_key),
        forbidden=frozenset(forbidden),
        metadata=metadata,
        submit_rates=chosen_rates(rate, default.submit_rates),
        poll_rates=chosen_rates(poll_rate, default.poll_rates),
        latency_median=latency,
        # Ids that come again after a restart would be taken for those given before it.
        seed=secrets.randbits(32) if seed is None else seed,
        retention=retention,
        token_life=math.inf if token_life is None else token_life,
        skew=skew,
        faults=fault,
    )
    serve(host, port, config, store, lambda url: click.echo(f"Serving on {url}"))
