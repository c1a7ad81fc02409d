"""The input as lines: from any byte on, plain or compressed, in blocks of any size."""

import gzip
import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import BadData
from pipeline.files.output import seal
from pipeline.files.source import Line, Source
from pipeline.life.facts import Cursor, Span
from tests.builders import read

try:
    from compression.zstd import compress as zstd  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    from backports.zstd import compress as zstd

ROWS = [b'{"prompt":"one"}', b"", b'{"prompt":"\xd1\x82\xd1\x80\xd0\xb8"}\r', b"not JSON", b"end"]
TEXT = b"\n".join(ROWS) + b"\n"
KINDS = ["jsonl", "jsonl.gz", "jsonl.zst"]


def packed(data: bytes, kind: str) -> bytes:
    match kind.rpartition(".")[2]:
        case "gz":
            return gzip.compress(data)
        case "zst":
            return bytes(zstd(data))
        case _:
            return data


def file(folder: Path, data: bytes, kind: str = "jsonl") -> Path:
    path = folder / f"prompts.{kind}"
    path.write_bytes(packed(data, kind))
    return path


def fetched(path: Path, lines: list[Line]) -> list[bytes]:
    source = Source(path)
    try:
        spans = [Span(line.offset, len(line.data), seal(line.data)) for line in lines]
        return list(source.fetch(spans))
    finally:
        source.close()


def counted(path: Path) -> int:
    source = Source(path)
    try:
        return source.count_rows()
    finally:
        source.close()


