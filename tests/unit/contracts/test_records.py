"""Tests that records are decoded when they are read, and passed on as they came by a stage that does not read them."""

import datetime as dt
import json
from dataclasses import fields
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from loom_common import flow
from loom_common.contracts.encoding.codec import RECORDS_AT, decode, encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.plain_records import decoded_plain
from loom_common.contracts.records import EncodedRecords, UnchangedRecords, encoded
from loom_common.contracts.v1 import (
    BatchEvaluated,
    BatchExtracted,
    BatchHeader,
    BatchTransformed,
    Derived,
    EvaluatedRecord,
    ExtractedRecord,
    TransformedRecord,
)
from loom_common.domain.run.tally import Tally
from loom_common.errors import UnreadableMessage
from loom_common.flow import Stage
from loom_common.worker.stage_result import extracted_records, passed_unscored, unchanged

HEADER = BatchHeader(
    run_id="run_1", pipeline="p", plan="h", epoch=3, batch_id="b", partition=0, slice=0, position=0, tally=Tally()
)
RECORDS = (
    ExtractedRecord("1", {"text": 'ends with },\n{"id":"2"}', "lines": "a\nb\r\n"}),
    ExtractedRecord("2", {"nested": [{"derived": None}, {"id": "3", "output": None}], "n": 2**70}),
    ExtractedRecord("3", {}, Derived("1", "split", ("text",))),
)
DIRECT = (Stage.EXTRACT, Stage.LOAD)


class Text(str):
    """Stands for a text of a type of its own."""

    __slots__ = ()


class Arrived:
    """Represents the delivery of a message that was published, with some of it changed."""

    message = None

    def __init__(self, wire, **changes):
        self.type, self.body, self.headers = wire.type, wire.body, wire.headers
        self.content_encoding = wire.content_encoding
        for name, value in changes.items():
            setattr(self, name, value)


def sent(kind, records, **changes):
    return Arrived(
        encode(Outgoing(flow.work(Stage.TRANSFORM, "p"), kind(header=HEADER, records=records)), "t"), **changes
    )


def received(kind, records, **changes):
    return decode(sent(kind, records, **changes), kind)


def broken(record):
    """Return a delivery whose second record is replaced by this JSON."""
    whole = sent(BatchExtracted, RECORDS)
    lines = whole.body.split(b",\n")
    return Arrived(whole, body=b",\n".join([lines[0], record, *lines[2:]]))


def test_records_are_counted_without_being_decoded():
    batch = decode(broken(b'{"not": "a record"}'), BatchExtracted)
    assert (batch.header, len(batch.records)) == (HEADER, 3)


def test_records_come_back_as_they_went():
    batch = received(BatchExtracted, RECORDS)
    assert isinstance(batch.records, EncodedRecords)
    assert batch.records == RECORDS
    assert (batch.records[1], list(batch.records)) == (RECORDS[1], list(RECORDS))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b'{"id":"2"}', r"^records\.1\.input: Field required$"),
        (b'{"id":"2","input":{},"new":1}', r"^records\.1\.new: "),
        (b'{"id":"2","input":{}', "Invalid JSON"),
        (b'{"id":"2","input":\n{}}', "3 on 4 lines"),
    ],
)
def test_broken_records_are_found_when_they_are_read_and_say_where(record, reason):
    batch = decode(broken(record), BatchExtracted)
    with pytest.raises(UnreadableMessage, match=reason):
        batch.records.fields_once()
    with pytest.raises(UnreadableMessage, match=reason):
        list(batch.records)


@pytest.mark.parametrize("output", [b"null", b'{"n":NaN}'], ids=["plain", "for pydantic"])
def test_fields_that_are_read_once_are_those_of_the_records_and_not_kept(output):
    records = EncodedRecords(EvaluatedRecord, b'[{"id":"1","input":{"a":1},"output":' + output + b"}]")
    (first,), (again,) = records.fields_once(), records.fields_once()
    (record,) = records
    assert first is not again
    assert [repr(getattr(first, each.name)) for each in fields(record)] == [
        repr(getattr(record, each.name)) for each in fields(record)
    ]
    assert records.fields_once()[0] is record


def test_a_broken_header_is_found_at_once_and_says_where():
    whole = sent(BatchExtracted, RECORDS)
    body = whole.body.replace(b'"epoch":3', b'"epoch":"x"')
    at = whole.headers[RECORDS_AT] + 2
    with pytest.raises(UnreadableMessage, match=r"^loom\.batch\.extracted\.v1: header\.epoch: "):
        decode(Arrived(whole, body=body, headers={RECORDS_AT: at}), BatchExtracted)


