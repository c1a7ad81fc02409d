"""What runs found out about a folder's quotas, kept for the next one."""

from pathlib import Path

import pytest

from pipeline.pacing.rates import Rate
from pipeline.shared_quota.known import Known

DOCUMENTED = (Rate(10, 1.0), Rate(5000, 3600.0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "folder.known"


def test_a_folder_nobody_used_has_the_documented_quotas(path: Path) -> None:
    assert Known(path).rates(DOCUMENTED) == DOCUMENTED


def test_what_was_found_out_goes_before_what_is_documented(path: Path) -> None:
    Known(path).remember([Rate(20_000, 3600.0)], [])
    assert Known(path).rates(DOCUMENTED) == (Rate(10, 1.0), Rate(20_000, 3600.0))


def test_the_last_finding_counts_and_others_stay(path: Path) -> None:
    known = Known(path)
    known.remember([Rate(20_000, 3600.0), Rate(100, 60.0)], [])
    known.remember([Rate(8000, 3600.0)], [])
    found = Known(path).rates(DOCUMENTED)
    assert found == (Rate(10, 1.0), Rate(100, 60.0), Rate(8000, 3600.0))
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[7]", b'["ten"]', b'["0/s"]', b"\xff", b"[" * 99]
)
def test_a_file_that_makes_no_sense_is_as_good_as_none(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    assert Known(path).rates(DOCUMENTED) == DOCUMENTED
    Known(path).remember([Rate(7, 1.0)], [])
    assert Known(path).rates(DOCUMENTED)[0] == Rate(7, 1.0)


def test_a_place_that_can_t_be_written_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    known = Known(tmp_path / "state" / "folder.known")
    known.remember([Rate(7, 1.0)], [])
    assert known.rates(DOCUMENTED) == DOCUMENTED
