"""What all tests stand on."""

from tests.e2e.command import hear_signals


def pytest_configure() -> None:
    """Let the programs that tests start hear every signal."""
    hear_signals()
