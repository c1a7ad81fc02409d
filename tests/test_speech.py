"""A standard error that fails must not end a run, whoever speaks."""

import errno
import io
import json
import logging
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline import log
from pipeline.cli.answer import answer, tell
from pipeline.cli.pricing import price_table
from pipeline.emulator.model import Config, Service
from pipeline.ending.prospect import Eta
from pipeline.errors import StorageFailed
from pipeline.input.rows import Recipe
from pipeline.pacing.rates import Rate
from pipeline.settings import Settings
from pipeline.state.board import Counts
from pipeline.terminal.signals import Signals
from pipeline.terminal.speech import SPEECH, Speech, clean, say, say_from_signal
from pipeline.terminal.step import Sentence, Step
from pipeline.view.progress import JsonLines, Panel, Plain, View
from pipeline.view.scene import Scene
from tests.simulation import simulate


class Broken(io.StringIO):
    """A stream whose every write fails; counts them."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error
        self.writes = 0

    def write(self, _text: str) -> int:
        self.writes += 1
        raise self._error


BROKEN: list[Callable[[], io.StringIO | None]] = [
    lambda: Broken(OSError(errno.EIO, "Input/output error")),
    lambda: Broken(BrokenPipeError(errno.EPIPE, "Broken pipe")),
    lambda: Broken(ValueError("I/O operation on closed file.")),
    lambda: None,
]


@pytest.fixture(autouse=True)
def _heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fell quiet in one test speaks again in the next."""
    monkeypatch.setattr(SPEECH, "_quiet", False)


Break = Callable[[], io.StringIO | None]


@pytest.fixture(params=BROKEN, ids=["EIO", "EPIPE", "closed", "none"])
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Break:
    """Called in the test, for the capture of a test's output begins with the test."""

    def take_away() -> io.StringIO | None:
        stream: io.StringIO | None = request.param()
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return take_away


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The program's log, as it was before once the test is over."""
    logger = logging.getLogger("yagpt-batch")
    before = logger.handlers, logger.level, logger.propagate
    yield logger
    for one in logger.handlers:
        one.close()
    logger.handlers, level, logger.propagate = before
    # It remembers which levels it tells of; this makes it forget.
    logger.setLevel(level)


@pytest.mark.promise("P17")
def test_a_stream_that_fails_is_written_to_once_and_no_more(broken: Break) -> None:
    stream, speech = broken(), Speech()
    assert speech.write("one") == 3
    assert speech.write("three") == 5
    if isinstance(stream, Broken):
        assert stream.writes == 1


def test_what_is_no_stream_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in None, closed, io.StringIO():
        monkeypatch.setattr(sys, "stderr", stream)
        assert not Speech().isatty()


def test_what_is_said_stands_on_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    say("One thing.")
    say("Another.")
    assert capsys.readouterr().err == "One thing.\nAnother.\n"


@pytest.mark.parametrize("text", ["\x1b[2J", "a\rb", "a\nb", "\x07", "\u202e", "\ud83d", "\x9b1m"])
def test_nothing_that_is_said_can_drive_a_terminal(text: str) -> None:
    assert clean(text).isprintable()
    assert clean("Ответ — 5 ₽, 日本 🙂") == "Ответ — 5 ₽, 日本 🙂"


@pytest.mark.promise("P17")
@pytest.mark.parametrize("view", [Plain, JsonLines, Panel])
def test_a_view_goes_on_without_anybody_to_see_it(broken: Break, view: Callable[[], View]) -> None:
    broken()
    shown = view()
    for ok in range(3):
        shown.show(Scene(Counts(total=10, ok=ok), eta=Eta(0.0, bound_by=Rate(10, 1.0))))
    shown.close()


@pytest.mark.promise("P17")
def test_the_log_goes_on_in_its_file_when_the_screen_is_gone(
    broken: Break, logger: logging.Logger, tmp_path: Path
) -> None:
    broken()
    log.set_up(2, tmp_path / "log.jsonl")
    logger.warning("! the first")
    logger.warning("! the second")
    events = map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())
    assert [event["message"] for event in events] == ["! the first", "! the second"]


@pytest.mark.promise("P9")
@pytest.mark.usefixtures("logger")
def test_a_log_file_that_can_t_be_opened_is_a_failure_of_storage(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="can't open"):
        log.set_up(0, tmp_path / "nowhere" / "log.jsonl")


@pytest.mark.promise("P10")
def test_a_signal_is_heard_though_nothing_can_be_said(
    broken: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken()

    def gone(_fd: int, _data: bytes) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("pipeline.terminal.speech.os.write", gone)
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    heard = list[int]()
    try:
        signals = Signals()
        signals.tell(heard.append)
        signal.raise_signal(signal.SIGHUP)
    finally:
        for number, action in before.items():
            signal.signal(number, action)
    assert heard == [signal.SIGHUP]
    say_from_signal("Nobody hears this either.")


@pytest.mark.promise("P17")
@pytest.mark.parametrize("view", [Plain, JsonLines, Panel])
def test_a_run_whose_terminal_is_gone_ends_as_any_other(
    tmp_path: Path, broken: Break, logger: logging.Logger, view: Callable[[], View]
) -> None:
    broken()
    log.set_up(2, tmp_path / "log.jsonl")
    rows, output = tmp_path / "prompts.jsonl", tmp_path / "results.jsonl"
    rows.write_text('{"prompt":"Слово"}\n' * 30 + "no row\n")
    settings = Settings(Recipe("yandexgpt-lite", Config().folder))
    model = Service(Config(latency_median=90))
    outcome, _ = simulate(rows, output, settings, model, view=view(), say=say)
    assert outcome.exit_code == 3
    assert len(output.read_text().splitlines()) == 31
    assert json.loads(output.read_text().splitlines()[-1])["totals"] == outcome.totals.to_json(
        price_table(None)
    )
    assert logger.handlers


@pytest.mark.parametrize("closed", ["2>&-", ">&-"])
def test_a_stream_closed_from_the_start_does_not_change_how_a_run_ends(
    tmp_path: Path, closed: str
) -> None:
    (tmp_path / "prompts.jsonl").write_text('{"prompt":"Слово"}\n')
    program = [sys.executable, "-m", "pipeline", "run", "prompts.jsonl"]
    command = ["/bin/sh", "-c", f'"$@" {closed}', "sh", *program]
    ended = subprocess.run(
        [*command, "-o", "results.jsonl", "--emulator"],
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    assert b'"totals"' in (tmp_path / "results.jsonl").read_bytes().splitlines()[-1]


def test_what_is_answered_is_wrapped_for_a_terminal_and_whole_for_all_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[Sentence] = [
        "Forty columns are not enough for this sentence.",
        Step("Next", ["a" * 30, "b" * 30]),
    ]
    tell(told)
    assert capsys.readouterr().out == "".join(f"{sentence}\n" for sentence in told)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("pipeline.terminal.speech.size_of", lambda _: (40, 24))
    tell(told)
    answer(["For programs lines are whole, on a terminal, too."])
    assert capsys.readouterr().out.splitlines() == [
        "Forty columns are not enough for this",
        "  sentence.",
        "Next:",
        f"  {'a' * 30} \\",
        f"  {'b' * 30}",
        "For programs lines are whole, on a terminal, too.",
    ]
