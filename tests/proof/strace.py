"""strace as a hand on single system calls: it ends a process at one, or lets one fail.

The process stays the caller's own child (`-D`); strace is the grandchild, and ends after it.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.e2e.command import Running, until


@dataclass(frozen=True, slots=True)
class Tamper:
    """What happens at some calls: `when` counts them as strace does, per call and thread.

    `effect` is strace's too: `signal=KILL`, `error=EIO`. Without paths all files are meant.
    """

    call: str
    effect: str
    when: str
    paths: tuple[Path, ...] = ()
    also_traced: tuple[str, ...] = field(default=())

    def before(self, trace: Path) -> list[str]:
        """The words that stand before the program; `trace` gets the calls."""
        # Only the slow way of stopping at calls can send a signal there.
        quick = [] if self.effect.startswith("signal") else ["--seccomp-bpf"]
        only = [word for path in self.paths for word in ("-P", str(path))]
        traced = ",".join((self.call, *self.also_traced))
        inject = f"inject={self.call}:{self.effect}:when={self.when}"
        options = ["-D", "-f", "-y", "-ttt", "-o", str(trace), *quick, *only]
        return ["strace", *options, "-e", f"trace={traced}", "-e", inject]


@cache
def refusal() -> str | None:
    """Why strace can't be used here; None where it can."""
    if shutil.which("strace") is None:
        return "there is no strace"
    call = ["strace", "-D", "-f", "-o", "/dev/null", "-e", "inject=none:error=EIO", "true"]
    tried = subprocess.run(call, capture_output=True, text=True, check=False, timeout=10)
    return f"strace may not trace: {tried.stderr.strip()}" if tried.returncode else None


def calls(running: Running, trace: Path) -> list[str]:
    """The traced calls of a process that has ended, once strace has written them all."""
    last = re.compile(rf"^{running.pid} +[\d.]+ \+\+\+ ", re.MULTILINE)
    until(lambda: trace.exists() and last.search(trace.read_text(errors="replace")))
    return trace.read_text(errors="replace").splitlines()
