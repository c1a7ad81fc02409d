"""What is told of a run at one moment, on a terminal of any width, on a line and as values."""

import gc
import io
import os
import shlex
from collections.abc import Iterator
from dataclasses import replace as with_counts
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from pipeline.clock import local_day_and_time, stamp
from pipeline.ending.prospect import Eta, duration
from pipeline.money.spent import Spent
from pipeline.pacing.rates import Rate
from pipeline.state.board import Counts
from pipeline.terminal.speech import SPEECH, say, say_from_signal, say_last_from_signal
from pipeline.terminal.step import Step
from pipeline.view.drawing import Drawing
from pipeline.view.panel import laid_out
from pipeline.view.progress import JsonLines, Panel, Plain, Silent, view_of
from pipeline.view.scene import Scene
from tests.scratch import table
from tests.screen import Screen

NOW = 1_795_300_000.0
COUNTS = Counts(
    total=40_000,
    ok=12_321,
    failed=22,
    held=2,
    open=1_210,
    running=1_204,
    doubts=3,
)
ETA = Eta(
    *(NOW, 1_204, Rate(5_000, 3_600.0), 0.994, NOW + 9_000),
    *(NOW + 9_000, NOW + 9_600, NOW + 12_000),
)
SPENT = Spent(Decimal("12.3"), "RUB", Decimal("40.1"), Decimal("40.6"), Decimal("41.2"))
NIGHT = Scene(COUNTS, NOW, NOW - 8_040, ETA, SPENT)


def _local(moment: float) -> str:
    return f"2026-11-21 0{2 + int(moment - NOW) // 3_600}:40"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator["_Terminal"]:
    """Standard error is a terminal whose size a test sets."""
    terminal = _Terminal()
    monkeypatch.setattr(SPEECH, "_quiet", False)
    # Not for all: the capture of a test's output begins with the test.
    monkeypatch.setattr("pipeline.terminal.speech.sys", SimpleNamespace(stderr=terminal))
    monkeypatch.setattr(os, "get_terminal_size", lambda _: terminal.size)
    monkeypatch.setenv("TERM", "xterm")
    yield terminal
    SPEECH.route(None)


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__()
        self.size = os.terminal_size((80, 24))

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2

    def on(self, columns: int) -> Screen:
        return Screen(columns).feed(self.getvalue())


def test_at_80_columns_every_group_of_facts_has_its_line() -> None:
    assert laid_out(NIGHT.told(_local), 79) == [
        "13,549 submitted · 1,204 in flight · 12,321 ok · 22 failed · 2 held",
        "3 in doubt",
        "12.30 RUB spent · in the end 40.10 to 41.20 RUB",
        "ends between 04:40 and 05:40 · bound by 5,000 an hour (99.4 % used)",
        "oldest operation 2 h 14 min",
    ]


def test_at_40_columns_the_same_facts_take_more_lines() -> None:
    assert laid_out(NIGHT.told(_local), 39) == [
        "13,549 submitted · 1,204 in flight",
        "12,321 ok · 22 failed · 2 held",
        "3 in doubt",
        "12.30 RUB spent",
        "in the end 40.10 to 41.20 RUB",
        "ends between 04:40 and 05:40",
        "bound by 5,000 an hour (99.4 % used)",
        "oldest operation 2 h 14 min",
    ]


@given(st.integers(9, 200))
def test_at_any_width_nothing_is_cut_and_nothing_is_left_out(width: int) -> None:
    groups = NIGHT.told(_local)
    lines = laid_out(groups, width)
    assert max(map(len, lines)) <= width
    words = [word for line in lines for word in line.split() if word != "·"]
    assert words == [word for group in groups for phrase in group for word in phrase.split()]


@given(st.integers(-1, 8))
def test_where_a_word_is_wider_than_a_line_no_line_is(width: int) -> None:
    lines = laid_out(NIGHT.told(_local), width)
    assert max(map(len, lines)) <= max(width, 1)


def test_a_line_of_a_log_tells_the_same() -> None:
    line = NIGHT.line(_local)
    assert line.startswith("12,345/40,000 rows · 13,549 submitted · 1,204 in flight · ")
    assert "\n" not in line
    for group in NIGHT.told(_local):
        assert all(phrase in line for phrase in group)


def test_before_anything_is_known_nothing_is_made_up() -> None:
    scene = Scene(Counts(), NOW, spent=Spent(Decimal(0), "RUB"))
    assert scene.line(_local) == "0/? rows · 0 submitted · 0 in flight · 0 ok · 0 failed"
    values = scene.to_json(_local, stamp)
    assert values["total"] is values["oldest_age_seconds"] is values["projected"] is None


