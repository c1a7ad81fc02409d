"""Every promise that users read has a test that says it proves it."""

import re
from pathlib import Path

_TESTS = Path(__file__).parent
_PROMISES = (_TESTS.parent / "docs" / "promises.md").read_text(encoding="utf-8")


def _promised() -> set[str]:
    return set(re.findall(r"^\*\*(P\d+) ", _PROMISES, re.MULTILINE))


def _proved() -> set[str]:
    marks = re.compile(r'@pytest\.mark\.promise\("(P\d+)"\)')
    return {
        promise
        for path in _TESTS.rglob("test_*.py")
        for promise in marks.findall(path.read_text(encoding="utf-8"))
    }


def test_every_promise_has_a_proof() -> None:
    assert _promised() - _proved() == set()


def test_every_proof_names_a_promise_that_was_made() -> None:
    assert _proved() - _promised() == set()
