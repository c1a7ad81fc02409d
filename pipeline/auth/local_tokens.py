"""Credentials that this machine hands out: fixed ones, files, and commands that print a token."""

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from msgspec import Struct

from pipeline.auth.commands import CommandError, output_of
from pipeline.auth.credentials import Credential, NoCredentialError, scrubbed
from pipeline.auth.renewal import Renews
from pipeline.auth.secret_file import content_of
from pipeline.auth.tokens import BadToken, EmptyToken, Token, read_token
from pipeline.network.carrier import Carrier

_COMMAND_TIMEOUT = 60.0
_TRIES_EMPTY, _TRIES_APART = 3, 0.5
_YC_HOME = Path("yandex-cloud/bin/yc")


class Fixed(Struct, frozen=True):
    """A credential that was given at the start and can't change."""

    name: str
    credential: Credential
    advice: str = "Get a new one, or check its scope and expiry."
    renews: Renews = "never"

    async def fresh(self, _carrier: Carrier, _now: float) -> Credential:
        return replace(self.credential)


class TokenFile(Struct, frozen=True):
    """A file that somebody keeps an IAM token in; it is read again each time."""

    name: str
    path: Path
    advice: str = "Write an IAM token that is good into the file."
    renews: Renews = "perhaps"

    async def fresh(self, _: Carrier, now: float) -> Credential:
        try:
            token = await self._read(now)
        except BadToken as error:
            raise NoCredentialError(f"{self.path} {error}", self.advice) from error
        return Credential("Bearer", token.secret, ends_at=token.ends_at)

    async def _read(self, now: float) -> Token:
        """A file that is empty may just be written."""
        for _ in range(_TRIES_EMPTY):
            with suppress(EmptyToken):
                return read_token(_text(self.path), now)
            await asyncio.sleep(_TRIES_APART)
        return read_token(_text(self.path), now)


class TokenCommand(Struct, frozen=True):
    """A command that prints an IAM token, bare or as JSON; it is run again each time."""

    name: str
    words: Sequence[str]
    environment: Mapping[str, str]
    is_users: bool = False
    advice: str = "Run the command by hand, and see what it prints."
    renews: Renews = "perhaps"

    async def fresh(self, _: Carrier, now: float) -> Credential:
        said = await printed(self.words, self.environment, self.advice)
        try:
            token = read_token(said, now)
        except BadToken as error:
            raise NoCredentialError(f"what it prints {error}", self.advice) from error
        return Credential("Bearer", token.secret, self.is_users, token.ends_at)


class Yc(Struct, frozen=True):
    """The `yc` command line, with the profile that it is set up for."""

    program: str
    environment: Mapping[str, str]
    name: str = "yc"
    advice: str = "Run `yc init`, and check that `yc iam create-token` prints a token."
    renews: Renews = "perhaps"

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
            return (await printed(words, self.environment, self.advice)).strip() or None
        return None

    def _words(self, *words: str) -> list[str]:
        profile = self.environment.get("YC_PROFILE")
        return [self.program, *words, *(["--profile", profile] if profile else [])]


async def printed(words: Sequence[str], environment: Mapping[str, str], advice: str) -> str:
    """What a command prints.

    Raises:
        NoCredentialError: it fails.

    """
    try:
        return await output_of(words, environment, _COMMAND_TIMEOUT)
    except CommandError as error:
        raise NoCredentialError(scrubbed(str(error)), advice) from error


def _text(path: Path) -> str:
    try:
        return content_of(path).decode()
    except OSError as error:
        why, advice = f"{path}: {error.strerror}", "Check the path and its mode."
        raise NoCredentialError(why, advice) from error
    except UnicodeDecodeError as error:
        raise NoCredentialError(f"{path} is not UTF-8") from error