def test_programs_get_all_of_it_as_values() -> None:
    values = NIGHT.to_json(_local, stamp)
    assert values == {
        "at": stamp(NOW),
        "total": 40_000,
        "finished": 12_345,
        "submitted": 13_549,
        "in_flight": 1_204,
        "ok": 12_321,
        "failed": 22,
        "held": 2,
        "doubts": 3,
        "posting": 0,
        "open": 1_210,
        "oldest_age_seconds": 8_040.0,
        "spent": "12.30",
        "currency": "RUB",
        "projected": {"low": "40.10", "likely": "40.60", "high": "41.20"},
        "eta": {
            "all_submitted": stamp(NOW + 9_000),
            "earliest": stamp(NOW + 9_000),
            "likely": stamp(NOW + 9_600),
            "latest": stamp(NOW + 12_000),
        },
        "bound_by": "5000/h",
        "used": 0.994,
        "denied": 0,
        "note": "between 04:40 and 05:40, bound by 5,000 an hour (99.4 % used)",
    }


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (8_040, "2 h 14 min"), (200_000, "2 d 7 h")],
)
def test_an_age_is_told_in_two_units_at_most(seconds: float, told: str) -> None:
    assert duration(seconds) == told


# On a terminal.


def test_each_picture_takes_the_place_of_the_one_before(terminal: _Terminal) -> None:
    panel = Panel()
    panel.show(Scene(Counts(total=10)))
    panel.show(NIGHT)
    panel.show(Scene(with_counts(COUNTS, ok=12_322), NOW))
    screen = terminal.on(80)
    assert screen.text.splitlines()[0].startswith(" 30% |")
    assert screen.text.splitlines()[0].endswith("| 12,346/40,000 rows")
    assert screen.text.count("\n") == 2
    assert screen.cursor == (0, 0)
    panel.close()
    panel.close()
    assert terminal.on(80).cursor == (3, 0)


@pytest.mark.parametrize("columns", [80, 40, 24, 12])
def test_no_line_is_wider_than_the_terminal(terminal: _Terminal, columns: int) -> None:
    terminal.size = os.terminal_size((columns, 40))
    panel = Panel()
    panel.show(NIGHT)
    panel.close()
    assert terminal.on(columns).widest < columns


def test_a_terminal_that_does_not_know_its_size_has_80_columns(terminal: _Terminal) -> None:
    terminal.size = os.terminal_size((0, 0))
    panel = Panel()
    panel.show(NIGHT)
    panel.close()
    assert 70 < terminal.on(80).widest < 80


def test_a_low_terminal_is_never_scrolled_by_a_picture(terminal: _Terminal) -> None:
    terminal.size = os.terminal_size((40, 4))
    panel = Panel()
    panel.show(NIGHT)
    assert terminal.on(40).text.count("\n") == 2
    panel.close()


def test_after_a_resize_the_next_picture_fits(terminal: _Terminal) -> None:
    panel = Panel()
    panel.show(NIGHT)
    terminal.truncate(0)
    terminal.seek(0)
    terminal.size = os.terminal_size((40, 24))
    say("A word.")
    panel.close()
    screen = terminal.on(40)
    assert screen.text.startswith("A word.\n 30% |")
    assert "oldest operation 2 h 14 min" in screen.text


def test_a_terminal_that_is_narrower_already_than_it_says_keeps_no_rest(
    terminal: _Terminal,
) -> None:
    panel = Panel()
    panel.show(NIGHT)
    terminal.size = os.terminal_size((40, 24))
    panel.show(NIGHT)
    panel.close()
    lines = Screen(40, folds=True).feed(terminal.getvalue()).text.rstrip().splitlines()
    assert [len(lines[0]), lines[1:]] == [39, laid_out(NIGHT.told(local_day_and_time), 39)]


def test_a_panel_that_is_closed_and_taken_apart_lets_the_next_one_stand(
    terminal: _Terminal,
) -> None:
    first, second = Panel(), Panel()
    first.show(NIGHT)
    first.close()
    second.show(NIGHT)
    del first
    gc.collect()
    say("One thing.")
    second.close()
    assert "One thing.\n" in terminal.on(80).text


def test_what_is_said_stands_above_the_panel_whole(terminal: _Terminal) -> None:
    panel = Panel()
    panel.show(NIGHT)
    say("One thing.")
    say("Another.\x1b[2J")
    panel.show(NIGHT)
    panel.close()
    say("The end.")
    lines = terminal.on(80).text.splitlines()
    assert lines[:2] == ["One thing.", r"Another.\x1b[2J"]
    assert lines[2].startswith(" 30% |")
    assert lines[-1] == "The end."
    assert len([line for line in lines if "submitted" in line]) == 1


def test_what_is_said_is_wrapped_at_words_before_the_first_picture_and_after_the_last(
    terminal: _Terminal,
) -> None:
    terminal.size = os.terminal_size((30, 24))
    said = "Ten words are too long for one line of thirty."
    wrapped = ["Ten words are too long for", "  one line of thirty."]
    panel = Panel()
    say(said)
    assert terminal.on(30).text.splitlines() == wrapped
    panel.show(NIGHT)
    say(said)
    assert terminal.on(30).text.splitlines()[:4] == wrapped * 2
    panel.close()
    say(said)
    assert terminal.on(30).text.splitlines()[-2:] == wrapped


