"""Who is compared: with which versions, by which command, against which stand-in."""

from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent
_ROOT = _HERE.parent
_DRIVERS = _HERE / "drivers"


class Unmeasured(Exception):
    """Why a contender has no figures, in a line."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A tool in an environment of its own.

    Attributes:
        name: as it stands in the tables.
        requirements: what is installed for it, as pip takes it.
        command: a program of its environment and its arguments, with {input}, {output}, {port} and
            {in_flight} to be filled in.
        resumes: whether the same command goes on from what an earlier one left.
        stand_in: a program of its environment that it talks to; None: `benchmarks/instant.py`.

    """

    name: str
    requirements: tuple[str, ...]
    command: tuple[str, ...]
    resumes: bool = False
    stand_in: tuple[str, ...] | None = None


def _program(driver: str) -> tuple[str, ...]:
    # -P: the folder of the drivers must not stand in for anybody's package.
    return ("python", "-P", str(_DRIVERS / driver))


def _driver(name: str) -> tuple[str, ...]:
    return (*_program(name), "{input}", "{output}", "{port}", "{in_flight}")


_OURSELVES = ("yagpt-batch", "run", "{input}", "-o", "{output}", "--no-totals")
_LOCKED = ("--constraint", str(_ROOT / "requirements.lock"))
_LOOPBACK = ("--endpoint", "http://127.0.0.1:{port}", "--folder-id", "b1gbenchmark")
_UNLIMITED = ("--rate", "none", "--poll-rate", "none", "--concurrency", "{in_flight}")

CONTENDERS = (
    Contender(
        "yagpt-batch[fast]",
        (f"{_ROOT}[fast]", *_LOCKED),
        (*_OURSELVES, *_LOOPBACK, *_UNLIMITED, "--http", "httptools"),
        resumes=True,
    ),
    Contender(
        "yagpt-batch",
        (str(_ROOT), *_LOCKED),
        (*_OURSELVES, *_LOOPBACK, *_UNLIMITED),
        resumes=True,
    ),
    Contender("openai SDK + semaphore", ("openai==3.54.0",), _driver("openai_sdk.py")),
    Contender(
        "async-batch-llm",
        ("async-batch-llm[openai]==0.28.0", "openai==3.54.0"),
        _driver("batch_llm.py"),
        resumes=True,
    ),
    Contender(
        "langchain-openai, abatch",
        ("langchain-openai==1.7.3", "langchain-core==1.7.2", "openai==3.54.0"),
        _driver("langchain_abatch.py"),
    ),
    Contender(
        "litellm + semaphore",
        ("litellm==1.106.2", "openai==2.54.0"),
        _driver("litellm_gather.py"),
    ),
    Contender(
        "bespokelabs-curator",
        ("bespokelabs-curator==0.1.31", "litellm==1.83.7", "openai==2.30.0", "datasets==3.6.0"),
        _driver("curator_llm.py"),
        resumes=True,
    ),
    Contender(
        "yandex-ai-studio-sdk, gRPC",
        ("yandex-ai-studio-sdk==0.22.1", "yandexcloud==0.413.0", "grpcio==1.85.1"),
        _driver("yandex_sdk.py"),
        stand_in=_program("yandex_stand_in.py"),
    ),
)
