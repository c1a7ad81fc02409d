"""What one call of a contender's command takes."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

from benchmarks.contenders import Contender, Unmeasured
from benchmarks.environments import last_line
from benchmarks.stand_ins import serving, start

_CLIENT, _SERVER = 0, 1
_NOBODY = "http://127.0.0.1:9"
# Nobody reports anything, and what tries to does not get past this machine.
_SILENCE = {
    "HTTP_PROXY": _NOBODY,
    "HTTPS_PROXY": _NOBODY,
    "ALL_PROXY": _NOBODY,
    "NO_PROXY": "127.0.0.1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "OTEL_SDK_DISABLED": "true",
    "POSTHOG_DISABLED": "1",
    "TELEMETRY_ENABLED": "false",
    "YC_METADATA_ADDR": "127.0.0.1:9",
}
_SETTINGS = {"CURATOR_DISABLE_RICH_DISPLAY": "1", "OPENAI_API_KEY": "none", "YC_API_KEY": "none"}
_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Run:
    """A command that did what it was to do.

    Attributes:
        seconds: from its start to its end.
        cpu: seconds, user and system, of the process and of those that it waited for.
        memory: bytes that the largest of these held at most.
        calls: that came to the server.
        first: seconds from its start to its first POST there; None: there was none.

    """

    seconds: float
    cpu: float
    memory: int
    calls: int
    first: float | None

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s, {self.cpu:.1f} s of CPU, {self.calls} calls"


@dataclass(frozen=True, slots=True)
class Gauge:
    """Calls a contender's command in a folder.

    `patience`: seconds after which it is ended. `port`: of the server; 0: any.
    """

    contender: Contender
    environment: Path
    folder: Path
    in_flight: int
    patience: float
    port: int = 0

    def measure(self, source: Path, rows: int) -> Run:
        """Call the command on a file of so many rows.

        Raises:
            Unmeasured: it ended badly, or left another number of lines than rows.

        """
        target = self.folder / "results.jsonl"
        with serving(self._stand_in(), _SERVER) as server:
            values = {"input": source, "output": target, "port": server.port}
            values["in_flight"] = self.in_flight
            begun, ended, used = self._call([at.format_map(values) for at in self._command()])
        lines = target.read_bytes().count(b"\n") if target.exists() else 0
        if lines != rows:
            raise Unmeasured(f"{lines} lines for {rows} rows; {self._said()}")
        first = None if server.first is None else server.first - begun
        cpu = used.ru_utime + used.ru_stime
        return Run(ended - begun, cpu, used.ru_maxrss * 1024, server.calls, first)

    def _command(self) -> list[str]:
        program, *rest = self.contender.command
        return [str(self.environment / "bin" / program), *rest]

    def _stand_in(self) -> list[str]:
        if self.contender.stand_in is None:
            return [sys.executable, "-m", "benchmarks.instant", "--port", str(self.port)]
        program, *rest = self.contender.stand_in
        return [str(self.environment / "bin" / program), *rest]

    def _call(self, command: Sequence[str]) -> tuple[float, float, resource.struct_rusage]:
        """When the command began and ended, by the machine's monotonic clock, and what it used."""
        begun = time.monotonic()  # noqa: TID251 - to compare with another process's
        with self._what_it_says.open("wb") as said:
            process = start(
                command,
                _CLIENT,
                cwd=self.folder,
                env=self._variables(),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        limit = Timer(self.patience, os.killpg, (process.pid, signal.SIGKILL))
        limit.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            limit.cancel()
        ended = time.monotonic()  # noqa: TID251 - as above
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise Unmeasured(self._why(process.returncode, ended - begun))
        return begun, ended, used

    def _why(self, code: int, seconds: float) -> str:
        if seconds >= self.patience:
            return f"not over after {self.patience:g} s"
        return f"exit {code}; {self._said()}"

    def _variables(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        return kept | _SILENCE | _SETTINGS | {"HOME": str(self.folder)}

    @property
    def _what_it_says(self) -> Path:
        return self.folder / "said.txt"

    def _said(self) -> str:
        return last_line(self._what_it_says.read_text(errors="replace")) or "it said nothing"
