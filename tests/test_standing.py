"""What is said of a run from outside, from facts and a moment alone."""

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace as replaced

from pipeline.clock import stamp
from pipeline.ending.prospect import Eta, Pause
from pipeline.money.spent import Spent
from pipeline.money.totals import DoubtTally, Sums, Tally, Totals
from pipeline.operations.polling import RETENTION
from pipeline.pacing.rates import Rate
from pipeline.state.board import Counts
from pipeline.state.bulletin import sentences
from pipeline.state.control import Change, InForce
from pipeline.state.departure import Departure, Vanished
from pipeline.state.resumption import Called, shareable
from pipeline.state.standing import Operation, Operations, Outage, Standing, as_json
from pipeline.view.scene import Scene
from tests.builders import MODEL, NOW, fields, price_table
from tests.scratch import table

PRICES = price_table()
_OK = Tally("ok", MODEL, "final", Sums(70, 0, 7000, 3000, 0, 10_000))
_STATUS = "## What `status --json` has"
_NOBODY = Operations(None, 0, None)
HALF = Standing(
    running=True,
    complete=False,
    grown=None,
    expected=100,
    begun=80,
    states={"running": 9, "intended again": 1},
    operations=Operations(Operation(3, "три", "op-3", NOW - 7500), 0, NOW - 7500),
    spent={},
    outages=(),
    totals=Totals([_OK], []),
)
DONE = replace(
    HALF, running=False, complete=True, expected=70, begun=70, states={}, operations=_NOBODY
)


def stamp_of_a_person(moment: float) -> str:
    return stamp(moment)[:16].replace("T", " ")


def told(standing: Standing, now: float = NOW) -> str:
    """All that is said, times written as seconds since now."""
    said = sentences("out.jsonl", standing, now, PRICES, lambda moment: f"<{moment - now:+.0f}>")
    return "\n".join(map(str, said))


def test_a_run_that_goes_on_says_how_far_it_is() -> None:
    words = told(HALF)
    assert "out.jsonl: running, 70 of 100 rows done." in words
    assert "Rows: 70 ok, 9 waited for, 1 being submitted, 20 not begun." in words
    assert "7,000 tokens in, 3,000 out, cost so far 1.00 RUB (prices of 2026-03-03)" in words


def test_a_paused_run_is_bound_by_its_pause() -> None:
    paused = replace(HALF, pause=Pause(NOW - 60, "yagpt-batch unpause out.jsonl"))
    told = as_json(paused, NOW, PRICES, stamp)
    assert (told["bound_by"], told["denied"], told["eta"]) == (
        *("paused", 0),
        dict.fromkeys(("all_submitted", "earliest", "likely", "latest")),
    )
    stopped = as_json(replace(paused, running=False), NOW, PRICES, stamp)
    assert stopped["bound_by"] is None


def test_a_run_that_was_changed_says_what_is_in_force() -> None:
    limits = InForce("p", 1, None, ("5000/h",), False, ("50/s",), "9", None, None)
    assert "In force" not in told(replace(HALF, in_force=limits))
    words = told(replace(HALF, in_force=replaced(limits, changed=Change(budget="9"))))
    assert "\nIn force: submits 5,000 an hour; polls 50 a second; a budget of 9.00 RUB;" in words


def test_what_the_service_was_found_to_allow_is_told_too() -> None:
    found = replace(HALF, allowed=(Rate(3000, 3600.0),))
    assert "The service was found to allow 3,000 an hour: the run keeps to that." in told(found)
    assert "The service was found" not in told(HALF)


def test_of_a_finished_run_is_told_that_it_took_the_first_rows_only() -> None:
    others = Called(["yagpt-batch", "run", "in.jsonl", "--limit", "70", "-o", "out.jsonl"], "/n")
    words = told(replace(DONE, limited=(70, others.unlimited("/n"))))
    assert "These are the first 70 rows of the input, as --limit said;" in words
    assert (
        "\nTo send the other rows of the input, too: yagpt-batch run in.jsonl -o out.jsonl"
        in words
    )
    assert "--limit said" not in told(replace(DONE, limited=(70, None), grown="appended"))
    assert "To send" not in told(replace(DONE, limited=(70, None)))
    in_other = others.unlimited("/")
    assert in_other is not None
    assert in_other.why.endswith(", too, in /n")


