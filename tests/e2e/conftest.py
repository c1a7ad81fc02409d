"""What end-to-end tests share: a folder to call commands in, and a service without quotas."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.emulator.model import Config
from tests.e2e.command import Shell
from tests.e2e.hostile import Hostile, serving


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def service() -> Iterator[Hostile]:
    """No quotas, quick answers, and faults as a test wants them."""
    quick = Config(submit_rates=(), poll_rates=(), latency_median=0.05, latency_sigma=0.0)
    with serving(quick) as hostile:
        yield hostile
