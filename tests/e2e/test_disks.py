"""A short form of `tests.proof.disks`: the disk fails, and the same command loses nothing."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.proof import disks, mounts, strace
from tests.proof.disks import Point

_FAILING = (
    (Point("write", "output", "ENOSPC", lasting=True), 1),
    (Point("write", "errors", "EIO"), 1),
    (Point("fdatasync", "output", "EIO", lasting=True), 2),
    (Point("fdatasync", "errors", "EIO"), 1),
    (Point("fsync", "folder", "EIO"), 1),
    (Point("pwrite64", "checkpoint", "EIO"), 4),
    (Point("fdatasync", "checkpoint", "EIO"), 2),
    (Point("pwrite64", "log", "ENOSPC", lasting=True), 26),
    (Point("pwrite64", "log", "EIO"), 40),
    (Point("fdatasync", "log", "EIO"), 9),
    (Point("fdatasync", "journal", "EIO"), 1),
    (Point("openat", "checkpoint", "EACCES"), 1),
)


@pytest.mark.skipif(strace.refusal() is not None, reason=str(strace.refusal()))
@pytest.mark.parametrize(("point", "number"), _FAILING, ids=str)
@pytest.mark.promise("P9")
def test_a_call_that_fails_stops_the_run_and_no_sync_is_tried_again(
    tmp_path: Path, point: Point, number: int
) -> None:
    counts: Counter[str] = Counter()
    assert disks.fail(point, number, tmp_path, counts), "there was no such call"
    assert (counts["stopped with 74"], counts["lost"]) == (1, 0)


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="there is no prlimit")
@pytest.mark.parametrize(
    ("which", "size"), [("checkpoint", 80_192), ("output", 890_001), ("errors", 690_001)]
)
@pytest.mark.promise("P9")
def test_a_write_that_is_cut_short_stops_the_run(tmp_path: Path, which: str, size: int) -> None:
    assert disks.limit_files(which, size, tmp_path, Counter()), "nothing was cut"


@pytest.mark.skipif(mounts.refusal() is not None, reason=str(mounts.refusal()))
@pytest.mark.parametrize("free", [0, 60_000, 120_000])
@pytest.mark.promise("P9")
def test_a_disk_without_space_stops_the_run_until_there_is_some(tmp_path: Path, free: int) -> None:
    assert disks.fill_disk(free, tmp_path, Counter())


@pytest.mark.skipif(mounts.refusal() is not None, reason=str(mounts.refusal()))
@pytest.mark.parametrize("posts", [1, 4])
@pytest.mark.promise("P9")
def test_a_disk_that_somebody_else_fills_meanwhile_stops_the_run(
    tmp_path: Path, posts: int
) -> None:
    assert disks.fill_disk_meanwhile(posts, tmp_path, Counter())


@pytest.mark.skipif(mounts.refusal() is not None, reason=str(mounts.refusal()))
@pytest.mark.parametrize("rows_before", [0, 3])
@pytest.mark.promise("P9")
def test_a_read_only_disk_is_told_before_anything_is_sent(
    tmp_path: Path, rows_before: int
) -> None:
    assert disks.read_only(rows_before, tmp_path, Counter())


@pytest.mark.parametrize("place", disks.ODD_OUTPUTS)
@pytest.mark.promise("P9")
def test_an_output_that_is_no_file_is_named_before_anything_is_sent(
    tmp_path: Path, place: str
) -> None:
    assert disks.odd_output(place, tmp_path, Counter())


@pytest.mark.parametrize("where", disks.ODD_STREAMS)
@pytest.mark.promise("P9")
def test_what_people_can_not_be_told_does_not_change_the_run(tmp_path: Path, where: str) -> None:
    assert disks.odd_streams(where, tmp_path, Counter())