@pytest.mark.parametrize("kind", KINDS)
def test_lines_are_numbered_and_placed(tmp_path: Path, kind: str) -> None:
    lines = read(file(tmp_path, TEXT, kind))
    assert [line.data for line in lines] == ROWS
    assert [line.number for line in lines] == [1, 2, 3, 4, 5]
    for line in lines:
        assert TEXT[line.offset : line.offset + len(line.data)] == line.data
        assert line.next.offset == line.offset + len(line.data) + 1
        assert line.next.line == line.number + 1
        assert not line.next.open
    assert [line.next.rows for line in lines] == [1, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", [TEXT, TEXT[:-1]])
def test_reading_goes_on_from_behind_any_line(tmp_path: Path, kind: str, text: bytes) -> None:
    path = file(tmp_path, text, kind)
    lines = read(path)
    for n, line in enumerate(lines, start=1):
        assert read(path, line.next) == lines[n:]


@pytest.mark.parametrize("kind", KINDS)
def test_any_lines_are_fetched_again_by_their_spans(tmp_path: Path, kind: str) -> None:
    path = file(tmp_path, TEXT, kind)
    lines = read(path)
    for chosen in lines, lines[::2], lines[1::2], lines[-1:], []:
        assert fetched(path, chosen) == [line.data for line in chosen]


@pytest.mark.parametrize("kind", KINDS)
def test_lines_longer_than_a_block_are_whole(tmp_path: Path, kind: str) -> None:
    noise = random.Random(1)  # noqa: S311 - what does not compress well
    long = [bytes(noise.choices(range(32, 127), k=n)) for n in (300_000, 5, 700_000, 262_144, 1)]
    path = file(tmp_path, b"\n".join(long) + b"\n", kind)
    lines = read(path)
    assert [line.data for line in lines] == long
    assert fetched(path, lines) == long
    assert fetched(path, lines[2:4]) == long[2:4]
    assert counted(path) == 5
    assert read(path, lines[2].next) == lines[3:]


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_line_needs_no_end_and_its_cursor_says_so(tmp_path: Path, kind: str) -> None:
    path = file(tmp_path, b'{"prompt":"a"}\n{"prompt":"b"}', kind)
    lines = read(path)
    assert [line.data for line in lines] == [b'{"prompt":"a"}', b'{"prompt":"b"}']
    assert lines[-1].next == Cursor(29, 3, 2, open=True)
    assert counted(path) == 2


@pytest.mark.promise("P6")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("added", [b"", b"\n"])
def test_an_end_that_comes_later_is_no_line_of_its_own(
    tmp_path: Path, kind: str, added: bytes
) -> None:
    cursor = read(file(tmp_path, b'{"prompt":"a"}', kind))[-1].next
    assert cursor.open
    assert read(file(tmp_path, b'{"prompt":"a"}' + added, kind), cursor) == []


@pytest.mark.promise("P6")
@pytest.mark.parametrize("kind", KINDS)
def test_lines_appended_behind_an_end_that_was_missing_are_picked_up(
    tmp_path: Path, kind: str
) -> None:
    cursor = read(file(tmp_path, b'{"prompt":"a"}', kind))[-1].next
    (line,) = read(file(tmp_path, b'{"prompt":"a"}\n{"prompt":"b"}\n', kind), cursor)
    assert line == Line(2, 15, b'{"prompt":"b"}', Cursor(30, 3, 2))


@pytest.mark.promise("P6")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("added", [b"x", b"x\n", b'{"prompt":"b"}\n', b" \n"])
def test_a_line_that_goes_on_where_it_had_ended_is_refused(
    tmp_path: Path, kind: str, added: bytes
) -> None:
    cursor = read(file(tmp_path, b'{"prompt":"a"}', kind))[-1].next
    with pytest.raises(BadData, match=r"prompts\.\S+:1: the line goes on"):
        read(file(tmp_path, b'{"prompt":"a"}' + added, kind), cursor)


@pytest.mark.promise("P6")
def test_rows_may_be_appended_with_cr_lf_too(tmp_path: Path) -> None:
    cursor = read(file(tmp_path, b'{"prompt":"a"}'))[-1].next
    (line,) = read(file(tmp_path, b'{"prompt":"a"}\r\n{"prompt":"b"}\r\n'), cursor)
    assert line.number == 2


def test_a_bom_and_a_cr_are_left_to_the_reading_of_rows(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf{}\r\n\xef\xbb\xbf\r\n \t\r\n{}\r"
    lines = read(file(tmp_path, data))
    assert [line.data for line in lines] == [
        b"\xef\xbb\xbf{}\r",
        b"\xef\xbb\xbf\r",
        b" \t\r",
        b"{}\r",
    ]
    assert [line.next.rows for line in lines] == [1, 1, 1, 2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("separator", ["\u2028", "\x85", "\x0b", "\x0c", "\x1c", "\r"])
def test_only_lf_ends_a_line(tmp_path: Path, kind: str, separator: str) -> None:
    data = f"a{separator}b".encode()
    assert [line.data for line in read(file(tmp_path, data + b"\n" + data, kind))] == [data, data]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    for kind in KINDS:
        assert read(file(tmp_path, b"", kind)) == []
        assert counted(file(tmp_path, b"", kind)) == 0


@pytest.mark.parametrize("kind", KINDS[1:])
def test_members_one_after_another_are_one_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"prompts.{kind}"
    cuts = [0, 5, 17, 18, 40, len(TEXT), len(TEXT)]
    pieces = [packed(TEXT[a:b], kind) for a, b in pairwise(cuts)]
    path.write_bytes(b"".join(pieces))
    lines = read(path)
    assert [line.data for line in lines] == ROWS
    assert fetched(path, lines) == ROWS
    assert counted(path) == sum(bool(line.strip()) for line in ROWS)


@pytest.mark.promise("P6")
@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_member_that_is_appended_brings_more_lines(tmp_path: Path, kind: str) -> None:
    path = file(tmp_path, TEXT, kind)
    before = read(path)
    path.write_bytes(path.read_bytes() + packed(b"more\n", kind))
    (line,) = read(path, before[-1].next)
    assert line.data == b"more"
    assert line.offset == len(TEXT)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_compression_that_is_cut_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    whole = packed(TEXT * 20, kind)
    path = tmp_path / f"prompts.{kind}"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(BadData, match="ends in the middle of its compression"):
            read(path)


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("tail", [b"junk that is no member", b"\x00" * 20])
def test_compression_that_is_broken_is_refused(tmp_path: Path, kind: str, tail: bytes) -> None:
    path = tmp_path / f"prompts.{kind}"
    for data in TEXT, packed(TEXT, kind) + tail:
        path.write_bytes(data)
        with pytest.raises(BadData, match=r"can't be decompressed|in the middle"):
            read(path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_span_that_passes_the_end_is_fetched_as_far_as_it_goes(
    tmp_path: Path, kind: str
) -> None:
    path = file(tmp_path, TEXT, kind)
    source = Source(path)
    end = len(TEXT)
    spans = [Span(0, 16, b""), Span(end - 4, 10, b""), Span(end + 99, 5, b"")]
    assert list(source.fetch(spans)) == [ROWS[0], TEXT[-4:], b""]
    source.close()


def test_an_input_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"nowhere\.jsonl"):
        Source(tmp_path / "nowhere.jsonl")


def test_an_input_that_is_a_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=str(tmp_path)):
        Source(tmp_path).close()


def test_a_signature_changes_with_the_file(tmp_path: Path) -> None:
    path = file(tmp_path, TEXT)
    source = Source(path)
    before = source.signature()
    assert source.signature() == before
    path.write_bytes(TEXT + b"more")
    assert source.signature() != before
    source.close()


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(KINDS),
    st.lists(st.sampled_from([b"", b"a", b"\r", b'{"prompt":"x"}', b" "]), max_size=20),
    st.booleans(),
)
def test_whatever_the_lines_are_they_are_counted_placed_and_found(
    tmp_path_factory: pytest.TempPathFactory, kind: str, rows: list[bytes], ended: bool
) -> None:
    data = b"\n".join(rows) + (b"\n" if ended and rows else b"")
    path = file(tmp_path_factory.mktemp("input"), data, kind)
    lines = read(path)
    expected = data.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    assert [line.data for line in lines] == expected
    assert fetched(path, lines) == expected
    assert counted(path) == sum(bool(line.strip()) for line in expected)
