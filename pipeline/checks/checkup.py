"""What the cheap calls of `check` tell: whether a run could work, and what to do if not. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.api import outcomes
from pipeline.api.outcomes import CountOutcome, PollOutcome, Problem
from pipeline.auth.credentials import NoCredentialError
from pipeline.calls.submitting import forbidden, misdirected
from pipeline.codec import Json
from pipeline.errors import BadSettings, Exit, NoPermission, RunError, Unreachable
from pipeline.money.prices import PriceTable
from pipeline.pacing.rates import Rate

# As the service makes them, but none that it ever gave out.
UNUSED_OPERATION = "d7q00000000000000000"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried: what, and what came of it.

    `trouble` is what would end a run, `remarks` what would not.
    """

    what: str
    answer: str = ""
    trouble: RunError | None = None
    remarks: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """The finding for people: one line, and one for each remark."""
        if self.trouble is None:
            yield f"ok      {self.what}: {self.answer}"
        else:
            yield f"FAILED  {self.what}: {self.trouble.told}"
        yield from (f"note    {remark}" for remark in self.remarks)

    def to_json(self) -> dict[str, Json]:
        trouble = self.trouble
        return {
            "what": self.what,
            "ok": trouble is None,
            "answer": self.answer if trouble is None else str(trouble),
            "advice": None if trouble is None else trouble.advice,
            "remarks": list(self.remarks),
        }


def verdict(findings: Sequence[Finding]) -> Exit:
    """The exit code: of the first trouble."""
    troubles = (finding.trouble for finding in findings)
    return next((trouble.exit_code for trouble in troubles if trouble is not None), Exit.OK)


def of_credential(source: str, ends: str | None, remarks: tuple[str, ...] = ()) -> Finding:
    """A source handed out a credential, which is good until `ends` if that is known."""
    answer = "found" if ends is None else f"good until {ends}"
    return Finding(f"credential of {source}", answer, remarks=remarks)


def of_no_credential(source: str, error: NoCredentialError) -> Finding:
    """A source handed out none."""
    kind = Unreachable if error.may_pass else NoPermission
    return Finding(f"credential of {source}", trouble=kind(str(error), error.advice))


def of_tokenizer(uri: str, outcome: CountOutcome, advice: str) -> Finding:
    """What the free tokenizer's answer tells of credential, folder and model.

    `advice`: what to do where the credential is not accepted.
    """
    what = f"model {uri}"
    match outcome:
        case outcomes.Counted():
            return Finding(what, "the tokenizer answers for it")
        case outcomes.Throttled(_, problem) | outcomes.Conflict(problem):
            return Finding(what, f"the tokenizer is busy, and so there: {problem.message}")
        case outcomes.Forbidden(problem):
            return Finding(what, trouble=forbidden(problem))
        case outcomes.NotFound(problem) | outcomes.Misdirected(problem):
            return Finding(what, trouble=misdirected(problem))
        case outcomes.Refused(problem):
            return Finding(what, trouble=misdirected(problem))
        case outcomes.Unauthorized(problem):
            return Finding(what, trouble=_not_accepted(problem, advice))
        case outcomes.NotSent(problem) | outcomes.Unsure(problem):
            return Finding(what, trouble=_away("the text generation service", problem))


def of_operations(url: str, outcome: PollOutcome, advice: str) -> Finding:
    """What the answer to a poll of an operation that can't exist tells of its host."""
    what = f"operations at {url}"
    match outcome:
        case outcomes.Unauthorized(problem):
            return Finding(what, trouble=_not_accepted(problem, advice))
        case outcomes.NotSent(problem) | outcomes.Unsure(problem):
            return Finding(what, trouble=_away("the operation service", problem))
        case outcomes.Misdirected(problem) | outcomes.Garbled(problem):
            return Finding(what, trouble=_elsewhere(problem))
        # A page of somebody else's server holds none of the service's words.
        case outcomes.NotFound(problem) if problem.message.startswith("HTTP "):
            return Finding(what, trouble=_elsewhere(problem))
        case outcomes.Throttled(_, problem) | outcomes.Conflict(problem):
            return Finding(what, f"busy, and so there: {problem.message}")
        case _:
            return Finding(what, "there, and denies an operation that can't exist")


def of_model(model: str, prices: PriceTable) -> Finding:
    """Whether the model is known to work in asynchronous mode: those that have a price there."""
    what = f"asynchronous mode of {model}"
    if prices.find(model) is not None:
        return Finding(what, "known to work")
    remark = (
        f"{model} is not known to work in asynchronous mode; a run may be refused, and what it "
        "costs is not known. Try a few rows first: --limit 3."
    )
    return Finding(what, "not known", remarks=(remark,))


def of_quotas(submits: Iterable[Rate], polls: Iterable[Rate]) -> Finding:
    """Which quotas a run would keep to."""
    told = f"submits {_listed(submits)}; polls {_listed(polls)}"
    return Finding("quotas that a run keeps to", told)


def _listed(rates: Iterable[Rate]) -> str:
    return " and ".join(map(str, rates)) or "without limit"


def _not_accepted(problem: Problem, advice: str) -> NoPermission:
    return NoPermission(f"the service does not accept the credential: {problem.message}", advice)


def _away(host: str, problem: Problem) -> Unreachable:
    advice = "Check the network, a proxy in HTTPS_PROXY, and --endpoint."
    return Unreachable(f"{host} can't be reached: {problem.message}", advice)


def _elsewhere(problem: Problem) -> BadSettings:
    advice = "Check --endpoint and YAGPT_OPERATIONS_URL."
    return BadSettings(f"that is no operation service: {problem.message}", advice)
