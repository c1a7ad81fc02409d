"""Every id is remembered, however many there are; and what a look at all rows says of them."""

from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.checks.preflight import FirstIds, Seen, judged
from pipeline.codec import encode
from pipeline.errors import StorageFailed
from pipeline.files.ids import Ids
from pipeline.files.source import Line, piped
from pipeline.input.rows import BadRow, Recipe, Row
from pipeline.life.facts import Begin, Span
from pipeline.life.item import Waiting
from pipeline.store.checkpoint import Checkpoint
from tests.scratch import in_memory

RECIPE = Recipe("yandexgpt-lite", "b1g")


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=3)))
def test_an_id_is_new_once(ids: list[str]) -> None:
    known: set[str] = set()
    with Ids() as seen:
        for one in ids:
            assert seen.is_new(one) == (one not in known)
            known.add(one)


def test_an_id_is_remembered_after_many_others_whose_digests_may_be_alike() -> None:
    with Ids() as seen:
        assert all(seen.is_new(f"a long name of a row, {n:08}") for n in range(200_000))
        assert not any(seen.is_new(f"a long name of a row, {n:08}") for n in (0, 7, 199_999))


def test_the_first_ids_are_remembered_and_later_ones_not() -> None:
    seen = FirstIds()
    assert all(seen.is_new(str(n)) for n in range(10_000))
    assert not seen.is_new("0")
    assert seen.is_new("later")
    assert seen.is_new("later")


def test_a_disk_without_room_for_ids_is_said_to_be_one() -> None:
    with Ids() as seen:
        seen._db.execute("PRAGMA max_page_count = 4")  # noqa: SLF001 - a disk that is full
        with pytest.raises(StorageFailed) as raised:
            _fill(seen)
    assert "TMPDIR" in raised.value.told


def _fill(seen: Seen) -> None:
    for n in range(10_000):
        seen.is_new(f"{n:0100}")


_ids = st.sampled_from([None, "a", "b", "line-1", "line-2", "line-3", "line-4", "line-09"])


@given(st.lists(st.tuples(_ids, st.booleans()), max_size=8))
def test_rows_repeat_ids_for_a_look_as_they_do_for_the_checkpoint(
    rows: list[tuple[str | None, bool]],
) -> None:
    lines = [
        encode({"id": own, "prompt" if fit else "promt": "?"} if own else {"prompt": "?"})
        for own, fit in rows
    ]
    with Ids() as seen:
        looked = [_is_repeated(line, seen) for line in _lines(lines)]
    assert looked == _for_the_checkpoint(lines)


def _lines(lines: list[bytes]) -> list[Line]:
    return list(piped(BytesIO(b"\n".join(lines)), "in"))


def _is_repeated(line: Line, seen: Seen) -> bool:
    """Of a row that is bad anyway, only that is told."""
    row = judged(line, RECIPE, seen)
    return isinstance(row, BadRow) and row.code == "repeated_id"


def _for_the_checkpoint(lines: list[bytes]) -> list[bool]:
    found = []
    with in_memory() as folder:
        checkpoint = Checkpoint(Path(folder) / "checkpoint")
        for line in _lines(lines):
            row = judged(line, RECIPE, FirstIds())
            own_id = row.id if row.own_id else None
            span = Span(line.offset, len(line.data), b"12345678")
            fit = Waiting() if isinstance(row, Row) else None
            begin = Begin(line.number, span, line.next, own_id, None, None, 1, None, fit)
            found.append(bool(checkpoint.record([begin], {})) and fit is not None)
        checkpoint.close()
    return found
