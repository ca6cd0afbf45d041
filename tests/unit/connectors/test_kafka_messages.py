"""Tests what records the messages of Kafka topics are, what a URL of one says, and from where it is read."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, KafkaError, Message
from hypothesis import given
from hypothesis import strategies as st

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.errors import AccessRefused, ConfigurationError, DependencyUnavailable, SourceError
from loom_connectors.kafka.address import Address
from loom_connectors.kafka.client import Troubles
from loom_connectors.kafka.errors import error_of
from loom_connectors.kafka.messages import KafkaMessage, identity_of, records_of
from loom_connectors.kafka.options import KafkaOptions
from loom_connectors.kafka.places import Place
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.registry import open_source


def message(value: bytes | None, key: bytes | None = None, headers: Any = None, when: int = 1_700_000_000_003):
    sent = Message(
        topic="t",
        partition=3,
        offset=17,
        key=key,
        value=value,
        headers=headers,
        timestamp=(TIMESTAMP_CREATE_TIME, when),
    )
    return KafkaMessage.decoded(KafkaMessage.of(sent).encoded())


def read(value: bytes | None, key: bytes | None = None, headers: Any = None, **options: Any):
    return records_of(message(value, key, headers), "tickets", KafkaOptions(**options))


EVERYTHING = ["key", "topic", "partition", "offset", "timestamp", "headers"]


@pytest.mark.parametrize(
    ("value", "options", "data"),
    [
        (b'{"id": 9007199254740993}', {}, [{"id": 9007199254740993}]),
        (b'[{"a": 1}, {"a": 2}]', {}, [{"a": 1}, {"a": 2}]),
        (b'{"a": 1}\n\n{"a": 2}\n', {"format": "jsonl"}, [{"a": 1}, {"a": 2}]),
        ("grüß".encode(), {"format": "text", "text_field": "t"}, [{"t": "grüß"}]),
        (b'\0\0\0\0\x07{"a": 1}', {}, [{"a": 1}]),  # by a serializer of a schema registry
        (None, {"tombstones": "skip"}, []),
        (
            b"{}",
            {"properties": EVERYTHING},
            [
                {
                    "_key": "k",
                    "_topic": "tickets",
                    "_partition": 3,
                    "_offset": 17,
                    "_timestamp": "2023-11-14T22:13:20.003000+00:00",
                    "_headers": {"trace": "1", "raw": {"$bytes": "ff"}},
                }
            ],
        ),
    ],
)
def test_a_value_becomes_records(value, options, data):
    found = read(value, b"k", [("trace", b"1"), ("raw", b"\xff")], **options)
    assert [each.data for each in found] == data
    assert all(each.error is None and each.position.startswith("partition 3 offset 17") for each in found)


@pytest.mark.parametrize(
    ("value", "options", "code", "words"),
    [
        (b"{oops", {}, "bad_json", "partition 3 offset 17 column 2"),
        (b"[1]", {}, "bad_json", "record 1: expected an object"),
        (b"\xff{}", {}, "bad_encoding", "byte 1 is none of utf-8"),
        (b"\0\0\0\0\x07\x02\xff", {}, "bad_encoding", "by way of a schema registry"),
        (None, {}, "no_value", "`tombstones: skip` leaves such out"),
        (b'{"_key": 1}', {"properties": ["key"]}, "field_twice", "'_key'"),
    ],
)
def test_a_value_that_is_no_record_is_kept_back_with_its_place(value, options, code, words):
    (found,) = read(value, **options)
    assert (found.error.code, found.error.details) == (code, {"partition": 3, "offset": 17})
    assert words in str(found.error)


@given(st.none() | st.binary(), st.none() | st.binary(), st.sampled_from(["json", "jsonl", "text"]))
def test_whatever_a_value_is_it_is_records_or_a_reason(value, key, form):
    for each in read(value, key, format=form, properties=EVERYTHING):
        assert each.error is None or each.data.keys() <= {"raw"}


@pytest.mark.parametrize(
    ("value", "options", "identity"),
    [
        (b'{"id": 7}', {}, "3/17/1700000000003"),
        (b'{"id": 7}', {"id_field": "id"}, "id=7"),
        (b'{"id": ""}', {"id_field": "id"}, "3/17/1700000000003"),
        (b"{oops", {"id_field": "id"}, "3/17/1700000000003"),
        (b"{}", {"id_field": "_key", "properties": ["key"]}, "_key=k"),
        (b'[{"id": 1}, {"id": 2}]', {"id_field": "id"}, "3/17/1700000000003"),
    ],
)
def test_a_message_is_known_by_its_place_or_by_a_field(value, options, identity):
    assert identity_of(message(value, b"k"), "tickets", KafkaOptions(**options)) == identity


def test_offsets_of_a_topic_that_was_made_anew_are_others():
    first, second = (identity_of(message(b"{}", when=when), "t", KafkaOptions()) for when in (1, 2))
    assert first != second


@pytest.fixture
def around(tmp_path):
    (tmp_path / "ca.pem").touch()
    return ConnectorContext(tmp_path, Credentials({"env": EnvProvider({"PASSWORD": "p@ss/word,1"})}))


def test_a_url_is_taken_apart(around, tmp_path):
    found = Address.of("kafka://anna:${PASSWORD}@two:9093,one/tickets?group=g&sasl=scram-sha-512", around)
    assert (found.shown, found.topic, found.group) == ("kafka://one:9092,two:9093", "tickets", "g")
    assert found.client == {
        "bootstrap.servers": "one:9092,two:9093",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "anna",
        "sasl.password": "p@ss/word,1",
    }
    assert "p@ss" not in repr(found)
    plain = Address.of("kafka://[::1]/t", around)
    assert (plain.shown, plain.group) == ("kafka://[::1]:9092", "loom")
    tls = Address.of("kafkas://h/t?ssl_ca=ca.pem", around)
    assert (tls.shown, tls.client["security.protocol"]) == ("kafkas://h:9092", "SSL")
    assert tls.client["ssl.ca.location"] == str(tmp_path / "ca.pem")
    assert Address.of("kafkas://me:x@h/t", around).client["ssl.ca.location"] == "probe"


@pytest.mark.parametrize(
    ("source", "more", "words"),
    [
        ("kafka://h", {}, "without a topic; expected the name of a topic"),
        ("kafka:///t", {}, "names no host"),
        ("kafka://h/a/b", {}, "a topic that Kafka cannot have"),
        ("kafka://h/t?gruop=x", {}, "the unknown setting 'gruop'. Did you mean 'group'?"),
        ("kafka://h:port/t", {}, "Percent-encode special characters"),
        ("kafka://h/t?ssl_ca=a.pem", {}, "Write kafkas:// for that"),
        ("kafka://h/t?sasl=PLAIN", {}, "names no user"),
        ("kafka://me:${PASSWORD}@h/t?sasl=GSSAPI", {}, "It knows PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
        ("kafka://h/t", {"query": "SELECT 1"}, "a topic is not asked"),
        ("kafka://h/t", {"options": {"prefech": 3}}, "Did you mean 'prefetch'?"),
        ("kafka://h/t", {"options": {"id_field": "_key"}}, "`properties: [key]` gives them `_key`"),
        ("kafka://h/t", {"options": {"start": "yesterday"}}, "a time with its offset: 2026-11-01T00:00:00Z"),
        ("kafka://h/t", {"options": {"start": "2026-11-01T00:00:00"}}, "a time with its offset"),
    ],
)
def test_a_mistake_is_told_before_anything_is_connected_to(around, source, more, words):
    with pytest.raises(ConfigurationError) as raised:
        open_source(ExtractConfig(source=source, **more), around)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (KafkaError._ALL_BROKERS_DOWN, DependencyUnavailable, "kafka://h:9092 cannot be reached"),
        (KafkaError.COORDINATOR_NOT_AVAILABLE, DependencyUnavailable, "cannot be reached"),
        (KafkaError._SSL, DependencyUnavailable, "kafkas:// is for listeners with TLS"),
        (KafkaError._AUTHENTICATION, AccessRefused, "Check user, password and `sasl`"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, AccessRefused, "Read on the group"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, SourceError, "has no topic 't'"),
        (KafkaError.UNKNOWN_MEMBER_ID, SourceError, "a group of its own"),
        (KafkaError.INVALID_GROUP_ID, SourceError, "refuses the topic 't'"),
        (KafkaError._INVALID_ARG, ConfigurationError, "cannot be used"),
    ],
)
def test_what_kafka_says_is_an_error_of_looms(around, code, kind, words):
    found = error_of(KafkaError(code), Address.of("kafka://h/t", around), Troubles())
    assert type(found) is kind
    assert words in str(found)


def test_a_refusal_that_only_the_connection_tells_is_what_went_wrong(around):
    troubles = Troubles()
    troubles.note(KafkaError(KafkaError._AUTHENTICATION, "SASL authentication failed"))
    troubles.note(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    found = error_of(KafkaError(KafkaError._TIMED_OUT), Address.of("kafka://h/t", around), troubles)
    assert type(found) is AccessRefused
    assert "SASL authentication failed" in str(found)


def test_a_broker_that_only_ends_connections_may_ask_for_something(around):
    troubles = Troubles()
    troubles.note(KafkaError(KafkaError._ALL_BROKERS_DOWN, "0/1 brokers are down"))
    found = error_of(KafkaError(KafkaError._TIMED_OUT), Address.of("kafka://h/t", around), troubles)
    assert "as where it asks for a user, or for TLS, which kafkas:// is for" in str(found)


def test_what_happened_to_a_broker_says_more_than_that_all_are_down(around):
    troubles = Troubles()
    for code, words in ((KafkaError._ALL_BROKERS_DOWN, ""), (KafkaError._TRANSPORT, "h:9092: Connection refused")):
        troubles.note(KafkaError(code, words))
    troubles.note(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    found = error_of(KafkaError(KafkaError._TIMED_OUT), Address.of("kafka://h/t", around), troubles)
    assert "h:9092: Connection refused" in str(found)


def test_a_run_reads_up_to_where_the_topic_ended():
    place = Place.of({"topic": None, "offsets": {"0": 2, "1": 5}, "until": {"0": 4, "1": 5}})
    assert (place.left, place.unread) == (2, {0: 2})
    assert place.at({0: 9, 1: 7}).state == {"topic": None, "offsets": {"0": 4, "1": 5}, "until": {"0": 4, "1": 5}}
    assert Place.of(place.state) == place


def test_a_time_where_a_group_begins_is_told_in_milliseconds():
    assert KafkaOptions(start="1970-01-01T00:00:01.5+00:00").start_ms == 1500
    assert KafkaOptions().start_ms is None
