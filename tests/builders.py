"""What several tests are made of: recorded bodies, rows begun, answers, and the files of a run."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from msgspec.structs import replace

from pipeline import codec
from pipeline.api.outcomes import (
    Answer,
    OperationId,
    Problem,
    Usage,
)
from pipeline.codec import Json
from pipeline.files.output import seal
from pipeline.files.paths import Paths
from pipeline.files.source import Line, Source
from pipeline.input.rows import Recipe
from pipeline.life.facts import Begin, Cursor, Finish, Move, Span
from pipeline.life.item import Running, State, Waiting
from pipeline.life.records import Failure, failed_line, result_line
from pipeline.money.prices import PriceTable
from pipeline.money.tariff import read_tariff
from pipeline.resuming.recovery import Files, opened
from pipeline.settings import Settings

NOW = 1_800_000_000.0
OPERATION = OperationId("d7qqr3frkl81js0udlr9")
MODEL = "yandexgpt-lite"
SETTINGS = Settings(Recipe(MODEL, "b1g"))
PROBLEM = Problem("INTERNAL", "the service's words", "r-1")
USAGE = Usage(15, 107, 0, 122)
ANSWER = Answer(
    text="Ответ",
    finish="final",
    tool_calls=None,
    usage=USAGE,
    model_version="07.03.2024",
    created_at="2024-06-06T12:45:48Z",
    finished_at="2024-06-06T12:45:52Z",
    response={"alternatives": []},
)
# The day of that answer in Moscow.
DAY = "2024-06-06"
_RECORDED = Path(__file__).parent / "recorded"


def new_authorized_key() -> dict[str, str]:
    """Make an authorized key, in the form of the file that ``yc iam key create`` writes."""
    pair = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = pair.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = pair.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    key_id = "ajekey00000000000000"
    return {
        "id": key_id,
        "service_account_id": "ajeaccount0000000000",
        "created_at": "2026-11-20T20:00:00.123456789Z",
        "key_algorithm": "RSA_2048",
        "public_key": public.decode(),
        # Newer files begin so; the line is no part of the key.
        "private_key": f"PLEASE DO NOT REMOVE THIS LINE! Yandex.Cloud SA Key ID <{key_id}>\n"
        + private,
    }


def recorded(name: str) -> dict[str, Json]:
    """The JSON object of a recorded body."""
    return fields(codec.decode((_RECORDED / f"{name}.json").read_bytes()))


def recorded_bytes(name: str) -> bytes:
    return (_RECORDED / f"{name}.json").read_bytes()


def fields(value: Json) -> dict[str, Json]:
    assert isinstance(value, dict)
    return value


def operation(**changes: Json) -> bytes:
    """A finished operation as the service shows it, with some fields changed or added."""
    return codec.encode(recorded("sdk_operation_done") | changes)


def response(**changes: Json) -> dict[str, Json]:
    """The response of a finished operation, with some fields changed or added."""
    return fields(recorded("sdk_operation_done")["response"]) | changes


def refusal(message: str, code: int = 3) -> bytes:
    """An error body of the nested shape."""
    return codec.encode({"error": {"grpcCode": code, "message": message, "details": []}})


def price_table() -> PriceTable:
    """Prices that ship with the package."""
    path = Path(__file__).parent.parent / "pipeline" / "money" / "prices.toml"
    return read_tariff(path.read_text(encoding="utf-8"))


def read(path: Path, start: Cursor | None = None) -> list[Line]:
    """Every line of an input from a place on."""

    async def collected() -> list[Line]:
        return [line async for line in source.lines(start or Cursor())]

    source = Source(path)
    try:
        return asyncio.run(collected())
    finally:
        source.close()


def begun(line: Line, state: State | None = None, own_id: str | None = None) -> Begin:
    """A row begun, waiting unless `state` says otherwise."""
    span = Span(line.offset, len(line.data), seal(line.data))
    return Begin(
        *(line.number, span, line.next, own_id, None, None, 64 + len(line.data), 100),
        state or Waiting(),
    )


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one run, in a folder of their own."""

    input: Path
    paths: Paths

    @contextmanager
    def opened(
        self, *, settings: Settings = SETTINGS, now: float = NOW, fresh: bool = False
    ) -> Iterator[Files]:
        source = Source(self.input)
        try:
            with opened(self.paths, source, settings.identity(), now=now, fresh=fresh) as files:
                yield files
        finally:
            source.close()


def place(folder: Path, rows: int = 3) -> Place:
    """An input of short prompts, and where its run's files will stand."""
    path = folder / "prompts.jsonl"
    path.write_text("".join(f'{{"prompt":"Вопрос {n}"}}\n' for n in range(1, rows + 1)))
    return Place(path, Paths(folder / "results.jsonl"))


def begin_all(files: Files) -> None:
    """Begin every row that the cursor has not reached; each is running as an operation."""
    lines = read(files.source.path, files.checkpoint.cursor())
    begins = (begun(line, Running(f"op-{line.number}", NOW, 1, 1)) for line in lines)
    files.checkpoint.record(begins, {})


def result(files: Files, line: int) -> bytes:
    """The line of the output that row `line` ends with."""
    known = files.checkpoint.known(line, MODEL)
    assert known is not None
    return result_line(known, replace(ANSWER, text=f"Ответ {line}"), raw=False, emulator=False)


def failure(files: Files, line: int, stage: str = "operation") -> bytes:
    """The line of the errors file that row `line` ends with."""
    known = files.checkpoint.known(line, MODEL)
    assert known is not None
    data = read(files.source.path)[line - 1].data
    return failed_line(known, Failure(stage, "code", "words"), None, data, emulator=False)


def finish(files: Files, *lines: int) -> None:
    """Write the results of rows and commit them, as the recorder does."""
    spans = files.output.append([result(files, line) for line in lines])
    finishes = [
        Finish(line, "ok", "final", USAGE, span, DAY)
        for line, span in zip(lines, spans, strict=True)
    ]
    files.checkpoint.record(finishes, {"output": files.output.signature()})


def fail(files: Files, *lines: int) -> None:
    """Write the error lines of rows and commit them, as the recorder does."""
    errors = files.errors()
    spans = errors.append([failure(files, line) for line in lines])
    finishes = [
        Finish(line, "failed", None, None, span) for line, span in zip(lines, spans, strict=True)
    ]
    files.checkpoint.record(finishes, {"errors": errors.signature()})


def move(files: Files, line: int, state: State) -> None:
    files.checkpoint.record([Move(line, state)], {})
