"""Tests what records the entries of Redis streams are, and what a URL of one says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.errors import ConfigurationError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.redis_streams.address import Address
from loom_connectors.redis_streams.entries import Entry, identity_of, record_of
from loom_connectors.redis_streams.options import RedisStreamOptions
from loom_connectors.registry import open_source

NAME = b"1700000000000-3"


def read(fields: dict[bytes, bytes], **options: Any):
    return record_of(Entry.decoded(Entry.of(NAME, fields).encoded()), RedisStreamOptions(**options))


@pytest.mark.parametrize(
    ("fields", "options", "data"),
    [
        ({b"id": b"7", "näme".encode(): "é".encode()}, {}, {"id": "7", "näme": "é"}),
        ({b"data": b'{"id": 9007199254740993}', b"more": b"\xff"}, {"field": "data"}, {"id": 9007199254740993}),
        (
            {b"id": b"7"},
            {"properties": ["entry_id", "timestamp"]},
            {"id": "7", "_entry_id": "1700000000000-3", "_timestamp": "2023-11-14T22:13:20+00:00"},
        ),
    ],
)
def test_an_entry_is_a_record(fields, options, data):
    found = read(fields, **options)
    assert (found.position, found.data, found.error) == ("entry 1700000000000-3", data, None)


@pytest.mark.parametrize(
    ("fields", "options", "code", "words"),
    [
        ({b"a": b"\xff"}, {}, "bad_encoding", "the field 'a' is no text in UTF-8"),
        ({b"data": b"\xff"}, {"field": "data"}, "bad_encoding", "the field 'data' is no text"),
        ({b"data": b"{oops"}, {"field": "data"}, "bad_json", "column 2"),
        ({b"data": b"[1]"}, {"field": "data"}, "bad_json", "a list, expected an object"),
        ({b"body": b"{}"}, {"field": "data"}, "field_missing", "no field 'data', which `field` names; it has 'body'"),
        ({b"_entry_id": b"1"}, {"properties": ["entry_id"]}, "field_twice", "'_entry_id'"),
    ],
)
def test_an_entry_that_is_no_record_says_why_and_names_itself(fields, options, code, words):
    found = read(fields, **options)
    assert found.error.code == code
    assert words in str(found.error)
    assert str(found.error).startswith("entry 1700000000000-3")
    assert found.error.details["entry_id"] == "1700000000000-3"
    assert set(found.data) == {"raw"}


def test_an_id_that_is_no_time_costs_its_own_record():
    found = record_of(Entry("18446744073709551615-0", {"a": "b"}), RedisStreamOptions(properties=["timestamp"]))
    assert found.error.code == "bad_timestamp"


@pytest.mark.parametrize(
    ("fields", "options", "identity"),
    [
        ({b"id": b"7"}, {}, "1700000000000-3"),
        ({b"id": b"7"}, {"id_field": "id"}, "id=7"),
        ({b"id": b""}, {"id_field": "id"}, "1700000000000-3"),
        ({b"data": b'{"id": 7}'}, {"field": "data", "id_field": "id"}, "id=7"),
        ({b"data": b'{"id": [7]}'}, {"field": "data", "id_field": "id"}, "1700000000000-3"),
        ({b"data": b"{oops"}, {"field": "data", "id_field": "id"}, "1700000000000-3"),
    ],
)
def test_an_entry_is_known_by_its_id_or_by_that_of_its_record(fields, options, identity):
    assert identity_of(Entry.of(NAME, fields), RedisStreamOptions(**options)) == identity


@given(st.dictionaries(st.binary(max_size=8), st.binary(max_size=8), min_size=1, max_size=4))
def test_whatever_is_in_an_entry_it_is_a_record_or_says_why(fields):
    found = read(fields)
    assert (found.error is None) == all(map(_is_text, fields.values()))


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def context(folder, **environ: str) -> ConnectorContext:
    return ConnectorContext(folder, Credentials({"env": EnvProvider(environ)}))


def test_a_url_says_where_the_stream_is_and_shows_no_password(tmp_path):
    around = context(tmp_path, PASSWORD="p@ss/word")
    found = Address.of("redis://anna:${PASSWORD}@h:1234/5?stream=a:b&group=g", around)
    assert (found.shown, found.stream, found.group) == ("redis://h:1234/5", "a:b", "g")
    assert dict(found.connection) == {"host": "h", "port": 1234, "db": 5, "username": "anna", "password": "p@ss/word"}
    assert "p@ss" not in repr(found)
    plain = Address.of("redis://[::1]?stream=s", around)
    assert (plain.shown, plain.group, plain.connection["db"]) == ("redis://[::1]:6379/0", "loom", 0)
    tls = Address.of("rediss://h?stream=s&ssl_ca=ca.pem", around)
    assert (tls.connection["ssl_ca_certs"], tls.connection["ssl_check_hostname"]) == (f"{tmp_path}/ca.pem", True)


@pytest.mark.parametrize(
    ("source", "changes", "told"),
    [
        ("redis://h/0", {}, "without a stream; expected the key of a stream"),
        ("redis://h/0?steam=x", {}, "the unknown setting 'steam'. Did you mean 'stream'?"),
        ("redis:///0?stream=x", {}, "names no host"),
        ("redis://h/secret?stream=x", {}, "a database that is no number"),
        ("redis://h:port/0?stream=x", {}, "Percent-encode special characters"),
        ("redis://h/0?stream=x&ssl_ca=a.pem", {}, "Write rediss:// for that"),
        ("redis://h/0?stream=x", {"query": "SELECT 1"}, "a stream is not asked"),
        ("redis://h/0?stream=x", {"options": {"prefech": 3}}, "Did you mean 'prefetch'?"),
        ("redis://h/0?stream=x", {"options": {"claim_after": "0s"}}, "claim_after"),
    ],
)
def test_a_mistake_is_refused_before_anything_is_connected(tmp_path, source, changes, told):
    with pytest.raises(ConfigurationError) as raised:
        open_source(ExtractConfig(source=source, **changes), context(tmp_path))
    assert told in str(raised.value)
    assert "secret" not in str(raised.value)