@pytest.mark.parametrize("headers", [{}, {RECORDS_AT: 3}, {RECORDS_AT: -5}, {RECORDS_AT: 10**9}, {RECORDS_AT: "449"}])
def test_a_batch_of_a_producer_that_does_not_say_where_records_begin_is_decoded_whole(headers):
    assert type(received(BatchExtracted, RECORDS, headers=headers).records) is tuple


def test_a_batch_is_one_json_document_that_a_consumer_of_an_earlier_version_decodes_whole():
    made = unchanged(RECORDS, tuple(Stage)).records
    body = sent(BatchTransformed, unchanged(received(BatchExtracted, RECORDS).records, tuple(Stage)).records).body
    assert BatchTransformed.model_validate_json(body).records == made
    assert all("output" in record for record in json.loads(body)["records"])  # there it has no default


def test_a_batch_without_records_comes_back():
    assert received(BatchExtracted, ()).records == ()


@pytest.mark.parametrize(("stages", "kind"), [(tuple(Stage), TransformedRecord), (DIRECT, EvaluatedRecord)])
def test_a_transform_without_anything_to_do_passes_on_what_it_would_make(stages, kind):
    passed = unchanged(received(BatchExtracted, RECORDS).records, stages)
    assert isinstance(passed.records, EncodedRecords)
    assert passed == unchanged(RECORDS, stages)
    assert {type(each) for each in passed.records} == {kind}


def test_an_evaluation_without_evaluators_passes_records_on_with_what_gave_their_outputs():
    records = (TransformedRecord("1", {"a": 1}, {"b": 2}, "small", None), TransformedRecord("2", {}, None))
    passed = passed_unscored(received(BatchTransformed, records).records)
    assert isinstance(passed.records, EncodedRecords)
    assert passed == passed_unscored(records)


class Entering(NamedTuple):
    """Stands for a record of a slice."""

    id: str
    input: dict[str, object]
    derived: Derived | None


@pytest.mark.parametrize(("stages", "kind"), [(tuple(Stage), BatchTransformed), (DIRECT, BatchEvaluated)])
def test_records_that_no_stage_changes_are_sent_without_being_made(stages, kind, monkeypatch):
    entering = [Entering(each.id, each.input, each.derived) for each in RECORDS]
    for some in (entering, [entering[0], entering[2]]):  # with an integer that is encoded in another way, and without
        passed = unchanged(some, stages).records
        assert sent(kind, passed).body == sent(kind, tuple(passed)).body
    monkeypatch.setattr(UnchangedRecords, "_read", lambda _: pytest.fail("they are made"))
    plain = [each for each in entering if each.derived is None and each.id == "1"]
    assert len(received(kind, unchanged(plain, stages).records).records) == 1


def test_records_that_no_stage_changes_are_made_once_they_are_read():
    given = extracted_records([Entering(each.id, each.input, each.derived) for each in RECORDS])
    assert (len(given), given) == (3, RECORDS)
    assert given[0] is given[0]
    assert extracted_records(RECORDS)[0] is RECORDS[0]


def test_records_that_nobody_read_are_sent_as_they_came():
    batch = received(BatchExtracted, RECORDS)
    again = encode(Outgoing(flow.work(Stage.TRANSFORM, "p"), batch), "t")
    assert again.body == sent(BatchExtracted, RECORDS).body


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
INPUTS = st.lists(st.dictionaries(st.text(), JSON_VALUES, max_size=4), min_size=1, max_size=5)


@given(INPUTS)
def test_whatever_a_record_holds_it_comes_to_the_loader_as_if_every_stage_had_read_it(inputs):
    records = tuple(ExtractedRecord(str(at), each) for at, each in enumerate(inputs))
    transformed = unchanged(received(BatchExtracted, records).records, tuple(Stage)).records
    evaluated = passed_unscored(received(BatchTransformed, transformed).records).records
    assert (
        received(BatchEvaluated, evaluated).records == passed_unscored(unchanged(records, tuple(Stage)).records).records
    )


NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats() | st.sampled_from([1e16, -0.0, 5e-324, 2**70])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(), lambda each: st.lists(each) | st.dictionaries(st.text(), each)
)
CONTENTS = st.dictionaries(st.text(), VALUES, max_size=3)


