"""Model URIs: ``gpt://<folder>/<name>[/<branch>][@<suffix>]``, and the models that are known."""

import re
from dataclasses import dataclass

from pipeline.emulator.refusals import Invalid

KNOWN = frozenset(
    {
        "yandexgpt-lite",
        "yandexgpt-5-lite",
        "yandexgpt",
        "yandexgpt-5-pro",
        "yandexgpt-5.1",
        "aliceai-llm",
    }
)
"""The models of the service's asynchronous mode; the open ones answer elsewhere only."""

CONTEXT = 32_768

_URI = re.compile(r"gpt://([^/@\s]+)/([^/@\s]+)(?:/([^/@\s]+)(?:@([^/@\s]+))?)?")
_VERSIONS = {"latest": "09.02.2025", "rc": "28.08.2025", "deprecated": "23.10.2024"}
_REASONING = frozenset({"yandexgpt", "yandexgpt-5-pro"})


@dataclass(frozen=True, slots=True)
class ModelUri:
    """A model URI taken apart; `suffix` is a fine-tuned model's, else empty."""

    folder: str
    name: str
    branch: str
    suffix: str

    @classmethod
    def parse(cls, text: str) -> "ModelUri":
        """Take a URI apart, or raise `Invalid`."""
        match = _URI.fullmatch(text)
        if match is None:
            raise Invalid(f"Failed to parse model URI '{text}'")
        folder, name, branch, suffix = match.groups(default="")
        return cls(folder, name, branch or "latest", suffix)

    def check(self, folder: str, models: frozenset[str]) -> None:
        """Raise `Invalid` unless the folder is ours and the model is known."""
        if self.folder != folder:
            raise Invalid(foreign_folder(self.folder, folder))
        if self.name not in models or self.branch not in _VERSIONS:
            raise Invalid(f"invalid model_uri: model {self.name}/{self.branch} not found")

    @property
    def version(self) -> str:
        """What an answer gives as ``modelVersion``."""
        return _VERSIONS[self.branch]

    @property
    def reasons(self) -> bool:
        """Whether the model has a reasoning mode; Pro's candidate is 5.1, which has none."""
        return self.name in _REASONING and self.branch != "rc"


def foreign_folder(given: str, ours: str) -> str:
    """Say that a folder is not the account's own."""
    return f"Specified folder ID '{given}' does not match with service account folder ID '{ours}'"
