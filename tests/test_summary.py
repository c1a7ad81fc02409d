"""What the end of a run tells: what is known, and commands that can be copied."""

import shlex
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.cli.summary import Summary, of_a_bug
from pipeline.codec import encode
from pipeline.errors import (
    BadData,
    BadSettings,
    BudgetReached,
    DeadlineReached,
    Displaced,
    RunError,
    Unreachable,
)
from pipeline.files.paths import Paths
from pipeline.money.prices import Price, PriceList, PriceTable
from pipeline.money.totals import DoubtTally, Sums, Tally, Totals
from pipeline.pacing.meter import Fullest, Use
from pipeline.pacing.rates import Rate
from pipeline.state.board import Complete, Outcome, Stopped
from pipeline.terminal.step import Step

PRICES = PriceTable("RUB", [PriceList("2026-03-03", {"lite": Price(Decimal(1), Decimal(2))})])
RESUME = ["yagpt-batch", "run", "my rows.jsonl", "-o", "out.jsonl"]
USE = Use(4970, (Fullest(Rate(10, 1.0), 10), Fullest(Rate(5000, 3600.0), 4970)), 0.9912)


def totals(ok: int = 40, failed: int = 0, held: int = 0, doubts: int = 0) -> Totals:
    tallies = [Tally("ok", "lite", "final", Sums(ok, 0, 1000 * ok, 500 * ok, 0, 1500 * ok))]
    tallies += [Tally("failed", "lite", None, Sums(failed))] if failed else []
    tallies += [Tally("held", "lite", None, Sums(held))] if held else []
    return Totals(tallies, [DoubtTally("lite", 1000, 500, doubts)] if doubts else [])


def ended(
    output: Path,
    end: Complete | Stopped | RunError = Complete(),  # noqa: B008 - it has nothing to share
    of: Totals | None = None,
    left: int | None = 0,
    to_fetch: int = 0,
) -> Summary:
    found = totals() if of is None else of
    outcome = Outcome(end, found, USE, 25_680.0, left, to_fetch=to_fetch)
    return Summary.of(Paths(output), PRICES, outcome, RESUME)


def write_errors(output: Path, *kinds: tuple[str, str]) -> None:
    lines = [
        {
            "line": line,
            "id": f"line-{line}",
            "status": "failed",
            "error": {"stage": stage, "code": code, "message": "", "request_id": None},
            "input": {"prompt": "a"},
        }
        for line, (stage, code) in enumerate(kinds, start=1)
    ]
    Paths(output).errors.write_bytes(b"".join(encode(line) + b"\n" for line in lines))


def told_of(summary: Summary) -> list[str]:
    return [*map(str, summary.sentences())]


def next_words(summary: Summary) -> list[list[str]]:
    return [shlex.split(step.command) for step in summary.next_steps()]


