"""The table of README is what the proofs came to, and stands where the next one replaces it."""

from pathlib import Path

from tests.proof.evidence import BEGIN, END, table, write

_README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_readme_has_one_place_for_the_evidence() -> None:
    assert _README.count(BEGIN) == _README.count(END) == 1
    assert _README.index(BEGIN) < _README.index(END)


def test_new_evidence_takes_the_place_of_the_old_and_of_nothing_else() -> None:
    once = write(_README, "old")
    assert write(once, "new") == once.replace("\nold\n", "\nnew\n")
    before, after = _README.split(BEGIN)[0], _README.split(END)[1]
    assert once.startswith(before)
    assert once.endswith(after)


def test_a_figure_that_a_proof_does_not_have_is_left_out() -> None:
    told: dict[str, dict[str, float]] = {
        "nights": {"trials": 1500, "lost": 0},
        "kills": {"longest recovery": 2.345},
    }
    first, last = table(told).splitlines()[2:]
    assert first == "| nights | 1,500 |  |  |  | 0 |  |  |  |  |  |"
    assert last.endswith("| 2.3 s |")
