"""A file of lines: appended in one piece, locked, cut at the end and nowhere else."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import BadData, Busy, Exit, StorageFailed
from pipeline.files.output import Lines, changed, seal
from pipeline.life.facts import Span


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl"


def test_lines_are_appended_with_their_ends_and_placed(path: Path) -> None:
    lines = Lines(path)
    assert lines.append([b"one", "три".encode()]) == [
        Span(0, 3, seal(b"one")),
        Span(4, 6, seal("три".encode())),
    ]
    assert lines.append([b""]) == [Span(11, 0, seal(b""))]
    lines.close()
    assert path.read_bytes() == "one\nтри\n\n".encode()


def test_nothing_appended_is_nothing_written(path: Path) -> None:
    lines = Lines(path)
    assert lines.append([]) == []
    lines.close()
    assert path.read_bytes() == b""


def test_a_file_opened_again_is_appended_to(path: Path) -> None:
    path.write_bytes(b"one\n")
    lines = Lines(path)
    assert lines.size == 4
    (span,) = lines.append([b"two"])
    lines.close()
    assert span.offset == 4
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_deleted_file_is_put_back_with_its_time_its_mode_and_its_lock(path: Path) -> None:
    lines = Lines(path)
    lines.lock()
    lines.append([b"one"])
    path.chmod(0o640)
    before = path.stat()
    assert not lines.is_deleted()
    path.unlink()
    assert lines.is_deleted()
    lines.put_back(path)
    after = path.stat()
    assert (after.st_mtime_ns, after.st_mode) == (before.st_mtime_ns, before.st_mode)
    assert lines.is_at_path()
    other = Lines(path)
    with pytest.raises(Busy):
        other.lock()
    other.close()
    lines.append([b"two"])
    lines.close()
    assert path.read_bytes() == b"one\ntwo\n"
    assert list(path.parent.iterdir()) == [path]


def test_nothing_is_put_in_the_place_of_another_file(path: Path) -> None:
    lines = Lines(path)
    lines.append([b"one"])
    path.unlink()
    path.write_bytes(b"another")
    with pytest.raises(FileExistsError):
        lines.put_back(path)
    assert path.read_bytes() == b"another"
    assert list(path.parent.iterdir()) == [path]
    lines.append([b"two"])
    lines.close()


def test_a_last_line_gives_way_to_whatever_follows(path: Path) -> None:
    lines = Lines(path)
    lines.append([b"one"])
    assert lines.last() is None
    lines.append_last(b"totals 1")
    assert lines.last() == b"totals 1"
    assert path.read_bytes() == b"one\ntotals 1\n"
    lines.append_last(b"totals 22")
    assert path.read_bytes() == b"one\ntotals 22\n"
    (span,) = lines.append([b"two"])
    assert span.offset == 4
    assert lines.last() is None
    lines.close()
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_last_line_of_an_earlier_process_gives_way_too(path: Path) -> None:
    path.write_bytes(b"one\ntotals\n")
    lines = Lines(path)
    lines.keep_last(4)
    assert lines.last() == b"totals"
    lines.append([b"two"])
    lines.close()
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_cut_takes_back_the_end(path: Path) -> None:
    path.write_bytes(b"one\ntwo\nthr")
    lines = Lines(path)
    lines.cut(8)
    assert lines.size == 8
    lines.append([b"3"])
    lines.close()
    assert path.read_bytes() == b"one\ntwo\n3\n"


@settings(deadline=None)
@given(
    st.lists(st.binary(max_size=9).map(lambda b: b.replace(b"\n", b"")), max_size=9),
    st.sampled_from([b"", b"torn"]),
)
def test_lines_are_read_back_from_any_of_them_on(
    tmp_path_factory: pytest.TempPathFactory, rows: list[bytes], torn: bytes
) -> None:
    path = tmp_path_factory.mktemp("output") / "results.jsonl"
    lines = Lines(path)
    spans = lines.append(rows)
    path.write_bytes(path.read_bytes() + torn)
    expected = [(span.offset, row, True) for span, row in zip(spans, rows, strict=True)]
    tail = [(lines.size, torn, False)] if torn else []
    for n, span in enumerate(spans):
        assert list(lines.lines_from(span.offset)) == expected[n:] + tail
        assert lines.line_before(span.offset + span.size + 1) == (span.offset, rows[n])
    assert list(lines.lines_from(lines.size)) == tail
    lines.close()


def test_lines_longer_than_a_block_are_read_whole(path: Path) -> None:
    rows = [b"a" * 3_000_000, b"b", b"c" * ((1 << 20) - 1), b"d" * (1 << 20)]
    lines = Lines(path)
    spans = lines.append(rows)
    assert [line for _, line, _ in lines.lines_from(0)] == rows
    for span, row in zip(spans, rows, strict=True):
        assert lines.line_before(span.offset + span.size + 1) == (span.offset, row)
    lines.close()


def test_no_line_stands_before_the_first(path: Path) -> None:
    lines = Lines(path)
    assert lines.line_before(0)[1] == b""
    lines.close()


# One process per run.


@pytest.mark.promise("P7")
def test_a_second_one_is_busy_until_the_first_is_gone(path: Path) -> None:
    first, second = Lines(path), Lines(path)
    first.lock()
    with pytest.raises(Busy, match=r"results\.jsonl") as caught:
        second.lock()
    assert caught.value.exit_code is Exit.BUSY
    first.close()
    second.lock()
    second.close()


@pytest.mark.promise("P7")
@pytest.mark.promise("P7")
def test_what_was_written_between_opening_and_locking_is_seen(path: Path) -> None:
    before, late = Lines(path), Lines(path)
    before.lock()
    before.append([b"one"])
    before.close()
    late.lock()
    assert late.size == 4
    assert late.append([b"two"]) == [Span(4, 3, seal(b"two"))]


def test_a_lock_dies_with_its_process(path: Path) -> None:
    lines = Lines(path)
    program = (
        "import os, signal, sys; from pathlib import Path; "
        "from pipeline.files.output import Lines; "
        "Lines(Path(sys.argv[1])).lock(); print('locked', flush=True); signal.pause()"
    )
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"locked\n"
        with pytest.raises(Busy):
            lines.lock()
        child.kill()
    lines.lock()
    lines.close()


def test_a_file_that_was_moved_aside_is_noticed(path: Path) -> None:
    lines = Lines(path)
    assert lines.is_at_path()
    path.rename(path.with_name("old"))
    assert not lines.is_at_path()
    path.write_bytes(b"")
    assert not lines.is_at_path()
    lines.close()


# Failures.


@pytest.mark.promise("P9")
def test_a_file_that_can_t_be_opened_is_a_failure_of_storage(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match=r"can't open .*results") as caught:
        Lines(tmp_path / "nowhere" / "results.jsonl")
    assert caught.value.exit_code is Exit.STORAGE
    with pytest.raises(StorageFailed, match="can't open"):
        Lines(tmp_path)


@pytest.mark.promise("P9")
def test_a_write_that_fails_is_a_failure_of_storage(path: Path) -> None:
    lines = Lines(path)
    lines.close()
    with pytest.raises(StorageFailed, match="can't write"):
        lines.append([b"one"])


@pytest.mark.promise("P9")
def test_a_sync_that_failed_is_not_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = list[int]()

    def fail_once(fd: int) -> None:
        tries.append(fd)
        if len(tries) == 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    lines = Lines(path)
    monkeypatch.setattr("pipeline.files.output._sync", fail_once)
    with pytest.raises(StorageFailed, match="can't write"):
        lines.append([b"one"])
    lines.close()
    assert len(tries) == 1


def test_a_refusal_names_file_line_and_byte() -> None:
    error = changed(Path("results.jsonl"), 1234, 56789)
    assert isinstance(error, BadData)
    assert str(error) == "results.jsonl: line 1,234 (byte 56,789) is not what this run wrote."
    assert "--fresh" in error.advice
