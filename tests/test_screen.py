"""What a terminal is sent in the place of what it showed before."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.terminal.screen import columns_of, frame, wrapped

words = st.lists(
    st.text(st.sampled_from("aж1漢☕é\u0301"), min_size=1, max_size=30), min_size=1, max_size=12
)


@given(words, st.integers(8, 60))
def test_no_line_is_too_wide_and_no_character_is_lost(said: list[str], width: int) -> None:
    lines = list(wrapped(" ".join(said), width, "  "))
    assert all(columns_of(line) <= width for line in lines)
    assert all(line.startswith("  ") for line in lines[1:])
    joined = "".join(line if n == 0 else line[2:] for n, line in enumerate(lines))
    assert joined.replace(" ", "") == "".join(said)


@given(words, st.integers(20, 60))
def test_a_line_ends_where_the_next_word_does_not_fit(said: list[str], width: int) -> None:
    short = [word[:3] for word in said]
    lines = list(wrapped(" ".join(short), width, "  "))
    for line, after in pairwise(lines):
        assert columns_of(f"{line} {after.split()[0]}") > width


def test_a_wide_or_combined_character_takes_the_columns_that_it_takes() -> None:
    assert (columns_of("漢字"), columns_of("е\u0308"), columns_of("ёж")) == (4, 1, 2)


@given(words, st.integers(1, 100), st.integers(1, 30))
def test_a_frame_fits_the_screen_and_clears_what_was_there(
    said: list[str], columns: int, rows: int
) -> None:
    sent = frame([" ".join(said)], columns, rows)
    lines = re.sub("\x1b\\[[HKJ]", "", sent).split("\n")
    assert len(lines) - 1 <= max(rows - 1, 1)
    assert all(columns_of(line) <= max(columns - 1, 8) for line in lines)
    assert sent.startswith("\x1b[H")
    assert sent.endswith("\x1b[J")
    assert sent.count("\x1b[K\n") == sent.count("\n")


def test_what_has_no_room_on_the_screen_is_counted() -> None:
    sent = frame(["one", "two", "three", "four"], 80, 4)
    assert re.sub("\x1b\\[[HKJ]", "", sent) == "one\ntwo\n… 2 more\n"
    assert "more" not in frame(["one", "two", "three"], 80, 4)
    assert "more" not in frame(["one", "two", "three", "four"], 80, None)
