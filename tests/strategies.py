"""What fuzz tests draw from: any JSON at all, and JSON of which any part is something else."""

from typing import TypeVar

from hypothesis import strategies as st

from pipeline.codec import Json

_Step = int | str
_Value = TypeVar("_Value")

texts = st.text(st.characters())  # lone surrogates too: JSON can escape them
numbers = (
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([2**31, 2**40, 2**63, 2**64, 10**30, -(2**63), 1e308, 5e-324, -0.0, 1.0])
)
# What stands where something else is expected, as people and services really write it.
_TYPICAL: list[Json] = [None, True, False, 0, 1, -1, "", " ", "0", "1", "null", [], {}, [None]]
scalars: st.SearchStrategy[Json] = (
    st.sampled_from(_TYPICAL) | st.none() | st.booleans() | numbers | texts
)


def any_json(names: list[str]) -> st.SearchStrategy[Json]:
    """Any JSON value; keys are often of these names."""
    keys = st.sampled_from(names) | texts
    return st.recursive(
        scalars | st.sampled_from(names),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
        max_leaves=12,
    )


def places(value: Json) -> list[tuple[_Step, ...]]:
    """The way to every part of a value, itself included."""
    parts: list[tuple[_Step, Json]] = []
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list):
        parts = list(enumerate(value))
    return [(), *((step, *way) for step, part in parts for way in places(part))]


def replaced(value: Json, way: tuple[_Step, ...], part: Json) -> Json:
    """The value with one of its parts replaced."""
    if not way:
        return part
    step, *rest = way
    if isinstance(value, dict) and isinstance(step, str):
        return value | {step: replaced(value[step], tuple(rest), part)}
    assert isinstance(value, list)
    assert isinstance(step, int)
    return [*value[:step], replaced(value[step], tuple(rest), part), *value[step + 1 :]]


@st.composite
def with_parts_replaced(
    draw: st.DrawFn, values: st.SearchStrategy[Json], parts: st.SearchStrategy[Json]
) -> Json:
    """A value with one to three of its parts replaced, one after another."""
    value = draw(values)
    for _ in range(draw(st.integers(1, 3))):
        value = replaced(value, draw(st.sampled_from(places(value))), draw(parts))
    return value


def nested(depth: int, opening: bytes, closing: bytes) -> bytes:
    """JSON of so many levels."""
    return opening * depth + b"1" + closing * depth
