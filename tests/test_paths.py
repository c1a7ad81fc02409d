"""Why a file can't be made where it was to be."""

from pathlib import Path

import pytest

from pipeline.files.paths import unwritable, why_not


def test_a_folder_that_is_not_there_is_named_and_is_to_be_made(tmp_path: Path) -> None:
    path = tmp_path / "no" / "out.jsonl"
    with pytest.raises(FileNotFoundError) as raised:
        path.open("wb")
    told = unwritable("open", path, raised.value, "Make space.").told
    folder = path.parent
    assert told == (
        f"can't open {path}: the folder {folder} does not exist. "
        f"Make the folder {folder}, or name a file in another one."
    )
    assert why_not(path, raised.value) == f"the folder {folder} does not exist"


def test_whatever_else_goes_wrong_keeps_its_own_words(tmp_path: Path) -> None:
    path, full = tmp_path / "out.jsonl", OSError(28, "No space left on device")
    told = unwritable("write", path, full, "Make space.").told
    assert told == f"can't write {path}: No space left on device. Make space."
    gone = FileNotFoundError(2, "No such file or directory")
    assert why_not(path, gone) == "No such file or directory"
