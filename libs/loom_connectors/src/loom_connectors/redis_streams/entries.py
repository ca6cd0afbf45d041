"""Keeps the entries of a stream, and makes records of them. An entry that is none costs its own record alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from loom_common.errors import RecordError
from loom_connectors.formats.json_records import Unfit, object_of
from loom_connectors.ports.source import ReadRecord
from loom_connectors.redis_streams.options import RedisStreamOptions

_BYTES = "$bytes"
"""Stands before the hexadecimal digits of what is no text, in the JSON of a kept entry."""
_LONGEST_RAW = 64 * 1024
"""The number of characters that are kept of an entry that is no record."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Holds an entry of a stream: its id, and its fields in their order."""

    id: str
    fields: Mapping[str, Any]
    """Holds texts, and `{"$bytes": digits}` for what is none."""

    @staticmethod
    def of(name: bytes, fields: Mapping[bytes, bytes]) -> Entry:
        """Return an entry as Redis gave it."""
        return Entry(name.decode(), {_key(key): _value(value) for key, value in fields.items()})

    @staticmethod
    def decoded(kept: bytes) -> Entry:
        """Return the entry that `encoded` wrote."""
        name, fields = orjson.loads(kept)
        return Entry(name, fields)

    def encoded(self) -> bytes:
        """Return the entry as it is kept."""
        return orjson.dumps([self.id, self.fields])

    @property
    def position(self) -> str:
        """Return where the record stands in its source, for people: the id of its entry."""
        return f"entry {self.id}"


def identity_of(entry: Entry, options: RedisStreamOptions) -> str:
    """Return what tells the entry from others: the value of the field that identifies its record, or its id."""
    if options.id_field is not None:
        try:
            value = _data(entry, options).get(options.id_field)
        except Unfit:
            value = None
        if value not in (None, "") and not isinstance(value, dict | list):
            return f"{options.id_field}={value}"
    return entry.id


def record_of(entry: Entry, options: RedisStreamOptions) -> ReadRecord:
    """Return the record of an entry, or what could be read of it with the reason why it is none."""
    try:
        data = _data(entry, options)
        added = {f"_{name}": _property(entry, name) for name in options.properties}
        if taken := [name for name in added if name in data]:
            raise Unfit("field_twice", f"it has the field '{taken[0]}', which the option `properties` gives.")
    except Unfit as unfit:
        column = "" if unfit.column is None else f" column {unfit.column}"
        raw = orjson.dumps(entry.fields).decode()[:_LONGEST_RAW]
        error = RecordError(f"{entry.position}{column}: {unfit}", code=unfit.code, details={"entry_id": entry.id})
        return ReadRecord(entry.position, {"raw": raw}, error)
    return ReadRecord(entry.position, {**data, **added})


def _data(entry: Entry, options: RedisStreamOptions) -> dict[str, Any]:
    """Return the fields of an entry's record. Raises `Unfit`."""
    if options.field is None:
        for name, value in entry.fields.items():
            if not isinstance(value, str):
                raise Unfit("bad_encoding", f"the field '{name}' is no text in UTF-8.")
        return dict(entry.fields)
    if options.field not in entry.fields:
        there = ", ".join(f"'{name}'" for name in list(entry.fields)[:10])
        raise Unfit("field_missing", f"it has no field '{options.field}', which `field` names; it has {there}.")
    text = entry.fields[options.field]
    if not isinstance(text, str):
        raise Unfit("bad_encoding", f"the field '{options.field}' is no text in UTF-8.")
    return object_of(text)


def _property(entry: Entry, name: str) -> str:
    if name == "entry_id":
        return entry.id
    milliseconds = int(entry.id.partition("-")[0])
    try:
        return (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=milliseconds)).isoformat()
    except OverflowError:  # whoever adds an entry may choose its id
        raise Unfit("bad_timestamp", "its id begins with no time, which the option `properties` asks for.") from None


def _key(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def _value(value: bytes) -> str | dict[str, str]:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {_BYTES: value.hex()}
