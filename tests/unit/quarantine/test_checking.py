"""A second way in passes the same checks: what a replay gives out is checked as what a source gives."""

from dataclasses import replace

import pytest

from loom_common.domain.definition.reader import parse
from loom_common.domain.run.replaying import Changes, changed
from loom_common.errors import InvalidDefinition
from loom_common.worker.slices import SliceRecord
from loom_quarantine.replays.checks import asks_the_source, checked, without_doubles
from loom_quarantine.replays.claims import KeptInput

PIPELINE = parse(
    {
        "name": "p",
        "extract": {"source": "x.csv", "key": "id"},
        "transform": {"type": "ai", "prompt": "{{ input.text }}", "model": "m", "output": {"mood": "string"}},
        "load": {"destination": "y.csv", "include": ["text"]},
    }
)


def row(data, code="gate", stage="extract", record_id="x@line 2", details=None):
    return KeptInput(1, record_id, data, stage, "as it was said", code, details)


UNDECODED = row({"id": "1", "text": "caf\\xe9"}, "encoding", details={"mend": ["text"]})
CUT = row({"id": "1", "text": "long"}, "line_too_long", details={"mend": ["text"]})
SURPLUS = row({"id": "1", "text": "a", "_surplus": ["b"]}, "ragged_row", details={"mend": ["_surplus"]})
SHORT = row({"id": "1"}, "ragged_row", details={"mend": ["text"]})
RAW = row({"raw": '{"id": 1,'}, "bad_json")


@pytest.mark.parametrize(
    ("kept", "edits", "expected"),
    [
        (UNDECODED, {"text": "café"}, {"id": "1", "text": "café"}),
        (UNDECODED, {"id": "2"}, "--edit text=VALUE"),
        (CUT, {"text": "short"}, {"id": "1", "text": "short"}),
        (CUT, {"id": "2"}, "--edit text=VALUE"),
        (SURPLUS, {"text": "a,b"}, "--edit _surplus= (nothing after `=` takes it away)"),
        (SURPLUS, {"text": "a,b", "_surplus": ""}, {"id": "1", "text": "a,b"}),
        (SHORT, {"id": "2"}, "--edit text=VALUE"),
        (SHORT, {"text": "a"}, {"id": "1", "text": "a"}),
        (RAW, {"id": "1", "text": "a"}, "--edit raw="),
        (RAW, {"id": "1", "text": "a", "raw": ""}, {"id": "1", "text": "a"}),
        (RAW, {"raw": ""}, "lacks"),
        (row({"id": "", "text": "a"}, "missing_key"), {"text": "b"}, "The key field 'id' is empty"),
        (row({"id": "", "text": "a"}, "missing_key"), {"id": "3"}, {"id": "3", "text": "a"}),
        (row({"id": "1", "text": "a"}, stage="evaluate"), {"id": ""}, "The key field 'id' is empty"),
        (row({"id": "1", "text": "a"}, stage="evaluate"), {"text": "b"}, {"id": "1", "text": "b"}),
    ],
)
def test_what_was_not_read_whole_must_be_edited_and_keys_must_be_there(kept, edits, expected):
    record = checked(kept, edits, PIPELINE)
    if isinstance(expected, dict):
        assert (record.error, record.input) == (None, expected)
    else:
        assert expected in str(record.error)


@pytest.mark.parametrize(
    ("data", "code", "field"),
    [
        ({"id": "1", "text": "caf\\xe9"}, "encoding", "text"),
        ({"id": "1", "text": "a\ufffd"}, "nul_byte", "text"),
        ({"id": "1", "text": "cut"}, "line_too_long", "text"),
        ({"id": "1", "text": "a", "_surplus": ["b"]}, "ragged_row", "_surplus"),
        ({"raw": "x"}, "bad_csv", "raw"),
    ],
)
def test_records_kept_before_sources_said_what_to_edit_are_looked_at(data, code, field):
    assert f"--edit {field}=" in str(checked(row(data, code), {"id": "2"}, PIPELINE).error)
    unreadable = row({"id": "1", "price": "Infinity"}, "inexact_number", details={"column": "price"})
    assert "--edit price=VALUE" in str(checked(unreadable, {"id": "2"}, PIPELINE).error)


@pytest.mark.parametrize(("edits", "words"), [({"text": ""}, "`order_by` names 'text', which is empty"), ({}, "as it")])
def test_a_record_is_in_sequence_again_once_it_is_edited(edits, words):
    ordered = PIPELINE.model_copy(update={"order_by": ["text"]})
    kept = row({"id": "1", "text": ""}, "missing_order_key", details={"field": "text"})
    assert words in str(checked(kept, edits, ordered).error)
    assert checked(kept, {"text": "a"}, ordered).error is None


def test_what_is_not_edited_is_kept_back_as_before():
    assert str(checked(UNDECODED, {}, PIPELINE).error) == "as it was said"
    again = checked(UNDECODED, {"id": "2"}, PIPELINE)
    twice = replace(UNDECODED, failure_reason=str(again.error), error_details=again.error.details)
    assert str(checked(twice, {"id": "3"}, PIPELINE).error).count("Before it may go on") == 1
    assert checked(row({"id": "1", "text": "a"}, stage="evaluate"), {}, PIPELINE).error is None


def test_a_key_is_given_to_one_record_of_a_replay():
    records = [SliceRecord(name, {"id": "7"}) for name in ("a", "b")]
    first, second = without_doubles(records, [], ["id"])
    assert first.error is None
    assert second.error.code == "duplicate_key"
    [of_a_later_page] = without_doubles([SliceRecord("c", {"id": "7"})], records, ["id"])
    assert "given to a in this replay" in str(of_a_later_page.error)


def test_the_source_is_asked_about_keys_that_no_extractor_has_seen():
    assert not asks_the_source([SliceRecord("1", {"id": "1"})], ["id"])
    assert asks_the_source([SliceRecord("1", {"id": "1"}), SliceRecord("2", {"id": "3"})], ["id"])
    assert not asks_the_source([SliceRecord("h", {"a": 1})], [])


@pytest.mark.parametrize("value", ["a\0b", "half \ud800"])
def test_edited_values_are_text_that_can_be_kept(value):
    with pytest.raises(InvalidDefinition, match="expected text without NUL"):
        changed({"transform": {"type": "python"}}, Changes(edits={"text": value}))
