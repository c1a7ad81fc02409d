"""What all tests stand on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import hear_signals
from tests.scratch import in_memory


def pytest_configure() -> None:
    """Let the programs that tests start hear every signal."""
    hear_signals()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for what is not about the disk."""
    with in_memory() as name:
        yield Path(name)
