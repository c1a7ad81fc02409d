"""A small disk of our own: a tmpfs in a mount namespace that nobody else sees."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILLER = "of somebody else"
_CHUNK = 4096


@cache
def refusal() -> str | None:
    """Why nothing can be mounted here; None where it can."""
    try:
        call = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
        tried = subprocess.run(call, capture_output=True, text=True, check=False, timeout=10)
    except OSError as error:
        return f"there is no unshare: {error.strerror}"
    return f"nothing can be mounted: {tried.stderr.strip()}" if tried.returncode else None


@dataclass(frozen=True, slots=True)
class Disk:
    """A mounted disk; `inside` is its folder for a program that `before` lets in."""

    inside: Path
    holder: int

    @property
    def outside(self) -> Path:
        """The same folder as it is reached from here."""
        return Path(f"/proc/{self.holder}/root{self.inside}")

    @property
    def before(self) -> list[str]:
        """The words that stand before a program that is to see the disk."""
        into = ["--user", "--mount", "--preserve-credentials"]
        return ["nsenter", "--target", str(self.holder), *into, "--"]

    @property
    def _filler(self) -> Path:
        return self.outside / FILLER

    def fill(self, free: int = 0) -> None:
        """Take all space but so many bytes."""
        with self._filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * _CHUNK)
            except OSError:
                file.truncate(max(file.tell() - free, 0))

    def make_space(self) -> None:
        self._filler.unlink(missing_ok=True)

    def remount(self, mode: str) -> None:
        """Make it read-only (`ro`), or not (`rw`)."""
        call = [*self.before, "mount", "-o", f"remount,{mode}", str(self.inside)]
        subprocess.run(call, check=True, timeout=10)


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[Disk]:
    """Mount an empty disk of so many bytes over a folder, for as long as the block lasts."""
    folder.mkdir()
    script = 'mount -t tmpfs -o size="$1" none "$0" && echo mounted && exec sleep infinity'
    call = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, str(folder), str(size)]
    with subprocess.Popen(call, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"mounted\n"
            yield Disk(folder.resolve(), holder.pid)
        finally:
            holder.kill()
