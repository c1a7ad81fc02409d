"""What the user wants done once a run has ended: a command, told of the end on standard input.

It is called when all files are closed, so it may use them, or go on with the run itself. It has
the user's own environment and nothing of the terminal; what it prints goes to standard error, and
how it ends changes no exit code. A signal ends it, and it has an hour: no run hangs for ever.
"""

import os
import signal
import subprocess
from contextlib import ExitStack, suppress

from pipeline.terminal.signals import Ear, cleanly
from pipeline.terminal.speech import say

_LONGEST = 3600.0
_SILENT = 10.0
_GRACE = 5.0
_STANDARD_ERROR = 2


def follow(command: str, told: bytes) -> None:
    """Run it through the shell, as the user wrote it."""
    with cleanly() as ear:
        trouble = _carried_out(command, told, ear)
    if trouble is not None:
        say(f"The command of --on-finish {trouble}.")


def _carried_out(command: str, told: bytes, ear: Ear) -> str | None:
    """What went wrong, as a clause; None where nothing did."""
    with ExitStack() as stack:
        try:
            # Half started, nobody would know whom to end.
            with ear.whole():
                process = _started(command)
                stack.callback(_end, process)
        except (OSError, ValueError) as error:
            return f"can't be started: {error}"
        try:
            _wait(process, told)
        except subprocess.TimeoutExpired:
            return f"did not end within {_LONGEST / 3600:.0f} h and was ended"
    match process.returncode:
        case 0:
            return None
        case code if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        case code:
            return f"failed with exit code {code}"


def _started(command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S602 - through the shell: the user's own words
        command,
        shell=True,
        stdin=subprocess.PIPE,
        stdout=_STANDARD_ERROR,
        stderr=_STANDARD_ERROR,
        start_new_session=True,
    )


def _wait(process: subprocess.Popen[bytes], told: bytes) -> None:
    try:
        process.communicate(told, _SILENT)
    except subprocess.TimeoutExpired:
        say("Waiting for the command of --on-finish, an hour at most (Ctrl-C ends it).")
        process.communicate(timeout=_LONGEST - _SILENT)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End one that still runs, with all that it has started; nicely, if there is time."""
    try:
        if process.poll() is None:
            _signal(process, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
    finally:
        if process.poll() is None:
            _signal(process, signal.SIGKILL)
            process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