def test_a_command_that_is_wrapped_can_be_copied(terminal: _Terminal) -> None:
    terminal.size = os.terminal_size((30, 24))
    words = ["yagpt-batch", "run", "my rows.jsonl", "-o", "out.jsonl", "--system", "Be " * 15]
    say(Step("To continue", words))
    first, *lines = terminal.on(80).text.splitlines()
    assert first == "To continue:"
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == words
    assert all(len(line) < 30 for line in lines if "Be" not in line)
    say(Step("Short", words[:2]))
    assert terminal.on(80).text.splitlines()[-1] == "Short: yagpt-batch run"


def test_a_line_is_not_told_twice_in_a_minute_where_nothing_is_new(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain = Plain()
    plain.show(NIGHT)
    plain.show(NIGHT)
    assert capsys.readouterr().err.count("\n") == 1
    plain.show(structs.replace(NIGHT, now=NIGHT.now + 60))
    assert capsys.readouterr().err.count("\n") == 1


def test_a_line_of_a_log_is_never_wrapped(terminal: _Terminal) -> None:
    terminal.size = os.terminal_size((10, 24))
    Plain().show(NIGHT)
    JsonLines().show(NIGHT)
    assert terminal.getvalue().count("\n") == 2


@pytest.mark.parametrize("term", ["dumb", None])
def test_what_is_said_is_not_wrapped_where_a_terminal_can_do_nothing(
    terminal: _Terminal, monkeypatch: pytest.MonkeyPatch, term: str | None
) -> None:
    terminal.size = os.terminal_size((10, 24))
    monkeypatch.delenv("TERM")
    if term is not None:
        monkeypatch.setenv("TERM", term)
    say("More than ten columns.")
    assert terminal.getvalue() == "More than ten columns.\n"


def test_where_there_are_no_dots_and_blocks_there_are_dashes_and_signs(
    terminal: _Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Terminal, "encoding", "ascii")
    panel = Panel()
    panel.show(NIGHT)
    panel.close()
    assert terminal.getvalue().isascii()
    assert "13,549 submitted - 1,204 in flight" in terminal.on(80).text


def test_a_signal_s_sentence_takes_the_panel_s_place_and_a_second_signal_s_too(
    terminal: _Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(number: int, data: bytes) -> int:
        assert number == 2
        return terminal.write(data.decode())

    monkeypatch.setattr("pipeline.terminal.speech.os.write", write)
    panel = Panel()
    panel.show(NIGHT)
    say_from_signal("Stopping.")
    panel.show(NIGHT)
    assert terminal.on(80).text.startswith("Stopping.\n 30% |")
    say_last_from_signal("Left.")
    assert terminal.on(80).text == "Stopping.\nLeft.\n"
    panel.close()
    # Nobody is waited for who does not read.
    monkeypatch.setattr("pipeline.terminal.speech.select.select", lambda *_: ([], [], []))
    say_last_from_signal("Unheard.")
    assert "oldest operation" in terminal.on(80).text
    assert "Unheard." not in terminal.on(80).text
    panel.close()


def test_a_signal_s_sentence_is_wrapped_as_any_other(
    terminal: _Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "pipeline.terminal.speech.os.write", lambda _, data: terminal.write(data.decode())
    )
    terminal.size = os.terminal_size((30, 24))
    say_from_signal("Ten words are too long for one line of thirty.")
    assert terminal.on(30).text == "\nTen words are too long for\n  one line of thirty.\n"


def test_no_thread_is_started_to_draw(terminal: _Terminal) -> None:
    drawing = Drawing(SPEECH)
    drawing.close()
    assert Drawing.monitor is None
    assert terminal.getvalue() == "\n"


@pytest.mark.parametrize(
    ("progress", "term", "is_terminal", "view"),
    [
        ("auto", "xterm", True, Panel),
        ("auto", "xterm", False, Plain),
        ("auto", "dumb", True, Plain),
        ("auto", None, True, Plain),
        ("bar", "xterm", True, Panel),
        ("bar", "dumb", True, Plain),
        ("bar", "xterm", False, Plain),
        ("plain", "xterm", True, Plain),
        ("json", "xterm", True, JsonLines),
        ("none", "xterm", True, Silent),
    ],
)
def test_a_panel_is_for_terminals_that_can_draw_one(
    monkeypatch: pytest.MonkeyPatch,
    progress: str,
    term: str | None,
    is_terminal: bool,
    view: type,
) -> None:
    monkeypatch.setattr(type(SPEECH), "isatty", lambda _: is_terminal)
    monkeypatch.delenv("TERM")
    if term is not None:
        monkeypatch.setenv("TERM", term)
    found = view_of(progress)
    found.close()
    assert type(found) is view


def test_a_line_says_when_it_was(terminal: _Terminal) -> None:
    Plain().show(NIGHT)
    assert terminal.getvalue().startswith(f"{local_day_and_time(NOW)} 12,345/40,000 rows · ")


def test_every_field_for_programs_is_written_down() -> None:
    rows = table(Path(__file__).parent.parent / "docs" / "watching.md", "## For programs")
    listed = [name.strip("` ") for names, _ in rows for name in names.split(",")]
    assert set(listed) == set(NIGHT.to_json(_local, stamp))
