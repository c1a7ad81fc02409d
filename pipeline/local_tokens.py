"""Credentials that this machine hands out: fixed ones, files, and commands that print a token."""

import asyncio
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.carrier import Carrier
from pipeline.credentials import Credential, NoCredentialError, scrubbed
from pipeline.tokens import BadToken, read_token

_COMMAND_TIMEOUT = 60.0
_YC_HOME = Path("yandex-cloud/bin/yc")


@dataclass(frozen=True, slots=True)
class Fixed:
    """A credential that was given at the start and can't change."""

    name: str
    credential: Credential
    advice: str = "Get a new one, or check its scope and expiry."
    can_renew: bool = False

    async def fresh(self, _carrier: Carrier, _now: float) -> Credential:
        return self.credential


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A file that somebody keeps an IAM token in; it is read again each time."""

    name: str
    path: Path
    advice: str = "Write an IAM token that is good into the file."
    can_renew: bool = True

    async def fresh(self, _: Carrier, now: float) -> Credential:
        try:
            token = read_token(_text(self.path), now)
        except BadToken as error:
            raise NoCredentialError(f"{self.path} {error}", self.advice) from error
        return Credential("Bearer", token.secret, ends_at=token.ends_at)


@dataclass(frozen=True, slots=True)
class TokenCommand:
    """A command that prints an IAM token, bare or as JSON; it is run again each time."""

    name: str
    words: Sequence[str]
    environment: Mapping[str, str]
    is_users: bool = False
    advice: str = "Run the command by hand, and see what it prints."
    can_renew: bool = True

    async def fresh(self, _: Carrier, now: float) -> Credential:
        printed = await output_of(self.words, self.environment, self.advice)
        try:
            token = read_token(printed, now)
        except BadToken as error:
            raise NoCredentialError(f"what it prints {error}", self.advice) from error
        return Credential("Bearer", token.secret, self.is_users, token.ends_at)


@dataclass(frozen=True, slots=True)
class Yc:
    """The `yc` command line, with the profile that it is set up for."""

    program: str
    environment: Mapping[str, str]
    name: str = "yc"
    advice: str = "Run `yc init`, and check that `yc iam create-token` prints a token."
    can_renew: bool = True

    @classmethod
    def found(cls, environment: Mapping[str, str]) -> "Yc | None":
        """`yc` on the PATH, or else where its installer puts it; None if it is in neither."""
        program = shutil.which("yc", path=environment.get("PATH", ""))
        at_home = Path(environment.get("HOME", ""), _YC_HOME)
        if program is None and os.access(at_home, os.X_OK):
            program = str(at_home)
        return None if program is None else cls(program, environment)

    async def fresh(self, carrier: Carrier, now: float) -> Credential:
        words = self._words("iam", "create-token", "--format", "json", "--no-user-output")
        command = TokenCommand(self.name, words, self.environment, True, self.advice)
        return await command.fresh(carrier, now)

    async def folder(self, _carrier: Carrier, _now: float) -> str | None:
        """The folder of the profile."""
        words = self._words("config", "get", "folder-id")
        with suppress(NoCredentialError):
            printed = await output_of(words, self.environment, self.advice)
            return printed.strip() or None
        return None

    def _words(self, *words: str) -> list[str]:
        profile = self.environment.get("YC_PROFILE")
        return [self.program, *words, *(["--profile", profile] if profile else [])]


async def output_of(words: Sequence[str], environment: Mapping[str, str], advice: str) -> str:
    """What a command prints. It gets no terminal to ask on, and ends with whoever waits for it.

    Raises:
        NoCredentialError: it can't be started, fails, or takes longer than a minute.

    """
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            env=dict(environment),
            start_new_session=True,
        )
    except OSError as error:
        raise NoCredentialError(f"can't be started: {error.strerror}", advice) from error
    try:
        async with asyncio.timeout(_COMMAND_TIMEOUT):
            printed, complaints = await process.communicate()
    except TimeoutError as error:
        why = f"does not end within {_COMMAND_TIMEOUT:g} s"
        raise NoCredentialError(why, advice) from error
    finally:
        await _ended(process)
    if process.returncode:
        lines = complaints.decode(errors="replace").strip().splitlines() or ["it says nothing"]
        why = f"fails with exit code {process.returncode}: {scrubbed(lines[-1])}"
        raise NoCredentialError(why, advice)
    return printed.decode(errors="replace")


async def _ended(process: Process) -> None:
    """Let nothing of it live on."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        why, advice = f"{path}: {error.strerror}", "Check the path and its mode."
        raise NoCredentialError(why, advice) from error
    except UnicodeDecodeError as error:
        raise NoCredentialError(f"{path} is not UTF-8") from error
