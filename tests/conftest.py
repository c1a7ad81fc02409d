"""What all tests stand on."""

import signal


def pytest_configure() -> None:
    """Listen to signals that whoever started the tests in the background had ignored.

    The program leaves an ignored signal ignored, and its processes would inherit that from here.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            is_interrupt = number == signal.SIGINT
            default = signal.default_int_handler if is_interrupt else signal.SIG_DFL
            signal.signal(number, default)