def test_a_run_without_a_failure_is_five_lines(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    assert told_of(ended(output)) == [
        f"40 rows ok: {output}",
        "40,000 tokens in, 20,000 out, cost 80.00 RUB (prices of 2026-03-03)",
        "Took 7 h 08 min: 4,970 submits, at the fullest 4,970 of 5,000 an hour, "
        "99.1 % of what the rates allow",
        f"In the order of the input: yagpt-batch export {output} -o {tmp_path}/out.csv",
        f"A page about the run: yagpt-batch report {output} -o {tmp_path}/out.html",
    ]


def test_failures_are_told_by_kind_and_sent_again_by_what_is_to_be_thought_of(
    tmp_path: Path,
) -> None:
    output = tmp_path / "out.jsonl"
    kinds = [("operation", "INTERNAL")] * 2, [("doubt", "held")], [("answer", "not_json")]
    write_errors(output, *kinds[0], *kinds[1], *kinds[2], ("input", "bad_field"))
    summary = ended(output, of=totals(failed=4, held=1, doubts=2))
    told = told_of(summary)
    assert told[0] == f"40 rows ok, 4 failed, 1 held in doubt: {output}"
    assert told[3].endswith(
        "out.errors.jsonl (input bad_field: 1 row; operation INTERNAL: 2 rows; "
        "answer not_json: 1 row; doubt held: 1 row)"
    )
    assert told[4].endswith("can't be known: 2; at worst they cost 4.00 RUB.")
    retry = ["yagpt-batch", "retry", str(output)]
    assert next_words(summary)[:3] == [
        [*retry, "--stage", "operation", "--stage", "answer"],
        [*retry, "--stage", "input"],
        [*retry, "--stage", "doubt"],
    ]
    assert told[5:8] == [str(step) for step in summary.next_steps()][:3]


def test_more_failures_than_can_be_read_in_no_time_are_left_to_a_dry_run(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    write_errors(output, ("operation", "INTERNAL"))
    summary = ended(output, of=totals(failed=10_001))
    assert summary.failures is None
    assert next_words(summary)[0] == ["yagpt-batch", "retry", str(output), "--dry-run"]
    assert summary.to_json()["failures"] is None


def test_an_errors_file_that_cannot_be_read_takes_nothing_else_away(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    Paths(output).errors.mkdir()
    told = ended(output, of=totals(failed=2)).sentences()
    assert next(told) == f"40 rows ok, 2 failed: {output}"
    assert f"What failed, and why: {tmp_path}/out.errors.jsonl" in told


@pytest.mark.parametrize("name", ["the 'best' answers.jsonl", "$(reboot).jsonl", "answers"])
def test_commands_can_be_copied_whatever_the_output_is_called(tmp_path: Path, name: str) -> None:
    summary = ended(tmp_path / name)
    export, _ = next_words(summary)
    assert export[2] == str(tmp_path / name)
    assert export[4] == str(tmp_path / name).removesuffix(".jsonl") + ".csv"


def test_an_output_that_looks_like_an_option_is_not_taken_for_one() -> None:
    export, _ = next_words(ended(Path("-x.jsonl")))
    assert export == ["yagpt-batch", "export", "./-x.jsonl", "-o", "./-x.csv"]


@pytest.mark.parametrize(
    ("end", "word", "told"),
    [
        (Stopped(15), "signal", "To continue"),
        (Unreachable("away"), "unreachable", "To continue"),
        (BudgetReached("spent"), "budget", "To continue"),
        (DeadlineReached("late"), "deadline", "To continue"),
    ],
)
def test_what_is_not_complete_is_continued(
    tmp_path: Path, end: Stopped | RunError, word: str, told: str
) -> None:
    summary = ended(tmp_path / "out.jsonl", end, left=110)
    assert summary.end == word
    assert str(summary.going_on()) == f"{told}: yagpt-batch run 'my rows.jsonl' -o out.jsonl"
    assert told_of(summary)[0].startswith("40 rows ok, 110 not finished: ")
    one = "1 operation to fetch"
    for left, fetch in ((110, f"110 not finished ({one})"), (None, one)):
        waited_for = ended(tmp_path / "out.jsonl", end, left=left, to_fetch=1)
        assert told_of(waited_for)[0].startswith(f"40 rows ok, {fetch}: ")
    assert list(summary.next_steps()) == []


def test_what_a_limit_left_out_is_told_with_the_call_without_it(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "out.jsonl")
    outcome = Outcome(Complete(), totals(), limited=40)
    for limit in (["--limit", "40"], ["--limit=40"]):
        summary = Summary.of(paths, PRICES, outcome, [*RESUME, *limit])
        assert told_of(summary)[1].startswith("These are the first 40 rows of the input")
        assert next(iter(summary.next_steps())).words == RESUME
    # Where the limit comes from a variable or a file.
    assert next(iter(Summary.of(paths, PRICES, outcome, RESUME).next_steps())).words != RESUME


def test_where_a_file_was_moved_the_run_is_continued_once_that_is_put_right() -> None:
    advice = ended(Path("out.jsonl"), Displaced("moved")).advice()
    assert advice is not None
    assert advice.why == "To continue, once that is put right"


@pytest.mark.parametrize(
    ("end", "given", "left_to_fill_in"),
    [
        (BudgetReached("spent"), ["--budget", "500"], ["--budget", "MORE"]),
        (BudgetReached("spent"), ["--budget=500"], ["--budget=MORE"]),
        (DeadlineReached("late"), ["--finish-by", "07:30"], ["--finish-by", "LATER"]),
        # From a variable or a file: a flag beats both.
        (BudgetReached("spent"), [], ["--budget", "MORE"]),
        (Unreachable("away"), ["--budget", "500"], ["--budget", "500"]),
    ],
)
def test_a_limit_that_ended_the_run_is_left_to_fill_in_where_people_copy(
    tmp_path: Path, end: RunError, given: list[str], left_to_fill_in: list[str]
) -> None:
    paths, outcome = Paths(tmp_path / "out.jsonl"), Outcome(end, totals())
    words = [*RESUME[:2], *given, *RESUME[2:]]
    summary = Summary.of(paths, PRICES, outcome, words)
    advice = summary.advice()
    assert advice is not None
    assert advice.words == [*RESUME[:2], *left_to_fill_in, *RESUME[2:]]
    assert summary.to_json()["resume"] == shlex.join(words)


@pytest.mark.parametrize("given", [["--on-finish", "curl s3cret"], ["--on-finish=curl s3cret"]])
def test_scripts_are_not_told_what_may_be_a_secret(tmp_path: Path, given: list[str]) -> None:
    words = [*RESUME[:2], *given, *RESUME[2:]]
    paths, outcome = Paths(tmp_path / "out.jsonl"), Outcome(Stopped(2), totals())
    summary = Summary.of(paths, PRICES, outcome, words)
    for told in (summary.to_json(), of_a_bug(paths, words)):
        assert told["resume"] == shlex.join(RESUME)
        assert b"s3cret" not in encode(told)
    assert shlex.split(str(summary.going_on()).partition(": ")[2]) == words


@pytest.mark.parametrize("end", [Stopped(2), BudgetReached("spent"), Unreachable("away")])
def test_a_call_that_a_changed_input_makes_useless_is_not_named(
    tmp_path: Path, end: Stopped | RunError
) -> None:
    paths, outcome = Paths(tmp_path / "out.jsonl"), Outcome(end, totals(), grown="changed")
    summary = Summary.of(paths, PRICES, outcome, RESUME)
    assert (summary.advice(), summary.going_on()) == (None, None)
    assert (summary.to_json()["resume"], summary.to_json()["input_change"]) == (None, "changed")
    assert summary.changed == (
        "Its input has changed since: `run` refuses it; lines that you mended go with "
        f"`yagpt-batch retry {paths.output} --stage input`."
    )


def test_rows_that_came_too_late_for_a_complete_run_are_told_with_what_sends_them(
    tmp_path: Path,
) -> None:
    paths = Paths(tmp_path / "out.jsonl")

    def of(outcome: Outcome) -> Summary:
        return Summary.of(paths, PRICES, outcome, RESUME)

    late = of(Outcome(Complete(), totals(), grown="appended"))
    assert "Rows were appended to its input: the same command goes on." in told_of(late)
    assert next_words(late)[0] == RESUME
    # What stands behind the rows of a --limit is left out on purpose.
    limited = of(Outcome(Complete(), totals(), limited=40, grown="appended"))
    assert not any("appended" in told for told in told_of(limited))
    stopped = of(Outcome(Stopped(2), totals(), grown="appended"))
    assert (stopped.changed, stopped.going_on()) == ("", Step("To continue", RESUME))


def test_files_that_do_not_fit_are_not_continued_by_the_same_command(tmp_path: Path) -> None:
    summary = ended(tmp_path / "out.jsonl", BadData("the input was cut"))
    assert summary.going_on() is None
    assert summary.to_json()["resume"] is None


@pytest.mark.parametrize(
    ("right", "paid", "told"),
    [
        ({"--model": "MODEL"}, 0, "with the right --model: yagpt-batch run --model MODEL 'my"),
        ({"--folder-id": "b1g"}, 0, "with the right --folder-id: yagpt-batch run --folder-id b1g"),
        ({}, 0, "once that is put right: yagpt-batch run 'my rows.jsonl'"),
        # What was paid for keeps the settings that it had.
        ({"--model": "MODEL"}, 1, "once that is put right: yagpt-batch run 'my rows.jsonl'"),
    ],
)
def test_after_wrong_settings_nobody_is_told_to_repeat_them(
    tmp_path: Path, right: dict[str, str], paid: int, told: str
) -> None:
    end = BadSettings("no such model", "Check it", right)
    summary = ended(tmp_path / "out.jsonl", end, totals(ok=paid), left=3)
    assert summary.to_json()["resume"] is None
    assert str(summary.advice()).startswith(f"To continue, {told}")


def test_scripts_have_the_totals_and_all_that_people_are_told(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    write_errors(output, ("lost", "denied"))
    of = totals(failed=1)
    told = ended(output, Unreachable("The host is away.", "Wait."), of, left=3).to_json()
    assert told.items() >= of.to_json(PRICES).items()
    assert {key: told[key] for key in told.keys() - of.to_json(PRICES).keys()} == {
        "held": 0,
        "left": 3,
        "to_fetch": 0,
        "same_as_another": 0,
        "exit": 69,
        "end": "unreachable",
        "why": "The host is away. Wait.",
        "folder": str(Path.cwd()),
        "output": str(output),
        "errors": str(tmp_path / "out.errors.jsonl"),
        "failures": [{"stage": "lost", "code": "denied", "rows": 1}],
        "seconds": 25_680.0,
        "submits": USE.to_json(),
        "input_change": None,
        "resume": "yagpt-batch run 'my rows.jsonl' -o out.jsonl",
        "next": [],
    }