def test_while_it_goes_on_the_end_in_sight_is_told_as_the_process_saw_it() -> None:
    end = Eta(
        NOW - 30, 9, Rate(5000, 3600.0), 0.994, NOW + 3600, NOW + 4000, NOW + 4001, NOW + 4002
    )
    standing = replace(HALF, eta=end)
    words = "\n".join(map(str, sentences("out.jsonl", standing, NOW, PRICES, stamp_of_a_person)))
    assert "End in sight: 09:06, bound by 5,000 an hour (99.4 % used)." in words
    assert "End in sight" not in told(replace(standing, running=False))
    assert "End in sight" not in told(HALF)
    late = "\n".join(map(str, sentences("o", standing, NOW + 3970, PRICES, stamp_of_a_person)))
    assert "End in sight: in less than a minute, bound by" in late


def test_the_end_in_sight_is_told_as_values() -> None:
    end = Eta(NOW, 9, "answers", None, None, NOW + 60, NOW + 120, NOW + 240)
    values = as_json(replace(HALF, eta=end), NOW, PRICES, stamp)
    assert values["bound_by"] == "answers"
    assert values["eta"] == {
        "all_submitted": None,
        "earliest": stamp(NOW + 60),
        "likely": stamp(NOW + 120),
        "latest": stamp(NOW + 240),
    }
    values = as_json(replace(HALF, eta=end, running=False), NOW, PRICES, stamp)
    assert values["bound_by"] is None


def test_one_that_ended_says_that_the_same_command_continues_it() -> None:
    words = told(replace(HALF, running=False))
    assert "not running, 70 of 100 rows done. The same command continues it." in words
    assert "1 in doubt since the process ended" in words


@pytest.mark.parametrize(
    ("left", "sentence"),
    [
        (Departure(NOW - 60, "complete", 3), "code 3: every row has its line."),
        (Departure(NOW - 60, "signal", 130), "code 130: stopped by Ctrl-C."),
        (Departure(NOW - 60, "signal", 131), "code 131: stopped by signal 3."),
        (Departure(NOW - 60, "budget", 80, "It is spent. More."), "code 80: It is spent. More."),
        (Departure(NOW - 60, "unexpected", 1), "code 1: a bug; nothing on disk is lost."),
    ],
)
def test_how_the_last_process_ended_is_told(left: Departure, sentence: str) -> None:
    standing = replace(HALF, running=False, left=left)
    words = told(standing)
    assert f"\nEnded <-60> with exit {sentence}\n" in words
    assert ("The same command continues it." in words) == (left.why is None)
    assert as_json(standing, NOW, PRICES, stamp)["ended"] == {
        "at": stamp(NOW - 60),
        "end": left.end,
        "exit": left.exit,
        "why": left.why,
    }


def test_of_one_that_did_not_say_how_it_ended_no_more_is_told_than_is_known() -> None:
    standing = replace(HALF, running=False, left=Vanished())
    assert "it left at once at a second Ctrl-C, was killed, the machine" in told(standing)
    assert fields(as_json(standing, NOW, PRICES, stamp)["ended"])["end"] == "vanished"
    # An earlier version noted nothing.
    assert "killed" not in told(replace(HALF, running=False))
    assert as_json(replace(HALF, running=False), NOW, PRICES, stamp)["ended"] is None


@pytest.mark.parametrize(
    ("left", "here", "said"),
    [
        (None, "/night", "To continue: {}"),
        (Vanished(), "/night", "To continue: {}"),
        (Vanished(), "/", "To continue, in /night: {}"),
        (Departure(NOW, "signal", 130), "/night", "To continue: {}"),
        (
            Departure(NOW, "budget", 80, "Spent."),
            "/night",
            "To continue, with a larger --budget: {} --budget MORE",
        ),
        (
            Departure(NOW, "deadline", 81, "Late."),
            "/night",
            "To continue, with a later --finish-by: {} --finish-by=LATER --budget 5",
        ),
        (Departure(NOW, "settings", 78, "Wrong."), "/night", None),
        (Departure(NOW, "bad_data", 65, "Wrong."), "/night", None),
    ],
)
def test_the_call_that_goes_on_is_told_as_it_was_noted(
    left: Departure | Vanished | None, here: str, said: str | None
) -> None:
    options = said.partition("{} ")[2] if said else ""
    given = options.replace("MORE", "5").replace("LATER", "07:00").split()
    called = Called(["yagpt-batch", "run", "my rows.jsonl", "-o", "out.jsonl", *given], "/night")
    standing = replace(HALF, running=False, left=left, resume=called.going_on(left, here))
    values = as_json(standing, NOW, PRICES, stamp)
    if said is None:
        assert values["resume"] is None
        assert "To continue" not in told(standing)
        return
    command = "yagpt-batch run 'my rows.jsonl' -o out.jsonl"
    assert f"\n{said.format(command)}\n" in told(standing)
    assert "The same command" not in told(standing)
    assert values["resume"] == " ".join([command, *given])


