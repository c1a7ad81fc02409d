"""What a retry says that it would send is what it sends."""

from msgspec.structs import replace

from pipeline.cli.proposal import Proposal
from pipeline.store.retrial import Choice, Failed

FAILED = {
    3: Failed(3, "operation", "INTERNAL", None),
    5: Failed(5, "input", "bad_json", None),
    8: Failed(8, "operation", "INTERNAL", None),
}


def proposal(
    *codes: str, failed: dict[int, Failed] = FAILED, pending: int = 0, not_begun: int = 0
) -> Proposal:
    return Proposal(Choice(codes=frozenset(codes)), failed, pending, not_begun)


def test_rows_that_were_never_begun_are_told_beside_those_that_failed() -> None:
    assert list(proposal("INTERNAL", pending=2, not_begun=242).sentences()) == [
        "operation INTERNAL: 2 rows",
        "A retry would send 2 rows again; nothing was sent.",
        "It would also go on with 2 rows not finished, and send 242 rows for the first time.",
    ]
    (*_, last) = proposal(not_begun=1).sentences()
    assert last == "It would also send 1 row for the first time."


def test_the_same_is_told_as_values() -> None:
    assert proposal("INTERNAL", pending=2, not_begun=242).to_json() == {
        "rows": 2,
        "failures": [{"stage": "operation", "code": "INTERNAL", "rows": 2}],
        "unfit": 0,
        "pending": 2,
        "not_begun": 242,
    }


def test_rows_that_would_fail_at_once_again_are_not_counted_as_sent() -> None:
    told = replace(proposal(), unfit={5})
    assert list(told.sentences()) == [
        "input bad_json: 1 row",
        "operation INTERNAL: 2 rows",
        "A retry would send 2 rows again; nothing was sent.",
        "Not sent, for no cost: 1 row whose line in the input is not mended, and would fail "
        "again.",
    ]
    assert told.to_json() == {
        "rows": 2,
        "failures": [{"stage": "operation", "code": "INTERNAL", "rows": 2}],
        "unfit": 1,
        "pending": 0,
        "not_begun": 0,
    }


def test_rows_that_may_get_the_answer_of_another_are_not_promised_to_be_sent() -> None:
    told = list(replace(proposal("INTERNAL"), dedupe=True).sentences())
    assert told[1:] == [
        "A retry would send 2 rows again; nothing was sent.",
        "Or fewer: by --dedupe a row that asks the same as another gets its answer.",
    ]
    assert not any("dedupe" in said for said in proposal("INTERNAL").sentences())


def test_a_choice_that_no_row_meets_sends_no_other_row_either() -> None:
    nothing = proposal("internal", pending=2, not_begun=242)
    assert nothing.is_empty
    assert nothing.to_json() == {
        "rows": 0,
        "failures": [],
        "unfit": 0,
        "pending": 0,
        "not_begun": 0,
    }
    assert list(nothing.sentences()) == [nothing.refusal()]
    assert nothing.refusal() == (
        "Nothing to retry: no row that was chosen has failed or is held in doubt. There are: "
        "input bad_json: 1 row; operation INTERNAL: 2 rows. Did you mean INTERNAL? The run itself "
        "is not finished: `run`, or `retry` without --stage and --code, goes on with it."
    )
    assert proposal("qqqq").refusal().endswith("operation INTERNAL: 2 rows.")


def test_without_a_choice_a_run_that_is_not_finished_goes_on() -> None:
    assert not proposal(failed={}, pending=1).is_empty
    assert not proposal(failed={}, not_begun=1).is_empty
    assert proposal(failed={}).is_empty
    assert "no row has failed" in proposal(failed={}).refusal()
