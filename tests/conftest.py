"""What all tests stand on."""

import gc
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.builders import new_authorized_key
from tests.e2e.command import hear_signals
from tests.scratch import in_memory


def pytest_configure() -> None:
    """Let the programs that tests start hear every signal, and no test depend on time."""
    hear_signals()
    # A busy machine must not fail what is right.
    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Let the garbage collector look at what tests make, not at all that was imported for them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Side by side, begin with what takes longest: nobody is to wait for it alone at the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


@pytest.fixture(scope="session")
def authorized_key() -> dict[str, str]:
    """An authorized key of a service account, as ``yc iam key create`` writes it."""
    return new_authorized_key()


@pytest.fixture
def authorized_key_file(tmp_path: Path, authorized_key: dict[str, str]) -> Path:
    """The same in a file that only its owner can read."""
    path = tmp_path / "key.json"
    path.touch(0o600)
    path.write_text(json.dumps(authorized_key, indent=3))
    return path


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for what is not about the disk."""
    with in_memory() as name:
        yield Path(name)