def test_a_command_at_the_end_is_nobody_else_s_business() -> None:
    words = ["yagpt-batch", "run", "in.jsonl", "--on-finish", "mail me", "-o", "out.jsonl"]
    assert shareable([*words, "--on-finish=x"]) == [*words[:3], *words[5:]]


def test_one_that_is_finished_says_so() -> None:
    assert "out.jsonl: finished, 70 of 70 rows done." in told(DONE)
    assert "The same command" not in told(DONE)


def test_one_whose_input_has_grown_since_is_not_quite_finished() -> None:
    assert (
        "finished, 70 of 70 rows done. Rows were appended to its input: the same command goes on."
    ) in told(replace(DONE, grown="appended"))
    assert "where rows were appended, the same" in told(replace(DONE, grown="unknown"))
    assert as_json(replace(DONE, grown="unknown"), NOW, PRICES, stamp)["input_changed"] is True


def test_one_whose_input_is_another_is_not_said_to_go_on() -> None:
    half = replace(HALF, running=False)
    for standing, state in ((DONE, "finished, 70 of 70"), (half, "not running, 70 of 100")):
        assert told(replace(standing, grown="changed")).startswith(
            f"out.jsonl: {state} rows done. Its input has changed since: `run` refuses it; lines "
            "that you mended go with `yagpt-batch retry out.jsonl --stage input`."
        )
    assert "The same command continues it." in told(replace(half, grown="appended"))
    assert told(replace(HALF, grown="changed")).startswith(
        "out.jsonl: running, 70 of 100 rows done. Its input has changed since it began: once it "
        "has ended, `run` refuses it; lines that you mended go with `yagpt-batch retry out.jsonl "
        "--stage input`.\n"
    )
    assert "input" not in told(replace(HALF, grown="appended"))


def test_an_unknown_number_of_rows_is_not_made_up() -> None:
    words = told(replace(HALF, expected=None))
    assert "running, 70 rows done." in words
    assert "not begun" not in words


@pytest.mark.promise("P14")
def test_the_oldest_operation_is_told_with_its_age_and_expiry() -> None:
    words = told(HALF)
    assert "2 h 5 min old: line 3 (три), op-3, accepted <-7500>." in words
    assert "It may queue for 24 hours and more." in words
    assert f"It expires <+{RETENTION - 7500:.0f}>; if it still runs then" in words
    assert "never_done" in words


@pytest.mark.promise("P14")
def test_operations_past_their_days_are_counted_and_the_next_expiry_is_anothers() -> None:
    old = Operation(3, None, "op-3", NOW - RETENTION - 3600)
    words = told(replace(HALF, operations=Operations(old, 1, NOW - 60)))
    assert "3 d 1 h old: line 3, op-3" in words
    assert f"The next one expires <+{RETENTION - 60:.0f}>" in words
    assert "1 operation is past the 3 days" in words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (7260, "2 h 1 min"),
        (2e5, "2 d 7"),
    ],
)
def test_ages_are_told_in_the_units_of_their_size(seconds: float, words: str) -> None:
    oldest = Operation(1, None, "op", NOW - seconds)
    assert words in told(replace(HALF, operations=Operations(oldest, 0, NOW - seconds)))


def test_a_clock_that_was_set_back_makes_no_age_below_zero() -> None:
    oldest = Operation(1, None, "op", NOW + 50)
    assert " 0 s old" in told(replace(HALF, operations=Operations(oldest, 0, NOW + 50)))


