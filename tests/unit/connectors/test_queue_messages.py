"""Tests what records the bodies of messages are, and what a message to an exchange is filled with."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_connectors.rabbitmq.kept_message import KeptMessage
from loom_connectors.rabbitmq.message_records import identity_of, records_of
from loom_connectors.rabbitmq.options import QueueOptions
from loom_connectors.rabbitmq.templates import Unfilled, filled, mistake_in


def read(body: bytes, options: dict[str, Any] | None = None, **properties: Any):
    kept = KeptMessage.decoded(KeptMessage(properties, body).encoded())
    return records_of(kept, "message 1.1", QueueOptions(**options or {}))


@pytest.mark.parametrize(
    ("body", "content_type", "options", "data"),
    [
        (b'{"a": 9007199254740993}', None, {}, [{"a": 9007199254740993}]),
        (b' [{"a": 1}, {"a": 2}]', "application/json; charset=utf-8", {}, [{"a": 1}, {"a": 2}]),
        (b"[]", "application/json", {}, []),
        (b'{"a": 1}\n\n{"a": 2}\n', "application/x-ndjson", {}, [{"a": 1}, {"a": 2}]),
        (b'{"a": 1}\n{"a": 2}', "text/plain", {"format": "jsonl"}, [{"a": 1}, {"a": 2}]),
        ("é\n".encode("latin-1"), "text/plain; charset=latin-1", {}, [{"text": "é\n"}]),
        ('{"a": "b\u2028c\x85"}\r\n{"a": 1}\r\n'.encode(), "application/jsonl", {}, [{"a": "b\u2028c\x85"}, {"a": 1}]),
        (b"hello", None, {"format": "text", "text_field": "said"}, [{"said": "hello"}]),
        (b"", "text/plain", {}, [{"text": ""}]),
    ],
)
def test_a_body_is_what_its_content_type_or_the_option_says(body, content_type, options, data):
    found = read(body, options, **({"content_type": content_type} if content_type else {}))
    assert [record.data for record in found] == data
    assert not [record.error for record in found if record.error]


@pytest.mark.parametrize(
    ("body", "properties", "code", "words"),
    [
        (b"{oops", {}, "bad_json", "column 2"),
        (b'{"a": 1}{"b": 2}', {}, "bad_json", "column 9"),
        (b"[1", {}, "bad_json", "column 3"),
        (b"3", {}, "bad_json", "a number, expected an object"),
        (b'{"a": 1, "a": 2}', {}, "duplicate_name", "a"),
        (b"\xff", {}, "bad_encoding", "byte 1 is none of utf-8"),
        (b"{}", {"content_type": "application/json; charset=klingon"}, "bad_encoding", "unknown encoding 'klingon'"),
        (b"{}", {"content_type": "application/json; charset=utf\0"}, "bad_encoding", r"unknown encoding 'utf\x00'"),
        (b"{}", {"content_type": "application/json; charset=undefined"}, "bad_encoding", "'undefined'"),
        (b"\x1f\x8b", {"content_encoding": "gzip"}, "content_encoding", "packed as 'gzip'"),
        (b'{"_message_id": 1}', {"properties": True}, "field_twice", "'_message_id'"),
    ],
)
def test_a_body_that_is_no_record_says_why_and_names_its_message(body, properties, code, words):
    options = {"properties": ["message_id"]} if properties.pop("properties", False) else {}
    (record,) = read(body, options, message_id="m7", **properties)
    assert (record.position, record.error.code) == ("message m7", code)
    assert "message m7" in str(record.error)
    assert words in str(record.error)
    assert record.error.details["message_id"] == "m7"


def test_one_bad_item_of_a_list_costs_itself():
    good, bad, last = read(b'[{"a": 1}, 2, {"a": 3}]', message_id="m7")
    assert (good.data, last.data) == ({"a": 1}, {"a": 3})
    assert (bad.position, bad.error.code) == ("message m7, record 2", "bad_json")


def test_records_have_the_properties_that_are_asked_for():
    options = {"properties": ["message_id", "headers", "type"]}
    (record,) = read(b'{"a": 1}', options, message_id="m7", headers={"n": 1})
    assert record.data == {"a": 1, "_message_id": "m7", "_headers": {"n": 1}, "_type": None}


@pytest.mark.parametrize(
    ("properties", "body", "field", "identity"),
    [
        ({"message_id": "m7"}, b'{"event": 3}', "event", "m7"),
        ({}, b'{"event": 3}', "event", "event=3"),
        ({}, b'{"event": null}', "event", None),
        ({}, b'[{"event": 3}]', "event", None),
        ({}, b"{oops", "event", None),
        ({}, b'{"event": 3}', None, None),
        ({"content_type": "text/plain"}, b'{"event": 3}', "event", None),
    ],
)
def test_a_message_is_told_by_its_id_or_a_field_of_its_body(properties, body, field, identity):
    assert identity_of(KeptMessage(properties, body), QueueOptions(message_id_field=field)) == identity


@given(st.binary(), st.dictionaries(st.sampled_from(["message_id", "type"]), st.text()))
def test_a_message_is_kept_as_it_is(body, properties):
    kept = KeptMessage(properties, body)
    assert KeptMessage.decoded(kept.encoded()) == kept


@given(st.binary(max_size=40), st.sampled_from(["json", "jsonl", "text", None]))
def test_any_body_gives_records_or_says_why_not(body, form):
    for record in read(body, {"format": form}):
        assert record.error is not None or isinstance(record.data, dict)


def test_a_template_takes_values_of_the_row():
    row = {"label": "é", "n": 3, "in": {"side": True}, "none": None}
    assert filled("a.{{label}}.{{ n }}.{{ in.side }}", row) == "a.é.3.true"
    for field in ("none", "other", "n.x"):
        with pytest.raises(Unfilled, match=field):
            filled(f"{{{{ {field} }}}}", row)
    assert not [text for text in ("", "a.b", "{{ a }}") if mistake_in(text) is not None]
    assert not [text for text in ("{{ }}", "{{ a", "a }}") if mistake_in(text) is None]
