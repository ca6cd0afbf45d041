"""Tests that messages survive the wire, and that what cannot be read says why."""

import datetime as dt
import json

import pytest
import zstandard

from loom_common import flow
from loom_common.contracts.encoding import codec
from loom_common.contracts.encoding.codec import COMPRESS_ABOVE, decode, encode
from loom_common.contracts.encoding.message_types import BY_TYPE, MESSAGES
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import (
    BatchExtracted,
    BatchFact,
    BatchHeader,
    CheckCount,
    Evaluation,
    ExtractedRecord,
    RunRequest,
    SliceExtracted,
)
from loom_common.domain.run.calls import Calls
from loom_common.domain.run.tally import Tally
from loom_common.domain.schema.columns import Column
from loom_common.errors import UnreadableMessage


class Arrived:
    """Represents a delivery, as far as decoding looks at it."""

    def __init__(self, wire, **changes):
        self.body = changes.get("body", wire.body)
        self.message = changes.get("message")
        self.type = changes.get("type", wire.type)
        self.content_encoding = changes.get("content_encoding", wire.content_encoding)
        self.headers = changes.get("headers", wire.headers)


def batch(text="short"):
    header = BatchHeader(
        run_id="run_1", pipeline="p", plan="h", epoch=3, batch_id="b", partition=0, slice=0, position=0, tally=Tally()
    )
    return BatchExtracted(header=header, records=(ExtractedRecord(id="1", input={"text": text, "n": 2**70}),))


def wire(message):
    return encode(Outgoing(flow.work(flow.Stage.TRANSFORM, "p"), message), "test")


@pytest.mark.parametrize("text", ["short", "é" * COMPRESS_ABOVE])
def test_a_message_comes_back_as_it_went(text):
    message = batch(text)
    assert decode(Arrived(wire(message)), BatchExtracted) == message


def test_large_messages_are_compressed():
    assert wire(batch("a")).content_encoding is None
    large = wire(batch("a" * COMPRESS_ABOVE))
    assert large.content_encoding == "zstd"
    assert len(large.body) < COMPRESS_ABOVE


def test_the_properties_say_what_it_is_and_whose():
    sent = wire(batch())
    assert (sent.type, sent.correlation_id) == ("loom.batch.extracted.v1", "run_1")
    assert sent.headers == {"loom-attempt": 1, "loom-epoch": 3, "loom-records-at": sent.body.index(b"[{")}
    assert sent.message_id == wire(batch()).message_id


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"body": b"{"}, "Invalid JSON"),
        ({"body": b"\xff\xfe"}, "JSON"),
        ({"type": "loom.batch.extracted.v9"}, "unknown message type"),
        ({"type": None}, "unknown message type"),
        ({"type": "loom.run.request.v1"}, "has no business here"),
        ({"body": b"{}"}, "header: Field required"),
        ({"content_encoding": "gzip"}, "unknown content encoding"),
        ({"content_encoding": "zstd"}, "cannot be unpacked"),
    ],
)
def test_what_cannot_be_read_says_why(changes, reason):
    with pytest.raises(UnreadableMessage, match=reason):
        decode(Arrived(wire(batch()), **changes), BatchExtracted)


def test_a_body_is_not_unpacked_beyond_its_limit_whatever_size_it_tells(monkeypatch):
    monkeypatch.setattr(codec, "LARGEST_BODY", 1000)
    told = zstandard.compress(b" " * 5000 + wire(batch()).body)
    untold = zstandard.ZstdCompressor(write_content_size=False).compress(b" " * 5000 + wire(batch()).body)
    for body, words in ((told, "the body unpacks to 5,"), (untold, "cannot be unpacked")):
        with pytest.raises(UnreadableMessage, match=words):
            decode(Arrived(wire(batch()), body=body, content_encoding="zstd"), BatchExtracted)


def test_a_work_message_that_is_handed_over_is_not_decoded():
    message = batch()
    sent = wire(message)
    assert sent.message is message
    assert decode(Arrived(sent, message=message, body=b"{"), BatchExtracted) is message


def test_a_work_message_has_no_body_on_a_bus_that_hands_it_over_and_a_report_has_one():
    message = batch("\ud800")
    sent = encode(Outgoing(flow.work(flow.Stage.TRANSFORM, "p"), message), "test", hands_over=True)
    assert (sent.body, sent.content_encoding, decode(Arrived(sent, message=sent.message))) == (b"", None, message)
    report = encode(Outgoing(flow.run_command("request"), RunRequest(pipeline="reviews")), "test", hands_over=True)
    assert (report.message, b"reviews" in report.body) == (None, True)


def slice_with(cursor, **values):
    fact = SliceExtracted(
        run_id="run_1", pipeline="p", epoch=1, partition=0, slice=0, batches=(), cursor=cursor, end=True, **values
    )
    return encode(Outgoing(flow.fact("slice", "extracted", "p"), fact), "test", hands_over=True)


def loaded(**values):
    fact = BatchFact(header=batch().header, stage=flow.Stage.LOAD, seconds=0.5, **values)
    return encode(Outgoing(flow.fact("batch", "loaded", "p"), fact), "test", hands_over=True)


def test_a_fact_that_only_counts_is_handed_over_and_one_that_tells_of_records_is_encoded():
    assert (loaded().body, loaded().message.message_id) == (b"", loaded(rows=({"n": 1},)).message_id)
    for values in (
        {"rows": ({"text": "\ud800"},)},
        {"columns": {"n": Column(type="integer")}},
        {"evaluations": (Evaluation(record_id="1", name="tone", score=0.5, passed=True),)},
        {"calls": (Calls(purpose="transform", provider="p", model="m", made=1),)},
    ):
        sent = loaded(**values)
        assert sent.message is None
        decode(Arrived(sent), BatchFact)


def test_the_fact_of_a_slice_is_handed_over_where_its_place_in_the_source_is_json():
    assert slice_with({"file": 0, "name": "é.csv", "offset": 7}).body == b""
    for cursor in ({"name": "\ud800.csv"}, (1, 2), {1: "a"}, float("nan"), {"at": dt.date(2026, 1, 2)}):
        assert b"cursor" in slice_with(cursor).body
    assert slice_with(None, checks=(CheckCount(name="fresh", seen=1, missed=0),)).message is None


def test_a_message_that_is_handed_over_to_the_wrong_consumer_is_unreadable():
    with pytest.raises(UnreadableMessage, match="has no business here"):
        decode(Arrived(wire(batch()), message=batch()), RunRequest)


def test_a_work_message_that_cannot_be_encoded_is_refused_before_it_is_handed_over():
    with pytest.raises(ValueError, match="surrogate"):
        wire(batch("\ud800"))


def test_a_report_is_not_handed_over_because_its_encoding_may_replace_values():
    report = RunRequest(pipeline="reviews")
    assert encode(Outgoing(flow.run_command("request"), report), "test").message is None


def test_an_unknown_field_means_an_unknown_version():
    body = json.dumps({**json.loads(wire(batch()).body), "new": 1}).encode()
    with pytest.raises(UnreadableMessage, match="new"):
        decode(Arrived(wire(batch()), body=body), BatchExtracted)


def test_a_plain_clients_request_needs_no_type():
    sent = wire(RunRequest(pipeline="reviews"))
    assert decode(Arrived(sent, type=None), default=RunRequest).pipeline == "reviews"


def test_every_message_has_a_type_of_its_own():
    assert len(BY_TYPE) == len(MESSAGES)
    assert all(name.startswith("loom.") and name.rsplit(".v", 1)[1].isdigit() for name in BY_TYPE)
