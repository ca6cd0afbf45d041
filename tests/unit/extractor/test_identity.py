"""Tests who a record is."""

import pytest

from loom_common.domain.checks.record_checks import key_of
from loom_common.domain.record_bytes import bytes_of
from loom_common.domain.values.ids import record_hash
from loom_common.errors import RecordError
from loom_common.text import unstorable
from loom_connectors.ports.source import ReadRecord
from loom_extractor.identity import all_identified, duplicate, identified


@pytest.mark.parametrize(
    ("data", "keys", "expected"),
    [
        ({"id": "a"}, ["id"], "a"),
        ({"id": 42}, ["id"], "42"),
        ({"id": 0}, ["id"], "0"),
        ({"id": False}, ["id"], "false"),
        ({"id": 1.5}, ["id"], "1.5"),
        ({"id": " "}, ["id"], " "),
        ({"shop": 7, "no": "x"}, ["shop", "no"], "7|x"),
        ({"shop": "x", "no": {"b": 1, "a": 2}}, ["no"], '{"a": 2, "b": 1}'),
    ],
)
def test_a_key_is_its_fields_as_text(data, keys, expected):
    assert key_of(data, keys) == expected


def test_composite_keys_that_hold_the_separator_stay_apart():
    assert key_of({"a": "x|y", "b": "z"}, ["a", "b"]) != key_of({"a": "x", "b": "y|z"}, ["a", "b"])


def test_a_long_key_is_cut_and_still_tells_records_apart():
    one, other = key_of({"id": "k" * 5000 + "1"}, ["id"]), key_of({"id": "k" * 5000 + "2"}, ["id"])
    assert one != other
    assert max(len(one), len(other)) <= 200


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"name": "x"}, "The key field 'id' is missing at line 7; the record has name."),
        ({"id": None, "name": "x"}, "The key field 'id' is null at line 7; the record has id, name."),
        ({"id": ""}, "The key field 'id' is empty at line 7; the record has id."),
        ({}, "The key field 'id' is missing at line 7; the record has no field at all."),
    ],
)
def test_a_record_without_its_key_is_kept_out_and_says_why(data, words):
    record = identified(ReadRecord("line 7", data), ["id"])
    assert record.error is not None
    assert (record.error.code, str(record.error)) == ("missing_key", words)
    assert record.error.details == {"position": "line 7"}
    assert record.id == record_hash(data, "line 7")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"id": 1}, "`order_by` names 'c', which is missing at line 7; the record has id."),
        ({"id": 1, "c": None}, "`order_by` names 'c', which is null at line 7; the record has id, c."),
        ({"id": 1, "c": ""}, "`order_by` names 'c', which is empty at line 7; the record has id, c."),
    ],
)
def test_a_record_that_is_in_no_sequence_is_kept_out_and_says_why(data, words):
    error = identified(ReadRecord("line 7", data), ["id"], order_by=["c"]).error
    assert (error.code, str(error)) == ("missing_order_key", words)
    assert identified(ReadRecord("line 7", {"id": 1, "c": 0}), ["id"], order_by=["c"]).error is None


def nested(levels):
    value = "x"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    ["plain", "…é😀", "\ud800", {"\ud800": 1}, ["[" * 400], 2**70, 2**15_000, nested(149), nested(150), nested(400)],
    ids=("ascii", "unicode", "surrogate", "name", "brackets", "65 bits", "digits", "149", "150", "400"),
)
@pytest.mark.parametrize("keys", [(), ("id",)])
def test_what_no_message_can_carry_is_kept_out_and_nothing_else(value, keys):
    data = {"id": "1", "value": value}
    error = identified(ReadRecord("line 7", data), keys).error
    assert (None if error is None else error.code) == (None if unstorable(data) is None else "unstorable")


@pytest.mark.parametrize("data", [{"b": 1, "a": "…"}, {"b": 2**70, "a": "…"}])
def test_the_id_of_a_record_without_a_key_stays_what_earlier_versions_made(data):
    known = {1: "e009de6f1d665f6715fe35d608ec643d", 2**70: "fe7287ca5b0fe2118893d6727e880b2f"}
    assert identified(ReadRecord("line 7", data), []).id == known[data["b"]]


def test_records_are_counted_in_bytes_as_where_none_has_an_id():
    data = [{"b": 1, "a": "…"}, {"b": 2**70}, {"b": 9**5000}, {}]
    records = [ReadRecord(f"line {at}", each) for at, each in enumerate(data)]
    records.append(ReadRecord("line 9", {"b": "cut"}, RecordError("ragged", code="ragged_row")))
    assert all_identified(records, []).size == bytes_of([each.data for each in records])


def test_without_a_key_equal_rows_are_two_records():
    data = {"text": "same"}
    assert identified(ReadRecord("line 2", data), []).id != identified(ReadRecord("line 3", data), []).id


def test_a_bad_record_does_not_take_the_id_of_the_good_one_with_its_key():
    bad = identified(ReadRecord("line 3", {"id": "1"}, RecordError("ragged", code="ragged_row")), ["id"])
    assert bad.id == "1@line 3"
    assert bad.error is not None
    assert bad.error.code == "ragged_row"


def test_a_duplicate_names_its_key_and_both_places():
    record = duplicate(identified(ReadRecord("line 9", {"id": "5"}), ["id"]), "line 9", "line 2")
    assert record.id == "5@line 9"
    assert str(record.error) == "The key 5 at line 9 stood before at line 2; a key identifies one record."
    assert record.error is not None
    assert record.error.details == {"key": "5", "position": "line 9", "first": "line 2"}
