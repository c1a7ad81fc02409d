"""States as the columns of the checkpoint, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadData
from pipeline.life.facts import Columns, columns_of, state_of
from pipeline.life.item import Doubtful, Gone, Intended, Running, State, Submittable, Twin, Waiting

times = st.floats(allow_nan=False)
counts = st.integers(0, 2**62)
submittable: st.SearchStrategy[Submittable] = st.one_of(
    st.builds(Waiting, counts),
    st.builds(Doubtful, counts, counts),
    st.builds(Gone, st.text(), counts, counts),
)
states: st.SearchStrategy[State | None] = st.one_of(
    st.none(),
    submittable,
    st.builds(Twin, counts),
    st.builds(Intended, times, submittable),
    st.builds(Running, st.text(), times, counts, counts),
)


@given(states)
def test_a_state_is_read_back_from_its_columns(state: State | None) -> None:
    assert state_of(*columns_of(state)) == state


@given(states, states)
def test_two_states_have_the_same_columns_only_if_they_are_the_same(
    one: State | None, other: State | None
) -> None:
    assert (columns_of(one) == columns_of(other)) == (one == other)


@pytest.mark.parametrize("name", ["", "Waiting", "ok", "failed", "held", "replaced"])
def test_a_name_that_no_state_has_is_refused(name: str) -> None:
    with pytest.raises(BadData, match="row in state"):
        state_of(name, 0.0, 0, 0, "op")


@pytest.mark.promise("P4")
@pytest.mark.parametrize("name", ["running", "gone", "intended anew"])
def test_an_operation_without_its_id_is_refused(name: str) -> None:
    with pytest.raises(BadData):
        state_of(name, 0.0, 1, 1, None)


@pytest.mark.promise("P4")
@pytest.mark.parametrize(
    "columns",
    [
        ("waiting", None, 0, 0, "op"),
        ("waiting", None, 1, 1, None),
        ("unfit", None, 0, 0, "op"),
        ("twin", None, 0, 0, "op"),
        ("doubt", None, 1, 1, "op"),
        ("intended", 1.0, 0, 0, "op"),
        ("intended again", 1.0, 1, 1, "op"),
        ("gone", 1.0, 1, 1, "op"),
    ],
)
def test_a_row_with_an_operation_that_is_called_something_else_is_not_submitted_again(
    columns: Columns,
) -> None:
    with pytest.raises(BadData, match="row in state"):
        state_of(*columns)
