"""What is asked of a run from another shell, and what is in force then."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.errors import StorageFailed
from pipeline.state import control_file
from pipeline.state.control import Change, Control, InForce, Unreadable

AT_FIRST = InForce(
    process="me",
    heard=0,
    paused_since=None,
    rates=("10/s", "5000/h"),
    auto=False,
    poll_rates=("50/s",),
    budget="100",
    finish_by=None,
    max_in_flight=None,
)
rates = st.none() | st.lists(st.sampled_from(["1/s", "100/20s", "7/d"]), max_size=2).map(tuple)
changes = st.builds(
    Change,
    rates=rates,
    poll_rates=rates,
    budget=st.none() | st.sampled_from(["5", "0.50"]),
    finish_by=st.none() | st.floats(1, 2e9),
    max_in_flight=st.none() | st.integers(1, 100),
)


def moment(at: float) -> str:
    return f"day {at:g}"


def asked(change: Change, *, of: str = "me", number: int = 1) -> Control:
    return Control(number, None, of, change)


@given(changes, st.none() | st.floats(0, 2e9))
def test_what_is_written_is_read_again(change: Change, since: float | None) -> None:
    control = Control(3, since, "me", change)
    assert Control.read(control.written()) == control


@given(changes, changes)
def test_two_changes_at_once_are_as_one_after_the_other(first: Change, second: Change) -> None:
    in_turn = AT_FIRST.after(asked(first)).after(asked(second, number=2))
    assert AT_FIRST.after(asked(first.then(second), number=2)) == in_turn


@given(changes)
def test_hearing_the_same_once_more_changes_nothing(change: Change) -> None:
    once = AT_FIRST.after(asked(change))
    assert once.after(asked(change)) == once
    assert once.differences(once, "RUB", moment) == ""


def test_only_the_process_that_was_asked_changes_and_every_one_pauses() -> None:
    control = Control(7, 50.0, "another", Change(rates=("1/s",)))
    found = AT_FIRST.after(control)
    assert (found.heard, found.paused_since, found.rates) == (7, 50.0, AT_FIRST.rates)
    assert found.changed is None


def test_what_is_not_named_stays_and_what_differs_is_told_with_what_it_was() -> None:
    found = AT_FIRST.after(asked(Change(poll_rates=(), max_in_flight=3)))
    assert (found.rates, found.poll_rates, found.max_in_flight) == (AT_FIRST.rates, (), 3)
    assert found.differences(AT_FIRST, "RUB", moment) == (
        "polls without a limit (before: polls 50 a second); "
        "3 operations at once (before: any number of operations at once)"
    )
    assert found.sentence("RUB", moment) == (
        "In force: submits 10 a second and 5,000 an hour; polls without a limit; "
        "a budget of 100.00 RUB; no end set; 3 operations at once."
    )


def test_a_rate_ends_auto_and_auto_keeps_its_windows() -> None:
    auto = AT_FIRST.after(asked(Change(rates=("10/s",), auto=True)))
    assert (auto.auto, auto.rates) == (True, ("10/s",))
    assert "submits 10 a second and more" in auto.sentence("RUB", moment)
    assert not auto.after(asked(Change(rates=("3/s",)), number=2)).auto
    assert auto.after(asked(Change(budget="5"), number=2)).auto


def test_a_run_without_a_budget_takes_none() -> None:
    free = replace(AT_FIRST, budget=None)
    assert free.after(asked(Change(budget="5"))).budget is None


def test_a_change_is_told_as_options_of_a_later_run() -> None:
    change = Change(("5/s", "9/h"), False, (), "5.50", 60.0, 4)
    assert " ".join(change.options(moment)) == (
        "--rate 5/s --rate 9/h --poll-rate none --budget 5.50 --finish-by dayT60 --max-in-flight 4"
    )
    assert list(Change(("5/s",), auto=True).options(moment)) == ["--rate auto"]


# The file.


def test_each_control_written_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl.control"
    assert control_file.read(path) == Control()
    assert control_file.look_of(path) is None
    looks = set()
    for number in (1, 2):
        control_file.write(path, lambda before: Control(before.number + 1, 5.0))
        looks.add(control_file.look_of(path))
        assert control_file.read(path) == Control(number, 5.0)
    assert len(looks) == 2
    path.write_text("nobody's")
    with pytest.raises(Unreadable):
        control_file.read(path)
    assert control_file.write(path, lambda before: before) == Control()
    control_file.remove(path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_t_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="can't write"):
        control_file.write(tmp_path / "none" / "out.jsonl.control", lambda before: before)
