"""JSON in and out without losing a character, and no error but one."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codec import Json, NotJson, decode, encode

texts = st.text(st.characters())  # lone surrogates too
values: st.SearchStrategy[Json] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)


@given(values)
def test_a_value_is_read_back_as_it_was(value: Json) -> None:
    assert decode(encode(value)) == value
    assert json.loads(encode(value)) == value


@pytest.mark.promise("P16")
@given(st.lists(texts, max_size=5))
def test_a_text_with_lone_surrogates_is_read_back_by_any_reader(parts: list[str]) -> None:
    # Two halves side by side are one character to every reader of JSON.
    whole = [
        part.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") for part in parts
    ]
    assert decode(encode(whole)) == whole
    assert json.loads(encode(whole)) == whole


@pytest.mark.promise("P16")
@pytest.mark.parametrize(
    ("escaped", "written"),
    [
        (rb'"\ud83d"', rb'"\ud83d"'),
        (rb'"a\udc00b"', rb'"a\udc00b"'),
        (rb'{"\ud83d": "\u0442"}', '{"\\ud83d":"т"}'.encode()),
        (rb'"\ud83d\ude00"', '"😀"'.encode()),
        (rb'"\u2028\u2029"', '"\u2028\u2029"'.encode()),
        (rb'"\u0000"', rb'"\u0000"'),
        (rb'"\u041f\n"', '"П\\n"'.encode()),
    ],
)
def test_what_utf_8_holds_is_written_as_itself_and_the_rest_stays_escaped(
    escaped: bytes, written: bytes
) -> None:
    assert encode(decode(escaped)) == written


@given(values | texts)
def test_a_value_is_written_on_one_line_of_utf_8(value: Json) -> None:
    data = encode(value)
    assert b"\n" not in data
    assert b"\r" not in data
    data.decode()


@pytest.mark.parametrize(
    "data",
    [
        *(
            b"",
            b" ",
            b"{",
            b"{}{}",
            b"[1,]",
            b"{'a': 1}",
            b"nul",
            b"NaN",
            b"Infinity",
            b"01",
            b"1.",
        ),
        *(
            b'"a\nb"',
            b'"\x00"',
            b'"\\x"',
            b'"\\u12"',
            b'"\\ud83d',
            b'["\\ud83d",]',
            b"\xef\xbb\xbf{}",
        ),
        *(b"1e999", b"-1e999", b'["\\ud83d",1e999]', b'["\\ud83d",NaN]', b'["\\ud83d",-Infinity]'),
        *(b"\xff", b'"\xff"', b'"\xed\xa0\xbd"', b'["\\ud83d","\xff"]'),
        *(b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000),
        b'["\\ud83d",' + b"[" * 100_000 + b"]" * 100_001,
    ],
)
def test_what_is_not_one_value_is_refused(data: bytes) -> None:
    with pytest.raises(NotJson):
        decode(data)


@given(st.binary() | st.text().map(str.encode) | st.binary().map(lambda b: b'"\\ud83d' + b))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with suppress(NotJson):
        decode(data)


def test_a_whole_number_of_any_size_stays_whole() -> None:
    for number in 2**63, 2**64, -(2**63) - 1, 10**30:
        assert decode(encode(number)) == number
        assert type(decode(str(number).encode())) is int
