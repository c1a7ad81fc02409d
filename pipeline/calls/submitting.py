"""What the answer to a POST means for its row, its run and the pace. Pure."""

import re

from msgspec import Struct

from pipeline.api import outcomes
from pipeline.api.outcomes import OperationId, Problem, SubmitOutcome
from pipeline.auth.credentials import ROLE
from pipeline.errors import BadSettings, NoPermission, RunError
from pipeline.life.records import Failure
from pipeline.pacing.gate import Throttle

# As the service words what is wrong with a folder or a model.
_OTHER_FOLDER = re.compile(r"does not match with service account folder ID '([\w.-]+)'", re.ASCII)
_MODEL = re.compile(r"model", re.IGNORECASE)


class Run(Struct, frozen=True):
    """The row runs as this operation."""

    operation_id: OperationId


class Fail(Struct, frozen=True):
    """The row failed for good."""

    failure: Failure


class Retry(Struct, frozen=True):
    """Certainly not accepted: the row goes back and no attempt is spent.

    `sent` false: the service did not even see it, so no quota counted it.
    """

    problem: Problem
    sent: bool = True
    throttle: Throttle | None = None


class Later(Struct, frozen=True):
    """Certainly not accepted, for a reason of the row's own that may pass: it waits by itself."""

    problem: Problem


class Doubt(Struct, frozen=True):
    """It can't be known whether it was accepted. `outage`: the host failed to answer."""

    problem: Problem
    outage: bool


class Stop(Struct, frozen=True):
    """Not accepted, for a reason that every row shares: the run ends, the row waits."""

    error: RunError


Verdict = Run | Fail | Retry | Later | Doubt | Stop


def after_submit(outcome: SubmitOutcome, *, own_model: bool, proven: bool = False) -> Verdict:
    """What to do; a row that names its own model answers for it alone.

    `proven`: rows were accepted already, so a 400 can't be about what all rows share.
    """
    match outcome:
        case outcomes.Accepted(operation_id):
            return Run(operation_id)
        case outcomes.Throttled(throttle, problem):
            return Retry(problem, throttle=throttle)
        case outcomes.Conflict(problem):
            return Later(problem)
        case outcomes.Unauthorized(problem):
            # Whoever keeps the credential says when there is another one, or when to end.
            return Retry(problem)
        case outcomes.NotSent(problem):
            return Retry(problem, sent=False)
        case outcomes.Unsure(problem, outage):
            return Doubt(problem, outage)
        case outcomes.Misdirected(problem):
            return Stop(misdirected(problem))
        case outcomes.Refused(problem, shared) if own_model or proven or not shared:
            return Fail(_failure(problem))
        case outcomes.Refused(problem):
            return Stop(misdirected(problem))
        case outcomes.Forbidden(problem) | outcomes.NotFound(problem) if own_model:
            return Fail(_failure(problem))
        case outcomes.Forbidden(problem):
            return Stop(forbidden(problem))
        case outcomes.NotFound(problem):
            return Stop(misdirected(problem))


def forbidden(problem: Problem) -> NoPermission:
    """The end of a run whose credential is accepted, but not for this."""
    return NoPermission(
        f"the service forbids it: {problem.message}",
        f"Check that the account has the role {ROLE} on the folder, that "
        "--folder-id is right and that its cloud has active billing; then run it again.",
    )


def misdirected(problem: Problem) -> BadSettings:
    """The end of a run whose folder, model or hosts are wrong."""
    remedy, right = _remedy(problem.message)
    what = f"the service refuses what all rows share: {problem.message}"
    return BadSettings(what, f"{remedy}, then run it again.", right)


def _remedy(message: str) -> tuple[str, dict[str, str]]:
    """What to do, and options with their right values, or a word where nobody knows them."""
    folders = _OTHER_FOLDER.search(message)
    if folders is not None:
        folder = folders[1]
        told = f"Set --folder-id {folder}, or use a credential of the folder that you meant"
        return told, {"--folder-id": folder}
    if _MODEL.search(message):
        told = "Check --model: a name such as yandexgpt-lite or yandexgpt, or a gpt:// URI"
        return told, {"--model": "MODEL"}
    return "Check --model, --folder-id and --endpoint", {}


def _failure(problem: Problem) -> Failure:
    return Failure("submit", problem.code, problem.message, problem.request_id)
