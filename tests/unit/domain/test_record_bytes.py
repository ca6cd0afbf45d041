"""The bytes of records are those of each together, whatever they hold and however they are counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.record_bytes import bytes_of, bytes_of_one, chunks, fitting

RECORDS = st.lists(
    st.dictionaries(
        st.text(),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=3),
        max_size=4,
    ),
    max_size=12,
)


@given(RECORDS)
def test_the_bytes_of_records_are_those_of_each_together(records):
    assert bytes_of(records) == sum(map(bytes_of_one, records))


@pytest.mark.parametrize("value", ["\ud800", 2**70, {"deep": [2**64]}, pytest.param(9**5000, id="digits")])
def test_a_record_that_the_encoder_refuses_is_counted_like_any_other(value):
    assert bytes_of([{"a": value}, {"a": 1}]) == bytes_of_one({"a": value}) + bytes_of_one({"a": 1})
    assert bytes_of_one({"a": value}) > len('{"a":}')


@given(RECORDS, st.integers(0, 200))
def test_those_that_fit_are_the_most_that_have_room(records, room):
    count = fitting(records, room)
    assert bytes_of(records[:count]) <= room
    assert count == len(records) or bytes_of(records[: count + 1]) > room


@given(RECORDS, st.integers(1, 5), st.integers(1, 100))
def test_chunks_hold_all_records_in_order_within_both_bounds(records, most, most_bytes):
    found = [records[start:end] for start, end in chunks(records, most, most_bytes)]
    assert [each for chunk in found for each in chunk] == records
    assert all(0 < len(chunk) <= most for chunk in found)
    assert all(len(chunk) == 1 or bytes_of(chunk) <= most_bytes for chunk in found)
