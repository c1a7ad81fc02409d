"""The ids of POSTs are those of the standard library, which other programs can make too."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from pipeline.life.request_ids import RequestIds


@given(st.uuids(), st.integers(1, 10**15), st.integers(1, 100))
def test_an_id_is_the_uuid_of_version_5_in_the_run_s_namespace(
    run_id: uuid.UUID, line: int, submits: int
) -> None:
    expected = uuid.uuid5(run_id, f"{line}/{submits}")
    assert RequestIds(run_id).of(line, submits) == str(expected)
    assert expected.version == 5
