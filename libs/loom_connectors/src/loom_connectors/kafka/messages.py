"""Keeps the messages of a topic, and makes records of them. A message that is none costs its own record alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from loom_common.errors import RecordError
from loom_connectors.formats.json_records import Unfit
from loom_connectors.formats.message_bodies import LONGEST_RAW, parts_of
from loom_connectors.kafka.options import KafkaOptions
from loom_connectors.ports.source import ReadRecord

_BYTES = "$bytes"
"""Stands before the hexadecimal digits of what is no text, in the JSON of a kept message."""
_REGISTERED = 5
"""The number of bytes that serializers of a schema registry put before a value: a zero, and the number of a schema."""


@dataclass(frozen=True, slots=True)
class KafkaMessage:
    """Holds a message of a topic."""

    partition: int
    offset: int
    timestamp: int | None
    """Says when it was sent, or written, in milliseconds since 1970."""
    key: Any
    """Holds a text, `{"$bytes": digits}` for what is none, or None."""
    headers: Mapping[str, Any]
    value: bytes | None

    @staticmethod
    def of(read: Message) -> KafkaMessage:
        """Return a message as the client gave it."""
        partition, offset = read.partition(), read.offset()
        assert partition is not None and offset is not None, "a message that was read has a place"
        kind, milliseconds = read.timestamp()
        return KafkaMessage(
            partition,
            offset,
            None if kind == TIMESTAMP_NOT_AVAILABLE else milliseconds,
            _shown(read.key()),
            {name: _shown(value) for name, value in cast("list[tuple[str, bytes | None]]", read.headers() or [])},
            _bytes(read.value()),
        )

    @staticmethod
    def decoded(kept: bytes) -> KafkaMessage:
        """Return the message that `encoded` wrote."""
        head, separator, value = kept.partition(b"\n")
        partition, offset, timestamp, key, headers = orjson.loads(head)
        return KafkaMessage(partition, offset, timestamp, key, headers, value if separator else None)

    def encoded(self) -> bytes:
        """Return the message as it is kept."""
        head = orjson.dumps([self.partition, self.offset, self.timestamp, self.key, self.headers])
        return head if self.value is None else head + b"\n" + self.value

    @property
    def position(self) -> str:
        """Return where the record stands in its source, for people."""
        return f"partition {self.partition} offset {self.offset}"


def identity_of(message: KafkaMessage, topic: str, options: KafkaOptions) -> str:
    """Return what tells the message from others: the value of the field that identifies its record, or its place. A
    topic that was deleted and made anew begins with the same offsets, at a later time."""
    if options.id_field is not None:
        found = records_of(message, topic, options)
        value = found[0].data.get(options.id_field) if len(found) == 1 and found[0].error is None else None
        if value not in (None, "") and not isinstance(value, dict | list):
            return f"{options.id_field}={value}"
    return f"{message.partition}/{message.offset}/{message.timestamp or 0}"


def records_of(message: KafkaMessage, topic: str, options: KafkaOptions) -> list[ReadRecord]:
    """Return the records of a message, or what could be read of it with the reason why it is none."""
    if message.value is None and options.tombstones == "skip":
        return []
    try:
        text = _text(message)
    except Unfit as unfit:
        value = message.value or b""
        return [_kept_back(message, message.position, value.decode("utf-8", "replace"), unfit)]
    found = []
    for at, each in enumerate(parts_of(text, options.format, options.text_field), 1):
        place = message.position if each.only else f"{message.position}, record {at}"
        if isinstance(each.value, Unfit):
            found.append(_kept_back(message, place, each.text, each.value))
        else:
            found.append(_with_properties(each.value, message, place, topic, options))
    return found


def _text(message: KafkaMessage) -> str:
    """Return the value as text. Raises `Unfit`."""
    value = message.value
    if value is None:
        raise Unfit("no_value", "it has no value, so that its key is deleted. `tombstones: skip` leaves such out.")
    registered = len(value) > _REGISTERED and value[0] == 0
    try:
        return (value[_REGISTERED:] if registered else value).decode()
    except UnicodeDecodeError as error:
        if registered:
            words = "it was written by way of a schema registry, as Avro or Protobuf; Loom reads JSON and text."
            raise Unfit("bad_encoding", words) from None
        raise Unfit("bad_encoding", f"byte {error.start + 1} is none of utf-8.") from None


def _with_properties(
    data: dict[str, Any], message: KafkaMessage, place: str, topic: str, options: KafkaOptions
) -> ReadRecord:
    added = {f"_{name}": _property(message, topic, name) for name in options.properties}
    if taken := [name for name in added if name in data]:
        unfit = Unfit("field_twice", f"it has the field '{taken[0]}', which the option `properties` gives.")
        return ReadRecord(place, data, _error(message, place, unfit))
    return ReadRecord(place, {**data, **added} if added else data)


def _property(message: KafkaMessage, topic: str, name: str) -> Any:
    match name:
        case "topic":
            return topic
        case "headers":
            return dict(message.headers)
        case "timestamp":
            return _moment(message.timestamp)
        case _:
            return getattr(message, name)


def _moment(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    try:
        return (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=milliseconds)).isoformat()
    except OverflowError:  # whoever sends a message may choose its time
        return None


def _kept_back(message: KafkaMessage, place: str, text: str, unfit: Unfit) -> ReadRecord:
    return ReadRecord(place, {"raw": text[:LONGEST_RAW]}, _error(message, place, unfit))


def _error(message: KafkaMessage, place: str, unfit: Unfit) -> RecordError:
    column = "" if unfit.column is None else f" column {unfit.column}"
    details = {"partition": message.partition, "offset": message.offset}
    return RecordError(f"{place}{column}: {unfit}", code=unfit.code, details=details)


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _shown(value: str | bytes | None) -> Any:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {_BYTES: value.hex()}
