"""The list of deliberate bugs fits the program as it is; `make mutants` tries them."""

import ast
from collections import Counter

import pytest

from tests.proof.mutants import ROOT, Mutant, compiles, mutants

_MUTANTS = mutants()
each = pytest.mark.parametrize("mutant", _MUTANTS, ids=lambda mutant: mutant.name)


@each
def test_what_is_to_be_changed_stands_there_once_and_what_it_becomes_compiles(
    mutant: Mutant,
) -> None:
    text = (ROOT / mutant.file).read_text(encoding="utf-8")
    changed = mutant.change(text)
    assert changed != text
    compiles(mutant.file, changed)


@each
def test_the_tests_that_should_catch_it_exist(mutant: Mutant) -> None:
    assert mutant.caught_by
    for test in mutant.caught_by:
        file, _, name = test.partition("[")[0].partition("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        named = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert name in named if name else file.startswith("tests/")


def test_every_bug_is_listed_once_and_breaks_a_promise_that_was_made() -> None:
    assert max(Counter(mutant.name for mutant in _MUTANTS).values()) == 1
    promises = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
    assert all(f"**{mutant.promise} " in promises for mutant in _MUTANTS)