@pytest.mark.promise("P15")
def test_doubts_are_told_with_the_worst_that_they_can_have_cost() -> None:
    totals = Totals([_OK], [DoubtTally(MODEL, 100, 1000, 3)])
    standing = replace(HALF, states={"doubt": 3}, spent={1: 2, 2: 1}, totals=totals)
    words = told(standing)
    assert "3 in doubt, to be submitted again" in words
    assert "can't be known: 3; at worst they cost 0.33 RUB." in words
    assert "\n2 rows in doubt have spent 1 of their attempts.\n" in words
    assert "\n1 row in doubt has spent 2 of its attempts.\n" in words


@pytest.mark.promise("P15")
def test_what_is_unknown_is_not_told_as_nothing() -> None:
    tally = Tally("ok", "somebody's", "final", Sums(2, 1, 10, 10, 0, 20))
    totals = Totals([tally], [DoubtTally("somebody's", 1, None, 1)])
    words = told(replace(HALF, totals=totals))
    assert "at worst they cost an unknown sum of RUB" in words
    assert "unknown for 1 row, cost so far unknown (prices" in words


@pytest.mark.promise("P12")
def test_an_outage_is_told_with_the_end_of_patience_or_as_what_was() -> None:
    outage = Outage("the operation service", NOW - 600, NOW + 600)
    words = told(replace(HALF, outages=[outage]))
    assert "Outage: the operation service is away since <-600>; the run gives up <+600>" in words
    words = told(replace(HALF, outages=[outage], running=False))
    assert "When the process ended, the operation service had been away since <-600>." in words


def test_the_same_is_told_as_json_with_times_in_utc() -> None:
    outage = Outage("the operation service", NOW - 600, NOW + 600)
    standing = replace(HALF, outages=[outage], spent={1: 2})
    told_json = as_json(standing, NOW, PRICES, stamp)
    assert told_json["state"] == "running"
    assert fields(told_json["rows"])["not_begun"] == 20
    assert fields(told_json["rows"])["being_submitted"] == 1
    assert told_json["oldest"] == {
        "line": 3,
        "id": "три",
        "operation_id": "op-3",
        "accepted_at": "2027-01-15T05:55:00Z",
        "age_seconds": 7500,
        "expires_at": "2027-01-18T05:55:00Z",
    }
    assert told_json["next_expiry"] == "2027-01-18T05:55:00Z"
    assert told_json["attempts_spent"] == {"1": 2}
    assert told_json["outages"] == [
        {
            "host": "the operation service",
            "since": "2027-01-15T07:50:00Z",
            "gives_up_at": "2027-01-15T08:10:00Z",
        }
    ]
    assert fields(told_json["totals"])["rows"] == 70
    assert as_json(DONE, NOW, PRICES, stamp)["oldest"] is None


def test_every_field_of_status_is_written_down_with_what_it_is_called_elsewhere() -> None:
    known = replace(
        HALF,
        in_force=InForce("p", 0, None, (), False, (), None, None, None),
        left=Departure(NOW, "signal", 130),
        spending=Spent(Decimal(1), "RUB", Decimal(1), Decimal(2), Decimal(3)),
    )
    whole = as_json(known, NOW, PRICES, stamp)
    apart = {"in_force", "ended", "rows", "oldest", "totals"}
    parts = {f"{name}.{part}" for name in apart for part in fields(whole[name])}
    rows = table(Path(__file__).parent.parent / "docs" / "watching.md", _STATUS)
    listed = [name for names, *_ in rows for name in re.findall("`([^`]+)`", names)]
    assert len(listed) == len(set(listed))
    assert set(listed) == (set(whole) | parts) - {"rows", "totals"}
    scene = Scene(Counts(), spent=known.spending).to_json(stamp, stamp)
    elsewhere = {name for *_, names in rows for name in re.findall("`([^`]+)`", names)}
    assert elsewhere <= set(scene)


def test_rows_add_up_as_is_written_down() -> None:
    states = {"running": 1, "intended": 2, "doubt": 3, "gone": 4, "waiting": 5, "unfit": 6}
    pending = {**states, "intended again": 7, "intended anew": 8, "twin": 9}
    standing = replace(HALF, begun=70 + sum(pending.values()), expected=200, states=pending)
    rows = fields(as_json(standing, NOW, PRICES, stamp)["rows"])
    assert rows.pop("total") == 200
    assert sum(int(str(rows.pop(name))) for name in ("ok", "failed", "held")) == rows["done"]
    assert sum(int(str(number)) for number in rows.values()) == 200