@given(
    st.lists(st.tuples(st.text(), CONTENTS, st.none() | CONTENTS, st.none() | st.just(Derived("%b", "split")))),
    st.sampled_from([EvaluatedRecord, TransformedRecord, ExtractedRecord]),
)
def test_records_are_written_as_pydantic_writes_them(given_records, kind):
    if kind is ExtractedRecord:
        records = [kind(name, data, derived) for name, data, _, derived in given_records]
    else:
        records = [kind(name, data, output, None, derived) for name, data, output, derived in given_records]
    to_json = TypeAdapter(kind).serializer.to_json
    assert encoded(records, kind) == b"[" + b",\n".join(map(to_json, records)) + b"]"


@pytest.mark.parametrize("value", [2**64, dt.datetime(2026, 1, 2, tzinfo=dt.UTC), Text("a"), (1, "b"), {1: 2}])
def test_values_that_the_quicker_encoder_refuses_or_writes_otherwise_are_written_by_pydantic(value):
    records = [ExtractedRecord("1", {"a": 1}), ExtractedRecord("2", {"a": value})]
    to_json = TypeAdapter(ExtractedRecord).serializer.to_json
    assert encoded(records, ExtractedRecord) == b"[" + b",\n".join(map(to_json, records)) + b"]"


def by_pydantic(kind, text):
    """Return the records in a JSON array as pydantic decodes them."""
    return TypeAdapter(tuple[kind, ...]).validate_json(text)


@given(st.lists(CONTENTS, min_size=1), st.sampled_from([EvaluatedRecord, TransformedRecord, ExtractedRecord]))
def test_records_are_decoded_as_pydantic_decodes_them(contents, kind):
    more = {} if kind is ExtractedRecord else {"output": None}
    text = encoded([kind(str(at), each, **more) for at, each in enumerate(contents)], kind)
    read = EncodedRecords(kind, text)[:]
    assert repr(read) == repr(by_pydantic(kind, text))  # tells 1 from 1.0, and -0.0 from 0.0


@pytest.mark.parametrize(
    "text",
    [
        b'[{"id":"1","input":{},"output":{"a":1},"answered_by":"small","scores":{"exact":1}}]',
        b'[{"id":"1","input":{"a":[1e5,-0.0,-0]},"output":null}]',
        b'[ {"output" : null, "input" : {"a" : "\\u00e4"}, "id" : "1"} ]',
    ],
)
def test_most_records_are_decoded_without_pydantic(text):
    read = decoded_plain(text, EvaluatedRecord)
    assert (read, repr(read)) == (by_pydantic(EvaluatedRecord, text), repr(by_pydantic(EvaluatedRecord, text)))


@pytest.mark.parametrize(
    "record",
    [
        b'{"id":"1","input":{"a":NaN},"output":null}',
        b'{"id":"1","input":{"a":1e400},"output":null}',
        b'{"id":"1","input":{},"output":null,"scores":{"exact":"0.5"}}',
        b'{"id":"1","input":{},"output":null,"derived":{"parent":"0","step":"split"}}',
    ],
)
def test_records_that_the_quicker_decoder_refuses_are_decoded_by_pydantic(record):
    text = b"[" + record + b"]"
    assert decoded_plain(text, EvaluatedRecord) is None
    assert repr(EncodedRecords(EvaluatedRecord, text)[:]) == repr(by_pydantic(EvaluatedRecord, text))


@pytest.mark.parametrize("value", [b'"\\ud800"', b'"\xff"', b'"\x01"', b"01", b"9" * 5000, b"[" * 9999 + b"]" * 9999])
def test_records_that_no_decoder_takes_say_so_in_the_words_of_one(value):
    with pytest.raises(UnreadableMessage, match=r"^records"):
        EncodedRecords(EvaluatedRecord, b'[{"id":"1","output":null,"input":{"a":' + value + b"}}]")[:]


def test_where_no_records_came_none_go_on():
    transformed = EncodedRecords(ExtractedRecord, b"[]").completed(TransformedRecord, b'"output":null')
    assert (transformed.json, len(transformed), tuple(transformed)) == (b"[]", 0, ())


def test_the_quicker_decoder_refuses_a_field_that_it_does_not_know():
    assert decoded_plain(b'[{"id":"1","input":{},"new":1}]', ExtractedRecord) is None
